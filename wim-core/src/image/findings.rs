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
    /// Names of one file that say different things of it (attributes, times of creation or last change, security id): the
    /// first counts.
    LinksDiffer,
    /// Names of one file that have different streams beside the data: those of the first count.
    LinkStreamsDiffer,
    /// The root has a name: dropped.
    NamedRoot,
    /// More findings than are kept; how many more.
    More(usize),
}

impl FindingKind {
    /// True when Windows could not have written this: the image is damaged or was made to mislead.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::NamedRoot | Self::LinksDiffer)
    }

    /// True when something that a job may want is lost by it, so that every verb tells it and not `verify` alone.
    #[must_use]
    pub fn concerns_every_verb(&self) -> bool {
        !matches!(self, Self::LinksDiffer)
    }

    /// What the user can do about it: an imperative sentence without a full stop.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::BadName | Self::DuplicateName | Self::ChildrenOfFile | Self::ExtraStreams(_) => {
                "get the file again from its source; to go on with what is left, export the image after any change with wim update"
            }
            Self::BadSecurityId(_) => {
                "get the file again from its source, or give the file another descriptor after applying"
            }
            Self::LinksDiffer | Self::LinkStreamsDiffer => {
                "any change with wim update makes the names agree; capture the file again when the first one is not what you want"
            }
            Self::NamedRoot => "nothing needs to be done; any change with wim update drops the name",
            Self::More(_) => "mend what is listed and verify again",
        }
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
            Self::LinksDiffer => f.write_str(
                "a further name of a file with other attributes, times or security; those of the first name count",
            ),
            Self::LinkStreamsDiffer => f.write_str(
                "a further name of a file with other named streams; those of the first name count, its own are left out",
            ),
            Self::NamedRoot => f.write_str("the root directory has a name; it is dropped"),
            Self::More(count) => write!(f, "{count} more findings of this kind or another"),
        }
    }
}

impl From<&Finding> for Error {
    fn from(finding: &Finding) -> Self {
        Self::new(ErrorKind::Format, finding.kind.to_string())
            .at(Place::Path(finding.path.clone()))
            .remedy(finding.kind.remedy())
    }
}
