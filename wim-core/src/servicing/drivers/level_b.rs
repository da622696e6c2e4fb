//! Drivers in Windows 8 and later: the driver store's folder, the published INF and catalog, and the records of the driver database;
//! for what Windows needs to boot also the files, services and configurations themselves.
//!
//! Source: drivers.md 3.3 and 5, with what the SYSTEM hive of a real Windows 10 21H2 has for the same things. Winload starts the boot
//! services, the kernel configures devices from the database, and user-mode plug and play installs the rest from the store.

use std::collections::{BTreeMap, HashSet};

use super::database::{
    self, CATALOG_FOLDER, FILE_REPOSITORY, INF_FOLDER, LOCKDOWN, OEM_INF_MAP, PackageKind, ROOT, UPDATE_DATE,
};
use super::level_a;
use super::place::{Done, Job};
use super::registry_lines::{OWNERS, Overwrite, Publication, RegistryWriter, STORE_TOKEN, is_one_token};
use super::report::How;
use super::select::SelectedInstall;
use super::signature::{SignatureReport, SignatureStatus};
use super::store::{ImageFiles, refusal};
use crate::base::{Error, FileTime, Guid, Result};
use crate::formats::hive::{RegValue, reg_type};
use crate::formats::inf::Model;
use crate::formats::inf::registry::{RegAction, RegLine, RegRoot, SetCondition};
use crate::image::WimPath;
use crate::servicing::hive_set::{HiveName, HiveSet};

/// Directory id of the package's own folder.
const DRIVER_STORE: u32 = 13;
/// `StatusFlags` that most packages of a real hive have.
const STATUS_FLAGS: u32 = 0x12;
/// `LockLevel` of packages that run from the driver store.
const RUNS_FROM_STORE: u32 = 2;
/// First build of Windows 11: real packages of Windows 10 21H2 have neither `FileSize` nor `ManifestHash`.
const WINDOWS_11: u32 = 22000;
/// Beside a value's type in a configuration: set it only where it is absent.
const IF_ABSENT: u32 = 0x2_0000;
/// Likewise: append to a list.
const APPEND: u32 = 0x4_0000;

/// One package on its way into an image.
pub(super) struct LevelB<'a, 'p> {
    pub(super) job: Job<'a, 'p>,
    pub(super) signature: &'a SignatureReport,
}

/// What the records of one package are made of.
struct Records<'r> {
    hive: HiveName,
    /// `oemN.inf`.
    published: &'r str,
    /// Name of its folder, which is that of its key.
    package: &'r str,
    /// Its devices are configured, not only known.
    configured: bool,
}

impl LevelB<'_, '_> {
    /// The name of the package's folder and key: INF, architecture, sixteen digits of its identity.
    pub(super) fn package_name(&self) -> String {
        let inf = self.job.package.inf_name().to_lowercase();
        format!("{inf}_{}_{}", self.job.target.arch, self.job.staged.hash(16))
    }

    /// Refuses what this version of Windows cannot take.
    ///
    /// # Errors
    /// `InvalidInput` with the reason.
    pub(super) fn check(&self) -> Result<()> {
        // Known from Windows 8.1 on.
        let from_store = self.job.selection.files.iter().find(|file| file.copy.dirid == DRIVER_STORE);
        match from_store {
            Some(file) if self.job.target.version() < (6, 3) => Err(refusal(
                format!(
                    "{} shall run from the driver store (directory id 13), which Windows 8 does not know",
                    file.copy.destination_name
                ),
                "use a version of the driver made for this Windows",
            )),
            _ => Ok(()),
        }
    }

    /// Puts the package into the image, whose database knows it as `known` or not yet.
    ///
    /// # Errors
    /// What reading or editing gives; the caller then takes back what was done.
    pub(super) fn install(
        &self,
        image: &mut ImageFiles<'_>,
        hives: &mut HiveSet<'_>,
        known: Option<String>,
    ) -> Result<Done> {
        let package = self.package_name();
        let published = match known {
            Some(known) => known,
            None => free_name(image, hives)?,
        };
        let folder = image.spelled(&format!("{FILE_REPOSITORY}\\{package}"))?;
        let mut done = self.job.begin(How::LevelB, &folder);
        self.job.copy_package(image, &folder, &mut done)?;
        self.publish(image, &published, &mut done)?;
        let is_extension = self.job.package.version().is_extension();
        let configured = self.job.is_put_in_place() && !is_extension;
        done.added.boot_critical = configured;
        let kind = match (self.job.selection.boot_critical || configured, is_extension) {
            (_, true) => PackageKind::Extension,
            (true, false) => PackageKind::BootCritical,
            (false, false) => PackageKind::Other,
        };
        let hive = database::hive_of(hives, kind);
        let arch_word = database::architecture_word(hives, self.job.target.arch)?;
        let overwrite = if self.job.completing { Overwrite::OnlyMissing } else { Overwrite::All };
        let store = format!("%SystemRoot%\\System32\\DriverStore\\FileRepository\\{package}");
        let publication = Publication { name: published.clone(), folder: store.clone() };
        let mut registry = RegistryWriter::new(hives, overwrite, &self.job.reason())?
            .of_architecture(self.job.target.arch)
            .published(publication);
        if configured {
            self.put_in_place(image, &mut registry, &store, &mut done)?;
        }
        let records = Records { hive, published: &published, package: &package, configured };
        self.known_as(&mut registry, &records)?;
        self.device_ids(&mut registry, &records)?;
        self.package_values(&mut registry, &records, arch_word, &store)?;
        if configured {
            self.configurations(&mut registry, &records)?;
            self.descriptors(&mut registry, &records)?;
        }
        let (findings, kept) = registry.finish();
        done.findings.extend(findings);
        done.kept = kept;
        done.published = Some(published);
        Ok(done)
    }

    /// The INF as `oemN.inf`, and its catalog beside those of the others.
    fn publish(&self, image: &mut ImageFiles<'_>, published: &str, done: &mut Done) -> Result<()> {
        let staged = self.job.staged;
        if let Some(inf) = staged.file(self.job.package.inf_name()) {
            let path = image.spelled(&format!("{INF_FOLDER}\\{published}"))?;
            let reason = format!("{}: its published INF", self.job.reason());
            self.job.copy_file(image, &path, inf, &reason, done)?;
        }
        if let Some(catalog) = staged.catalog.as_ref().and_then(|name| staged.file(name)) {
            let name = published.trim_end_matches(".inf");
            let path = image.spelled(&format!("{CATALOG_FOLDER}\\{name}.cat"))?;
            let reason = format!("{}: its catalog", self.job.reason());
            self.job.copy_file(image, &path, catalog, &reason, done)?;
        }
        Ok(())
    }

    /// Files, services and machine-wide registry lines of what Windows needs to boot.
    fn put_in_place(
        &self,
        image: &mut ImageFiles<'_>,
        registry: &mut RegistryWriter<'_, '_>,
        store: &str,
        done: &mut Done,
    ) -> Result<()> {
        let replaced = replaced_folder(&self.package_name())?;
        self.job.check_targets()?;
        self.job.check_binaries(|_| true)?;
        for file in &self.job.selection.files {
            if file.copy.dirid == DRIVER_STORE {
                self.check_run_in_place(file, done);
                continue;
            }
            let Some(folder) = self.job.destination(&file.copy, |_| true, done) else { continue };
            let Some(placed) = self.job.put_in_place(image, file, &folder, &replaced, done)? else {
                continue;
            };
            let Some(key) = lockdown_key(&folder, &file.copy.destination_name) else { continue };
            if placed.by_drivers {
                let source = format!("{store}\\{}", placed.stored);
                self.lock_down(registry, &key, &source)?;
            } else if registry.get(HiveName::Software, &key, OWNERS)?.is_some() {
                registry.append_owner(HiveName::Software, &key)?;
            }
        }
        self.job.write_services(registry, done)?;
        let inf = self.job.package.inf();
        for selected in &self.job.selection.installs {
            let lines = selected.install.software.iter().chain(&selected.install.hardware);
            let of_machine: Vec<RegLine> =
                lines.filter(|line| line.root != RegRoot::Relative).cloned().collect();
            registry.lines(inf, &of_machine, "")?;
        }
        Ok(())
    }

    /// What runs from the store keeps its name and its folder there.
    fn check_run_in_place(&self, file: &super::select::SelectedFile, done: &mut Done) {
        let folder = file.source.stored_path.rsplit_once('\\').map_or("", |(folder, _)| folder);
        let same_name = file.copy.source_name.eq_ignore_ascii_case(&file.copy.destination_name);
        if !same_name || !folder.eq_ignore_ascii_case(&file.copy.subdir) {
            let inf = self.job.package.inf();
            let text = format!(
                "{} runs from the driver store, but is to be renamed or moved there, which Windows does not do",
                file.copy.destination_name
            );
            done.findings.push(inf.error(file.copy.position, text).to_string());
        }
    }

    /// The record by which Windows guards a file of a driver. What is Windows' own gets none: who has it may delete the file.
    fn lock_down(&self, registry: &mut RegistryWriter<'_, '_>, key: &str, source: &str) -> Result<()> {
        // Seen for 1 and for 0 of PnpLockdown; UNVERIFIED beyond the two samples of drivers.md 5.7.
        const CLASS_LOCKED: u32 = 4;
        const CLASS_UNLOCKED: u32 = 5;
        let class = if self.job.package.version().pnp_lockdown { CLASS_LOCKED } else { CLASS_UNLOCKED };
        registry.set(HiveName::Software, key, "Class", RegValue::dword(class))?;
        registry.set(HiveName::Software, key, "Source", RegValue::expand_sz(source))?;
        registry.append_owner(HiveName::Software, key)
    }

    /// `DriverInfFiles\oemN.inf`, the map of numbers and the date of the database.
    fn known_as(&self, registry: &mut RegistryWriter<'_, '_>, records: &Records<'_>) -> Result<()> {
        let Records { hive, published, package, configured } = *records;
        let key = format!("{ROOT}\\DriverInfFiles\\{published}");
        registry.set(hive, &key, "", RegValue::multi_sz(&[package]))?;
        registry.set(hive, &key, "Active", RegValue::sz(package))?;
        if configured {
            let sections: Vec<&str> = self
                .job
                .selection
                .installs
                .iter()
                .map(|selected| selected.install.section.as_str())
                .collect();
            registry.set(hive, &key, "Configurations", RegValue::multi_sz(&sections))?;
        }
        if let Some(number) = database::number_of(published) {
            let map = registry.get(HiveName::System, ROOT, OEM_INF_MAP)?.map(|value| value.data);
            let map = database::with_number(&map.unwrap_or_default(), number);
            registry.replace(HiveName::System, ROOT, OEM_INF_MAP, RegValue::binary(map))?;
        }
        let present = registry.get(hive, ROOT, UPDATE_DATE)?;
        let date = database::later_than(present.as_ref(), self.time());
        registry.set(hive, ROOT, UPDATE_DATE, RegValue::binary(date.0.to_le_bytes()))
    }

    /// When it was added: what the caller says, but not before the driver was made; the driver's date where the caller does not
    /// say. No clock is asked, so that equal input gives equal bytes.
    fn time(&self) -> FileTime {
        let own = self.job.package.version().driver_ver.map(|version| version.file_time());
        self.job.options.time.max(own).unwrap_or_default()
    }

    /// A value per device id, and one for the class.
    fn device_ids(&self, registry: &mut RegistryWriter<'_, '_>, records: &Records<'_>) -> Result<()> {
        const HARDWARE: u8 = 1;
        const COMPATIBLE: u8 = 2;
        const OF_EXTENSION: u8 = 3;
        let is_extension = self.job.package.version().is_extension();
        let mut forms: BTreeMap<String, (&str, u8, u8)> = BTreeMap::new();
        for selected in &self.job.selection.installs {
            for id in &selected.ids {
                let form = match (is_extension, id.is_hardware_id) {
                    (true, _) => OF_EXTENSION,
                    (false, true) => HARDWARE,
                    (false, false) => COMPATIBLE,
                };
                let score = selected.install.feature_score;
                let entry = forms.entry(id.id.to_uppercase()).or_insert((&id.id, form, score));
                // An id in both places counts as a hardware id.
                if form < entry.1 {
                    *entry = (&id.id, form, score);
                }
            }
        }
        let parent = format!("{ROOT}\\DeviceIds");
        for (id, form, score) in forms.into_values() {
            let key = database::device_key(&parent, id);
            let data = RegValue::binary([form, score, 0, 0]);
            registry.set(records.hive, &key, records.published, data)?;
        }
        let class = format!("{parent}\\{}", self.job.selection.class_guid.to_lowercase());
        registry.set(records.hive, &class, records.published, RegValue::new(reg_type::NONE, []))
    }

    /// The values of `DriverPackages\<package>`.
    fn package_values(
        &self,
        registry: &mut RegistryWriter<'_, '_>,
        records: &Records<'_>,
        arch_word: u16,
        store: &str,
    ) -> Result<()> {
        let key = format!("{ROOT}\\DriverPackages\\{}", records.package);
        let version = self.job.package.version();
        let class = Guid::parse(&self.job.selection.class_guid).ok_or_else(|| {
            let text = format!("class GUID {} is none", self.job.selection.class_guid);
            self.job.package.inf().error(version.position, text)
        })?;
        let mut set = |name: &str, value: RegValue| registry.set(records.hive, &key, name, value);
        set("", RegValue::sz(records.published))?;
        set("InfName", RegValue::sz(self.job.package.inf_name()))?;
        set("OemPath", RegValue::sz(store))?;
        if let Some(catalog) = &self.job.staged.catalog {
            set("Catalog", RegValue::sz(catalog))?;
        }
        set("Provider", RegValue::sz(version.provider.as_deref().unwrap_or_default()))?;
        if let (Some(signer), true) = (&self.signature.signer, self.signature.is_signed()) {
            set("SignerName", RegValue::sz(signer))?;
        }
        set("SignerScore", RegValue::dword(signer_score(self.signature.status)))?;
        set("StatusFlags", RegValue::dword(STATUS_FLAGS))?;
        let value = database::version_value(arch_word, class, version.driver_ver);
        set("Version", RegValue::binary(value))?;
        set("ImportDate", RegValue::binary(self.time().0.to_le_bytes()))?;
        if (self.job.target.major, self.job.target.build) >= (10, WINDOWS_11) {
            let size = self.job.staged.files.iter().map(|file| file.digests.size).sum();
            set("FileSize", RegValue::qword(size))?;
            set("ManifestHash", RegValue::qword(u64::MAX))?;
        }
        if self.runs_from_store() {
            set("LockLevel", RegValue::dword(RUNS_FROM_STORE))?;
        }
        if let (Some(id), true) = (&version.extension_id, version.is_extension()) {
            set("ExtensionId", RegValue::sz(&id.trim().to_lowercase()))?;
        }
        Ok(())
    }

    /// True when all its kernel drivers run from the store: those packages of a real Windows 10 whose services do are locked, and no
    /// others.
    fn runs_from_store(&self) -> bool {
        let services = self.job.selection.installs.iter().flat_map(|selected| &selected.install.services);
        let own = services.filter(|service| !service.inbox && service.is_kernel());
        let mut binaries = own.filter_map(|service| service.binary.as_deref()).peekable();
        self.job.target.major >= 10
            && binaries.peek().is_some()
            && binaries.all(|binary| binary.starts_with(STORE_TOKEN))
    }

    /// What the kernel needs to start a device: its service, and the values that go into its keys.
    fn configurations(&self, registry: &mut RegistryWriter<'_, '_>, records: &Records<'_>) -> Result<()> {
        let parent = format!("{ROOT}\\DriverPackages\\{}\\Configurations", records.package);
        for selected in &self.job.selection.installs {
            let install = &selected.install;
            let key = format!("{parent}\\{}", install.section);
            registry.set(records.hive, &key, "ConfigFlags", RegValue::dword(0))?;
            if let Some(service) = install.function_driver() {
                registry.set(records.hive, &key, "Service", RegValue::sz(&service.name))?;
            }
            let programs = install.services.iter().filter(|service| !service.is_kernel() && !service.inbox);
            let lists = [
                ("Win32Services", programs.map(|service| service.name.clone()).collect()),
                ("IncludedInfs", install.included.clone()),
                ("ExcludeIds", install.exclude_ids.clone()),
            ];
            for (name, list) in lists.iter().filter(|(_, list): &&(&str, Vec<String>)| !list.is_empty()) {
                registry.set(records.hive, &key, name, RegValue::multi_sz(list))?;
            }
            self.configured_lines(registry, records.hive, (&key, "Device"), &install.hardware)?;
            self.configured_lines(registry, records.hive, (&key, "Driver"), &install.software)?;
            for service in &install.services {
                let part = format!("Services\\{}", service.name);
                self.configured_lines(registry, records.hive, (&key, &part), &service.registry)?;
            }
        }
        Ok(())
    }

    /// The lines that set values below `HKR`, as values below a part of a configuration. Device filters stand in the
    /// configuration itself.
    fn configured_lines(
        &self,
        registry: &mut RegistryWriter<'_, '_>,
        hive: HiveName,
        (configuration, part): (&str, &str),
        lines: &[RegLine],
    ) -> Result<()> {
        const FILTERS: [&str; 2] = ["UpperFilters", "LowerFilters"];
        for line in lines.iter().filter(|line| line.root == RegRoot::Relative) {
            let name = line.value.as_deref().unwrap_or("");
            let value = match &line.action {
                RegAction::Set { kind, data, condition } => {
                    let mut value = registry.data_of(*kind, data);
                    if *condition == SetCondition::IfAbsent {
                        value.kind |= IF_ABSENT;
                    }
                    value
                }
                RegAction::Append(texts) => {
                    let mut value = RegValue::multi_sz(texts);
                    value.kind |= APPEND;
                    value
                }
                // UNVERIFIED how deletions are kept; Windows runs them when it installs the device.
                _ => continue,
            };
            let is_filter = part == "Device" && line.key.is_empty();
            if is_filter && FILTERS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                let value = RegValue::new(reg_type::MULTI_SZ, value.data);
                registry.set(hive, configuration, name, value)?;
                continue;
            }
            let key = match line.key.as_str() {
                "" => format!("{configuration}\\{part}"),
                below => format!("{configuration}\\{part}\\{below}"),
            };
            registry.set(hive, &key, name, value)?;
        }
        Ok(())
    }

    /// Which configuration each device id has, and the names of device and maker.
    fn descriptors(&self, registry: &mut RegistryWriter<'_, '_>, records: &Records<'_>) -> Result<()> {
        let package = format!("{ROOT}\\DriverPackages\\{}", records.package);
        let mut strings = BTreeMap::new();
        let mut described = HashSet::new();
        let selection = self.job.selection;
        let served: Vec<HashSet<String>> = selection.installs.iter().map(served_ids).collect();
        for (model, index) in selection.models.models.iter().zip(&selection.install_of) {
            let found = index.and_then(|index| selection.installs.get(index).zip(served.get(index)));
            let Some((selected, served)) = found else { continue };
            for id in &model.ids {
                // The first device line that names an id describes it; an id that its section excludes is none of its own.
                let upper = id.to_uppercase();
                if served.contains(&upper) && described.insert(upper) {
                    let key = database::device_key(&format!("{package}\\Descriptors"), id);
                    let section = RegValue::sz(&selected.install.section);
                    registry.set(records.hive, &key, "Configuration", section)?;
                    for (value, text) in names_of(model, &mut strings) {
                        registry.set(records.hive, &key, value, RegValue::sz(&text))?;
                    }
                }
            }
        }
        for (token, text) in strings {
            registry.set(records.hive, &format!("{package}\\Strings"), &token, RegValue::sz(&text))?;
        }
        Ok(())
    }
}

/// The lowest free `oemN.inf`.
fn free_name(image: &ImageFiles<'_>, hives: &mut HiveSet<'_>) -> Result<String> {
    let number = database::free_number(hives, |path| image.exists(path))?;
    let number = number.ok_or_else(|| {
        Error::limit("no number is left for another oemN.inf")
            .remedy("remove drivers that are no longer needed from the image")
    })?;
    Ok(format!("oem{number}.inf"))
}

/// The key of the record by which Windows guards a file; none for one outside of the Windows folder.
fn lockdown_key(folder: &str, name: &str) -> Option<String> {
    let below = folder.strip_prefix("Windows\\")?;
    // One key name: its separators are slashes.
    Some(format!("{LOCKDOWN}\\%SystemRoot%/{}/{name}", below.replace('\\', "/")))
}

/// Where the files of Windows that a package replaced are kept until it is removed: not in the store, whose folders Windows checks.
pub(super) fn replaced_folder(package: &str) -> Result<WimPath> {
    WimPath::parse(&format!("{}\\{}\\{package}", level_a::FOLDER, level_a::REPLACED_FOLDER))
}

/// The ids of an install section's devices, without those it excludes, in upper case.
fn served_ids(selected: &SelectedInstall) -> HashSet<String> {
    selected.ids.iter().map(|id| id.id.to_uppercase()).collect()
}

/// The names of a device and its maker as descriptors have them: tokens in lower case, whose texts go to `strings`, or plain text.
fn names_of(model: &Model, strings: &mut BTreeMap<String, String>) -> [(&'static str, String); 2] {
    let mut name = |written: &str, expanded: &str| {
        let written = written.trim();
        if is_one_token(written) && written != expanded {
            let token = written.to_lowercase();
            strings.insert(token.trim_matches('%').to_owned(), expanded.to_owned());
            token
        } else {
            expanded.to_owned()
        }
    };
    [
        ("Description", name(&model.description_key, &model.description)),
        ("Manufacturer", name(&model.manufacturer_key, &model.manufacturer)),
    ]
}

/// How Windows ranks who signed a package.
const fn signer_score(status: SignatureStatus) -> u32 {
    match status {
        SignatureStatus::Whql | SignatureStatus::Attested => 0x0D00_0005,
        SignatureStatus::Authenticode | SignatureStatus::ChainNotVerified => 0x0F00_0000,
        _ => 0x8000_0000,
    }
}
