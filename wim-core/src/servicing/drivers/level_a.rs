//! Drivers in Windows Vista and 7, whose driver store index nobody can write: a folder on the device path, and for what Windows
//! needs to boot the files, services and critical devices themselves.
//!
//! Source: drivers.md 3.2. At first start the kernel binds the devices through the critical device database; later Windows finds
//! the INF on the device path and installs it properly.

use super::boot;
use super::options::Newer;
use super::place::{Done, Job};
use super::registry_lines::{Overwrite, RegistryWriter};
use super::report::How;
use super::select::SelectedInstall;
use super::store::{ImageFiles, refusal};
use crate::base::{Error, Result};
use crate::formats::hive::RegValue;
use crate::image::WimPath;
use crate::servicing::hive_set::{HiveName, HiveSet};

/// Where the package folders lie, as a path in the image and as the device path names it.
pub(super) const FOLDER: &str = "\\Windows\\Drivers";
pub(super) const DEVICE_PATH_PREFIX: &str = "%SystemRoot%\\Drivers";
/// Where the device path is, and what it is on a fresh Windows.
pub(super) const CURRENT_VERSION: &str = "Microsoft\\Windows\\CurrentVersion";
pub(super) const DEVICE_PATH: &str = "DevicePath";
pub(super) const DEFAULT_DEVICE_PATH: &str = "%SystemRoot%\\inf";
/// Longest device path in characters. UNVERIFIED: no limit is documented; this is what fits the buffers seen.
const MAX_DEVICE_PATH: usize = 4000;

/// Folder inside a package's folder that keeps the files of Windows that it replaced, by their whole paths.
pub(super) const REPLACED_FOLDER: &str = "replaced";

/// Directory ids whose files are put in place: Windows, System32, drivers, INF, and the root of the drive by its three numbers.
const REFLECTED_DIRIDS: [u32; 7] = [10, 11, 12, 17, 24, 30, 54];

/// Digits of a package's identity in the name of its folder.
const NAME_DIGITS: usize = 8;

/// True for the name of a folder that may be one of a package added here: folders that people made are called otherwise.
pub(super) fn is_folder_name(name: &str) -> bool {
    let digits = name.rsplit_once('_').map(|(_, digits)| digits);
    digits.is_some_and(|digits| digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// One package on its way into an image.
pub(super) struct LevelA<'a, 'p>(pub(super) Job<'a, 'p>);

impl LevelA<'_, '_> {
    /// The name of the package's folder: the INF's stem and digits of its identity.
    pub(super) fn folder_name(&self) -> String {
        let name = self.0.package.inf_name().to_lowercase();
        let stem = name.strip_suffix(".inf").unwrap_or(&name);
        // Short and free of what the device path's separator or a shell would trip over.
        let stem: String =
            stem.chars().filter(|c| !c.is_whitespace() && !";%\"".contains(*c)).take(40).collect();
        format!("{stem}_{}", self.0.staged.hash(NAME_DIGITS))
    }

    /// The package's folder.
    ///
    /// # Errors
    /// What a name gives that cannot be one.
    pub(super) fn folder(&self, image: &ImageFiles<'_>) -> Result<WimPath> {
        image.spelled(&format!("{FOLDER}\\{}", self.folder_name()))
    }

    /// True when its folder is in the image with its INF: the name says that it was this very package.
    ///
    /// # Errors
    /// What reading the image gives.
    pub(super) fn is_there(&self, image: &ImageFiles<'_>) -> Result<bool> {
        let Some(inf) = self.0.staged.file(self.0.package.inf_name()) else { return Ok(false) };
        let path = image.spelled(&format!("{FOLDER}\\{}\\{}", self.folder_name(), inf.path))?;
        image.has(&path, &inf.digests)
    }

    /// Refuses what this generation of Windows cannot take.
    ///
    /// # Errors
    /// `InvalidInput` with the reason.
    pub(super) fn check(&self) -> Result<()> {
        const DRIVER_STORE: u32 = 13;
        if let Some(file) = self.0.selection.files.iter().find(|file| file.copy.dirid == DRIVER_STORE) {
            let message = format!(
                "{} shall run from the driver store (directory id 13), which Windows {}.{} does not know",
                file.copy.destination_name, self.0.target.major, self.0.target.minor
            );
            return Err(refusal(message, "use a version of the driver made for this Windows"));
        }
        Ok(())
    }

    /// Puts the package into the image.
    ///
    /// # Errors
    /// What reading or editing gives; the caller then takes back what was done.
    pub(super) fn install(&self, image: &mut ImageFiles<'_>, hives: &mut HiveSet<'_>) -> Result<Done> {
        let folder_name = self.folder_name();
        let folder = self.folder(image)?;
        let reason = self.0.reason();
        let mut done = self.0.begin(How::LevelA, &folder);
        if let Some(parent) = folder.parent() {
            image.make_directory(&parent, &format!("{reason}: folder of driver packages"));
        }
        self.0.copy_package(image, &folder, &mut done)?;
        let overwrite = if self.0.completing { Overwrite::OnlyMissing } else { Overwrite::All };
        let mut registry =
            RegistryWriter::new(hives, overwrite, &reason)?.of_architecture(self.0.target.arch);
        let length = registry.append_path(
            HiveName::Software,
            CURRENT_VERSION,
            DEVICE_PATH,
            DEFAULT_DEVICE_PATH,
            &format!("{DEVICE_PATH_PREFIX}\\{folder_name}"),
        )?;
        if length > MAX_DEVICE_PATH {
            return Err(Error::limit(format!(
                "the device path would grow to {length} characters, more than Windows takes ({MAX_DEVICE_PATH})"
            ))
            .remedy("add fewer packages, those that this machine needs"));
        }
        if self.0.is_put_in_place() {
            let replaced = folder.child(REPLACED_FOLDER);
            let known = |dirid| REFLECTED_DIRIDS.contains(&dirid);
            self.0.check_targets()?;
            self.0.check_binaries(known)?;
            for file in &self.0.selection.files {
                if let Some(folder) = self.0.destination(&file.copy, known, &mut done) {
                    self.0.put_in_place(image, file, &folder, &replaced, &mut done)?;
                }
            }
            self.0.write_services(&mut registry, &mut done)?;
            for selected in &self.0.selection.installs {
                self.register_devices(&mut registry, selected, &mut done)?;
            }
        }
        let (findings, kept) = registry.finish();
        done.findings.extend(findings);
        done.kept = kept;
        Ok(done)
    }

    /// Binds the ids of an install section to its function driver.
    fn register_devices(
        &self,
        registry: &mut RegistryWriter<'_, '_>,
        selected: &SelectedInstall,
        done: &mut Done,
    ) -> Result<()> {
        let Some(service) = selected.install.function_driver() else {
            if !selected.ids.is_empty() {
                done.findings.push(format!(
                    "[{}] has no function driver, so its devices are not registered for booting",
                    selected.install.section
                ));
            }
            return Ok(());
        };
        for set in registry.control_sets() {
            for id in &selected.ids {
                let key =
                    format!("{set}\\Control\\CriticalDeviceDatabase\\{}", boot::critical_device_key(&id.id));
                let present = registry.get(HiveName::System, &key, "Service")?.and_then(|v| v.as_str());
                match present.filter(|present| !present.is_empty()) {
                    Some(present) if present.eq_ignore_ascii_case(&service.name) => {
                        registry.found(HiveName::System, &key, "Service")?;
                        registry.found(HiveName::System, &key, "ClassGUID")?;
                        continue;
                    }
                    Some(present) if self.0.options.newer == Newer::Keep => {
                        done.findings
                            .push(format!("{} is bound to service {present} already and stays so", id.id));
                        continue;
                    }
                    _ => {}
                }
                registry.set(HiveName::System, &key, "Service", RegValue::sz(&service.name))?;
                let class = RegValue::sz(&self.0.selection.class_guid);
                registry.set(HiveName::System, &key, "ClassGUID", class)?;
            }
        }
        Ok(())
    }
}
