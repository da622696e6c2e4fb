//! What of a package an image needs: the devices for its Windows, their install sections, the files those copy.
//!
//! Source: drivers.md 1.4, 1.5 and 3.1. It decides and finds fault; nothing is written here.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::boot;
use super::package::{MAX_INF, Package, SourceFile};
use crate::base::{Architecture, Error, ErrorKind, Result};
use crate::formats::inf::decoration::Mismatch;
use crate::formats::inf::{
    FileCopy, IncludedInfs, Inf, Install, Models, ParseOptions, TargetWindows, Undecorated, Version, install,
    models,
};
use crate::image::WimPath;
use crate::image::edit::View;
use crate::servicing::hive_set::{HiveName, HiveSet};
use crate::servicing::package_files::PackageFile;

/// One install section with the devices that use it.
#[derive(Debug)]
pub struct SelectedInstall {
    /// All that the section says.
    pub install: Install,
    /// Ids of its devices: in the place of a hardware id or not, without those it excludes; in the order of the INF.
    pub ids: Vec<DeviceId>,
    /// Names of its devices, in the order of the INF, each once.
    pub descriptions: Vec<String>,
}

/// One id of a device line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceId {
    /// The id as written.
    pub id: String,
    /// True for the first id of a line.
    pub is_hardware_id: bool,
}

/// A file the package copies, with where it comes from.
#[derive(Clone, Debug)]
pub struct SelectedFile {
    /// The copy line.
    pub copy: FileCopy,
    /// Its source.
    pub source: SourceFile,
}

/// What of a package applies to an image.
#[derive(Debug)]
pub struct Selection {
    /// Sections of the INF that were taken, and decorations that were not.
    pub models: Models,
    /// Install sections in use, each once.
    pub installs: Vec<SelectedInstall>,
    /// Files they copy; each pair of source and destination once.
    pub files: Vec<SelectedFile>,
    /// INFs that lie beside this one and that its `CopyINF` names.
    pub copied_infs: Vec<PackageFile>,
    /// Class GUID, upper case with braces.
    pub class_guid: String,
    /// True when Windows needs devices of that class to boot.
    pub boot_critical: bool,
    /// For each of [`Models::models`], which of [`Self::installs`] it uses.
    pub install_of: Vec<Option<usize>>,
    /// What is odd.
    pub findings: Vec<Error>,
}

impl Selection {
    /// All ids of all devices, each once, in order.
    #[must_use]
    pub fn device_ids(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let ids = self.installs.iter().flat_map(|install| &install.ids);
        ids.filter(|id| seen.insert(id.id.to_uppercase())).map(|id| id.id.clone()).collect()
    }
}

/// Why a package is not for an image.
#[derive(Debug)]
pub enum NotSelected {
    /// It has nothing for this Windows: text, and the decorations found.
    NotForThis(String, Vec<String>),
    /// It cannot be used.
    Refused(Error),
}

impl From<Error> for NotSelected {
    fn from(e: Error) -> Self {
        Self::Refused(e)
    }
}

/// The INFs of an image's `\Windows\INF`, opened when they are included, each once.
pub struct ImageInfs<'a> {
    view: &'a dyn View,
    language: u16,
    opened: RefCell<HashMap<String, Option<Arc<Inf>>>>,
}

impl<'a> ImageInfs<'a> {
    /// The INFs of the image behind `view`, with strings of a LANGID.
    #[must_use]
    pub fn new(view: &'a dyn View, language: u16) -> Self {
        Self { view, language, opened: RefCell::default() }
    }
}

impl IncludedInfs for ImageInfs<'_> {
    fn open(&self, name: &str) -> Option<Arc<Inf>> {
        let key = name.to_lowercase();
        if let Some(known) = self.opened.borrow().get(&key) {
            return known.clone();
        }
        let path = WimPath::parse("\\Windows\\INF").and_then(|folder| folder.join(name)).ok()?;
        let options = ParseOptions { language: self.language, ..ParseOptions::default() };
        let inf = (path.components().len() == 3)
            .then(|| self.view.read(&path, MAX_INF).ok())
            .flatten()
            .and_then(|bytes| Inf::parse(name, &bytes, options).ok())
            .map(Arc::new);
        self.opened.borrow_mut().insert(key, inf.clone());
        inf
    }

    fn begin_work(&self) {
        self.opened.borrow().values().flatten().for_each(|inf| inf.begin_work());
    }

    fn check_work(&self) -> Result<()> {
        let remedy = "it includes more of this INF of Windows than any driver does; do not use it";
        let opened = self.opened.borrow();
        opened.values().flatten().try_for_each(|inf| inf.check_work().map_err(|e| e.remedy(remedy)))
    }
}

/// Chooses what of `package` is for `target`.
///
/// # Errors
/// [`NotSelected`] says whether it is for another Windows or cannot be used.
pub fn select(
    package: &Package<'_>,
    target: &TargetWindows,
    includes: &dyn IncludedInfs,
    class_guid: String,
) -> Result<Selection, NotSelected> {
    select_with(package, target, includes, class_guid, Undecorated::Refuse)
}

/// [`select`] with a say in what sections without an architecture are for.
///
/// # Errors
/// As [`select`].
pub fn select_with(
    package: &Package<'_>,
    target: &TargetWindows,
    includes: &dyn IncludedInfs,
    class_guid: String,
    undecorated: Undecorated,
) -> Result<Selection, NotSelected> {
    let inf = package.inf();
    let models = models::models_with(inf, target, undecorated)?;
    includes.begin_work();
    if models.models.is_empty() {
        return Err(nothing_for(inf, &models, target));
    }
    let mut findings: Vec<Error> = models
        .undecorated
        .iter()
        .map(|name| {
            let text = format!(
                "[{name}] names no architecture, so Windows takes it for x86; it is taken for {} as asked",
                target.arch
            );
            inf.error(install::section_position(inf, name), text)
        })
        .collect();
    let (mut installs, install_of) = read_installs(inf, &models, target, includes, &mut findings)?;
    for selected in &mut installs {
        let excluded: HashSet<String> =
            selected.install.exclude_ids.iter().map(|id| id.trim().to_uppercase()).collect();
        selected.ids.retain(|id| !excluded.contains(&id.id.to_uppercase()));
        findings.append(&mut selected.install.findings);
        if let Some(e) = selected.install.refused.take() {
            let remedy = "no package of a vendor does this; do not use it";
            return Err(NotSelected::Refused(e.remedy(remedy)));
        }
    }
    if installs.is_empty() {
        return Err(NotSelected::Refused(
            Error::new(ErrorKind::Format, "none of its devices has an install section")
                .in_file(inf.name())
                .remedy("use another version of the vendor's package"),
        ));
    }
    let files = find_files(package, &installs, target.arch, &mut findings)?;
    let copied_infs = find_copied_infs(package, &installs, &mut findings);
    inf.check_work()?;
    includes.check_work()?;
    // One finding for all sections that include the same missing INF.
    let mut said = HashSet::new();
    findings.retain(|e| said.insert(e.message().to_owned()));
    let boot_critical = boot::is_boot_critical(&class_guid);
    Ok(Selection { models, installs, files, copied_infs, class_guid, boot_critical, install_of, findings })
}

/// Install sections, each once, and for each device which of them it uses.
type Installs = (Vec<SelectedInstall>, Vec<Option<usize>>);

/// Reads the install sections of all devices.
fn read_installs(
    inf: &Arc<Inf>,
    models: &Models,
    target: &TargetWindows,
    includes: &dyn IncludedInfs,
    findings: &mut Vec<Error>,
) -> Result<Installs> {
    let mut installs: Vec<SelectedInstall> = Vec::new();
    let mut install_of = Vec::with_capacity(models.models.len());
    let mut by_name: HashMap<String, Option<usize>> = HashMap::new();
    for model in &models.models {
        inf.check_work()?;
        includes.check_work()?;
        let key = model.install_section.to_lowercase();
        let index = *by_name.entry(key).or_insert_with(|| {
            match install::install(inf, &model.install_section, target, includes) {
                Some(install) => {
                    installs.push(SelectedInstall { install, ids: Vec::new(), descriptions: Vec::new() });
                    Some(installs.len() - 1)
                }
                None => {
                    let text = format!("install section [{}] is not there", model.install_section);
                    findings.push(inf.error(model.position, text));
                    None
                }
            }
        });
        install_of.push(index);
        if let Some(install) = index.and_then(|index| installs.get_mut(index)) {
            let ids = model.ids.iter().enumerate();
            install.ids.extend(ids.map(|(n, id)| DeviceId { id: id.clone(), is_hardware_id: n == 0 }));
            if install.descriptions.last() != Some(&model.description) {
                install.descriptions.push(model.description.clone());
            }
        }
    }
    Ok((installs, install_of))
}

fn nothing_for(inf: &Inf, models: &Models, target: &TargetWindows) -> NotSelected {
    if models.rejected.iter().any(|(_, reason)| *reason == Mismatch::Template) {
        return NotSelected::Refused(
            Error::invalid_input("an unstamped template of a driver kit: its $ARCH$ was never filled in")
                .in_file(inf.name())
                .remedy("build the driver with its kit and use the INF that the build made"),
        );
    }
    let decorations: Vec<String> = models.rejected.iter().map(|(name, _)| name.clone()).collect();
    let text = match (models.sections.as_slice(), models.rejected_text().as_str()) {
        ([], "") => "it names no manufacturer, so it serves no device".to_owned(),
        ([], rejected) => format!("nothing in it is for {target}: {rejected}"),
        (sections, _) => {
            let names: Vec<String> = sections.iter().map(|name| format!("[{name}]")).collect();
            format!("it serves no device on {target}: {} lists none", names.join(", "))
        }
    };
    NotSelected::NotForThis(text, decorations)
}

/// Most INFs that one package may copy; real ones copy two.
const MAX_COPIED_INFS: usize = 100;

/// The INFs that `CopyINF` names, which Windows looks for beside this one when it installs it, each once.
fn find_copied_infs(
    package: &Package<'_>,
    installs: &[SelectedInstall],
    findings: &mut Vec<Error>,
) -> Vec<PackageFile> {
    let mut found: Vec<PackageFile> = Vec::new();
    let mut seen = HashSet::new();
    for install in installs.iter().map(|selected| &selected.install) {
        for name in install.copy_infs.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            let is_itself = name.eq_ignore_ascii_case(package.inf_name());
            if is_itself || seen.len() >= MAX_COPIED_INFS || !seen.insert(name.to_lowercase()) {
                continue;
            }
            // A name alone: what lies elsewhere is another package.
            let file =
                Some(name).filter(|name| !name.contains(['\\', '/'])).and_then(|name| package.find(name));
            match file {
                Some(file) => found.push(file.clone()),
                None => {
                    let at = install::section_position(package.inf(), &install.section);
                    let text = format!(
                        "[{}] copies {name} (CopyINF), which does not lie beside the INF: when Windows installs the device it fails",
                        install.section
                    );
                    findings.push(package.inf().error(at, text));
                }
            }
        }
    }
    found
}

/// The sources of all files; those that are missing are named together.
fn find_files(
    package: &Package<'_>,
    installs: &[SelectedInstall],
    arch: Architecture,
    findings: &mut Vec<Error>,
) -> Result<Vec<SelectedFile>> {
    let mut files = BTreeMap::new();
    let mut missing: Vec<String> = Vec::new();
    // The same in lower case.
    let mut missed = HashSet::new();
    for copy in installs.iter().flat_map(|selected| &selected.install.copies) {
        let key = (
            copy.source_name.to_lowercase(),
            copy.dirid,
            copy.subdir.to_lowercase(),
            copy.destination_name.to_lowercase(),
        );
        if files.contains_key(&key) || missed.contains(&key.0) {
            continue;
        }
        package.inf().check_work()?;
        match package.source_file(copy, arch, findings) {
            Ok(source) => {
                files.insert(key, SelectedFile { copy: copy.clone(), source });
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                missed.insert(key.0);
                missing.push(copy.source_name.clone());
            }
            Err(e) => return Err(e),
        }
    }
    if !missing.is_empty() {
        const MOST_NAMED: usize = 20;
        let more = missing.len().saturating_sub(MOST_NAMED);
        missing.truncate(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("files missing from the package: {}{more}", missing.join(", "));
        return Err(Error::not_found(message)
            .in_file(package.inf_path())
            .remedy("use the complete package of the vendor, with these files where the INF expects them"));
    }
    Ok(files.into_values().collect())
}

/// The class GUID that an INF names, else that of its class name, where it is one of [`boot::CLASSES`].
#[must_use]
pub fn own_class_guid(version: &Version) -> Option<&str> {
    let own = version.class_guid.as_deref().filter(|guid| is_guid(guid));
    own.or_else(|| Some(boot::class_by_name(version.class.as_deref()?)?.guid))
}

/// The class GUID of a package: its own, else that of its class name here or in the image.
///
/// # Errors
/// `Format` when neither is known; what reading the hive gives.
pub fn class_guid(package: &Package<'_>, hives: &mut HiveSet<'_>) -> Result<String> {
    let version = package.version();
    if let Some(guid) = own_class_guid(version) {
        return Ok(guid.to_owned());
    }
    let inf = package.inf();
    let Some(name) = &version.class else {
        return Err(inf.error(version.position, "[Version] names neither a class nor a class GUID"));
    };
    if let Some(&set) = hives.control_sets()?.first() {
        let key = format!("ControlSet{set:03}\\Control\\Class");
        for guid in hives.subkeys(HiveName::System, &key)? {
            let value = hives.get(HiveName::System, &format!("{key}\\{guid}"), "Class")?;
            if value.and_then(|v| v.as_str()).is_some_and(|class| class.eq_ignore_ascii_case(name)) {
                return Ok(guid.to_ascii_uppercase());
            }
        }
    }
    Err(inf.error(version.position, format!("class {name:?} has no GUID in the INF and none in the image")))
}

/// True for `{8-4-4-4-12}` hexadecimal digits.
fn is_guid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    inner.is_some_and(|inner| {
        let parts: Vec<&str> = inner.split('-').collect();
        parts.len() == lengths.len()
            && parts
                .iter()
                .zip(lengths)
                .all(|(p, n)| p.len() == n && p.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}
