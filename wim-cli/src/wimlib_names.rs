//! What scripts written for wimlib-imagex expect: its names of the command, its spellings, its exit codes.
//!
//! Called as `wimlib-imagex`, or as `wimapply` and so on, the command takes options with one dash and ends with wimlib's
//! error numbers (wimlib.h); `--wimlib-exit-codes` asks for the numbers alone.

use std::error::Error as _;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind as Misuse};
use wim_core::base::{Error, ErrorKind, Place};
use wim_core::jobs::dir::NothingFits;
use wim_core::jobs::rebuild::WrongChunkSize;

/// Verbs that wimlib also has as commands of their own, `wimapply` for `apply`.
const VERBS: [&str; 14] = [
    "append", "apply", "capture", "delete", "dir", "export", "extract", "info", "join", "mount", "mountrw",
    "optimize", "split", "update",
];

/// Which exit codes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codes {
    /// 0, 1, 2 and 130.
    Own,
    /// wimlib's error numbers, 255 for misuse.
    Wimlib,
}

/// wimlib's exit code for a line that cannot be understood.
const MISUSE: u8 = 255;
/// `WIMLIB_ERR_INVALID_CHUNK_SIZE`.
const WRONG_CHUNK_SIZE: u8 = 15;
/// `WIMLIB_ERR_INVALID_PARAM`.
const INVALID: u8 = 24;
/// Bytes of a WIM's header, which wimlib reads as a whole before it looks at any of it.
const HEADER_BYTES: u64 = 208;
/// wimlib's exit code when a file is damaged (`WIMLIB_ERR_INVALID_RESOURCE_HASH`).
pub(crate) const DAMAGED: u8 = 28;

/// The words of the command line as our own parser takes them, and which exit codes are wanted.
pub(crate) fn read_line(words: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Codes) {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let name = words.first().map(called_as).unwrap_or_default();
    let verb = name
        .strip_prefix("wim")
        .filter(|verb| VERBS.contains(verb) || *verb == "unmount" || *verb == "verify");
    let is_wimlib = verb.is_some() || name == "wimlib-imagex";
    if is_wimlib {
        with_two_dashes(&mut words);
        if let Some(verb) = verb {
            words.insert(1, verb.into());
        }
    }
    let asks = words.iter().any(|word| word == "--wimlib-exit-codes");
    (words, if is_wimlib || asks { Codes::Wimlib } else { Codes::Own })
}

fn called_as(word: &OsString) -> String {
    let name = Path::new(word).file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".exe").unwrap_or(&name).to_owned()
}

/// Gives options with one dash, which GNU's `getopt_long_only` and imagex take, their second one.
fn with_two_dashes(words: &mut [OsString]) {
    for word in words.iter_mut().skip(1).take_while(|word| *word != "--") {
        let is_long = word
            .to_str()
            .and_then(|text| text.strip_prefix('-'))
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with(|c: char| c.is_ascii_lowercase()));
        if is_long {
            let mut long = OsString::from("-");
            long.push(&*word);
            *word = long;
        }
    }
}

/// What was asked for, as far as wimlib's numbers depend on it: they tell which call failed, and ours tell what can be done.
pub(crate) struct Request {
    /// The verb, empty when there is none.
    verb: String,
    /// Its first operand.
    first: Option<OsString>,
}

impl Request {
    /// The request of a line that [`read_line`] gave.
    pub(crate) fn of(words: &[OsString]) -> Self {
        let mut operands = words.iter().skip(1).filter(|word| !word.as_encoded_bytes().starts_with(b"-"));
        let verb = operands.next().map(|verb| verb.to_string_lossy().into_owned()).unwrap_or_default();
        Self { verb, first: operands.next().cloned() }
    }

    /// True when the error is about the first operand.
    fn is_about_first(&self, error: &Error) -> bool {
        self.first.as_ref().is_some_and(|first| error.file().is_some_and(|file| *first == *file))
    }
}

/// The number that wimlib gives a line that our parser refuses.
pub(crate) fn code_of_misuse(error: &clap::Error) -> u8 {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => "",
    };
    match error.kind() {
        Misuse::ValueValidation if argument.contains("chunk-size") => WRONG_CHUNK_SIZE,
        Misuse::ValueValidation if argument.contains("PART_SIZE") => INVALID,
        Misuse::ArgumentConflict if argument.contains("pipable") => INVALID,
        _ => MISUSE,
    }
}

/// The number that wimlib gives this error.
pub(crate) fn code_of(error: &Error, request: &Request) -> u8 {
    let says = |part: &str| error.message().contains(part);
    let source = error.source();
    let nothing_fits = source.is_some_and(|source| source.is::<NothingFits>());
    let is_not_there = source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::NotFound);
    let captures = matches!(request.verb.as_str(), "capture" | "append") && request.is_about_first(error);
    let mounts = matches!(request.verb.as_str(), "mount" | "mountrw") && !request.is_about_first(error);
    match (error.kind(), error.place()) {
        (ErrorKind::Cancelled, _) => 130,
        _ if nothing_fits => 49,
        _ if source.is_some_and(|source| source.is::<WrongChunkSize>()) => WRONG_CHUNK_SIZE,
        // What is captured is looked at, not opened; and a file is taken for an NTFS volume.
        (ErrorKind::Io, _) if captures && is_not_there => 63,
        (ErrorKind::InvalidInput, Place::Nowhere) if captures => 46,
        (ErrorKind::Io, _) if mounts => 6,
        (ErrorKind::InvalidInput, Place::Nowhere) if request.verb == "unmount" => 80,
        (ErrorKind::Io, _) if is_not_there => 47,
        (ErrorKind::Format, Place::Field { structure: "WIM header", .. })
            if is_shorter_than_header(error) =>
        {
            65
        }
        (ErrorKind::Format, Place::Line { .. })
            if matches!(request.verb.as_str(), "update" | "capture" | "append") =>
        {
            MISUSE
        }
        (ErrorKind::NotFound, _) if says("blob is not in") => 55,
        (ErrorKind::NotFound, _) if says("no file fits --ref") => 8,
        (ErrorKind::NotFound, _) if says("image") => 18,
        (ErrorKind::NotFound, _) => 49,
        (ErrorKind::Io, _) if says("cannot open") => 47,
        (ErrorKind::Io, _) if says("cannot write") || says("cannot create") => 72,
        (ErrorKind::Io, _) => 50,
        (ErrorKind::Corrupt, _) if says("integrity table") => 13,
        (ErrorKind::Corrupt, _) => DAMAGED,
        (ErrorKind::Format, Place::Field { structure, field, .. }) => format_code(structure, field),
        (ErrorKind::Format, _) if says("XML data") => 73,
        (ErrorKind::Format, _) => 2,
        (ErrorKind::Unsupported, Place::Field { field: "version", .. }) => 67,
        (ErrorKind::Unsupported, _) if says("encrypted") => 74,
        (ErrorKind::Unsupported, _) if says("cannot be changed") => 71,
        (ErrorKind::Unsupported, _) if says("split set") => 33,
        (ErrorKind::Unsupported, _) => 68,
        (ErrorKind::InvalidInput, _) if says("another program") => 1,
        (ErrorKind::InvalidInput, _) if says("not the parts of a set") => 62,
        (ErrorKind::InvalidInput, _) if says("already an image named") => 11,
        (ErrorKind::InvalidInput, _) if says("marked read-only") => 71,
        (ErrorKind::InvalidInput, _) if says("the first part") => 33,
        (ErrorKind::InvalidInput, _) if says("it is a directory") => 32,
        (ErrorKind::InvalidInput, _) if says("not a directory") => 40,
        (ErrorKind::InvalidInput, _) if says("each other's place") || says("there already") => 23,
        (ErrorKind::Limit, _) => 39,
        _ => INVALID,
    }
}

/// True when the file that an error is about ends inside of where its header should be.
fn is_shorter_than_header(error: &Error) -> bool {
    let bytes = error.file().and_then(|file| std::fs::metadata(file).ok()).map(|metadata| metadata.len());
    bytes.is_some_and(|bytes| bytes < HEADER_BYTES)
}

fn format_code(structure: &str, field: &str) -> u8 {
    match (structure, field) {
        ("WIM header", "magic") => 43,
        ("WIM header", "part number") => 25,
        ("WIM header", "image count") => 10,
        ("WIM header", "chunk size") => WRONG_CHUNK_SIZE,
        ("WIM header", _) => 17,
        ("lookup table" | "resource header", _) => 20,
        ("integrity table", _) => 19,
        ("XML data", _) => 73,
        ("chunk table", _) => 2,
        _ => 21,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> (Vec<String>, Codes) {
        let (words, codes) = read_line(words.iter().map(OsString::from));
        (words.iter().map(|word| word.to_string_lossy().into_owned()).collect(), codes)
    }

    #[test]
    fn one_failure_has_the_number_of_what_was_asked_for() {
        let error = |path: &str| Error::io(io::ErrorKind::NotFound.into(), "cannot use", Path::new(path));
        let code = |line: &[&str], path: &str| {
            let words: Vec<OsString> =
                std::iter::once("wim").chain(line.iter().copied()).map(OsString::from).collect();
            code_of(&error(path), &Request::of(&words))
        };
        assert_eq!(code(&["mount", "a.wim", "1", "/nope"], "/nope"), 6);
        assert_eq!(code(&["mount", "a.wim", "1", "/nope"], "a.wim"), 47);
        assert_eq!(code(&["capture", "--check", "src", "a.wim"], "src"), 63);
        assert_eq!(code(&["apply", "a.wim", "1", "x"], "a.wim"), 47);
    }

    #[test]
    fn names_of_wimlib_are_understood() {
        let own = line(&["/usr/bin/wim", "info", "-o", "-x.wim"]);
        assert_eq!(own, (["/usr/bin/wim", "info", "-o", "-x.wim"].map(str::to_owned).into(), Codes::Own));
        let (words, codes) = line(&["/bin/wimcapture", "src", "-compress=LZX", "--", "-check"]);
        assert_eq!(words[1..], ["capture", "src", "--compress=LZX", "--", "-check"]);
        assert_eq!(codes, Codes::Wimlib);
        let (words, codes) = line(&["wimlib-imagex.exe", "append", "a", "-update-of", "-1"]);
        assert_eq!(words[1..], ["append", "a", "--update-of", "-1"]);
        assert_eq!(codes, Codes::Wimlib);
        assert_eq!(line(&["wim", "info", "--wimlib-exit-codes"]).1, Codes::Wimlib);
        assert_eq!(line(&["wimax", "info"]).1, Codes::Own);
    }
}
