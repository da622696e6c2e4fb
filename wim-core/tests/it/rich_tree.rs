//! An image with everything that Windows keeps of files and plain host directories do not.

use wim_core::base::{FileTime, Sha1Digest, WimString, hex};
use wim_core::formats::wim::attributes::{DIRECTORY, ENCRYPTED, REPARSE_POINT};
use wim_core::formats::wim::reparse::{LinkTarget, MOUNT_POINT, SYMLINK};
use wim_core::formats::wim::tagged_items::{OBJECT_ID, item};
use wim_core::image::edit::{Content, Times};
use wim_core::image::{Inode, NodeId, Reparse, Stream, StreamKind, Streams, Tree, WimPath};

/// A tree and the contents of its files.
#[derive(Clone)]
pub(crate) struct RichTree {
    pub(crate) tree: Tree,
    pub(crate) contents: Vec<(Sha1Digest, Content)>,
}

/// Owner and group Administrators; access for the one given.
pub(crate) fn descriptor(sid: &str) -> Vec<u8> {
    let ace = [hex::decode("000b1400ff011f00").unwrap(), hex::decode(sid).unwrap()].concat();
    let mut out = hex::decode("0100049414000000240000000000000034000000").unwrap();
    out.extend(hex::decode("01020000000000052000000020020000").unwrap().repeat(2));
    out.extend([2, 0]);
    out.extend(u16::try_from(8 + ace.len()).unwrap().to_le_bytes());
    out.extend([1, 0, 0, 0]);
    out.extend(ace);
    out
}

pub(crate) const SYSTEM: &str = "010100000000000512000000";
pub(crate) const EVERYONE: &str = "010100000000000100000000";

pub(crate) fn times(seconds: i64) -> Times {
    Times {
        creation: FileTime::from_unix(seconds, 123_456_700),
        last_write: FileTime::from_unix(seconds + 10, 7_654_300),
        last_access: FileTime::from_unix(seconds + 20, 100),
    }
}

impl RichTree {
    pub(crate) fn new() -> Self {
        let mut tree = Tree::new_empty();
        tree.set_root(DIRECTORY, times(900_000_000));
        Self { tree, contents: Vec::new() }
    }

    pub(crate) fn path(text: &str) -> WimPath {
        WimPath::parse(text).unwrap()
    }

    pub(crate) fn node(&self, path: &str) -> NodeId {
        self.tree.find(&Self::path(path)).unwrap_or_else(|| panic!("no {path}"))
    }

    pub(crate) fn inode(&mut self, path: &str) -> &mut Inode {
        let inode = self.tree.node(self.node(path)).inode;
        self.tree.inode_mut(inode)
    }

    /// A blob of these bytes.
    pub(crate) fn blob(&mut self, bytes: &[u8]) -> Sha1Digest {
        if bytes.is_empty() {
            return Sha1Digest::ZERO;
        }
        let digest = Sha1Digest::of(bytes);
        if self.contents.iter().all(|(known, _)| *known != digest) {
            self.contents.push((digest, Content::bytes(bytes.to_vec())));
        }
        digest
    }

    fn add(&mut self, directory: &str, name: impl Into<WimString>, inode: Inode) -> NodeId {
        let directory = self.node(directory);
        self.tree.add(directory, name.into(), inode).unwrap()
    }

    pub(crate) fn directory(&mut self, directory: &str, name: impl Into<WimString>) -> NodeId {
        self.add(
            directory,
            name,
            Inode { attributes: DIRECTORY, times: times(950_000_000), ..Inode::default() },
        )
    }

    pub(crate) fn file(&mut self, directory: &str, name: impl Into<WimString>, bytes: &[u8]) -> NodeId {
        let streams = Streams::data(self.blob(bytes));
        let inode = Inode { attributes: 0x20, times: times(1_000_000_000), streams, ..Inode::default() };
        self.add(directory, name, inode)
    }

    pub(crate) fn stream(&mut self, node: NodeId, name: &str, bytes: &[u8]) {
        let digest = self.blob(bytes);
        let inode = self.tree.inode_mut(self.tree.node(node).inode);
        inode.streams = inode.streams.with(&StreamKind::Named(name.into()), digest);
    }

    pub(crate) fn reparse(
        &mut self,
        directory: &str,
        name: &str,
        (tag, flags): (u32, u16),
        attributes: u32,
        data: &[u8],
    ) -> NodeId {
        let streams = Streams::from_list(vec![Stream { kind: StreamKind::Reparse, digest: self.blob(data) }]);
        let inode = Inode {
            attributes: attributes | REPARSE_POINT,
            times: times(1_100_000_000),
            reparse: Some(Reparse { tag, reserved: 0, flags }),
            streams,
            ..Inode::default()
        };
        self.add(directory, name, inode)
    }

    pub(crate) fn secure(&mut self, path: &str, descriptor: &[u8]) {
        let id = self.tree.security_mut().add(descriptor).unwrap();
        self.inode(path).security = Some(id);
    }
}

/// Descriptors, attributes, streams, short names, links, junctions and other reparse points, hard links, object ids,
/// encrypted data, empty files and times before 1970.
pub(crate) fn sample() -> RichTree {
    let mut rich = RichTree::new();
    rich.directory("\\", "Windows");
    rich.directory("\\Windows", "System32");
    rich.file("\\Windows", "notepad.exe", b"a program");
    rich.file("\\Windows\\System32", "kernel32.dll", &[7; 100_000]);
    rich.file("\\", "empty", b"");
    rich.secure("\\", &descriptor(SYSTEM));
    rich.secure("\\Windows", &descriptor(SYSTEM));
    rich.secure("\\Windows\\notepad.exe", &descriptor(EVERYONE));
    rich.inode("\\Windows\\notepad.exe").attributes = 0x2023;
    rich.inode("\\Windows\\System32").attributes |= 0x2800;
    rich.inode("\\empty").times =
        Times { creation: FileTime(0), last_write: FileTime(5), last_access: FileTime(7) };
    let program = rich.file("\\", "Program Files document.text", b"text");
    rich.tree.set_short_name(program, "PROGRA~1.TEX".into()).unwrap();
    rich.stream(program, "Zone.Identifier", b"[ZoneTransfer]\r\nZoneId=3\r\n");
    rich.stream(program, "empty stream", b"");
    rich.stream(program, "large", &(0..200_000u32).map(|n| (n / 7) as u8).collect::<Vec<_>>());
    let windows = rich.node("\\Windows");
    rich.stream(windows, "of a directory", b"directories have streams as well");
    let linked = rich.tree.node(rich.node("\\Windows\\notepad.exe")).inode;
    let system = rich.node("\\Windows\\System32");
    let second = rich.tree.add_name(system, "notepad.exe".into(), linked).unwrap();
    rich.tree.set_short_name(second, "NOTEPA~1.EXE".into()).unwrap();
    let relative = LinkTarget { substitute: "System32".into(), print: "System32".into(), is_relative: true };
    let data = relative.to_symlink_data().unwrap();
    rich.reparse("\\Windows", "relative", (SYMLINK, 1), DIRECTORY, &data);
    let absolute = LinkTarget {
        substitute: "\\??\\C:\\Windows".into(),
        print: "C:\\Windows".into(),
        is_relative: false,
    };
    let data = absolute.to_junction_data().unwrap();
    rich.reparse("\\", "Documents and Settings", (MOUNT_POINT, 0), DIRECTORY | 0x2006, &data);
    rich.secure("\\Documents and Settings", &descriptor(EVERYONE));
    let volume = LinkTarget { substitute: "\\??\\Volume{0}\\".into(), print: "".into(), is_relative: false };
    let data = volume.to_junction_data().unwrap();
    rich.reparse("\\", "mounted volume", (MOUNT_POINT, 1), DIRECTORY, &data);
    rich.reparse("\\", "wof", (0x8000_0017, 0), 0x20, &[1, 0, 0, 0, 2, 0, 0, 0]);
    rich.reparse("\\", "cloud folder", (0x9000_601A, 0), DIRECTORY, b"opaque");
    let object = rich.file("\\", "object", b"has an id");
    let inode = rich.tree.node(object).inode;
    let items = [item(OBJECT_ID, &[0xAB; 64]), item(0x4, b"an item that nobody knows")].concat();
    rich.tree.inode_mut(inode).tagged_items = items.into();
    rich.tree.inode_mut(inode).unknown_54 = 77;
    let secret = rich.blob(b"raw encrypted data");
    let streams = Streams::from_list(vec![Stream { kind: StreamKind::Efs, digest: secret }]);
    let inode = Inode { attributes: 0x20 | ENCRYPTED, times: times(5), streams, ..Inode::default() };
    rich.add("\\", "secret", inode);
    rich
}

/// Names that hosts refuse, confuse or cannot hold.
pub(crate) fn odd_names() -> RichTree {
    let mut rich = RichTree::new();
    rich.file("\\", "Case", b"one");
    rich.file("\\", "case", b"two");
    rich.file("\\", "CON", b"device");
    rich.file("\\", "a:b?", b"signs");
    rich.file("\\", "dot. ", b"dot");
    rich.file("\\", WimString::from_units(vec![0x61, 0xD83D, 0x62]), b"half a pair");
    // 255 units, but 765 bytes.
    let long = "\u{6F22}".repeat(255);
    let directory = rich.directory("\\", long.as_str());
    let inode = Inode { attributes: 0x21, times: times(7), ..Inode::default() };
    rich.tree.add(directory, "inside".into(), inode.clone()).unwrap();
    rich.tree.add(directory, long.as_str().into(), inode).unwrap();
    rich
}
