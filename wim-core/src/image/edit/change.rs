//! What an edit asks for: one change to one path, with its reason.

use super::content::Content;
use crate::base::FileTime;
use crate::image::path::WimPath;

/// One change to an image. A list of them is applied in order; later ones win.
#[derive(Clone, Debug)]
pub struct Change {
    /// What is changed; found without regard to case, created as spelt.
    pub path: WimPath,
    /// How.
    pub action: Action,
    /// Why, for reports: `driver nvme.inf: service binary`.
    pub reason: String,
}

/// How a path is changed.
#[derive(Clone, Debug)]
pub enum Action {
    /// Puts a file there, replacing the content of one that exists; missing directories above are made.
    PutFile {
        /// The new content of its unnamed stream.
        content: Content,
        /// `FILE_ATTRIBUTE_*` bits; none keeps those of an existing file and gives a new one ARCHIVE.
        attributes: Option<u32>,
        /// Times; none keeps the creation time of an existing file and takes the job's time for the rest.
        times: Option<Times>,
        /// Where its security descriptor comes from.
        security: Security,
    },
    /// Makes a directory with those above it; one that exists is left as it is.
    MakeDirectory {
        /// Where the security descriptor of each new directory comes from.
        security: Security,
    },
    /// Gives a name of a file with several names a file of its own, with all that the other has, so that what is put there next
    /// does not show under the other names; nothing happens to a file of one name, or when it is not there.
    Detach,
    /// Makes a name one of the file at `to`, with all that this has; what the name stood for before goes, unless it has other names.
    /// Nothing happens when there is no file at `to`.
    Link {
        /// Another name of the file.
        to: WimPath,
    },
    /// Removes a file, or a directory with all it holds; nothing happens when it is not there.
    Remove,
}

/// The three timestamps of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Times {
    /// Creation.
    pub creation: FileTime,
    /// Last access.
    pub last_access: FileTime,
    /// Last write.
    pub last_write: FileTime,
}

impl Times {
    /// All three the same.
    #[must_use]
    pub fn all(time: FileTime) -> Self {
        Self { creation: time, last_access: time, last_write: time }
    }
}

/// Where the security descriptor of a new or changed entry comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// An existing entry keeps its own; a new one takes that of the first entry of its kind in its directory, else that
    /// of the directory.
    Inherit,
    /// The descriptor of another path of the image, if it is there; else as `Inherit`.
    Like(WimPath),
}
