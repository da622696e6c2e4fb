//! What scripts written for wimlib-imagex expect: its names of the command, its spellings, its exit codes.
//!
//! Called as `wimlib-imagex`, or as `wimapply` and so on, the command takes options with one dash and ends with wimlib's
//! error numbers (wimlib.h); `--wimlib-exit-codes` asks for the numbers alone.

use std::ffi::OsString;
use std::path::Path;

use wim_core::base::{Error, ErrorKind, Place};
use wim_core::jobs::dir::NothingFits;

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
pub(crate) const MISUSE: u8 = 255;
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

/// The number that wimlib gives this error.
pub(crate) fn code_of(error: &Error) -> u8 {
    let says = |part: &str| error.message().contains(part);
    let nothing_fits = std::error::Error::source(error).is_some_and(|source| source.is::<NothingFits>());
    match (error.kind(), error.place()) {
        (ErrorKind::Cancelled, _) => 130,
        _ if nothing_fits => 49,
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
        (ErrorKind::InvalidInput, _) if says("already an image named") => 11,
        (ErrorKind::InvalidInput, _) if says("marked read-only") => 71,
        (ErrorKind::InvalidInput, _) if says("the first part") => 33,
        (ErrorKind::InvalidInput, _) if says("it is a directory") => 32,
        (ErrorKind::InvalidInput, _) if says("not a directory") => 40,
        (ErrorKind::InvalidInput, _) if says("each other's place") || says("there already") => 23,
        (ErrorKind::Limit, _) => 39,
        _ => 24,
    }
}

fn format_code(structure: &str, field: &str) -> u8 {
    match (structure, field) {
        ("WIM header", "magic") => 43,
        ("WIM header", "part number") => 25,
        ("WIM header", "image count") => 10,
        ("WIM header", "chunk size") => 15,
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
