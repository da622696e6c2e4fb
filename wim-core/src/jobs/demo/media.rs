//! The demo's install.wim: five editions of something that is laid out as Windows is, sharing what editions share; a boot.wim
//! and a recovery image that go with it.
//!
//! Names, folders, attributes, hard links into WinSxS, junctions, security descriptors, hives and XML are those of real
//! media in kind; contents are made up ([`crate::jobs::pseudo_files`]). It is the same bytes on every machine and day.

use std::collections::HashSet;

use lz_kit::Level;

use super::hives;
use super::windows::Product;
use crate::base::{Architecture, Context, FileTime, ImageIndex, Result, SecurityId, Sha1Digest, WriteAt};
use crate::formats::wim::attributes::{
    ARCHIVE, DIRECTORY, HIDDEN, NOT_CONTENT_INDEXED, REPARSE_POINT, SYSTEM,
};
use crate::formats::wim::reparse::{LinkTarget, MOUNT_POINT};
use crate::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimXml};
use crate::image::edit::{Content, Times};
use crate::image::{Inode, NodeId, Reparse, Stream, StreamKind, Streams, Tree, WimPath, store};
use crate::jobs::image_counts::set_counts;
use crate::jobs::pseudo_files::{font, program, text};
use crate::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, WriteReport, write,
};

/// When everything in the images was made: 2010-11-20 21:29:32 UTC, as Service Pack 1 was.
pub(super) const TIME: FileTime = FileTime(129_347_657_720_000_000);
/// The five editions of retail media: EDITIONID, what Setup shows after the name of the Windows.
const EDITIONS: [(&str, &str); 5] = [
    ("Starter", "Starter"),
    ("HomeBasic", "Home Basic"),
    ("HomePremium", "Home Premium"),
    ("Professional", "Professional"),
    ("Ultimate", "Ultimate"),
];
/// Those of Windows 8 and later.
const MODERN_EDITIONS: [(&str, &str); 5] = [
    ("Core", "Home"),
    ("CoreSingleLanguage", "Home Single Language"),
    ("Education", "Education"),
    ("Professional", "Pro"),
    ("ProfessionalWorkstation", "Pro for Workstations"),
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

/// Files of Windows PE: folder, name, kilobytes.
const PE_FILES: &[(&str, &str, usize)] = &[
    ("Windows\\System32", "ntoskrnl.exe", 3900),
    ("Windows\\System32", "ntdll.dll", 1290),
    ("Windows\\System32", "kernel32.dll", 860),
    ("Windows\\System32", "setupapi.dll", 1660),
    ("Windows\\System32", "drvload.exe", 40),
    ("Windows\\System32", "wpeinit.exe", 40),
    ("Windows\\System32\\drivers", "pci.sys", 150),
    ("Windows\\System32\\drivers", "msahci.sys", 30),
    ("Windows\\System32\\drivers", "storport.sys", 150),
    ("Windows\\System32\\drivers", "disk.sys", 60),
    ("Windows\\System32\\drivers", "ntfs.sys", 1200),
    ("Windows\\System32\\drivers", "usbport.sys", 260),
    ("Windows\\System32\\drivers", "usbehci.sys", 45),
    ("Windows\\System32\\drivers", "usbhub.sys", 260),
    ("Windows\\inf", "machine.inf", 70),
];

/// What a Windows PE is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pe {
    /// The first image of a boot.wim.
    Plain,
    /// The second one, which runs Setup.
    Setup,
    /// A recovery image.
    Recovery,
}

/// Writes the install.wim to `file`, with `recovery` as its winre.wim if there is one.
pub(super) fn write_media(
    cx: &Context<'_>,
    product: Product,
    recovery: Option<Vec<u8>>,
    file: &mut dyn WriteAt,
) -> Result<WriteReport> {
    let mut builder = Builder::new(product);
    let recovery = recovery.map(|bytes| builder.blob(bytes));
    let mut images = Vec::new();
    for number in 0..EDITIONS.len() {
        cx.cancel.check()?;
        let tree = builder.tree(number, recovery)?;
        let (edition, name) = builder.edition(number);
        let shown = format!("{} {name}", product.windows.name());
        let upper = format!("{} {}", product.windows.name(), edition.to_uppercase());
        let plain = if product.is_seven() { &upper } else { &shown };
        let xml = builder.xml(&tree, (edition, plain, &shown), "Client");
        images.push(new_image(&tree, xml));
    }
    builder.write(cx, images, None, file)
}

/// Writes a boot.wim to `file`: Windows PE, and Windows PE with Setup, which is the one that boots.
pub(super) fn write_boot(cx: &Context<'_>, product: Product, file: &mut dyn WriteAt) -> Result<WriteReport> {
    let mut builder = Builder::new(product);
    let mut images = Vec::new();
    for (pe, name) in [(Pe::Plain, "Microsoft Windows PE"), (Pe::Setup, "Microsoft Windows Setup")] {
        let label = match product.architecture {
            Architecture::Amd64 => "x64",
            other => other.name(),
        };
        let name = format!("{name} ({label})");
        let tree = builder.pe_tree(pe)?;
        let xml = builder.xml(&tree, ("WindowsPE", &name, &name), "WindowsPE");
        images.push(new_image(&tree, xml));
    }
    builder.write(cx, images, ImageIndex::new(2), file)
}

/// A winre.wim.
pub(super) fn recovery_image(cx: &Context<'_>, product: Product) -> Result<Vec<u8>> {
    let mut builder = Builder::new(product);
    let tree = builder.pe_tree(Pe::Recovery)?;
    let name = "Microsoft Windows Recovery Environment";
    let images = vec![new_image(&tree, builder.xml(&tree, ("WindowsPE", name, name), "WindowsPE"))];
    let mut bytes = Vec::new();
    builder.write(cx, images, ImageIndex::new(1), &mut bytes)?;
    Ok(bytes)
}

fn new_image(tree: &Tree, xml: ImageXml) -> NewImage<'static> {
    NewImage::new(NewMetadata::new(store::store(tree)), xml, tree.blob_references())
}

impl Builder {
    fn new(product: Product) -> Self {
        Self { product, contents: Vec::new(), known: HashSet::new() }
    }

    fn edition(&self, number: usize) -> (&'static str, &'static str) {
        if self.product.is_seven() { EDITIONS[number] } else { MODERN_EDITIONS[number] }
    }

    fn write(
        &self,
        cx: &Context<'_>,
        images: Vec<NewImage<'_>>,
        boot: Option<ImageIndex>,
        file: &mut dyn WriteAt,
    ) -> Result<WriteReport> {
        let wim = NewWim {
            format: ChunkFormat::usual(Compression::Lzx),
            level: Level::FAST,
            packing: Packing::Separate,
            guid: None,
            flags: HeaderFlags(HeaderFlags::RP_FIX),
            xml: WimXml::empty(0),
            images,
            sources: Vec::new(),
            contents: &self.contents,
            boot,
            integrity: Integrity::Omit,
            recompress: Recompress::WhenNeeded,
            copy_checksums: CopyChecksums::Drop,
        };
        write(cx, wim, file)
    }
}

struct Builder {
    product: Product,
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

    /// Programs with the version of the Windows, anything else as its name has it.
    fn content_of(&self, name: &str, length: usize) -> Vec<u8> {
        let (major, minor, build, revision) = self.product.windows.version();
        content_of(name, length, self.product.architecture, [major, minor, build, revision])
    }

    fn planter(&self) -> Result<Planter> {
        let mut tree = Tree::new_empty();
        tree.set_root(DIRECTORY | HIDDEN | SYSTEM, Times::all(TIME));
        let [for_files, for_folders] = descriptors().map(|descriptor| tree.security_mut().add(&descriptor));
        Ok(Planter { tree, for_files: for_files?, for_folders: for_folders? })
    }

    /// The hives that every Windows has, PE too.
    fn hives(&mut self, planter: &mut Planter, edition: &str, product: &str) -> Result<()> {
        let config = "Windows\\System32\\config";
        let mut hives = vec![
            ("SYSTEM", hives::system(self.product, TIME)?),
            ("SOFTWARE", hives::software(self.product, edition, product, TIME)?),
        ];
        if !self.product.is_seven() {
            hives.push(("DRIVERS", hives::drivers(self.product, TIME)?));
        }
        for name in ["SAM", "SECURITY", "DEFAULT"] {
            hives.push((name, hives::bare(name, TIME)?));
        }
        for (name, bytes) in hives {
            let digest = self.blob(bytes);
            planter.file(config, name, digest)?;
        }
        Ok(())
    }

    fn pe_tree(&mut self, pe: Pe) -> Result<Tree> {
        let mut planter = self.planter()?;
        for (folder, name, kilobytes) in PE_FILES {
            let digest = self.blob(self.content_of(name, kilobytes << 10));
            planter.file(folder, name, digest)?;
        }
        self.hives(&mut planter, "WindowsPE", "Microsoft Windows PE")?;
        let startnet = self.blob(b"wpeinit\r\n".to_vec());
        planter.file("Windows\\System32", "startnet.cmd", startnet)?;
        match pe {
            Pe::Plain => {}
            Pe::Setup => {
                let setup = self.blob(self.content_of("setup.exe", 250 << 10));
                planter.file("sources", "setup.exe", setup)?;
            }
            Pe::Recovery => {
                let shell = "[LaunchApp]\r\nAppPath=X:\\sources\\recovery\\recenv.exe\r\n";
                let shell = self.blob(shell.as_bytes().to_vec());
                planter.file("Windows\\System32", "winpeshl.ini", shell)?;
                let program = self.blob(self.content_of("recenv.exe", 300 << 10));
                planter.file("sources\\recovery", "recenv.exe", program)?;
            }
        }
        Ok(planter.tree)
    }

    fn tree(&mut self, edition: usize, recovery: Option<Sha1Digest>) -> Result<Tree> {
        let (edition_id, name) = self.edition(edition);
        let product = format!("{} {name}", self.product.windows.name());
        let mut planter = self.planter()?;
        for (folder, name, kilobytes) in FILES {
            let digest = self.blob(self.content_of(name, kilobytes << 10));
            let node = planter.file(folder, name, digest)?;
            if name.ends_with(".dll") {
                planter.link_into_winsxs(node, name, self.product)?;
            }
        }
        for (name, kilobytes, _) in EDITION_FILES.iter().filter(|(_, _, first)| edition >= *first) {
            let digest = self.blob(self.content_of(name, kilobytes << 10));
            planter.file("Windows\\System32", name, digest)?;
        }
        self.hives(&mut planter, edition_id, &product)?;
        if let Some(recovery) = recovery {
            planter.file("Windows\\System32\\Recovery", "winre.wim", recovery)?;
        }
        let user = self.blob(hives::bare("CMI-CreateHive{D43B12B8-09B5-40DB-B4F6-F6DFEB78DAEC}", TIME)?);
        planter.file("Users\\Default", "NTUSER.DAT", user)?;
        planter.file("Windows", "win.ini", self.blob(b"; for 16-bit app support\r\n[fonts]\r\n".to_vec()))?;
        planter.file("Windows\\Temp", "empty.log", Sha1Digest::ZERO)?;
        let junction = self.blob(junction_data("C:\\Users"));
        planter.junction("Documents and Settings", junction)?;
        Ok(planter.tree)
    }

    fn xml(&self, tree: &Tree, (edition, name, product): (&str, &str, &str), kind: &str) -> ImageXml {
        let sizes: std::collections::HashMap<_, _> = self
            .contents
            .iter()
            .filter_map(|(digest, content)| Some((*digest, content.size_bytes()?)))
            .collect();
        let mut xml = ImageXml::default();
        set_counts(&mut xml, (None, tree), &|digest| sizes.get(digest).copied());
        xml.set_time("CREATIONTIME", TIME);
        xml.set_time("LASTMODIFICATIONTIME", TIME);
        let arch = self.product.architecture.windows_number().to_string();
        let (major, minor, build, revision) = self.product.windows.version();
        let [major, minor, build, revision] =
            [major, minor, build, revision].map(|number| number.to_string());
        for (path, value) in [
            (&["ARCH"][..], arch.as_str()),
            (&["PRODUCTNAME"], "Microsoft\u{ae} Windows\u{ae} Operating System"),
            (&["EDITIONID"], edition),
            (&["INSTALLATIONTYPE"], kind),
            (&["PRODUCTTYPE"], "WinNT"),
            (&["PRODUCTSUITE"], "Terminal Server"),
            (&["LANGUAGES", "LANGUAGE"], "en-US"),
            (&["LANGUAGES", "DEFAULT"], "en-US"),
            (&["VERSION", "MAJOR"], major.as_str()),
            (&["VERSION", "MINOR"], minor.as_str()),
            (&["VERSION", "BUILD"], build.as_str()),
            (&["VERSION", "SPBUILD"], revision.as_str()),
            (&["VERSION", "SPLEVEL"], if self.product.is_seven() { "1" } else { "0" }),
            (&["SYSTEMROOT"], "WINDOWS"),
        ] {
            xml.set_property(&[&["WINDOWS"], path].concat(), value);
        }
        for (element, text) in [
            ("NAME", name),
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
    fn link_into_winsxs(&mut self, node: NodeId, name: &str, product: Product) -> Result<()> {
        let identity = Sha1Digest::of(name.as_bytes()).to_string();
        let stem = name.trim_end_matches(".dll");
        let (major, minor, build, revision) = product.windows.version();
        let component = format!(
            "Windows\\winsxs\\{}_microsoft-windows-{stem}_31bf3856ad364e35_{major}.{minor}.{build}.{revision}_none_{}",
            product.architecture.name(),
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

fn content_of(name: &str, length: usize, architecture: Architecture, version: [u16; 4]) -> Vec<u8> {
    match name.rsplit('.').next() {
        Some("ttf") => font(name, length),
        Some("rtf" | "inf") => text(name, length),
        _ => program(name, length, architecture, version),
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
