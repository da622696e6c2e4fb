//! What scripts written for wimlib-imagex expect: its names of the command, its spellings, its exit codes.
//!
//! Called as `wimlib-imagex`, or as `wimapply` and so on, the command takes options with one dash and ends with wimlib's
//! error numbers (wimlib.h); `--wimlib-exit-codes` asks for the numbers alone.

use std::error::Error as _;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind as Misuse};
use wim_core::base::{Error, ErrorKind, Place, Reason};
use wim_core::jobs::dir::NothingFits;

use crate::arguments::parse_bytes;

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
/// `WIMLIB_ERR_INVALID_RESOURCE_HASH`: a file is damaged.
const DAMAGED: u8 = 28;
/// `WIMLIB_ERR_OPEN`.
const CANNOT_OPEN: u8 = 47;
/// `WIMLIB_ERR_READ`.
const CANNOT_READ: u8 = 50;
/// wimlib's exit code for a line without a verb that it has.
const NO_VERB: u8 = 2;

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
        // Every verb of wimlib's tells the version.
        if words.iter().take_while(|word| *word != "--").any(|word| word == "--version") {
            words.truncate(1);
            words.push("--version".into());
        } else if let Some(verb) = verb {
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
    /// True when it was to write the XML data.
    writes_xml: bool,
    /// True when what it captures is in a list.
    lists_sources: bool,
}

impl Request {
    /// The request of a line that [`read_line`] gave.
    pub(crate) fn of(words: &[OsString]) -> Self {
        let mut operands = words.iter().skip(1).filter(|word| !word.as_encoded_bytes().starts_with(b"-"));
        let verb = operands.next().map(|verb| verb.to_string_lossy().into_owned()).unwrap_or_default();
        let has =
            |option: &str| words.iter().any(|word| word.as_encoded_bytes().starts_with(option.as_bytes()));
        let (writes_xml, lists_sources) = (has("--extract-xml"), has("--source-list"));
        Self { verb, first: operands.next().cloned(), writes_xml, lists_sources }
    }

    /// True for the verbs that capture.
    fn captures(&self) -> bool {
        matches!(self.verb.as_str(), "capture" | "append")
    }

    /// True when the error is about the first operand.
    fn is_about_first(&self, error: &Error) -> bool {
        self.first.as_ref().is_some_and(|first| error.file().is_some_and(|file| *first == *file))
    }
}

/// The number that wimlib gives a line that our parser refuses.
pub(crate) fn code_of_misuse(error: &clap::Error, request: &Request) -> u8 {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => "",
    };
    match error.kind() {
        Misuse::DisplayHelpOnMissingArgumentOrSubcommand | Misuse::MissingSubcommand => NO_VERB,
        Misuse::UnknownArgument if request.verb.is_empty() => NO_VERB,
        // A size that no chunk has, unlike what is no size.
        Misuse::ValueValidation if argument.contains("chunk-size") && is_size(error) => WRONG_CHUNK_SIZE,
        // A number that is no size, unlike what is no number.
        Misuse::ValueValidation if argument.contains("PART_SIZE") && is_number(error) => INVALID,
        Misuse::ArgumentConflict if argument.contains("pipable") || argument.contains("rpfix") => INVALID,
        _ => MISUSE,
    }
}

fn is_number(error: &clap::Error) -> bool {
    invalid_value(error).parse::<f64>().is_ok()
}

fn is_size(error: &clap::Error) -> bool {
    parse_bytes(invalid_value(error)).is_ok_and(|bytes| bytes > 0)
}

fn invalid_value(error: &clap::Error) -> &str {
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value,
        _ => "",
    }
}

/// The number that wimlib gives this error.
pub(crate) fn code_of(error: &Error, request: &Request) -> u8 {
    let source = error.source();
    let nothing_fits = source.is_some_and(|source| source.is::<NothingFits>());
    if error.kind() == ErrorKind::Cancelled {
        return 130;
    }
    if nothing_fits {
        return 49;
    }
    let reason = error.reason();
    let system = source.and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    reason.and_then(|reason| code_of_reason(reason, system, request)).unwrap_or_else(|| {
        let captures = request.captures() && request.is_about_first(error);
        let mounts = matches!(request.verb.as_str(), "mount" | "mountrw") && !request.is_about_first(error);
        match (error.kind(), error.place()) {
            // A list of sources is looked at before wimlib is called.
            (ErrorKind::Io, _) if captures => MISUSE,
            (ErrorKind::Io, _) if mounts => 6,
            (ErrorKind::Io, _) if system == Some(io::ErrorKind::NotFound) => CANNOT_OPEN,
            (ErrorKind::Io, _) => CANNOT_READ,
            (ErrorKind::Format, Place::Line { .. }) if request.verb == "update" || request.captures() => {
                MISUSE
            }
            (ErrorKind::Format, Place::Field { structure, field, .. }) => format_code(structure, field),
            (ErrorKind::Format, _) => 2,
            (ErrorKind::NotFound, _) => 49,
            (ErrorKind::Corrupt, _) => DAMAGED,
            (ErrorKind::Unsupported, Place::Field { field: "version", .. }) => 67,
            (ErrorKind::Unsupported, _) => 68,
            (ErrorKind::Limit, _) => 39,
            _ => INVALID,
        }
    })
}

/// The number of a reason, which may depend on the verb and on what the system said; none where the kind decides.
fn code_of_reason(reason: Reason, system: Option<io::ErrorKind>, request: &Request) -> Option<u8> {
    use io::ErrorKind::{AlreadyExists, NotADirectory};
    let verb = request.verb.as_str();
    Some(match reason {
        Reason::FileInUse => 1,
        Reason::NoSuchVerb => NO_VERB,
        Reason::ImageNameTaken => 11,
        Reason::IntegrityDiffers => 13,
        Reason::BadConfiguration => 14,
        Reason::Contradiction => MISUSE,
        Reason::NotPipable => 44,
        Reason::ChunkSize => WRONG_CHUNK_SIZE,
        Reason::NoSuchImage => 18,
        Reason::SeveralImages if verb == "info" => 18,
        Reason::SeveralImages => MISUSE,
        Reason::FileThere => 23,
        Reason::IsDirectory => 32,
        Reason::PartOfSet => 33,
        Reason::NotFirstPart => 36,
        // A file is taken for an NTFS volume; what lies below one is not looked for.
        Reason::CannotMakeDirectory => match (verb, system) {
            ("apply", Some(AlreadyExists)) => 46,
            ("apply", Some(NotADirectory)) => MISUSE,
            ("extract", Some(AlreadyExists)) => CANNOT_OPEN,
            _ => 37,
        },
        // So is one that is to be captured, but not one of a list.
        Reason::NotADirectory if request.captures() && !request.lists_sources => 46,
        Reason::NotADirectory | Reason::NotEmpty if matches!(verb, "mount" | "mountrw") => 6,
        Reason::NotADirectory => 40,
        Reason::NotEmpty => 41,
        Reason::NotARegularFile => 42,
        // The XML is not written by wimlib itself, but by imagex.
        Reason::CannotOpen | Reason::NoPlaceForFile if verb == "info" && request.writes_xml => MISUSE,
        // imagex looks at what it may have to append to.
        Reason::NoPlaceForFile if verb == "export" => MISUSE,
        Reason::CannotOpen if system == Some(io::ErrorKind::IsADirectory) => match verb {
            "export" => MISUSE,
            _ => CANNOT_READ,
        },
        Reason::CannotOpen | Reason::NoPlaceForFile | Reason::NoFileFits => CANNOT_OPEN,
        Reason::NotAFile => CANNOT_READ,
        Reason::NoSuchPath => 49,
        Reason::BlobMissing => 55,
        Reason::NotOneSet => 62,
        Reason::CannotLookAt => 63,
        Reason::FileEnds => 65,
        Reason::MustNotChange => 71,
        Reason::CannotWrite => 72,
        Reason::BadXml => 73,
        Reason::Encrypted => 74,
        Reason::NotMounted => 80,
        Reason::NoConfiguration => 83,
        _ => return None,
    })
}

/// The number of damage that a verb has found, whose first finding has this reason.
pub(crate) fn code_of_damage(reason: Option<Reason>) -> u8 {
    match reason {
        Some(Reason::IntegrityDiffers) => 13,
        Some(Reason::BlobMissing) => 55,
        Some(Reason::FileEnds) => 65,
        _ => DAMAGED,
    }
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
        let request = |line: &[&str]| {
            let words: Vec<OsString> =
                std::iter::once("wim").chain(line.iter().copied()).map(OsString::from).collect();
            Request::of(&words)
        };
        let code = |line: &[&str], path: &str| code_of(&error(path), &request(line));
        assert_eq!(code(&["mount", "a.wim", "1", "/nope"], "/nope"), 6);
        assert_eq!(code(&["mount", "a.wim", "1", "/nope"], "a.wim"), 47);
        assert_eq!(code(&["capture", "--source-list", "list", "a.wim"], "list"), 255);
        assert_eq!(code(&["apply", "a.wim", "1", "x"], "a.wim"), 47);
        let because = |line: &[&str], reason| code_of(&error("x").because(reason), &request(line));
        assert_eq!(because(&["capture", "--check", "x", "a.wim"], Reason::CannotLookAt), 63);
        assert_eq!(because(&["capture", "x", "a.wim"], Reason::NotADirectory), 46);
        assert_eq!(because(&["update", "a.wim"], Reason::NotADirectory), 40);
        assert_eq!(because(&["mountrw", "a.wim", "x"], Reason::NotADirectory), 6);
        assert_eq!(because(&["mount", "a.wim", "x"], Reason::NotEmpty), 6);
        assert_eq!(because(&["info", "a.wim"], Reason::CannotOpen), 47);
        assert_eq!(because(&["info", "a.wim", "--extract-xml=x"], Reason::CannotOpen), 255);
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
        for words in [&["wimapply", "--version"][..], &["wimlib-imagex", "info", "x.wim", "-version"]] {
            assert_eq!(line(words).0[1..], ["--version"]);
        }
        assert_eq!(line(&["wimapply", "--", "--version"]).0[1..], ["apply", "--", "--version"]);
        assert_eq!(line(&["wimax", "info"]).1, Codes::Own);
    }
}
