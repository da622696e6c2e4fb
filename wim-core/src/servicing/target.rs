//! What an image is: its architecture, its Windows version, which generation of driver store it has.
//!
//! Source: drivers.md 1.4. Facts are read from the image itself; what its WIM's XML says comes in as a hint, and where two
//! sources disagree the order of that section decides and a warning says so. It never guesses a version.

use crate::base::{Architecture, Error, Result};
use crate::formats::inf::TargetWindows;
use crate::formats::pe::PeFile;
use crate::image::WimPath;
use crate::image::edit::View;
use crate::servicing::hive_set::{HiveName, HiveSet};

/// What is known of an image before it is looked into, from the XML data of its WIM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageHints {
    /// `WINDOWS/ARCH`.
    pub arch: Option<Architecture>,
    /// `WINDOWS/VERSION`: major, minor, build.
    pub version: Option<(u32, u32, u32)>,
}

/// How an image keeps drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreGeneration {
    /// Vista and 7: an index of undocumented files; the critical device database.
    Legacy,
    /// 8 and later: `SYSTEM\DriverDatabase`.
    Modern,
}

/// What an image is, as drivers need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTarget {
    /// Architecture, version and product, as INFs compare them.
    pub windows: TargetWindows,
    /// How it keeps drivers.
    pub generation: StoreGeneration,
    /// True for Windows PE.
    pub is_winpe: bool,
    /// LANGID of its default user interface language.
    pub language: u16,
}

const NT_CURRENT_VERSION: &str = "Microsoft\\Windows NT\\CurrentVersion";
/// Largest system binary that is read for its headers.
const MAX_SYSTEM_BINARY: u64 = 64 << 20;

/// Finds out what the image behind `view` is; disagreements between sources go to `warnings`.
///
/// # Errors
/// `NotFound` when it is no Windows image (no SYSTEM hive) or nothing tells its architecture or version; what reading the hives
/// gives.
pub fn find_target(
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    hints: ImageHints,
    warnings: &mut Vec<Error>,
) -> Result<ImageTarget> {
    if !hives.has(HiveName::System) {
        return Err(Error::not_found(
            "no Windows in this image: it has no \\Windows\\System32\\config\\SYSTEM",
        )
        .remedy("give an image that holds a Windows folder tree"));
    }
    let control_set = current_control_set(hives)?;
    let arch = architecture(view, hives, &control_set, hints.arch, warnings)?;
    let (major, minor, build) = version(hives, hints.version, warnings)?;
    let (product_type, suite_mask) = product(hives, &control_set)?;
    let modern = hives.key_exists(HiveName::System, "DriverDatabase")?;
    if modern != ((major, minor) >= (6, 2)) {
        warnings.push(Error::invalid_input(format!(
            "the image says it is Windows {major}.{minor}, but its driver store is that of {}; the store decides",
            if modern { "Windows 8 or later" } else { "Windows 7 or earlier" }
        )));
    }
    let is_winpe = hives.key_exists(HiveName::Software, &format!("{NT_CURRENT_VERSION}\\WinPE"))?
        || view.entry(&WimPath::parse("\\Windows\\System32\\wpeinit.exe")?).is_some();
    let windows = TargetWindows { arch, major, minor, build, product_type, suite_mask };
    let generation = if modern { StoreGeneration::Modern } else { StoreGeneration::Legacy };
    Ok(ImageTarget { windows, generation, is_winpe, language: language(hives, &control_set)? })
}

/// `ControlSet001` and so on: the current one.
fn current_control_set(hives: &mut HiveSet<'_>) -> Result<String> {
    Ok(format!("ControlSet{:03}", hives.control_sets()?.first().copied().unwrap_or(1)))
}

fn architecture(
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    control_set: &str,
    hint: Option<Architecture>,
    warnings: &mut Vec<Error>,
) -> Result<Architecture> {
    let mut sources: Vec<(&str, Architecture)> = Vec::new();
    sources.extend(hint.map(|arch| ("the WIM's XML data", arch)));
    for (name, path) in [
        ("ntoskrnl.exe", "\\Windows\\System32\\ntoskrnl.exe"),
        ("kernel32.dll", "\\Windows\\System32\\kernel32.dll"),
    ] {
        let path = WimPath::parse(path)?;
        if view.entry(&path).is_some_and(|entry| !entry.is_directory())
            && let Ok(bytes) = view.read(&path, MAX_SYSTEM_BINARY)
            && let Ok(pe) = PeFile::parse(&bytes)
            && let Some(arch) = pe.architecture()
        {
            sources.push((name, arch));
            break;
        }
    }
    let key = format!("{control_set}\\Control\\Session Manager\\Environment");
    let text = hives.get(HiveName::System, &key, "PROCESSOR_ARCHITECTURE")?.and_then(|value| value.as_str());
    sources.extend(text.and_then(|t| Architecture::from_name(&t)).map(|arch| ("the SYSTEM hive", arch)));
    let Some(&(name, arch)) = sources.first() else {
        return Err(Error::not_found("nothing in the image tells its architecture")
            .remedy("set WINDOWS/ARCH in the XML data of its WIM"));
    };
    for (other, differs) in sources.iter().skip(1).filter(|(_, other)| *other != arch) {
        warnings.push(Error::invalid_input(format!(
            "{name} says {arch}, {other} says {differs}; {arch} is taken"
        )));
    }
    Ok(arch)
}

fn version(
    hives: &mut HiveSet<'_>,
    hint: Option<(u32, u32, u32)>,
    warnings: &mut Vec<Error>,
) -> Result<(u32, u32, u32)> {
    let mut found = None;
    if hives.has(HiveName::Software) {
        let mut get = |name: &str| hives.get(HiveName::Software, NT_CURRENT_VERSION, name);
        // `CurrentVersion` stays 6.3 on Windows 10 and 11; these two are right there and absent before.
        let major = get("CurrentMajorVersionNumber")?.and_then(|v| v.as_dword());
        let minor = get("CurrentMinorVersionNumber")?.and_then(|v| v.as_dword());
        let text = get("CurrentVersion")?.and_then(|v| v.as_str()).unwrap_or_default();
        let build = match get("CurrentBuildNumber")? {
            Some(value) => Some(value),
            None => get("CurrentBuild")?,
        };
        let build = build.and_then(|v| v.as_str()).and_then(|t| t.trim().parse().ok());
        let pair = major.zip(minor).or_else(|| {
            let (a, b) = text.trim().split_once('.')?;
            Some((a.parse().ok()?, b.parse().ok()?))
        });
        found = pair.zip(build).map(|((major, minor), build)| (major, minor, build));
    }
    match (found, hint) {
        (Some(found), Some(hint)) => {
            if found != hint {
                let text = |(a, b, c): (u32, u32, u32)| format!("{a}.{b}.{c}");
                warnings.push(Error::invalid_input(format!(
                    "the SOFTWARE hive says Windows {}, the WIM's XML data {}; the hive is taken",
                    text(found),
                    text(hint)
                )));
            }
            Ok(found)
        }
        (Some(version), None) | (None, Some(version)) => Ok(version),
        (None, None) => Err(Error::not_found("nothing in the image tells its Windows version")
            .remedy("set WINDOWS/VERSION in the XML data of its WIM")),
    }
}

/// Product type and suite mask.
fn product(hives: &mut HiveSet<'_>, control_set: &str) -> Result<(u32, u32)> {
    const SUITES: [(&str, u32); 15] = [
        ("Small Business", 0x1),
        ("Enterprise", 0x2),
        ("BackOffice", 0x4),
        ("CommunicationServer", 0x8),
        ("Terminal Server", 0x10),
        ("Small Business(Restricted)", 0x20),
        ("EmbeddedNT", 0x40),
        ("DataCenter", 0x80),
        ("Personal", 0x200),
        ("Blade", 0x400),
        ("Embedded(Restricted)", 0x800),
        ("Security Appliance", 0x1000),
        ("Storage Server", 0x2000),
        ("Compute Server", 0x4000),
        ("WH Server", 0x8000),
    ];
    // VER_SUITE_SINGLEUSERTS: every client since XP has one remote session.
    const SINGLE_USER_TS: u32 = 0x100;
    let key = format!("{control_set}\\Control\\ProductOptions");
    let kind = hives.get(HiveName::System, &key, "ProductType")?.and_then(|v| v.as_str()).unwrap_or_default();
    let product_type = match kind.trim().to_ascii_lowercase().as_str() {
        "lanmannt" => 2,
        "servernt" => 3,
        _ => 1,
    };
    let suites = hives.get(HiveName::System, &key, "ProductSuite")?.and_then(|v| v.as_multi_sz());
    let mut mask = 0;
    for suite in suites.unwrap_or_default() {
        mask |= SUITES
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(suite.trim()))
            .map(|(_, bit)| bit)
            .sum::<u32>();
    }
    if product_type == 1 {
        mask |= SINGLE_USER_TS;
    }
    Ok((product_type, mask))
}

/// The default user interface language; English where the image does not say.
fn language(hives: &mut HiveSet<'_>, control_set: &str) -> Result<u16> {
    let key = format!("{control_set}\\Control\\Nls\\Language");
    let text = hives.get(HiveName::System, &key, "InstallLanguage")?.and_then(|v| v.as_str());
    let id = text.and_then(|t| u16::from_str_radix(t.trim(), 16).ok()).filter(|&id| id != 0);
    Ok(id.unwrap_or(crate::formats::inf::strings::ENGLISH_US))
}
