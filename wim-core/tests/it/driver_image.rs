//! A Windows image as drivers see it, made of nothing: files in memory, hives from the project's own writer.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wim_core::base::{Architecture, Cancel, Error, Result, Sha1Digest, WimString};
use wim_core::formats::hive::{CreateOptions, Hive, HiveVersion, RegValue};
use wim_core::image::WimPath;
use wim_core::image::edit::{Action, Change, Content, EntryInfo, Times, View};
use wim_core::servicing::drivers::{DriverOptions, DriverPlan, Unbootable, Unsigned, plan, plan_removal};
use wim_core::servicing::hive_set::{HiveName, HiveOptions, HiveSet};
use wim_core::servicing::package_files::PackageFiles;
use wim_core::servicing::target::{ImageHints, ImageTarget, find_target};

/// The usual options, but packages made for tests, which nobody signed, are accepted.
pub(crate) fn unsigned_too() -> DriverOptions {
    DriverOptions { unsigned: Unsigned::Accept, ..DriverOptions::default() }
}

/// A path as spelt, and its content with its digest; none for a directory.
type Entry = (WimPath, Option<(Arc<[u8]>, Sha1Digest)>);

/// An image in memory: upper-case path → entry.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct MemoryImage {
    entries: BTreeMap<String, Entry>,
    /// Upper-case paths that are names of one file, sorted.
    links: Vec<BTreeSet<String>>,
}

fn key(path: &WimPath) -> String {
    path.to_string().to_uppercase()
}

impl MemoryImage {
    pub(crate) fn put(&mut self, path: &str, bytes: impl Into<Arc<[u8]>>) {
        let path = WimPath::parse(path).unwrap();
        self.put_path(&path, bytes.into());
    }

    /// Gives the file at `to` one more name.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        self.link_path(&WimPath::parse(path).unwrap(), &WimPath::parse(to).unwrap());
    }

    fn link_path(&mut self, path: &WimPath, to: &WimPath) {
        let Some((_, Some((bytes, _)))) = self.entries.get(&key(to)).cloned() else { return };
        self.unlink(&key(path));
        self.put_path(path, bytes);
        match self.links.iter_mut().find(|names| names.contains(&key(to))) {
            Some(names) => {
                names.insert(key(path));
            }
            None => self.links.push(BTreeSet::from([key(path), key(to)])),
        }
        self.links.sort();
    }

    fn unlink(&mut self, path: &str) {
        for names in &mut self.links {
            names.remove(path);
        }
        self.links.retain(|names| names.len() > 1);
    }

    /// Puts bytes into the file, and so under all of its names.
    fn put_file(&mut self, path: &WimPath, bytes: &Arc<[u8]>) {
        for other in self.other_names(path) {
            self.put_path(&other, Arc::clone(bytes));
        }
        self.put_path(path, Arc::clone(bytes));
    }

    fn put_path(&mut self, path: &WimPath, bytes: Arc<[u8]>) {
        if let Some(parent) = path.parent() {
            self.make_directory(&parent);
        }
        let spelled = self.entries.get(&key(path)).map_or_else(|| path.clone(), |(path, _)| path.clone());
        let digest = Sha1Digest::of(&bytes);
        self.entries.insert(key(path), (spelled, Some((bytes, digest))));
    }

    fn make_directory(&mut self, path: &WimPath) {
        if let Some(parent) = path.parent() {
            self.make_directory(&parent);
            self.entries.entry(key(path)).or_insert_with(|| (path.clone(), None));
        }
    }

    /// Applies changes as the writer of an image would.
    pub(crate) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match &change.action {
                Action::PutFile { content: Content::Bytes(bytes), .. } => self.put_file(&change.path, bytes),
                Action::PutFile { content: Content::Blob(digest), .. } => {
                    let same = |(_, content): &Entry| {
                        content.as_ref().filter(|(_, own)| own == digest).map(|(bytes, _)| bytes.clone())
                    };
                    let bytes = self.entries.values().find_map(same).expect("a blob of the image");
                    self.put_file(&change.path, &bytes);
                }
                Action::PutFile { content, .. } => panic!("content {content:?} of {}", change.path),
                Action::MakeDirectory { .. } => self.make_directory(&change.path),
                Action::Detach => self.unlink(&key(&change.path)),
                Action::Link { to } => self.link_path(&change.path, to),
                Action::Remove => {
                    let path = key(&change.path);
                    let below = format!("{path}\\");
                    let is_gone = |other: &String| *other == path || other.starts_with(&below);
                    let gone: Vec<String> =
                        self.entries.keys().filter(|other| is_gone(other)).cloned().collect();
                    for other in gone {
                        self.unlink(&other);
                        self.entries.remove(&other);
                    }
                }
            }
        }
    }

    pub(crate) fn bytes(&self, path: &str) -> Option<Arc<[u8]>> {
        let (_, content) = self.entries.get(&key(&WimPath::parse(path).unwrap()))?;
        content.as_ref().map(|(bytes, _)| bytes.clone())
    }

    /// Paths of all files, as spelt.
    pub(crate) fn files(&self) -> Vec<String> {
        self.entries.values().filter(|(_, bytes)| bytes.is_some()).map(|(path, _)| path.to_string()).collect()
    }

    /// Paths of all directories, as spelt.
    pub(crate) fn directories(&self) -> Vec<String> {
        self.entries.values().filter(|(_, bytes)| bytes.is_none()).map(|(path, _)| path.to_string()).collect()
    }

    /// A registry value.
    pub(crate) fn value(&self, hive: HiveName, path: &str, value: &str) -> Option<RegValue> {
        HiveSet::new(self, HiveOptions::default()).get(hive, path, value).unwrap()
    }

    pub(crate) fn subkeys(&self, hive: HiveName, path: &str) -> Vec<String> {
        HiveSet::new(self, HiveOptions::default()).subkeys(hive, path).unwrap()
    }

    /// All values of a hive: key, value name, type and data.
    pub(crate) fn registry(&self, hive: HiveName) -> BTreeMap<(String, String), RegValue> {
        let mut hives = HiveSet::new(self, HiveOptions::default());
        let mut all = BTreeMap::new();
        let mut keys = vec![String::new()];
        while let Some(path) = keys.pop() {
            all.insert((path.clone(), "(key)".into()), RegValue::sz(""));
            for (name, value) in hives.values(hive, &path).unwrap() {
                all.insert((path.clone(), format!("={name}")), value);
            }
            for name in hives.subkeys(hive, &path).unwrap() {
                keys.push(if path.is_empty() { name } else { format!("{path}\\{name}") });
            }
        }
        all
    }

    /// Writes registry values.
    pub(crate) fn edit(&mut self, edits: &[(HiveName, &str, &str, RegValue)]) {
        let changes = {
            let mut hives = HiveSet::new(self, HiveOptions::default());
            for (hive, path, value, data) in edits {
                hives.set(*hive, path, value, data.clone(), "test").unwrap();
            }
            hives.finish().unwrap().0
        };
        self.apply(&changes);
    }

    pub(crate) fn target(&self) -> ImageTarget {
        let mut hives = HiveSet::new(self, HiveOptions::default());
        find_target(self, &mut hives, ImageHints::default(), &mut Vec::new()).unwrap()
    }

    /// Adds packages; the image is changed as the plan says.
    pub(crate) fn add(&mut self, packages: &[&dyn PackageFiles], options: &DriverOptions) -> DriverPlan {
        let target = self.target();
        let (plan, changes) = {
            let mut hives = HiveSet::new(self, HiveOptions::default());
            let plan = plan(packages, self, &mut hives, &target, options, &Cancel::new()).unwrap();
            let (changes, _) = hives.finish().unwrap();
            (plan, changes)
        };
        self.apply(&plan.changes);
        self.apply(&changes);
        plan
    }

    /// Removes drivers by name; what stays and why is returned.
    pub(crate) fn remove_drivers(&mut self, names: &[&str]) -> Result<Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let (plan, changes) = {
            let mut hives = HiveSet::new(self, HiveOptions::default());
            let plan = plan_removal(&names, self, &mut hives, Unbootable::Refuse)?;
            (plan, hives.finish()?.0)
        };
        self.apply(&plan.changes);
        self.apply(&changes);
        Ok(plan.findings)
    }

    /// [`Self::add`] of one package, signed or not.
    pub(crate) fn add_one(&mut self, package: &dyn PackageFiles) -> DriverPlan {
        self.add(&[package], &unsigned_too())
    }
}

impl View for MemoryImage {
    fn entry(&self, path: &WimPath) -> Option<EntryInfo> {
        const DIRECTORY: u32 = 0x10;
        const ARCHIVE: u32 = 0x20;
        let (spelled, bytes) = self.entries.get(&key(path))?;
        Some(EntryInfo {
            name: spelled.name().cloned().unwrap_or_else(|| WimString::from("")),
            attributes: if bytes.is_some() { ARCHIVE } else { DIRECTORY },
            size: bytes.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64),
            digest: bytes.as_ref().map_or(Sha1Digest::ZERO, |(_, digest)| *digest),
            times: Times::default(),
        })
    }

    fn list(&self, path: &WimPath) -> Option<Vec<EntryInfo>> {
        let children =
            self.entries.values().filter(|(child, _)| child.parent().is_some_and(|p| p.eq_ignore_case(path)));
        Some(children.filter_map(|(child, _)| self.entry(child)).collect())
    }

    fn other_names(&self, path: &WimPath) -> Vec<WimPath> {
        let own = key(path);
        let names = self.links.iter().find(|names| names.contains(&own));
        let others = names.into_iter().flatten().filter(|name| **name != own);
        others.filter_map(|name| self.entries.get(name)).map(|(path, _)| path.clone()).collect()
    }

    fn read(&self, path: &WimPath, limit: u64) -> Result<Arc<[u8]>> {
        match self.entries.get(&key(path)) {
            Some((_, Some((bytes, _)))) if bytes.len() as u64 <= limit => Ok(bytes.clone()),
            Some((_, Some(_))) => Err(Error::limit(format!("{path} is larger than {limit} bytes"))),
            _ => Err(Error::not_found(format!("{path} is not there"))),
        }
    }
}

/// A PE file of one section that holds a version resource.
pub(crate) fn program(arch: Architecture, version: [u16; 4]) -> Vec<u8> {
    let machine: u16 = match arch {
        Architecture::X86 => 0x014C,
        Architecture::Amd64 => 0x8664,
        Architecture::Ia64 => 0x0200,
        Architecture::Arm => 0x01C4,
        Architecture::Arm64 => 0xAA64,
    };
    const SUB_DIRECTORY: u32 = 0x8000_0000;
    let mut bytes = vec![0_u8; 0x400];
    let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
    put(0, b"MZ");
    put(0x3C, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x84, &machine.to_le_bytes());
    put(0x86, &1_u16.to_le_bytes());
    put(0x94, &(96 + 16 * 8_u16).to_le_bytes());
    put(0x98, &0x10B_u16.to_le_bytes());
    put(0x98 + 92, &16_u32.to_le_bytes());
    put(0x98 + 96 + 16, &0x1000_u32.to_le_bytes());
    put(0x98 + 96 + 20, &0x100_u32.to_le_bytes());
    let section = 0x98 + 96 + 128;
    put(section + 8, &0x200_u32.to_le_bytes());
    put(section + 12, &0x1000_u32.to_le_bytes());
    put(section + 16, &0x200_u32.to_le_bytes());
    put(section + 20, &0x200_u32.to_le_bytes());
    let mut directory = |at: usize, id: u32, offset: u32| {
        put(0x200 + at + 14, &1_u16.to_le_bytes());
        put(0x200 + at + 16, &id.to_le_bytes());
        put(0x200 + at + 20, &offset.to_le_bytes());
    };
    directory(0, 16, SUB_DIRECTORY | 24);
    directory(24, 1, SUB_DIRECTORY | 48);
    directory(48, 0x409, 72);
    put(0x200 + 72, &0x1060_u32.to_le_bytes());
    put(0x200 + 76, &0x60_u32.to_le_bytes());
    put(0x260 + 40, &0xFEEF_04BD_u32.to_le_bytes());
    for (at, part) in [(50, 0), (48, 1), (54, 2), (52, 3)] {
        put(0x260 + at, &version[part].to_le_bytes());
    }
    bytes
}

fn empty_hive() -> Vec<u8> {
    Hive::create(HiveVersion::V1_5, &CreateOptions::default()).unwrap().finish().unwrap()
}

/// A Windows image of that architecture and version, with nothing but what drivers look at.
pub(crate) fn windows(arch: Architecture, version: (u32, u32, u32)) -> MemoryImage {
    let mut image = MemoryImage::default();
    image.put("\\Windows\\System32\\config\\SYSTEM", empty_hive());
    image.put("\\Windows\\System32\\config\\SOFTWARE", empty_hive());
    // Spelt as old media do: what is found keeps its spelling.
    image.put("\\Windows\\System32\\DRIVERS\\disk.sys", program(arch, [6, 1, 7601, 17514]));
    image.put("\\Windows\\inf\\disk.inf", *b"[Version]\r\nSignature=\"$Windows NT$\"\r\n");
    image.put("\\Windows\\System32\\ntoskrnl.exe", program(arch, [6, 1, 7601, 17514]));
    let (major, minor, build) = version;
    let current = "Microsoft\\Windows NT\\CurrentVersion";
    image.edit(&[
        (HiveName::System, "Select", "Current", RegValue::dword(1)),
        (HiveName::System, "Select", "Default", RegValue::dword(1)),
        (HiveName::System, "ControlSet001\\Control\\ProductOptions", "ProductType", RegValue::sz("WinNT")),
        (
            HiveName::System,
            "ControlSet001\\Services\\EventLog\\System",
            "MaxSize",
            RegValue::dword(0x0140_0000),
        ),
        (HiveName::Software, current, "CurrentBuildNumber", RegValue::sz(&build.to_string())),
        (
            HiveName::Software,
            "Microsoft\\Windows\\CurrentVersion",
            "DevicePath",
            RegValue::expand_sz("%SystemRoot%\\inf"),
        ),
    ]);
    if major >= 10 {
        // The old value stays 6.3 for ever.
        image.edit(&[
            (HiveName::Software, current, "CurrentVersion", RegValue::sz("6.3")),
            (HiveName::Software, current, "CurrentMajorVersionNumber", RegValue::dword(major)),
            (HiveName::Software, current, "CurrentMinorVersionNumber", RegValue::dword(minor)),
        ]);
        image.put("\\Windows\\System32\\config\\DRIVERS", empty_hive());
        image.edit(&[(HiveName::Drivers, "DriverDatabase", "Version", RegValue::dword(0x0A00_0000))]);
    } else {
        let text = RegValue::sz(&format!("{major}.{minor}"));
        image.edit(&[(HiveName::Software, current, "CurrentVersion", text)]);
    }
    if (major, minor) >= (6, 2) {
        image.edit(&[(HiveName::System, "DriverDatabase", "Version", RegValue::dword(0x0A00_0000))]);
    } else {
        let key = "ControlSet001\\Control\\CriticalDeviceDatabase\\PCI#CC_0101";
        image.edit(&[(HiveName::System, key, "Service", RegValue::sz("pciide"))]);
        // As every Windows has them: the bus to which vendors' INFs bind devices too, and the disk's controller.
        for name in ["pci", "pciide"] {
            image.put(
                &format!("\\Windows\\System32\\DRIVERS\\{name}.sys"),
                program(arch, [6, 1, 7601, 17514]),
            );
            let key = format!("ControlSet001\\Services\\{name}");
            let path = RegValue::expand_sz(&format!("system32\\drivers\\{name}.sys"));
            image.edit(&[
                (HiveName::System, &key, "Type", RegValue::dword(1)),
                (HiveName::System, &key, "Start", RegValue::dword(0)),
                (HiveName::System, &key, "ImagePath", path),
            ]);
        }
    }
    image
}

/// Windows 7 SP1.
pub(crate) fn seven(arch: Architecture) -> MemoryImage {
    windows(arch, (6, 1, 7601))
}

/// Windows 10 19041.
pub(crate) fn ten(arch: Architecture) -> MemoryImage {
    windows(arch, (10, 0, 19041))
}

/// Windows 11 22631.
pub(crate) fn eleven(arch: Architecture) -> MemoryImage {
    windows(arch, (10, 0, 22631))
}

/// Windows PE: the same with the programs that tell it.
pub(crate) fn pe(mut image: MemoryImage) -> MemoryImage {
    let arch = image.target().windows.arch;
    for name in ["drvload.exe", "wpeinit.exe"] {
        image.put(&format!("\\Windows\\System32\\{name}"), program(arch, [6, 1, 7601, 17514]));
    }
    image
}
