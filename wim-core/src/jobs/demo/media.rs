//! The demo's install.wim: five editions of something that is laid out as Windows 7 is, sharing what editions share.
//!
//! Names, folders, attributes, hard links into WinSxS, junctions, security descriptors, hives and XML are those of real
//! media in kind; contents are made up ([`crate::jobs::pseudo_files`]). It is the same bytes on every machine and day.

use std::collections::HashSet;

use lz_kit::Level;

use super::hives;
use crate::base::{Architecture, Context, FileTime, ImageIndex, Result, SecurityId, Sha1Digest, WriteAt};
use crate::formats::wim::attributes::{
    ARCHIVE, DIRECTORY, HIDDEN, NOT_CONTENT_INDEXED, REPARSE_POINT, SYSTEM,
};
use crate::formats::wim::reparse::{LinkTarget, MOUNT_POINT};
use crate::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimXml};
use crate::image::edit::{Content, Times};
use crate::image::{ImageCounts, Inode, NodeId, Reparse, Stream, StreamKind, Streams, Tree, WimPath, store};
use crate::jobs::pseudo_files::{font, program, text};
use crate::transfer::write::{
    CopyDigests, Integrity, NewImage, NewMetadata, NewWim, Recompress, WriteReport, write,
};

/// When everything in the images was made: 2010-11-20 21:29:32 UTC, as Service Pack 1 was.
pub(super) const TIME: FileTime = FileTime(129_347_657_720_000_000);
/// Version of its programs.
const VERSION: [u16; 4] = [6, 1, 7601, 17514];

/// The five editions of Windows 7 retail media: EDITIONID, NAME, what Setup shows.
const EDITIONS: [(&str, &str, &str); 5] = [
    ("Starter", "Windows 7 STARTER", "Windows 7 Starter"),
    ("HomeBasic", "Windows 7 HOMEBASIC", "Windows 7 Home Basic"),
    ("HomePremium", "Windows 7 HOMEPREMIUM", "Windows 7 Home Premium"),
    ("Professional", "Windows 7 PROFESSIONAL", "Windows 7 Professional"),
    ("Ultimate", "Windows 7 ULTIMATE", "Windows 7 Ultimate"),
];

/// Files of every edition: folder, name, kilobytes.
const FILES: &[(&str, &str, usize)] = &[
    ("Windows", "explorer.exe", 2600),
    ("Windows", "notepad.exe", 180),
    ("Windows\\System32", "ntoskrnl.exe", 3900),
    ("Windows\\System32", "hal.dll", 260),
    ("Windows\\System32", "ntdll.dll", 1290),
    ("Windows\\System32", "kernel32.dll", 860),
    ("Windows\\System32", "user32.dll", 790),
    ("Windows\\System32", "gdi32.dll", 300),
    ("Windows\\System32", "advapi32.dll", 640),
    ("Windows\\System32", "shell32.dll", 4400),
    ("Windows\\System32", "ole32.dll", 1400),
    ("Windows\\System32", "setupapi.dll", 1660),
    ("Windows\\System32", "winload.exe", 510),
    ("Windows\\System32", "smss.exe", 70),
    ("Windows\\System32", "services.exe", 260),
    ("Windows\\System32", "lsass.exe", 22),
    ("Windows\\System32", "IoLogMsg.dll", 24),
    ("Windows\\System32", "license.rtf", 120),
    ("Windows\\System32\\drivers", "pci.sys", 150),
    ("Windows\\System32\\drivers", "msahci.sys", 30),
    ("Windows\\System32\\drivers", "storport.sys", 150),
    ("Windows\\System32\\drivers", "disk.sys", 60),
    ("Windows\\System32\\drivers", "ntfs.sys", 1200),
    ("Windows\\System32\\drivers", "usbport.sys", 260),
    ("Windows\\System32\\drivers", "usbehci.sys", 45),
    ("Windows\\System32\\drivers", "usbhub.sys", 260),
    ("Windows\\Fonts", "segoeui.ttf", 510),
    ("Windows\\Fonts", "tahoma.ttf", 680),
    ("Windows\\inf", "machine.inf", 70),
    ("Windows\\inf", "usbport.inf", 60),
    ("Windows\\Help\\en-US", "credits.rtf", 90),
    ("Program Files\\Internet Explorer", "iexplore.exe", 660),
    ("Program Files\\Windows NT\\Accessories", "wordpad.exe", 4100),
];

/// Files that only some editions have: name under System32, kilobytes, the first edition that has it.
const EDITION_FILES: &[(&str, usize, usize)] =
    &[("themeui.dll", 2600, 1), ("ehepg.dll", 900, 2), ("gpedit.dll", 950, 3), ("fvevol.sys", 210, 4)];

/// Writes the install.wim to `file`.
pub(super) fn write_media(
    cx: &Context<'_>,
    architecture: Architecture,
    file: &mut dyn WriteAt,
) -> Result<WriteReport> {
    let mut builder = Builder { architecture, contents: Vec::new(), known: HashSet::new() };
    let mut images = Vec::new();
    for (number, edition) in EDITIONS.iter().enumerate() {
        cx.cancel.check()?;
        let tree = builder.tree(number)?;
        images.push(NewImage {
            metadata: NewMetadata::new(store::store(&tree)),
            xml: builder.xml(edition, &tree),
            references: tree.blob_references(),
        });
    }
    let wim = NewWim {
        format: ChunkFormat::usual(Compression::Lzx),
        level: Level::FAST,
        guid: None,
        flags: HeaderFlags(HeaderFlags::RP_FIX),
        xml: WimXml::empty(0),
        images,
        sources: Vec::new(),
        contents: &builder.contents,
        boot: None::<ImageIndex>,
        integrity: Integrity::Omit,
        recompress: Recompress::WhenNeeded,
        copy_digests: CopyDigests::Drop,
    };
    write(cx, wim, file)
}

struct Builder {
    architecture: Architecture,
    contents: Vec<(Sha1Digest, Content)>,
    known: HashSet<Sha1Digest>,
}

impl Builder {
    /// Keeps a content once, however many files have it.
    fn blob(&mut self, bytes: Vec<u8>) -> Sha1Digest {
        let digest = Sha1Digest::of(&bytes);
        if self.known.insert(digest) {
            self.contents.push((digest, Content::bytes(bytes)));
        }
        digest
    }

    fn tree(&mut self, edition: usize) -> Result<Tree> {
        let (edition_id, _, product) = EDITIONS[edition];
        let mut tree = Tree::new_empty();
        tree.set_root(DIRECTORY | HIDDEN | SYSTEM, Times::all(TIME));
        let [for_files, for_folders] = descriptors().map(|descriptor| tree.security_mut().add(&descriptor));
        let mut planter = Planter { tree, for_files: for_files?, for_folders: for_folders? };
        for (folder, name, kilobytes) in FILES {
            let digest = self.blob(content_of(name, kilobytes << 10, self.architecture));
            let node = planter.file(folder, name, digest)?;
            if name.ends_with(".dll") {
                planter.link_into_winsxs(node, name, self.architecture)?;
            }
        }
        for (name, kilobytes, _) in EDITION_FILES.iter().filter(|(_, _, first)| edition >= *first) {
            let digest = self.blob(content_of(name, kilobytes << 10, self.architecture));
            planter.file("Windows\\System32", name, digest)?;
        }
        let config = "Windows\\System32\\config";
        let system = self.blob(hives::system(self.architecture, TIME)?);
        planter.file(config, "SYSTEM", system)?;
        let software = self.blob(hives::software(edition_id, product, TIME)?);
        planter.file(config, "SOFTWARE", software)?;
        for name in ["SAM", "SECURITY", "DEFAULT"] {
            let hive = self.blob(hives::bare(name, TIME)?);
            planter.file(config, name, hive)?;
        }
        let user = self.blob(hives::bare("CMI-CreateHive{D43B12B8-09B5-40DB-B4F6-F6DFEB78DAEC}", TIME)?);
        planter.file("Users\\Default", "NTUSER.DAT", user)?;
        planter.file("Windows", "win.ini", self.blob(b"; for 16-bit app support\r\n[fonts]\r\n".to_vec()))?;
        planter.file("Windows\\Temp", "empty.log", Sha1Digest::ZERO)?;
        let junction = self.blob(junction_data("C:\\Users"));
        planter.junction("Documents and Settings", junction)?;
        Ok(planter.tree)
    }

    fn xml(&self, (edition, name, product): &(&str, &str, &str), tree: &Tree) -> ImageXml {
        let sizes: std::collections::HashMap<_, _> = self
            .contents
            .iter()
            .filter_map(|(digest, content)| Some((*digest, content.size_bytes()?)))
            .collect();
        let counts = tree.counts(&|digest| sizes.get(digest).copied().unwrap_or(0));
        let ImageCounts { directories, files, total_bytes, hard_link_bytes } = counts;
        let mut xml = ImageXml::default();
        for (element, count) in [
            ("DIRCOUNT", directories),
            ("FILECOUNT", files),
            ("TOTALBYTES", total_bytes),
            ("HARDLINKBYTES", hard_link_bytes),
        ] {
            xml.set(element, &count.to_string());
        }
        xml.set_time("CREATIONTIME", TIME);
        xml.set_time("LASTMODIFICATIONTIME", TIME);
        let arch = self.architecture.windows_number().to_string();
        for (path, value) in [
            (&["ARCH"][..], arch.as_str()),
            (&["PRODUCTNAME"], "Microsoft\u{ae} Windows\u{ae} Operating System"),
            (&["EDITIONID"], edition),
            (&["INSTALLATIONTYPE"], "Client"),
            (&["PRODUCTTYPE"], "WinNT"),
            (&["PRODUCTSUITE"], "Terminal Server"),
            (&["LANGUAGES", "LANGUAGE"], "en-US"),
            (&["LANGUAGES", "DEFAULT"], "en-US"),
            (&["VERSION", "MAJOR"], "6"),
            (&["VERSION", "MINOR"], "1"),
            (&["VERSION", "BUILD"], "7601"),
            (&["VERSION", "SPBUILD"], "17514"),
            (&["VERSION", "SPLEVEL"], "1"),
            (&["SYSTEMROOT"], "WINDOWS"),
        ] {
            xml.set_property(&[&["WINDOWS"], path].concat(), value);
        }
        for (element, text) in [
            ("NAME", *name),
            ("DESCRIPTION", name),
            ("FLAGS", edition),
            ("DISPLAYNAME", product),
            ("DISPLAYDESCRIPTION", product),
        ] {
            xml.set(element, text);
        }
        xml
    }
}

/// Puts files into a tree, making folders on the way.
struct Planter {
    tree: Tree,
    for_files: SecurityId,
    for_folders: SecurityId,
}

impl Planter {
    fn folder(&mut self, path: &str) -> Result<NodeId> {
        let mut at = self.tree.root();
        for name in WimPath::parse(path)?.components() {
            at = match self.tree.child(at, name) {
                Some(child) => child,
                None => {
                    let child = self.tree.add(at, name.clone(), self.inode(DIRECTORY, self.for_folders))?;
                    if *name == *"Program Files" {
                        self.tree.set_short_name(child, "PROGRA~1".into())?;
                    }
                    child
                }
            };
        }
        Ok(at)
    }

    fn inode(&self, attributes: u32, security: SecurityId) -> Inode {
        Inode { attributes, security: Some(security), times: Times::all(TIME), ..Inode::default() }
    }

    fn file(&mut self, folder: &str, name: &str, digest: Sha1Digest) -> Result<NodeId> {
        let folder = self.folder(folder)?;
        let inode = Inode { streams: Streams::data(digest), ..self.inode(ARCHIVE, self.for_files) };
        self.tree.add(folder, name.into(), inode)
    }

    /// A second name in the component store, as every serviced file of Windows has.
    fn link_into_winsxs(&mut self, node: NodeId, name: &str, architecture: Architecture) -> Result<()> {
        let identity = Sha1Digest::of(name.as_bytes()).to_string();
        let stem = name.trim_end_matches(".dll");
        let component = format!(
            "Windows\\winsxs\\{}_microsoft-windows-{stem}_31bf3856ad364e35_6.1.7601.17514_none_{}",
            architecture.name(),
            &identity[..16]
        );
        let folder = self.folder(&component)?;
        let inode = self.tree.node(node).inode;
        self.tree.add_name(folder, name.into(), inode)?;
        Ok(())
    }

    fn junction(&mut self, name: &str, data: Sha1Digest) -> Result<()> {
        let root = self.tree.root();
        let attributes = DIRECTORY | REPARSE_POINT | HIDDEN | SYSTEM | NOT_CONTENT_INDEXED;
        let inode = Inode {
            reparse: Some(Reparse { tag: MOUNT_POINT, reserved: 0, flags: 0 }),
            streams: Streams::from_list(vec![Stream { kind: StreamKind::Reparse, digest: data }]),
            ..self.inode(attributes, self.for_folders)
        };
        self.tree.add(root, name.into(), inode)?;
        Ok(())
    }
}

fn content_of(name: &str, length: usize, architecture: Architecture) -> Vec<u8> {
    match name.rsplit('.').next() {
        Some("ttf") => font(name, length),
        Some("rtf" | "inf") => text(name, length),
        _ => program(name, length, architecture, VERSION),
    }
}

fn junction_data(target: &str) -> Vec<u8> {
    let link = LinkTarget {
        substitute: format!("\\??\\{target}").as_str().into(),
        print: target.into(),
        is_relative: false,
    };
    link.to_junction_data().unwrap_or_default()
}

/// Self-relative descriptors for files and for folders: owner and group TrustedInstaller, full control for it, read and
/// execute for SYSTEM, Administrators and Users; folders hand them on.
fn descriptors() -> [Vec<u8>; 2] {
    const FULL: u32 = 0x001F_01FF;
    const READ_EXECUTE: u32 = 0x0012_00A9;
    let sid = |authority: u8, parts: &[u32]| -> Vec<u8> {
        let count = u8::try_from(parts.len()).unwrap_or(0);
        let mut sid = vec![1, count, 0, 0, 0, 0, 0, authority];
        parts.iter().for_each(|part| sid.extend_from_slice(&part.to_le_bytes()));
        sid
    };
    let installer = sid(5, &[80, 956_008_885, 3_418_522_649, 1_831_038_044, 1_853_292_631, 2_271_478_464]);
    let readers = [sid(5, &[18]), sid(5, &[32, 544]), sid(5, &[32, 545])];
    [0u8, 3].map(|inherit| {
        let mut aces = Vec::new();
        let mut ace = |sid: &[u8], access: u32| {
            let size = u16::try_from(8 + sid.len()).unwrap_or(0);
            aces.extend_from_slice(&[0, inherit]);
            aces.extend_from_slice(&size.to_le_bytes());
            aces.extend_from_slice(&access.to_le_bytes());
            aces.extend_from_slice(sid);
        };
        ace(&installer, FULL);
        readers.iter().for_each(|reader| ace(reader, READ_EXECUTE));
        let acl_bytes = u16::try_from(8 + aces.len()).unwrap_or(0);
        let offsets = [
            20 + u32::from(acl_bytes),
            20 + u32::from(acl_bytes) + u32::try_from(installer.len()).unwrap_or(0),
            0,
            20,
        ];
        let mut descriptor = vec![1, 0, 0x04, 0x80];
        offsets.iter().for_each(|offset| descriptor.extend_from_slice(&offset.to_le_bytes()));
        descriptor.extend_from_slice(&[2, 0]);
        descriptor.extend_from_slice(&acl_bytes.to_le_bytes());
        descriptor.extend_from_slice(&[4, 0, 0, 0]);
        descriptor.extend_from_slice(&aces);
        descriptor.extend_from_slice(&installer);
        descriptor.extend_from_slice(&installer);
        descriptor
    })
}
