//! One package on its way into an image, as far as all generations of Windows have it in common: its folder, the files put where
//! Windows runs them from, and its services.
//!
//! Source: drivers.md 1.8, 1.10 and 3.7. Which of this is done, and what else, is decided in `level_a` and `level_b`.

use super::adopt::NotItsOwn;
use super::bindings;
use super::boot::BootCritical;
use super::database;
use super::manifest::{self, Manifest, ManifestFile, ReliedFile};
use super::options::{DriverOptions, Newer};
use super::package::{MAX_FILE, Package};
use super::registry_lines::{KeptValue, RegistryWriter, STORE_TOKEN, start_type};
use super::report::{Added, How, ServiceReport};
use super::select::{SelectedFile, Selection};
use super::staged::{Staged, StagedFile};
use super::store::{ImageFiles, Put, file_version};
use crate::base::Result;
use crate::base::hex;
use crate::formats::hive::RegValue;
use crate::formats::inf::{Directory, FileCopy, Service, TargetWindows};
use crate::image::WimPath;
use crate::servicing::hive_set::HiveName;

/// A package and what it meets.
#[derive(Clone, Copy)]
pub(super) struct Job<'a, 'p> {
    pub(super) package: &'a Package<'p>,
    pub(super) selection: &'a Selection,
    pub(super) staged: &'a Staged,
    pub(super) target: &'a TargetWindows,
    pub(super) options: &'a DriverOptions,
    /// What was added before.
    pub(super) manifest: &'a Manifest,
    /// What the image has of it already is left as it is.
    pub(super) completing: bool,
    /// It was added before and is not on the list of added drivers any more: what the image has of it is taken to be its own.
    pub(super) adopting: bool,
    /// What of that is not.
    pub(super) strange: &'a NotItsOwn,
}

/// What was done.
pub(super) struct Done {
    pub(super) added: Added,
    /// `oemN.inf`, where Windows publishes drivers.
    pub(super) published: Option<String>,
    pub(super) files: Vec<ManifestFile>,
    /// What was there in place of its own files.
    pub(super) relied_on: Vec<ReliedFile>,
    pub(super) findings: Vec<String>,
    /// Registry values that were so already.
    pub(super) kept: Vec<KeptValue>,
    /// It was there, and not on the list of added drivers.
    pub(super) adopted: bool,
    /// What of that is not its own.
    pub(super) strange: NotItsOwn,
}

/// What lies where Windows runs a file of a package from.
pub(super) struct Placed {
    /// Which file of the package it is, or stands in place of.
    pub(super) stored: String,
    /// This driver put it there, or another on the list; else it is Windows' own, for all that is known.
    pub(super) by_drivers: bool,
}

impl Job<'_, '_> {
    /// The reason of its changes.
    pub(super) fn reason(&self) -> String {
        format!("driver {}", self.package.inf_name())
    }

    /// Whether its files and services are put in place, rather than offered to Windows only.
    pub(super) fn is_put_in_place(&self) -> bool {
        match self.options.boot_critical {
            BootCritical::ByClass => self.selection.boot_critical,
            BootCritical::Always => true,
            BootCritical::Never => false,
        }
    }

    /// The report of a package of which nothing is done yet.
    pub(super) fn begin(&self, how: How, folder: &WimPath) -> Done {
        Done {
            added: Added {
                how,
                folder: folder.to_string(),
                completed: self.completing,
                boot_critical: self.is_put_in_place(),
                services: Vec::new(),
                device_ids: self.selection.device_ids(),
                files: Vec::new(),
            },
            published: None,
            files: Vec::new(),
            relied_on: Vec::new(),
            findings: self.strange.findings().collect(),
            kept: Vec::new(),
            adopted: self.adopting,
            strange: self.strange.clone(),
        }
    }

    /// Puts the package itself into its folder.
    pub(super) fn copy_package(
        &self,
        image: &mut ImageFiles<'_>,
        folder: &WimPath,
        done: &mut Done,
    ) -> Result<()> {
        let reason = format!("{}: its package", self.reason());
        image.make_directory(folder, &reason);
        for file in &self.staged.files {
            let path = image.spelled(&folder.join(&file.path)?.to_string())?;
            self.copy_file(image, &path, file, &reason, done)?;
        }
        Ok(())
    }

    /// Puts one file of the package there, whatever is there already.
    pub(super) fn copy_file(
        &self,
        image: &mut ImageFiles<'_>,
        path: &WimPath,
        file: &StagedFile,
        reason: &str,
        done: &mut Done,
    ) -> Result<()> {
        match image.put(path, file, reason)? {
            Put::Written { replaced } => done.files.push(manifest_file(path, file, replaced, None)),
            Put::AlreadyThere if self.adopting => done.files.push(manifest_file(path, file, None, None)),
            Put::AlreadyThere => {}
        }
        Ok(())
    }

    /// Puts a file where Windows runs it from, `folder` of the image; says what lies there then, unless the INF does not want it there.
    ///
    /// A newer file stays; one that is replaced is kept in `replaced_folder` until the driver is removed.
    pub(super) fn put_in_place(
        &self,
        image: &mut ImageFiles<'_>,
        selected: &SelectedFile,
        folder: &str,
        replaced_folder: &WimPath,
        done: &mut Done,
    ) -> Result<Option<Placed>> {
        let copy = &selected.copy;
        let name = &copy.destination_name;
        let Some(file) = self.staged.file(&selected.source.stored_path) else { return Ok(None) };
        let root = if folder.is_empty() { "" } else { "\\" };
        let path = image.spelled(&format!("{root}{folder}\\{name}"))?;
        let placed = |by_drivers| Some(Placed { stored: file.path.clone(), by_drivers });
        let (mut replaced_copy, mut replaced_link) = (None, None);
        if image.is_file(&path)? {
            let (is_same, sha256) = (image.has(&path, &file.digests)?, file.digests.sha256);
            let is_owned = self.manifest.owns_file(&path.to_string(), &hex::encode(&sha256));
            let is_found = is_same && self.adopting && !is_owned;
            if is_found && self.adopt(image, &path, file, replaced_folder, done)? {
                return Ok(placed(false));
            }
            if is_same && is_owned {
                // Another driver put the same file there; it goes when the last of them goes.
                done.files.push(manifest_file(&path, file, Some(sha256), None));
            }
            let why = match self.completing || is_same {
                true => None,
                false => self.stays(copy, &path, image, file)?,
            };
            if self.completing || is_same || why.is_some() {
                done.findings.extend(why);
                let own = format!("{}\\{}", done.added.folder, file.path);
                let never_replaces = copy.flags & FileCopy::NO_OVERWRITE != 0;
                done.relied_on.push(ReliedFile { path: path.to_string(), own, never_replaces });
                let is_drivers = if is_same { is_owned } else { self.manifest.has_file(&path.to_string()) };
                return Ok(placed(is_drivers));
            }
            self.check_replaceable(copy, &path)?;
            done.findings.push(match self.manifest.owner_of_file(&path.to_string()) {
                None => format!("{path} of this image is replaced; it is kept until the driver goes"),
                Some(owner) => format!(
                    "{path} of the driver {} is replaced; it is kept, and that driver's devices run this one until this driver goes",
                    owner.title()
                ),
            });
            let kept = kept_path(image, replaced_folder, &path)?;
            image.copy(&path, &kept, &format!("{}: the file it replaces", self.reason()))?;
            replaced_copy = Some(kept.to_string());
            replaced_link = image.view().other_names(&path).first().map(ToString::to_string);
        } else if copy.flags & FileCopy::REPLACE_ONLY != 0 {
            return Ok(None);
        }
        let put = image.put(&path, file, &format!("{}: {}", self.reason(), what(name)))?;
        if let Put::Written { replaced } = put {
            done.added.files.push(path.to_string());
            let own = manifest_file(&path, file, replaced, replaced_copy);
            done.files.push(ManifestFile { replaced_link, ..own });
        }
        Ok(placed(true))
    }

    /// Takes a file that is there for this driver's own, with the one it had replaced; false, and told, when it may be somebody else's.
    fn adopt(
        &self,
        image: &ImageFiles<'_>,
        path: &WimPath,
        file: &StagedFile,
        replaced_folder: &WimPath,
        done: &mut Done,
    ) -> Result<bool> {
        let copy = kept_path(image, replaced_folder, path)?;
        let kept = image.sha256_of(&copy)?;
        let name = path.name().map(|name| name.to_text()).unwrap_or_default();
        if let Some(why) = self.strange.why_file_stays(&name, kept.is_some()) {
            done.findings.push(format!("{path} stays for ever when this driver is removed: {why}"));
            return Ok(false);
        }
        done.files.push(manifest_file(path, file, kept, kept.map(|_| copy.to_string())));
        Ok(true)
    }

    /// Refuses packages that would replace what lies in the root: it starts Windows, and no driver needs to be there.
    fn check_replaceable(&self, copy: &FileCopy, path: &WimPath) -> Result<()> {
        if path.components().len() > 1 {
            return Ok(());
        }
        let what = format!(
            "its file {} would replace {path}, by which the machine may start",
            copy.destination_name
        );
        let error = self.package.inf().error(copy.position, what);
        Err(error.remedy("no driver needs that; get the package from its vendor"))
    }

    /// Why a file that is there is not replaced, if it is not.
    fn stays(
        &self,
        copy: &FileCopy,
        path: &WimPath,
        image: &ImageFiles<'_>,
        file: &StagedFile,
    ) -> Result<Option<String>> {
        if copy.flags & FileCopy::NO_OVERWRITE != 0 {
            return Ok(Some(format!("{path} is there and stays: its INF says so")));
        }
        let old = image.read(path)?.and_then(|bytes| file_version(&bytes));
        let new = file_version(&file.read(MAX_FILE)?);
        let Some((old, new)) =
            old.zip(new).filter(|(old, new)| old > new && self.options.newer == Newer::Keep)
        else {
            return Ok(None);
        };
        let text = |v: [u16; 4]| v.map(|part| part.to_string()).join(".");
        let (old, new) = (text(old), text(new));
        Ok(Some(format!("{path} is there in version {old} and stays; the package has {new}")))
    }

    /// Refuses what would be bound to devices and is no driver, or one that Windows could not find: a file of the package that goes to no
    /// folder of the image, or a path that means nothing to the kernel.
    pub(super) fn check_binaries(&self, is_wanted: impl Fn(u32) -> bool) -> Result<()> {
        const BELOW_WINDOWS: &str = "%SystemRoot%\\";
        self.check_types()?;
        let services = self.selection.installs.iter().flat_map(|selected| &selected.install.services);
        for service in services.filter(|service| !service.inbox && service.is_kernel()) {
            let (Some(path), Some(name)) = (service.binary.as_deref(), service.binary_name()) else {
                continue;
            };
            let starts = |prefix: &str| {
                path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            };
            let is_placed = |copy: &FileCopy| match copy.directory(self.target.arch) {
                Directory::Folder(_) => is_wanted(copy.dirid),
                Directory::DriverStore => true,
                _ => false,
            };
            let copies = self.selection.files.iter().map(|file| &file.copy);
            let mut copies =
                copies.filter(|copy| copy.destination_name.eq_ignore_ascii_case(name)).peekable();
            let lost = copies.peek().map(|copy| copy.dirid);
            let is_read_at_boot = self.earliest_start(service) == Some(Service::BOOT_START);
            let is_lost = path.starts_with('%') && !starts(BELOW_WINDOWS) && !starts(STORE_TOKEN);
            let what = if is_read_at_boot && bindings::names_a_drive(path) {
                format!(
                    "its binary {path} is named by a drive, and the boot loader, which starts it, knows none"
                )
            } else if is_lost {
                format!(
                    "its binary {path} lies outside of the Windows folder, where the kernel does not find it"
                )
            } else if let Some(dirid) = lost.filter(|_| !copies.any(is_placed)) {
                format!("its binary {name} goes to directory id {dirid}, which has no place in an image")
            } else {
                continue;
            };
            let error =
                self.package.inf().error(service.position, format!("service {}: {what}", service.name));
            return Err(error.remedy("install it on the running Windows, or use a version of the driver that lies in System32\\drivers"));
        }
        Ok(())
    }

    /// Refuses function drivers that are no drivers.
    fn check_types(&self) -> Result<()> {
        let mut services = self.selection.installs.iter().flat_map(|selected| &selected.install.services);
        let is_no_driver = |service: &&Service| {
            !service.inbox
                && service.is_function_driver()
                && service.service_type.is_some()
                && !service.is_kernel()
        };
        let Some(service) = services.find(is_no_driver) else { return Ok(()) };
        let (name, kind) = (&service.name, service.service_type.unwrap_or_default());
        let what =
            format!("service {name}: it is to drive devices, but its type {kind:#x} is that of no driver");
        let error = self.package.inf().error(service.position, what);
        Err(error.remedy("get the package from its vendor, or another version of the driver"))
    }

    /// Refuses packages that would put a file where none of a driver belongs.
    pub(super) fn check_targets(&self) -> Result<()> {
        for file in &self.selection.files {
            let Directory::Folder(folder) = file.copy.directory(self.target.arch) else { continue };
            let name = &file.copy.destination_name;
            if let Some(what) = why_no_drivers(folder.trim_matches('\\'), name) {
                let folder = if folder.is_empty() { "the root of the drive" } else { folder.as_str() };
                let what = format!("its file {name} would go to {folder}, {what}");
                let error = self.package.inf().error(file.copy.position, what);
                return Err(error.remedy("no driver needs that; get the package from its vendor"));
            }
        }
        Ok(())
    }

    /// Writes its services and their framework versions.
    pub(super) fn write_services(
        &self,
        registry: &mut RegistryWriter<'_, '_>,
        done: &mut Done,
    ) -> Result<()> {
        let inf = self.package.inf();
        for service in self.selection.installs.iter().flat_map(|selected| &selected.install.services) {
            let is_same = |other: &ServiceReport| other.name.eq_ignore_ascii_case(&service.name);
            // A service of an INF of Windows is there already, or belongs to a part of Windows that is not.
            if service.inbox {
                continue;
            }
            if let Some(known) = done.added.services.iter_mut().find(|other| is_same(other)) {
                known.function_driver |= service.is_function_driver();
                if let Some(conflict) = registry.more_of_service(service)? {
                    let text = format!(
                        "service {} is added by several install sections, and this value differs from an earlier one, which stays",
                        service.name
                    );
                    done.findings.push(inf.error(conflict, text).to_string());
                }
                continue;
            }
            let start = self.earliest_start(service);
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

    /// The start type of a service that several install sections may add: it has to start as early as any device needs it.
    fn earliest_start(&self, service: &Service) -> Option<u32> {
        let services = self.selection.installs.iter().flat_map(|selected| &selected.install.services);
        let same = services.filter(|other| !other.inbox && other.name.eq_ignore_ascii_case(&service.name));
        let (class, raise) = (&self.selection.class_guid, self.options.boot_start);
        same.filter_map(|other| start_type(other, class, raise)).min()
    }

    /// The folder of the image that a copy line means; none, with a finding, when that is for Windows itself to know.
    pub(super) fn destination(
        &self,
        copy: &FileCopy,
        is_wanted: impl Fn(u32) -> bool,
        done: &mut Done,
    ) -> Option<String> {
        match copy.directory(self.target.arch) {
            Directory::Folder(folder) if is_wanted(copy.dirid) => Some(folder),
            _ => {
                let name = &copy.destination_name;
                done.findings.push(format!("{name}: directory id {} is left to Windows", copy.dirid));
                None
            }
        }
    }
}

/// Why no driver may own a file of that name in a folder of the image; none for all but a few. Of 735 INFs of vendors none does.
fn why_no_drivers(folder: &str, name: &str) -> Option<&'static str> {
    /// Folders that are what they are with all below them.
    const FOLDERS: [(&str, &str); 9] = [
        ("Windows\\System32\\config", "where the registry lies"),
        ("Boot", "from where the machine starts"),
        ("EFI", "from where the machine starts"),
        ("Windows\\Boot", "from where disks get what machines start by"),
        ("Windows\\winsxs", "where Windows keeps its components"),
        ("Windows\\servicing", "where Windows keeps what it knows of its components"),
        ("Windows\\System32\\DriverStore", "where Windows keeps its drivers"),
        ("Windows\\System32\\CatRoot", "where Windows keeps its catalogs"),
        ("Windows\\System32\\catroot2", "where Windows keeps its catalogs"),
    ];
    /// Hives of users and boot stores, and the logs of both: wherever they are.
    const HIVES: [&str; 4] = ["ntuser.dat.", "ntuser.man.", "usrclass.dat.", "bcd."];
    /// Where Windows' own programs lie, the root of the drive among it.
    const HOMES: [&str; 5] =
        ["", "Windows", "Windows\\System32", "Windows\\System32\\Boot", "Windows\\SysWOW64"];
    const PROGRAMS: [&str; 21] = [
        "bootmgr",
        "bootmgr.efi",
        "ci.dll",
        "csrss.exe",
        "hal.dll",
        "kernel32.dll",
        "kernelbase.dll",
        "lsass.exe",
        "ntdll.dll",
        "ntkrnlpa.exe",
        "ntoskrnl.exe",
        "services.exe",
        "smss.exe",
        "startnet.cmd",
        "wininit.exe",
        "winlogon.exe",
        "winload.efi",
        "winload.exe",
        "winpeshl.ini",
        "winresume.efi",
        "winresume.exe",
    ];
    let name = name.to_lowercase();
    let is_in = |home: &str| {
        let start = folder.get(..home.len()).filter(|start| start.eq_ignore_ascii_case(home));
        start.is_some() && matches!(folder.as_bytes().get(home.len()), None | Some(b'\\'))
    };
    if format!("\\{folder}\\{name}").eq_ignore_ascii_case(manifest::PATH) {
        return Some("and be the list of added drivers");
    }
    if let Some((_, why)) = FOLDERS.iter().find(|(home, _)| is_in(home)) {
        return Some(*why);
    }
    if HIVES.iter().any(|hive| format!("{name}.").starts_with(hive)) {
        return Some("and be a part of the registry");
    }
    if folder.eq_ignore_ascii_case("Windows\\INF") && is_published_name(&name) {
        return Some("and be a driver's that Windows has published");
    }
    let is_program =
        PROGRAMS.contains(&name.as_str()) && HOMES.iter().any(|home| folder.eq_ignore_ascii_case(home));
    is_program.then_some("and be a part of Windows by which that starts")
}

/// True for `oem3.inf` and its precompiled form.
fn is_published_name(name: &str) -> bool {
    let stem = name.strip_suffix(".pnf").map(|stem| format!("{stem}.inf"));
    database::number_of(stem.as_deref().unwrap_or(name)).is_some()
}

/// Where the file that lay at `path` is kept below `replaced`, a package's folder for such files: by its whole path, since one
/// package may replace files of one name in several folders.
///
/// # Errors
/// What a path gives that cannot be one.
pub(super) fn kept_path(image: &ImageFiles<'_>, replaced: &WimPath, path: &WimPath) -> Result<WimPath> {
    image.spelled(&format!("{replaced}{path}"))
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
        sha256: hex::encode(&file.digests.sha256),
        replaced_sha256: replaced.map(|digest| hex::encode(&digest)),
        replaced_copy,
        replaced_link: None,
    }
}
