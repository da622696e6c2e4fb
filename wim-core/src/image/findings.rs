//! What loading an image noticed and passed over.
//!
//! A finding does not stop a job: the tree leaves the odd thing out or reads it as wimlib does. `verify` reports findings
//! as damage or as remarks; every other verb warns.

use std::fmt;

use crate::base::{Error, ErrorKind, Place};

/// Most findings that are kept of one image; a hostile one could have millions.
pub const MAX_FINDINGS: usize = 1000;

/// One oddity of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, as text with backslashes; a long path is cut.
    pub path: String,
    /// What it is.
    pub kind: FindingKind,
}

/// What was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// A name that is empty, `.`, `..`, or has a NUL or a separator: left out with all below it.
    BadName,
    /// The same name, letter for letter, again in one directory: the first is kept.
    DuplicateName,
    /// A security id past the end of the table: read as none.
    BadSecurityId(u32),
    /// Children of something that is not a directory: left out.
    ChildrenOfFile,
    /// Unnamed streams for which there is no place: left out.
    ExtraStreams(usize),
    /// The root has a name: dropped.
    NamedRoot,
    /// More findings than are kept; how many more.
    More(usize),
}

impl FindingKind {
    /// True when Windows could not have written this: the image is damaged or was made to mislead.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::NamedRoot)
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => f.write_str("a name that no file can have; it is left out with all it holds"),
            Self::DuplicateName => f.write_str("the same name again in one directory; the first is kept"),
            Self::BadSecurityId(id) => write!(f, "security id {id} is not in the table; read as none"),
            Self::ChildrenOfFile => f.write_str("not a directory, but has children; they are left out"),
            Self::ExtraStreams(count) => {
                write!(f, "{count} unnamed streams too many; they are left out")
            }
            Self::NamedRoot => f.write_str("the root directory has a name; it is dropped"),
            Self::More(count) => write!(f, "{count} more findings of this kind or another"),
        }
    }
}

impl From<&Finding> for Error {
    fn from(finding: &Finding) -> Self {
        Self::new(ErrorKind::Format, finding.kind.to_string()).at(Place::Path(finding.path.clone()))
    }
}
