//! A mounted NTFS volume: what it keeps of a file besides name and data, read and set through extended attributes.
//!
//! The attributes are those of ntfs-3g (`system.ntfs_acl` and its neighbours, ntfs-3g's page "Extended Attributes"), in
//! the layouts of [MS-FSCC]. Streams are files named `FILE:STREAM` or extended attributes `user.STREAM`, as the volume was
//! mounted. Encrypted data is not handled: a mount gives it in another form than a WIM holds.

mod layout;
mod xattr;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use self::layout::ByteOrder;
use super::host_name;
use crate::base::WimString;
use crate::formats::wim::attributes::REPARSE_POINT;
use crate::formats::wim::tagged_items::{self, EXTENDED_ATTRIBUTES, OBJECT_ID};
use crate::image::Reparse;
use crate::image::edit::Times;

/// Most bytes of a stream that an extended attribute of Linux holds.
pub(super) const MAX_XATTR_STREAM: usize = xattr::MAX_BYTES;

/// An NTFS volume that ntfs-3g has mounted.
#[derive(Clone, Copy, Debug)]
pub(super) struct NtfsVolume {
    order: ByteOrder,
    streams: StreamsInterface,
}

/// How named streams are reached, which `-o streams_interface=` of the mount says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamsInterface {
    /// `windows`: files named `FILE:STREAM`, of any size.
    Files,
    /// `xattr`: extended attributes `user.STREAM`, of 64 KiB at most, and none of what looks like a symbolic link.
    Attributes,
    /// `none`: not at all.
    Hidden,
}

/// What a volume keeps of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NtfsFile {
    /// `FILE_ATTRIBUTE_*` bits.
    pub(super) attributes: u32,
    pub(super) times: Times,
    /// Self-relative security descriptor.
    pub(super) descriptor: Option<Vec<u8>>,
    /// Tagged items: object id and extended attributes.
    pub(super) items: Vec<u8>,
    /// What could not be read.
    pub(super) unread: Vec<Kept>,
}

/// A kind of thing that a volume keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Attributes,
    Descriptor,
    ShortName,
    ObjectId,
    ExtendedAttributes,
}

/// What is set on a file; what is none stays as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'i> {
    pub(super) attributes: Option<u32>,
    pub(super) times: Times,
    pub(super) descriptor: Option<&'i [u8]>,
    /// Tagged items of which the object id and the extended attributes are taken.
    pub(super) items: &'i [u8],
}

impl NtfsVolume {
    /// The volume that `path` lies on, or the nearest directory above it that is there; none on other file systems.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let absolute = std::path::absolute(path).ok()?;
        let there = absolute.ancestors().find(|path| path.exists())?.canonicalize().ok()?;
        let order = [ByteOrder::Big, ByteOrder::Native]
            .into_iter()
            .find(|order| matches!(xattr::get(&there, order.attributes_name()), Ok(Some(_))))?;
        let streams = match (xattr::get(&there, "ntfs.streams.list"), xattr::get(&there, "user.wim-probe")) {
            (Ok(_), _) => StreamsInterface::Files,
            (_, Ok(_)) => StreamsInterface::Attributes,
            _ => StreamsInterface::Hidden,
        };
        Some(Self { order, streams })
    }

    pub(super) fn streams(self) -> StreamsInterface {
        self.streams
    }

    /// What is kept of the file at `path`, which is not followed; none for one of another file system.
    ///
    /// # Errors
    /// When attributes or times cannot be read.
    pub(super) fn read(self, path: &Path) -> io::Result<Option<NtfsFile>> {
        let (order, mut file) = (self.order, NtfsFile::default());
        let attributes = match xattr::get(path, order.attributes_name()) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
            found => found?,
        };
        let Some(attributes) = attributes else { return Ok(None) };
        let times = xattr::get(path, order.times_name())?.unwrap_or_default();
        let lying = || io::Error::new(io::ErrorKind::InvalidData, "attributes or times have another length");
        file.attributes = order.attributes(&attributes).ok_or_else(lying)?;
        file.times = order.times(&times).ok_or_else(lying)?;
        let mut read = |name: &str, kind: Kept| match xattr::get(path, name) {
            Ok(value) => value.filter(|value| !value.is_empty()),
            Err(_) => {
                file.unread.push(kind);
                None
            }
        };
        file.descriptor = read(ACL, Kept::Descriptor);
        let object_id = read(OBJECT_ID_NAME, Kept::ObjectId);
        let extended = read(EXTENDED_ATTRIBUTES_NAME, Kept::ExtendedAttributes);
        if let Some(id) = object_id {
            file.items.extend(tagged_items::item(OBJECT_ID, &id));
        }
        if let Some(extended) = extended {
            match layout::extended_attributes_of_ntfs(&extended) {
                Some(data) => file.items.extend(tagged_items::item(EXTENDED_ATTRIBUTES, &data)),
                None => file.unread.push(Kept::ExtendedAttributes),
            }
        }
        Ok(Some(file))
    }

    /// The reparse point at `path` and its data as a WIM has them; none when it is none.
    ///
    /// # Errors
    /// What the system gives, and for data that is cut short.
    pub(super) fn reparse_point(path: &Path) -> io::Result<Option<(Reparse, Vec<u8>)>> {
        let Some(buffer) = xattr::get(path, REPARSE)? else { return Ok(None) };
        let lying = || io::Error::new(io::ErrorKind::InvalidData, "the reparse data is cut short");
        layout::reparse_point(&buffer).map(Some).ok_or_else(lying)
    }

    /// The 8.3 name of the name at `path`; none when it has none.
    ///
    /// # Errors
    /// When it cannot be read, as that of a file with several names.
    pub(super) fn short_name(path: &Path) -> io::Result<Option<WimString>> {
        let Some(name) = xattr::get(path, SHORT_NAME)? else { return Ok(None) };
        let long = path.file_name().and_then(host_name::to_image);
        let name = WimString::from(String::from_utf8_lossy(&name).as_ref());
        // One name for both worlds is told in capitals; it is spelt as the long one.
        Ok(Some(long.filter(|long| long.eq_ignore_case(&name)).unwrap_or(name)))
    }

    /// The names of the streams of the file at `path`, sorted.
    ///
    /// # Errors
    /// What the system gives.
    pub(super) fn stream_names(self, path: &Path) -> io::Result<Vec<OsString>> {
        let names = match self.streams {
            StreamsInterface::Files => xattr::get(path, "ntfs.streams.list")?.unwrap_or_default(),
            StreamsInterface::Attributes => xattr::list(path)?,
            StreamsInterface::Hidden => Vec::new(),
        };
        let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        let own = |name: &[u8]| match self.streams {
            StreamsInterface::Attributes => name.strip_prefix(b"user.").map(<[u8]>::to_vec),
            _ => Some(name.to_vec()),
        };
        let mut names: Vec<OsString> = names.filter_map(own).filter_map(host_string).collect();
        names.sort();
        Ok(names)
    }

    /// Where the data of a stream is.
    ///
    /// # Errors
    /// What the system gives.
    pub(super) fn stream(self, path: &Path, name: &OsStr) -> io::Result<StreamData> {
        match self.streams {
            StreamsInterface::Files => Ok(StreamData::File(Self::stream_path(path, name))),
            _ => {
                let value = xattr::get(path, stream_attribute(name))?;
                Ok(StreamData::Bytes(value.unwrap_or_default()))
            }
        }
    }

    /// The path of a stream of the file at `path`, where streams are files.
    pub(super) fn stream_path(path: &Path, name: &OsStr) -> PathBuf {
        let mut path = path.as_os_str().to_owned();
        path.push(":");
        path.push(name);
        path.into()
    }

    /// Makes a stream with these first bytes, in the place of one that is there.
    ///
    /// # Errors
    /// What the system gives.
    pub(super) fn make_stream(self, path: &Path, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        match self.streams {
            StreamsInterface::Files => std::fs::write(Self::stream_path(path, name), bytes),
            _ => xattr::set(path, stream_attribute(name), bytes),
        }
    }

    /// Adds bytes to a stream of a mount that has them as files.
    ///
    /// # Errors
    /// What the system gives.
    pub(super) fn append_to_stream(path: &Path, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        std::fs::OpenOptions::new().append(true).open(Self::stream_path(path, name))?.write_all(bytes)
    }

    /// Gives the name at `path` its 8.3 name.
    ///
    /// # Errors
    /// What the system gives, for a file with several names too.
    pub(super) fn set_short_name(path: &Path, name: &WimString) -> io::Result<()> {
        xattr::set(path, SHORT_NAME, name.to_text().as_bytes())
    }

    /// Makes a reparse point of the file or empty directory at `path`.
    ///
    /// # Errors
    /// What the system gives.
    pub(super) fn set_reparse_point(path: &Path, reparse: Reparse, data: &[u8]) -> io::Result<()> {
        xattr::set(path, REPARSE, &layout::reparse_buffer(reparse, data))?;
        // The kernel took it for what it was before, and finds that out when it next looks: better now than in the next
        // program.
        let _ = std::fs::symlink_metadata(path);
        Ok(())
    }

    /// Sets what is wanted, as far as it goes; gives what could not be set.
    pub(super) fn restore(self, path: &Path, wanted: &Wanted<'_>) -> Vec<(Kept, io::Error)> {
        let mut lost = Vec::new();
        let mut note = |kind: Kept, done: io::Result<()>| lost.extend(done.err().map(|error| (kind, error)));
        if let Some(id) = tagged_items::find(wanted.items, OBJECT_ID) {
            note(Kept::ObjectId, xattr::set(path, OBJECT_ID_NAME, id));
        }
        let extended = tagged_items::find(wanted.items, EXTENDED_ATTRIBUTES).unwrap_or(&[]);
        if !extended.is_empty() {
            let value = layout::extended_attributes_to_ntfs(extended);
            note(Kept::ExtendedAttributes, xattr::set(path, EXTENDED_ATTRIBUTES_NAME, &value));
        }
        if let Some(descriptor) = wanted.descriptor {
            note(Kept::Descriptor, xattr::set(path, ACL, descriptor));
        }
        let order = self.order;
        if let Some(attributes) = wanted.attributes {
            let set = xattr::set(path, order.attributes_name(), &order.attributes_bytes(attributes));
            // What ntfs-3g does not set, such as the compression of a file, it leaves out without a word.
            let left_out = set.and_then(|()| self.has_attributes(path, attributes));
            note(Kept::Attributes, left_out);
        }
        note(Kept::Attributes, xattr::set(path, order.times_name(), &order.times_bytes(wanted.times)));
        lost
    }

    fn has_attributes(self, path: &Path, wanted: u32) -> io::Result<()> {
        let found = xattr::get(path, self.order.attributes_name())?;
        let found = found.and_then(|found| self.order.attributes(&found)).unwrap_or(0);
        // Set by the volume itself, as the file is.
        let own = layout::OWN_ATTRIBUTES | REPARSE_POINT;
        if found & !own == wanted & !own {
            return Ok(());
        }
        let message = format!("attributes {found:#x} were set, {wanted:#x} were wanted");
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }
}

/// Where the data of a stream is.
pub(super) enum StreamData {
    /// In a file of the host.
    File(PathBuf),
    Bytes(Vec<u8>),
}

const ACL: &str = "system.ntfs_acl";
const OBJECT_ID_NAME: &str = "system.ntfs_object_id";
const EXTENDED_ATTRIBUTES_NAME: &str = "system.ntfs_ea";
const REPARSE: &str = "system.ntfs_reparse_data";
const SHORT_NAME: &str = "system.ntfs_dos_name";

/// True for a stream that NTFS can hold, and whose path cannot lead elsewhere.
pub(super) fn is_stream_name(name: &[u16]) -> bool {
    let is_bad = |unit: &u16| [0, u16::from(b'/'), u16::from(b'\\'), u16::from(b':')].contains(unit);
    !name.is_empty() && name.len() <= 255 && !name.iter().any(is_bad)
}

fn stream_attribute(name: &OsStr) -> OsString {
    let mut attribute = OsString::from("user.");
    attribute.push(name);
    attribute
}

/// The host's form of a name that is bytes; only Unix mounts NTFS so.
fn host_string(bytes: Vec<u8>) -> Option<OsString> {
    #[cfg(unix)]
    {
        Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
    }
    #[cfg(not(unix))]
    {
        String::from_utf8(bytes).ok().map(OsString::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_file_systems_are_no_volumes() {
        let folder = tempfile::tempdir().unwrap();
        assert!(NtfsVolume::of(folder.path()).is_none());
        assert!(NtfsVolume::of(&folder.path().join("not/there/yet")).is_none());
        let volume = NtfsVolume { order: ByteOrder::Big, streams: StreamsInterface::Hidden };
        assert_eq!(volume.read(folder.path()).unwrap(), None);
        assert!(NtfsVolume::reparse_point(folder.path()).is_err());
    }

    #[test]
    fn streams_whose_names_lead_elsewhere_are_refused() {
        for bad in ["", "a/b", "../x", "a\\b", "a:$DATA", "a\0"] {
            assert!(!is_stream_name(&bad.encode_utf16().collect::<Vec<_>>()), "{bad:?}");
        }
        assert!(is_stream_name(&"Zone.Identifier".encode_utf16().collect::<Vec<_>>()));
        assert!(!is_stream_name(&[u16::from(b'x'); 256]));
    }
}
