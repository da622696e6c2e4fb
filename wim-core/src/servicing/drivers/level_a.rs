//! Drivers in Windows Vista and 7, whose driver store index nobody can write: a folder on the device path, and for what Windows
//! needs to boot the files, services and critical devices themselves.
//!
//! Source: drivers.md 3.2. At first start the kernel binds the devices through the critical device database; later Windows finds
//! the INF on the device path and installs it properly.

use super::DriverOptions;
use super::boot::{self, BootCritical};
use super::manifest::{Manifest, ManifestFile};
use super::package::Package;
use super::registry_lines::{KeptValue, Overwrite, RegistryWriter, start_type};
use super::report::{Added, How, ServiceReport};
use super::select::{SelectedFile, SelectedInstall, Selection};
use super::store::{ImageFiles, Put, Staged, StagedFile, file_version, hex, refusal};
use crate::base::{Error, Result};
use crate::formats::hive::RegValue;
use crate::formats::inf::{Directory, FileCopy, TargetWindows};
use crate::image::WimPath;
use crate::servicing::hive_set::{HiveName, HiveSet};

/// Where the package folders lie, as a path in the image and as the device path names it.
pub(super) const FOLDER: &str = "\\Windows\\Drivers";
pub(super) const DEVICE_PATH_PREFIX: &str = "%SystemRoot%\\Drivers";
/// Where the device path is, and what it is on a fresh Windows.
const CURRENT_VERSION: &str = "Microsoft\\Windows\\CurrentVersion";
pub(super) const DEVICE_PATH: &str = "DevicePath";
const DEFAULT_DEVICE_PATH: &str = "%SystemRoot%\\inf";
/// Longest device path in characters. UNVERIFIED: no limit is documented; this is what fits the buffers seen.
const MAX_DEVICE_PATH: usize = 4000;

/// Folder inside a package's folder that keeps the files of Windows that it replaced.
pub(super) const REPLACED_FOLDER: &str = "replaced";

/// Directory ids whose files are put in place: Windows, System32, drivers, INF.
const REFLECTED_DIRIDS: [u32; 4] = [10, 11, 12, 17];

/// One package on its way into an image.
pub(super) struct LevelA<'a, 'p> {
    pub(super) package: &'a Package<'p>,
    pub(super) selection: &'a Selection,
    pub(super) staged: &'a Staged,
    pub(super) target: &'a TargetWindows,
    pub(super) options: &'a DriverOptions,
    /// What was added before.
    pub(super) manifest: &'a Manifest,
    /// What the image has of it already is left as it is.
    pub(super) completing: bool,
}

/// What was done.
pub(super) struct Done {
    pub(super) added: Added,
    pub(super) files: Vec<ManifestFile>,
    pub(super) findings: Vec<String>,
    /// Registry values that were so already.
    pub(super) kept: Vec<KeptValue>,
}

impl LevelA<'_, '_> {
    /// The name of the package's folder: the INF's stem and eight digits of its identity.
    pub(super) fn folder_name(&self) -> String {
        let name = self.package.inf_name().to_lowercase();
        let stem = name.strip_suffix(".inf").unwrap_or(&name);
        // Short and free of what the device path's separator or a shell would trip over.
        let stem: String =
            stem.chars().filter(|c| !c.is_whitespace() && !";%\"".contains(*c)).take(40).collect();
        format!("{stem}_{}", self.staged.hash(8))
    }

    /// Refuses what this generation of Windows cannot take.
    ///
    /// # Errors
    /// `InvalidInput` with the reason.
    pub(super) fn check(&self) -> Result<()> {
        const DRIVER_STORE: u32 = 13;
        if let Some(file) = self.selection.files.iter().find(|file| file.copy.dirid == DRIVER_STORE) {
            let message = format!(
                "{} shall run from the driver store (directory id 13), which Windows {}.{} does not know",
                file.copy.destination_name, self.target.major, self.target.minor
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
        let folder = image.spelled(&format!("{FOLDER}\\{folder_name}"))?;
        let reason = format!("driver {}", self.package.inf_name());
        let reflect = match self.options.boot_critical {
            BootCritical::ByClass => self.selection.boot_critical,
            BootCritical::Always => true,
            BootCritical::Never => false,
        };
        let mut done = Done {
            added: Added {
                how: How::LevelA,
                folder: folder.to_string(),
                completed: self.completing,
                boot_critical: reflect,
                services: Vec::new(),
                device_ids: self.selection.device_ids(),
                files: Vec::new(),
            },
            files: Vec::new(),
            findings: Vec::new(),
            kept: Vec::new(),
        };
        self.copy_package(image, &folder, &reason, &mut done)?;
        let overwrite = if self.completing { Overwrite::OnlyMissing } else { Overwrite::All };
        let mut registry = RegistryWriter::new(hives, overwrite, &reason)?;
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
        if reflect {
            for file in &self.selection.files {
                self.reflect_file(image, &folder, file, &reason, &mut done)?;
            }
            self.write_services(&mut registry, &mut done)?;
            for selected in &self.selection.installs {
                self.register_devices(&mut registry, selected, &mut done)?;
            }
        }
        let (findings, kept) = registry.finish();
        done.findings.extend(findings);
        done.kept = kept;
        Ok(done)
    }

    fn copy_package(
        &self,
        image: &mut ImageFiles<'_>,
        folder: &WimPath,
        reason: &str,
        done: &mut Done,
    ) -> Result<()> {
        if let Some(parent) = folder.parent() {
            image.make_directory(&parent, &format!("{reason}: folder of driver packages"));
        }
        image.make_directory(folder, &format!("{reason}: its package"));
        for file in &self.staged.files {
            let path = image.spelled(&folder.join(&file.path)?.to_string())?;
            let put = image.put(&path, file, &format!("{reason}: its package"))?;
            if let Put::Written { replaced } = put {
                done.files.push(manifest_file(&path, file, replaced, None));
            }
        }
        Ok(())
    }

    /// Puts a file where Windows runs it from.
    fn reflect_file(
        &self,
        image: &mut ImageFiles<'_>,
        package_folder: &WimPath,
        selected: &SelectedFile,
        reason: &str,
        done: &mut Done,
    ) -> Result<()> {
        let copy = &selected.copy;
        let name = &copy.destination_name;
        let folder = match copy.directory(self.target.arch) {
            Directory::Folder(folder) if REFLECTED_DIRIDS.contains(&copy.dirid) => folder,
            _ => {
                done.findings.push(format!("{name}: directory id {} is left to Windows", copy.dirid));
                return Ok(());
            }
        };
        let Some(file) = self.staged.file(&selected.source.stored_path) else { return Ok(()) };
        let path = image.spelled(&format!("\\{folder}\\{name}"))?;
        let present = image.read(&path)?;
        let mut replaced_copy = None;
        match &present {
            Some(present) => {
                let is_ours = self.manifest.owns_file(&path.to_string(), &hex(&file.sha256));
                if *present == file.bytes && is_ours {
                    // Another driver put the same file there; it goes when the last of them goes.
                    done.files.push(manifest_file(&path, file, Some(file.sha256), None));
                }
                if self.completing || *present == file.bytes {
                    return Ok(());
                }
                if copy.flags & FileCopy::NO_OVERWRITE != 0 {
                    done.findings.push(format!("{path} is there and stays: its INF says so"));
                    return Ok(());
                }
                let versions = file_version(present).zip(file_version(&file.bytes));
                if let Some((old, new)) = versions.filter(|(old, new)| old > new)
                    && !self.options.force
                {
                    let text = |v: [u16; 4]| v.map(|part| part.to_string()).join(".");
                    done.findings.push(format!(
                        "{path} is there in version {} and stays; the package has {}",
                        text(old),
                        text(new)
                    ));
                    return Ok(());
                }
                let copy_path = package_folder.child(REPLACED_FOLDER).child(name.as_str());
                image.put_bytes(&copy_path, present.clone(), &format!("{reason}: the file it replaces"))?;
                replaced_copy = Some(copy_path.to_string());
            }
            None if copy.flags & FileCopy::REPLACE_ONLY != 0 => return Ok(()),
            None => {}
        }
        let put = image.put(&path, file, &format!("{reason}: {}", what(name)))?;
        if let Put::Written { replaced } = put {
            done.added.files.push(path.to_string());
            done.files.push(manifest_file(&path, file, replaced, replaced_copy));
        }
        Ok(())
    }

    fn write_services(&self, registry: &mut RegistryWriter<'_, '_>, done: &mut Done) -> Result<()> {
        let inf = self.package.inf();
        for service in self.selection.installs.iter().flat_map(|selected| &selected.install.services) {
            let known =
                done.added.services.iter().any(|other| other.name.eq_ignore_ascii_case(&service.name));
            // A service of an INF of Windows is there already, or belongs to a part of Windows that is not.
            if known || service.inbox {
                continue;
            }
            let start = start_type(service, &self.selection.class_guid, self.options.boot_start);
            let Some(start) = start.filter(|_| service.service_type.is_some()) else {
                let text = format!("service {} has no type or no start type; it is left out", service.name);
                done.findings.push(inf.error(service.position, text).to_string());
                continue;
            };
            registry.service(inf, service, start)?;
            done.added.services.push(ServiceReport {
                name: service.name.clone(),
                start,
                function_driver: service.is_function_driver(),
            });
        }
        for (service, version) in self.selection.installs.iter().flat_map(|selected| &selected.install.kmdf) {
            if !done.added.services.iter().any(|other| other.name.eq_ignore_ascii_case(service)) {
                continue;
            }
            for set in registry.control_sets() {
                let key = format!("{set}\\Services\\{service}\\Parameters\\Wdf");
                registry.set(HiveName::System, &key, "KmdfLibraryVersion", RegValue::sz(version))?;
            }
        }
        Ok(())
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
                    Some(present) if present.eq_ignore_ascii_case(&service.name) => continue,
                    Some(present) if !self.options.force => {
                        done.findings
                            .push(format!("{} is bound to service {present} already and stays so", id.id));
                        continue;
                    }
                    _ => {}
                }
                registry.set(HiveName::System, &key, "Service", RegValue::sz(&service.name))?;
                let class = RegValue::sz(&self.selection.class_guid);
                registry.set(HiveName::System, &key, "ClassGUID", class)?;
            }
        }
        Ok(())
    }
}

/// What a file is, for the reason of its change.
fn what(name: &str) -> &'static str {
    match name.rsplit('.').next().map(str::to_ascii_lowercase).as_deref() {
        Some("sys") => "driver binary",
        Some("dll" | "exe") => "program",
        _ => "file",
    }
}

fn manifest_file(
    path: &WimPath,
    file: &StagedFile,
    replaced: Option<[u8; 32]>,
    replaced_copy: Option<String>,
) -> ManifestFile {
    ManifestFile {
        path: path.to_string(),
        sha256: hex(&file.sha256),
        replaced_sha256: replaced.map(|digest| hex(&digest)),
        replaced_copy,
    }
}
