//! What a captured Windows says of itself, for the WINDOWS element of the XML data (wim-format 11).
//!
//! The names, their order and where they come from are wimlib's: the architecture from `kernel32.dll`, edition and version
//! from the SOFTWARE hive, service pack, product and languages from SYSTEM. A file that is not there, or cannot be
//! understood, leaves its elements out; with none of the three there is no Windows, and nothing is said.

use super::properties::{self, check_text};
use crate::base::{Context, Error, ErrorKind, Result, Sha1Digest};
use crate::formats::hive::{Hive, RegValue};
use crate::formats::pe::PeFile;
use crate::formats::wim::ImageXml;
use crate::image::glob::Case;
use crate::image::{Tree, WimPath};

const KERNEL: &str = "\\Windows\\System32\\kernel32.dll";
const SOFTWARE: &str = "\\Windows\\System32\\config\\SOFTWARE";
const SYSTEM: &str = "\\Windows\\System32\\config\\SYSTEM";
const NT: &str = "Microsoft\\Windows NT\\CurrentVersion";
const UI_LANGUAGES: &str = "ControlSet001\\Control\\MUI\\UILanguages";

/// Most languages that are listed.
const MAX_LANGUAGES: usize = 1000;

/// Reads the blob of a digest.
pub(super) type ReadBlob<'r> = &'r dyn Fn(&Sha1Digest) -> Result<Vec<u8>>;

/// Describes the Windows in `tree`, if there is one, in `xml`. What cannot be read is warned about.
///
/// # Errors
/// `Cancelled`.
pub(super) fn describe(cx: &Context<'_>, tree: &Tree, read: ReadBlob<'_>, xml: &mut ImageXml) -> Result<()> {
    let facts = Facts { cx, tree, read };
    let architecture = facts.of(KERNEL, |bytes| Ok(PeFile::parse(&bytes)?.architecture()))?;
    let software = facts.of(SOFTWARE, |bytes| software(&Hive::open(bytes)?))?;
    let system = facts.of(SYSTEM, |bytes| system(&Hive::open(bytes)?))?;
    if [KERNEL, SOFTWARE, SYSTEM].iter().all(|path| facts.digest(path).is_none()) {
        return Ok(());
    }
    set(xml, "WINDOWS/SYSTEMROOT", "WINDOWS");
    if let Some(architecture) = architecture.flatten() {
        set(xml, "WINDOWS/ARCH", &architecture.windows_number().to_string());
    }
    let found = software.into_iter().flatten().chain(system.into_iter().flatten());
    found.for_each(|(path, text)| set(xml, &path, &text));
    let copies =
        [("EDITIONID", "FLAGS"), ("PRODUCTNAME", "DISPLAYNAME"), ("PRODUCTNAME", "DISPLAYDESCRIPTION")];
    for (from, to) in copies {
        if let Some(text) = xml.property(&["WINDOWS", from]).map(str::to_owned) {
            set(xml, to, &text);
        }
    }
    Ok(())
}

/// An element, unless the text is empty or one that XML cannot hold.
fn set(xml: &mut ImageXml, path: &str, text: &str) {
    if !text.is_empty() && check_text(path, text).is_ok() {
        // The paths are those of this file, counted without gaps.
        let _ = properties::set(xml, path, text);
    }
}

struct Facts<'r> {
    cx: &'r Context<'r>,
    tree: &'r Tree,
    read: ReadBlob<'r>,
}

impl Facts<'_> {
    fn digest(&self, path: &str) -> Option<Sha1Digest> {
        let path = WimPath::parse(path).ok()?;
        let inode = self.tree.inode_of(self.tree.find_by(&path, Case::Ignored)?);
        Some(inode.data()).filter(|digest| !digest.is_zero())
    }

    /// What `look` finds in the file at `path`; none when it is not there or cannot be understood.
    fn of<T>(&self, path: &str, look: impl FnOnce(Vec<u8>) -> Result<T>) -> Result<Option<T>> {
        let Some(digest) = self.digest(path) else { return Ok(None) };
        self.cx.cancel.check()?;
        match (self.read)(&digest).and_then(look) {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.kind() == ErrorKind::Cancelled => Err(e),
            Err(e) => {
                let message = format!("it is captured, but does not describe the image: {}", e.message());
                self.cx.progress.warn(&Error::new(e.kind(), message).at(e.place().clone()).in_file(path));
                Ok(None)
            }
        }
    }
}

/// Elements by their paths, and their texts.
type Elements = Vec<(String, String)>;

fn software(hive: &Hive) -> Result<Elements> {
    let mut elements = Elements::new();
    let text = |name: &str| Ok::<_, Error>(hive.value(NT, name)?.and_then(|value| value.as_str()));
    let number = |name: &str| Ok::<_, Error>(hive.value(NT, name)?.and_then(|value| value.as_dword()));
    for (element, name) in
        [("EDITIONID", "EditionID"), ("INSTALLATIONTYPE", "InstallationType"), ("PRODUCTNAME", "ProductName")]
    {
        if let Some(text) = text(name)? {
            elements.push((format!("WINDOWS/{element}"), text));
        }
    }
    // Windows 10 and 11 leave `CurrentVersion` at 6.3 and have numbers of their own.
    let numbers = (number("CurrentMajorVersionNumber")?, number("CurrentMinorVersionNumber")?);
    let pair = match numbers {
        (Some(major), minor) => Some((major.to_string(), minor.unwrap_or(0).to_string())),
        _ => text("CurrentVersion")?.and_then(|version| {
            let (major, minor) = version.trim().split_once('.')?;
            Some((major.to_owned(), minor.to_owned()))
        }),
    };
    let is_number = |text: &String| text.parse::<u32>().is_ok();
    if let Some((major, minor)) = pair.filter(|(major, minor)| is_number(major) && is_number(minor)) {
        elements.push(("WINDOWS/VERSION/MAJOR".to_owned(), major));
        elements.push(("WINDOWS/VERSION/MINOR".to_owned(), minor));
        let build = match text("CurrentBuild")? {
            Some(build) => Some(build),
            None => text("CurrentBuildNumber")?,
        };
        elements.extend(build.filter(is_number).map(|build| ("WINDOWS/VERSION/BUILD".to_owned(), build)));
    }
    Ok(elements)
}

fn system(hive: &Hive) -> Result<Elements> {
    let value = |key: &str, name: &str| hive.value(&format!("ControlSet001\\Control\\{key}"), name);
    let mut elements = Elements::new();
    let mut add = |path: &str, text: String| elements.push((format!("WINDOWS/{path}"), text));
    if let Some(build) = value("Windows", "CSDBuildNumber")?.and_then(|value| value.as_dword()) {
        add("VERSION/SPBUILD", build.to_string());
    }
    if let Some(version) = value("Windows", "CSDVersion")?.and_then(|value| value.as_dword()) {
        add("VERSION/SPLEVEL", (version >> 8).to_string());
    }
    if let Some(kind) = value("ProductOptions", "ProductType")?.and_then(|value| value.as_str()) {
        add("PRODUCTTYPE", kind);
    }
    let suites = value("ProductOptions", "ProductSuite")?.and_then(|value| value.as_multi_sz());
    if let Some(suite) = suites.and_then(|suites| suites.into_iter().next()) {
        add("PRODUCTSUITE", suite);
    }
    let languages = hive.subkeys(UI_LANGUAGES)?;
    for (language, number) in languages.iter().take(MAX_LANGUAGES).zip(1u32..) {
        add(&format!("LANGUAGES/LANGUAGE[{number}]"), language.clone());
    }
    let installed = value("Nls\\Language", "InstallLanguage")?.and_then(|value| value.as_str());
    let installed = installed.and_then(|text| u32::from_str_radix(text.trim(), 16).ok());
    for language in languages.iter().take(MAX_LANGUAGES) {
        let lcid = hive.value(&format!("{UI_LANGUAGES}\\{language}"), "LCID")?;
        if installed.is_some() && lcid.as_ref().and_then(RegValue::as_dword) == installed {
            add("LANGUAGES/DEFAULT", language.clone());
            break;
        }
    }
    Ok(elements)
}
