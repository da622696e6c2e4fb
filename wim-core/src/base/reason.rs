//! What exactly was wrong, for callers that tell errors of one kind apart: scripts written for wimlib test its numbers.
//!
//! An error has a reason only where somebody asks for it; what can be done about it is its kind's and its remedy's business.
//! Messages are for people and are never searched.

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A file cannot be opened or created.
    CannotOpen,
    /// A file cannot be written.
    CannotWrite,
    /// Where a file is to be written is something else, such as a directory.
    NoPlaceForFile,
    /// A directory cannot be made.
    CannotMakeDirectory,
    /// What is to be captured cannot be looked at.
    CannotLookAt,
    /// A capture configuration cannot be read.
    NoConfiguration,
    /// A capture configuration says what cannot be done.
    BadConfiguration,
    /// What was asked for contradicts itself or what is there.
    Contradiction,
    /// What comes through a pipe is no pipable file.
    NotPipable,
    /// No file fits a glob.
    NoFileFits,
    /// It is no regular file of the host.
    NotAFile,
    /// Another program uses the file.
    FileInUse,
    /// The file ends before what it says it holds.
    FileEnds,
    /// The integrity table disagrees with the file.
    IntegrityDiffers,
    /// The XML data cannot be read.
    BadXml,
    /// An encrypted ESD.
    Encrypted,
    /// The file says that it must not be changed, or is part of a set, which cannot.
    MustNotChange,
    /// A whole file is needed, and this is a part of a set.
    PartOfSet,
    /// The first part of a set is needed, and this is another.
    NotFirstPart,
    /// Files are not the parts of one set, each once.
    NotOneSet,
    /// No file at hand has a blob.
    BlobMissing,
    /// There is no such image.
    NoSuchImage,
    /// There are several images and none was chosen.
    SeveralImages,
    /// An image has the name already.
    ImageNameTaken,
    /// The compression type has no chunks of this size.
    ChunkSize,
    /// Nothing of ours is mounted there.
    NotMounted,
    /// There is no such path in an image.
    NoSuchPath,
    /// A file of an image is where none may be.
    FileThere,
    /// A directory is where a file is needed.
    IsDirectory,
    /// It is no directory where one is needed.
    NotADirectory,
    /// A directory of an image is not empty, or in use by what would move it.
    NotEmpty,
    /// It is no regular file of an image.
    NotARegularFile,
    /// There is no such verb.
    NoSuchVerb,
}
