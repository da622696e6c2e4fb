//! The library's one error: a small kind to match on, a place to print, and what the user can do.
//!
//! Codecs have their own `DecodeError`, to which the reader adds blob, chunk and offset. Findings that do not stop
//! a job go to [`Progress::warn`](super::Progress::warn) as the same type.

use std::fmt;
use std::io;
use std::path::Path;

use super::reason::Reason;
use super::sha1::Sha1Digest;

/// What `wim-core` returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error; it decides the exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes break the rules of their format.
    Format,
    /// Well-formed, but a digest disagrees with the data.
    Corrupt,
    /// Valid, but not something this version can do.
    Unsupported,
    /// An image, path, blob or file that was asked for is not there.
    NotFound,
    /// The request itself makes no sense, or was refused to protect something.
    InvalidInput,
    /// A configured or built-in limit would be exceeded.
    Limit,
    /// The operating system failed.
    Io,
    /// The user asked to stop.
    Cancelled,
}

/// Where in the data an error was met.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A field of an on-disk structure; the offset counts from the start of the file or resource it lies in.
    Field {
        /// Name of the structure, as in the specification.
        structure: &'static str,
        /// Name of the field.
        field: &'static str,
        /// Byte offset of the field.
        offset: u64,
    },
    /// A blob, named by its SHA-1.
    Blob(Sha1Digest),
    /// A path inside an image.
    Path(String),
    /// A line of a text file, counted from 1.
    Line {
        /// Line number.
        line: u32,
        /// Column in characters, counted from 1; 0 when unknown.
        column: u32,
    },
    /// No particular place.
    Nowhere,
}

/// An error with kind, place, file and remedy.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    reason: Option<Reason>,
    place: Place,
    message: String,
    file: Option<String>,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a message: lower case, no full stop, numbers with units.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            reason: None,
            place: Place::Nowhere,
            message: message.into(),
            file: None,
            remedy: None,
            source: None,
        }))
    }

    /// Bytes that break the rules, at a field of a structure.
    pub fn format(
        structure: &'static str,
        field: &'static str,
        offset: u64,
        message: impl Into<String>,
    ) -> Self {
        Self::new(ErrorKind::Format, message).at(Place::Field { structure, field, offset })
    }

    /// A digest that disagrees.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Something valid that this version cannot do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Something asked for that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// A request that makes no sense or is refused.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// A limit that would be exceeded.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// The user asked to stop.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// A failed system call on `path`; `doing` says what was tried: `"cannot open"`.
    pub fn io(source: io::Error, doing: &str, path: &Path) -> Self {
        Self::new(ErrorKind::Io, format!("{doing}: {source}")).in_file(path.display()).with_source(source)
    }

    /// The same error at a place; an earlier place is replaced.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = place;
        self
    }

    /// The same error at `place`, unless it has a place already.
    #[must_use]
    pub fn or_at(mut self, place: Place) -> Self {
        if self.0.place == Place::Nowhere {
            self.0.place = place;
        }
        self
    }

    /// The same error in a file, unless it names one already.
    #[must_use]
    pub fn in_file(mut self, file: impl fmt::Display) -> Self {
        if self.0.file.is_none() {
            self.0.file = Some(file.to_string());
        }
        self
    }

    /// The same error with what the user can do about it: an imperative sentence without a full stop.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// The same error with what exactly was wrong, unless it says so already.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.0.reason.get_or_insert(reason);
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error again, for a list that outlives its first owner; the cause is left behind.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let Inner { kind, reason, place, message, file, remedy, source: _ } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            reason: *reason,
            place: place.clone(),
            message: message.clone(),
            file: file.clone(),
            remedy: remedy.clone(),
            source: None,
        }))
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What exactly was wrong, where errors of the kind are told apart.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// Where it was met.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The file it was met in, if known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// The message alone, without file and place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the user can do about it, if there is something.
    #[must_use]
    pub fn remedy_text(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// The error as one text, with the remedy behind it: for reports that have no line of their own for that.
    #[must_use]
    pub fn text_with_remedy(&self) -> String {
        match self.remedy_text() {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { structure, field, offset } => {
                write!(f, "{structure}, field \"{field}\", at {offset:#x}")
            }
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Path(path) => f.write_str(path),
            Self::Line { line, column: 0 } => write!(f, "line {line}"),
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
            Self::Nowhere => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.0.file {
            write!(f, "{file}: ")?;
        }
        if self.0.place != Place::Nowhere {
            write!(f, "{}: ", self.0.place)?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.to_string())
            .field("remedy", &self.0.remedy)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_file_structure_field_and_offset() {
        let e = Error::format("lookup table", "size", 0x1a40, "9 PiB, larger than the file (3 GiB)")
            .in_file("install.wim");
        assert_eq!(
            e.to_string(),
            "install.wim: lookup table, field \"size\", at 0x1a40: 9 PiB, larger than the file (3 GiB)"
        );
        assert_eq!(e.kind(), ErrorKind::Format);
    }

    #[test]
    fn the_first_file_wins_and_the_last_place_wins() {
        let e = Error::corrupt("digest differs").in_file("a").in_file("b").at(Place::Path("\\x".into()));
        assert_eq!(e.to_string(), "a: \\x: digest differs");
    }
}
