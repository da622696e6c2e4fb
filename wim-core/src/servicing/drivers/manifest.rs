//! The list of drivers that this project put into an image, kept in the image so that they can be listed and removed exactly.
//!
//! The file is `\Windows\INF\wim.drivers.json` (drivers.md 3.6): UTF-8 JSON, entries sorted, the same content giving the same
//! bytes. It never lists what Windows itself installed.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::database::FILE_REPOSITORY;
use super::level_a::FOLDER;
use super::list_edits;
use super::registry_lines::KeptValue;
use super::winpe::{STARTNET, WINPESHL};
use crate::base::hex;
use crate::base::{Error, ErrorKind, Result};
use crate::formats::hive::RegValue;
use crate::image::WimPath;
use crate::image::edit::View;
use crate::servicing::hive_set::{Edit, EditAction, KeyTraits};

/// Where the manifest lies.
pub const PATH: &str = "\\Windows\\INF\\wim.drivers.json";
/// Version of its shape.
pub const SCHEMA_VERSION: u32 = 1;
/// What can be done about one that is damaged.
const REMOVE_IT: &str =
    "remove the file from the image; its drivers stay, but can then no longer be removed exactly";
/// Largest manifest that is read.
const MAX_BYTES: u64 = 64 << 20;

/// All drivers that were added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The drivers, sorted by INF name and identity.
    pub drivers: Vec<ManifestEntry>,
    /// Scripts of Windows PE that load drivers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_scripts: Vec<StartScript>,
}

/// A script of Windows PE that loads drivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartScript {
    /// Its path.
    pub path: String,
    /// It was made for that; then it goes with the last driver.
    pub created: bool,
}

/// A line in such a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartLine {
    /// The script.
    pub path: String,
    /// The line.
    pub text: String,
}

/// One driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// File name of the INF.
    pub inf: String,
    /// SHA-256 that tells packages apart, in hexadecimal.
    pub identity: String,
    /// Counts the drivers in the order they were first added; what a later one found is what earlier ones left.
    pub order: u32,
    /// By which means it was added: `level_a`, `level_b`.
    pub how: String,
    /// Its folder in the image.
    pub folder: String,
    /// Published name, for those Windows 8 and later know as `oemN.inf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Class name.
    pub class: Option<String>,
    /// Class GUID.
    pub class_guid: String,
    /// Who made it.
    pub provider: Option<String>,
    /// Date.
    pub date: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Catalog, if it came with one.
    pub catalog: Option<String>,
    /// Architecture it was added for.
    pub arch: String,
    /// Its services and devices were put in place.
    pub boot_critical: bool,
    /// Device ids.
    pub ids: Vec<String>,
    /// Services.
    pub services: Vec<String>,
    /// Files it put into the image, sorted by path.
    pub files: Vec<ManifestFile>,
    /// Files that it wanted to put there and found others in place of, which were newer or were to stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relied_on: Vec<ReliedFile>,
    /// Registry values and keys it wrote, in order.
    pub registry: Vec<ManifestEdit>,
    /// Lines that load it when Windows PE starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_lines: Vec<StartLine>,
    /// Directories that it made, parents first; they go when they are empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_folders: Vec<String>,
    /// Name of the certificate that signed its catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}

impl ManifestEntry {
    /// The last part of its folder.
    #[must_use]
    pub fn folder_name(&self) -> &str {
        self.folder.rsplit('\\').next().unwrap_or(&self.folder)
    }

    /// Its INF, its maker and its version, as people tell drivers apart.
    #[must_use]
    pub fn title(&self) -> String {
        let about = [self.provider.as_deref(), self.version.as_deref()];
        let about: Vec<&str> = about.into_iter().flatten().map(str::trim).collect();
        if about.is_empty() { self.inf.clone() } else { format!("{} ({})", self.inf, about.join(" ")) }
    }

    /// What it put at a path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.path.eq_ignore_ascii_case(path))
    }

    /// True when both come from one maker, as far as their INFs say who that is.
    #[must_use]
    pub fn has_maker_of(&self, other: &Self) -> bool {
        let maker = |entry: &Self| entry.provider.as_ref().map(|name| name.trim().to_lowercase());
        maker(self) == maker(other)
    }
}

/// A file that a driver put into the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path.
    pub path: String,
    /// SHA-256 of what was written.
    pub sha256: String,
    /// SHA-256 of the file that was there before; the same as [`Self::sha256`] when another driver had put it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_sha256: Option<String>,
    /// Where the file that was there before is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_copy: Option<String>,
    /// Another name that the file had, as most of Windows' files have one in the component store: its own becomes one of that again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_link: Option<String>,
}

/// A file that a driver relies on and did not bring: its own takes the place when that one goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReliedFile {
    /// Its path.
    pub path: String,
    /// Where the driver's own file lies, in the folder of its package.
    pub own: String,
    /// Its INF wants it there only where there is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_replaces: bool,
}

/// A registry edit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEdit {
    /// Name of the hive.
    pub hive: String,
    /// The key.
    pub key: String,
    /// The value; none for an edit of the key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What was there before; none when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<ManifestValue>,
    /// What is there now; none when it was deleted, or for a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<ManifestValue>,
    /// The key was deleted, not made: its values and subkeys have edits of their own before this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_deleted: bool,
    /// Security descriptor of a deleted key, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_security: Option<String>,
    /// Its class name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_class: Option<String>,
}

/// Hive, key and value in one case: what an edit is about.
type EditKey = (String, String, Option<String>);

impl ManifestEdit {
    /// What the deleted key had beside values and subkeys.
    pub(super) fn key_traits(&self) -> KeyTraits {
        /// Header of a self-relative descriptor: what is shorter is none.
        const HEADER_BYTES: usize = 20;
        let security = self.key_security.as_deref().and_then(hex::decode);
        let security = security.filter(|bytes| bytes.len() >= HEADER_BYTES);
        KeyTraits { security, class: self.key_class.clone() }
    }

    fn about(&self) -> EditKey {
        let value = self.value.as_ref().map(|value| value.to_ascii_lowercase());
        (self.hive.clone(), self.key.to_ascii_lowercase(), value)
    }

    /// True when both are about the same value, or the same key.
    #[must_use]
    pub fn is_about(&self, other: &Self) -> bool {
        let same_value = match (&self.value, &other.value) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same_value && self.hive == other.hive && self.key.eq_ignore_ascii_case(&other.key)
    }
}

impl From<&Edit> for ManifestEdit {
    fn from(edit: &Edit) -> Self {
        let traits = edit.traits.clone().unwrap_or_default();
        Self {
            hive: edit.hive.label().to_owned(),
            key: edit.key.clone(),
            value: edit.value.clone(),
            old: edit.old.as_ref().map(ManifestValue::from),
            new: edit.new.as_ref().map(ManifestValue::from),
            key_deleted: edit.action == EditAction::DeleteKey,
            key_security: traits.security.map(|bytes| hex::encode(&bytes)),
            key_class: traits.class,
        }
    }
}

/// The record of a value that was so already: no edit, or for a list one that put the strings there that were wanted.
impl From<&KeptValue> for ManifestEdit {
    fn from(kept: &KeptValue) -> Self {
        let new = ManifestValue::from(&kept.data);
        let old = match kept.data.as_multi_sz().filter(|_| !kept.wanted.is_empty()) {
            Some(mut rest) => {
                rest.retain(|text| !kept.wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(text)));
                ManifestValue::from(&RegValue::multi_sz(&rest))
            }
            None => new.clone(),
        };
        Self {
            hive: kept.hive.label().to_owned(),
            key: kept.key.clone(),
            value: Some(kept.value.clone()),
            old: Some(old),
            new: Some(new),
            ..Self::default()
        }
    }
}

/// A registry value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ManifestValue {
    /// `REG_*` number.
    #[serde(rename = "type")]
    pub kind: u32,
    /// Its data in hexadecimal.
    pub data: String,
}

impl ManifestValue {
    /// The value; none when the digits are no bytes, as when somebody edited the manifest.
    pub(super) fn decode(&self) -> Option<RegValue> {
        hex::decode(&self.data).map(|data| RegValue::new(self.kind, data))
    }
}

impl From<&RegValue> for ManifestValue {
    fn from(value: &RegValue) -> Self {
        Self { kind: value.kind, data: hex::encode(&value.data) }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self { schema_version: SCHEMA_VERSION, drivers: Vec::new(), start_scripts: Vec::new() }
    }
}

impl Manifest {
    /// The manifest of an image; an empty one when it has none.
    ///
    /// # Errors
    /// `Format` when it cannot be parsed, `Unsupported` when a later version of this project wrote it.
    pub fn load(view: &dyn View) -> Result<Self> {
        let path = WimPath::parse(PATH)?;
        if view.entry(&path).is_none() {
            return Ok(Self::default());
        }
        let bytes = view.read(&path, MAX_BYTES)?;
        Self::parse(&bytes)
    }

    /// Parses a manifest.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = |e: serde_json::Error| {
            let place = crate::base::Place::Line {
                line: u32::try_from(e.line()).unwrap_or(u32::MAX),
                column: u32::try_from(e.column()).unwrap_or(u32::MAX),
            };
            Error::new(ErrorKind::Format, format!("the list of added drivers, {PATH}, cannot be read: {e}"))
                .at(place)
                .remedy(REMOVE_IT)
        };
        let version: SchemaOnly = serde_json::from_slice(bytes).map_err(damaged)?;
        if version.schema_version > SCHEMA_VERSION {
            let message = format!("version {} of the list of added drivers, {PATH}", version.schema_version);
            return Err(Error::unsupported(message).remedy("use the version that wrote it, or a later one"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// What it names is removed later: folders that no driver was ever put into make the whole list unbelievable.
    fn check(&self) -> Result<()> {
        let wrong = |what: String| {
            Err(Error::new(ErrorKind::Format, format!("the list of added drivers, {PATH}, names {what}"))
                .remedy(REMOVE_IT))
        };
        for entry in &self.drivers {
            if !is_package_folder(&entry.folder) {
                return wrong(format!(
                    "the folder {} for {}, where no driver is put",
                    entry.folder, entry.inf
                ));
            }
            let copies = entry.files.iter().filter_map(|file| file.replaced_copy.as_ref());
            if let Some(copy) = copies.into_iter().find(|copy| below(copy, FOLDER).is_none()) {
                return wrong(format!("{copy} as a copy of a replaced file, which none is kept as"));
            }
            let lines = entry.start_lines.iter().map(|line| &line.path);
            if let Some(path) = lines.into_iter().find(|path| !is_start_script(path)) {
                return wrong(format!("the start script {path}, which is none"));
            }
        }
        match self.start_scripts.iter().find(|script| !is_start_script(&script.path)) {
            Some(script) => wrong(format!("the start script {}, which is none", script.path)),
            None => Ok(()),
        }
    }

    /// Its bytes; the same content always gives the same.
    ///
    /// # Errors
    /// `InvalidInput` if it cannot be put into words, which no content of these types makes it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::invalid_input(format!("cannot write the list of added drivers: {e}")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// True when a driver put the file with these bytes there.
    #[must_use]
    pub fn owns_file(&self, path: &str, sha256: &str) -> bool {
        let mut files = self.drivers.iter().flat_map(|entry| &entry.files);
        files.any(|file| file.path.eq_ignore_ascii_case(path) && file.sha256 == sha256)
    }

    /// True when a driver put a file there, whichever.
    #[must_use]
    pub fn has_file(&self, path: &str) -> bool {
        self.owner_of_file(path).is_some()
    }

    /// The driver that put a file there; of several the last that was added.
    #[must_use]
    pub fn owner_of_file(&self, path: &str) -> Option<&ManifestEntry> {
        let owners = self.drivers.iter().filter(|entry| entry.file(path).is_some());
        owners.max_by_key(|entry| entry.order)
    }

    /// What a driver has to record beside its own edits: values that were so already because of another driver (`kept`), as
    /// edits from that value to itself; strings of lists that another driver put there, as edits that put them there; and
    /// keys that another driver made and these edits lie below.
    #[must_use]
    pub fn shared_edits(&self, own: &[ManifestEdit], kept: &[ManifestEdit]) -> Vec<ManifestEdit> {
        let others = || self.drivers.iter().flat_map(|entry| &entry.registry);
        let mut touched = HashSet::new();
        for edit in own.iter().chain(kept) {
            let key = edit.key.to_ascii_lowercase();
            touched.extend(
                key.match_indices('\\')
                    .filter_map(|(at, _)| Some((edit.hive.clone(), key.get(..at)?.to_owned()))),
            );
            touched.insert((edit.hive.clone(), key));
        }
        let mut known: HashSet<EditKey> = own.iter().map(ManifestEdit::about).collect();
        let mut shared: Vec<ManifestEdit> = Vec::new();
        for other in others().filter(|other| other.value.is_none() && !other.key_deleted) {
            let wanted = touched.contains(&(other.hive.clone(), other.key.to_ascii_lowercase()));
            if wanted && known.insert(other.about()) {
                shared.push(other.clone());
            }
        }
        let of_others: HashSet<EditKey> = others().map(ManifestEdit::about).collect();
        for edit in kept.iter().filter(|edit| of_others.contains(&edit.about())) {
            if !list_edits::added_by(edit).is_empty() {
                shared.extend(list_edits::shared_with(edit, &self.drivers));
            } else if known.insert(edit.about()) {
                shared.push(ManifestEdit { old: edit.new.clone(), ..edit.clone() });
            }
        }
        shared
    }

    /// The entry of an identity.
    #[must_use]
    pub fn find(&self, identity: &str) -> Option<&ManifestEntry> {
        self.drivers.iter().find(|entry| entry.identity == identity)
    }

    /// Adds an entry; what one of the same identity recorded stays first.
    pub fn record(&mut self, mut entry: ManifestEntry) {
        if let Some(index) = self.drivers.iter().position(|other| other.identity == entry.identity) {
            let old = self.drivers.remove(index);
            entry.order = old.order;
            let mut files = old.files;
            for file in entry.files {
                if !files.iter().any(|other| other.path.eq_ignore_ascii_case(&file.path)) {
                    files.push(file);
                }
            }
            entry.files = files;
            entry.relied_on.splice(0..0, old.relied_on);
            entry.relied_on.dedup();
            let mut registry = old.registry;
            // What was lost and is as it was again needs no second mention.
            let known: HashSet<_> = registry.iter().map(|edit| (edit.about(), edit.new.clone())).collect();
            registry.extend(
                entry.registry.into_iter().filter(|edit| !known.contains(&(edit.about(), edit.new.clone()))),
            );
            entry.registry = registry;
            let new = std::mem::replace(&mut entry.start_lines, old.start_lines);
            entry.start_lines.extend(new);
            entry.start_lines.dedup();
            let new = std::mem::replace(&mut entry.made_folders, old.made_folders);
            entry.made_folders.extend(new);
            entry.made_folders.dedup();
        } else {
            entry.order = self.drivers.iter().map(|other| other.order).max().unwrap_or(0).saturating_add(1);
        }
        entry.files.sort_by_key(|file| file.path.to_lowercase());
        let files = &entry.files;
        let is_own = |path: &str| files.iter().any(|file| file.path.eq_ignore_ascii_case(path));
        entry.relied_on.retain(|relied| !is_own(&relied.path));
        entry.relied_on.sort_by_key(|relied| relied.path.to_lowercase());
        entry.relied_on.dedup_by(|a, b| a.path.eq_ignore_ascii_case(&b.path));
        self.drivers.push(entry);
        self.drivers
            .sort_by(|a, b| (a.inf.to_lowercase(), &a.identity).cmp(&(b.inf.to_lowercase(), &b.identity)));
    }
}

/// What is left of `path` below `folder`.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let start = path.get(..folder.len())?;
    let rest = path.get(folder.len()..)?.strip_prefix('\\')?;
    let leads_out = rest.split(['\\', '/']).any(|part| matches!(part, "" | "." | ".."));
    (start.eq_ignore_ascii_case(folder) && !leads_out).then_some(rest)
}

/// True for a folder right below one of the two that packages are put into.
fn is_package_folder(path: &str) -> bool {
    let name = [FOLDER, FILE_REPOSITORY].into_iter().find_map(|folder| below(path, folder));
    name.is_some_and(|name| !name.contains(['\\', '/']))
}

fn is_start_script(path: &str) -> bool {
    [WINPESHL, STARTNET].iter().any(|known| known.eq_ignore_ascii_case(path))
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema_version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_and_damage_are_named() {
        assert_eq!(Manifest::parse(b"{\"schema_version\": 9}").unwrap_err().kind(), ErrorKind::Unsupported);
        // Whoever knows it says of which image.
        let e = Manifest::parse(b"{\n \"drivers\"").unwrap_err().in_file("x.wim: image 3");
        let text = e.to_string();
        assert!(
            text.starts_with("x.wim: image 3")
                && text.contains("wim.drivers.json")
                && text.contains("line 2"),
            "{e}"
        );
        let empty = Manifest::default();
        for (path, is_one) in [
            ("\\Windows\\Drivers\\a_1", true),
            ("\\windows\\DRIVERS\\a_1", true),
            ("\\Windows\\System32\\DriverStore\\FileRepository\\a.inf_amd64_1", true),
            ("\\Windows", false),
            ("\\Windows\\Drivers", false),
            ("\\Windows\\Drivers\\", false),
            ("\\Windows\\Drivers\\..", false),
            ("\\Windows\\Drivers\\a\\b", false),
            ("\\Windows\\System32\\DriverStore\\FileRepository", false),
            ("\\Windows\\Driversa_1", false),
        ] {
            assert_eq!(is_package_folder(path), is_one, "{path}");
        }
        assert_eq!(Manifest::parse(&empty.to_bytes().unwrap()).unwrap(), empty);
    }
}
