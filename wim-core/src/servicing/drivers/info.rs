//! Explains a driver package: what it is, for which Windows, which devices, files and services, who signed it, and why it does or
//! does not apply to a given Windows.
//!
//! The same choices are made as when it is added (drivers.md 1.4 to 1.12); nothing is decided twice and nothing is written.

use serde::Serialize;

use super::boot;
use super::lint_package::lint_package;
use super::options::DriverOptions;
use super::package::Package;
use super::policy::{boot_files_of_sha2, boot_files_without_signature};
use super::select::{self, NotSelected, Selection};
use super::signature::{self, SignatureReport};
use super::staged::{self, Staged};
use crate::base::{Architecture, Error, Result};
use crate::formats::inf::{Directory, IncludedInfs, TargetWindows, models};

/// What a package is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriverInfo {
    /// What its source is called.
    pub source: String,
    /// Path of the INF in its source.
    pub inf: String,
    /// How its text is encoded.
    pub encoding: String,
    /// Class name.
    pub class: Option<String>,
    /// Class GUID.
    pub class_guid: Option<String>,
    /// Devices of its class are needed to boot.
    pub boot_critical: bool,
    /// It extends another driver.
    pub is_extension: bool,
    /// Who made it.
    pub provider: Option<String>,
    /// Date.
    pub date: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Catalogs that the INF names: decoration and file.
    pub catalogs: Vec<(String, String)>,
    /// The decorations of its `[Manufacturer]` lines: the Windows it says it is for.
    pub targets: Vec<String>,
    /// LANGIDs it has strings for, beside the plain ones.
    pub languages: Vec<String>,
    /// How it applies to the Windows asked about, one for each.
    pub applicability: Vec<Applicability>,
    /// What is odd about its text.
    pub findings: Vec<String>,
}

/// How a package applies to one Windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applicability {
    /// The Windows: `amd64 6.1.7601`.
    pub windows: String,
    /// It can be added there, signature and framework aside.
    pub applies: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What can be done about it.
    pub remedy: Option<String>,
    /// The Models sections that are taken.
    pub sections: Vec<String>,
    /// The decorations that are not, with the reason.
    pub rejected: Vec<(String, String)>,
    /// Devices.
    pub devices: Vec<DeviceInfo>,
    /// Files.
    pub files: Vec<FileInfo>,
    /// Services.
    pub services: Vec<ServiceInfo>,
    /// Framework versions its services need.
    pub frameworks: Vec<String>,
    /// Co-installers, which run when a device is installed and not before.
    pub coinstallers: Vec<String>,
    /// A service starts with the boot loader.
    pub boot_start: bool,
    /// Who vouches for it.
    pub signature: Option<SignatureReport>,
    /// What is odd.
    pub findings: Vec<String>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// Its name.
    pub description: String,
    /// Its ids, the first in the place of a hardware id.
    pub ids: Vec<String>,
    /// The install section it uses.
    pub install_section: String,
}

/// A file that is copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Path in the package, below the INF.
    pub source: String,
    /// Path in the image, or what else the INF says.
    pub destination: String,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// Its start type.
    pub start: Option<u32>,
    /// Its binary, as the INF gives it.
    pub binary: Option<String>,
    /// It is the devices' function driver.
    pub function_driver: bool,
    /// It is one of Windows' own, which the INF only refers to.
    pub inbox: bool,
}

/// Parses what people call a Windows: `7-amd64`, `8.1-x86`, `11-arm64`, or `10.0.19045-amd64`.
///
/// # Errors
/// `InvalidInput` with the names there are.
pub fn parse_windows(text: &str) -> Result<TargetWindows> {
    let unknown = || {
        Error::invalid_input(format!("{text:?} names no Windows"))
            .remedy("write a version and an architecture: vista, 7, 8, 8.1, 10, 11 or 10.0.19045, and x86, amd64 or arm64, as in 7-amd64")
    };
    let (version, arch) = text.trim().rsplit_once('-').ok_or_else(unknown)?;
    let arch = match arch.to_ascii_lowercase().as_str() {
        "x64" => Architecture::Amd64,
        name => Architecture::from_name(name).ok_or_else(unknown)?,
    };
    let (major, minor, build) = match version.to_ascii_lowercase().as_str() {
        "vista" => (6, 0, 6002),
        "7" => (6, 1, 7601),
        "8" => (6, 2, 9200),
        "8.1" => (6, 3, 9600),
        "10" => (10, 0, 19045),
        "11" => (10, 0, 22631),
        numbers => {
            let mut parts = numbers.split('.').map(|part| part.parse::<u32>().map_err(|_| unknown()));
            let mut part = || parts.next().unwrap_or_else(|| Err(unknown()));
            (part()?, part()?, part()?)
        }
    };
    Ok(TargetWindows { arch, major, minor, build, product_type: 1, suite_mask: 0x100 })
}

/// Explains `package`, and how it applies to each of `targets`; `includes` brings the INFs of Windows it may refer to, `options` say
/// what its signature may go back to.
#[must_use]
pub fn explain(
    package: &Package<'_>,
    targets: &[TargetWindows],
    includes: &dyn IncludedInfs,
    options: &DriverOptions,
) -> DriverInfo {
    let version = package.version();
    let inf = package.inf();
    let guid = select::own_class_guid(version).map(str::to_owned);
    let mut decorations: Vec<String> =
        models::manufacturers(inf).into_iter().flat_map(|line| line.decorations).collect();
    decorations.sort_by_key(|text| text.to_lowercase());
    decorations.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    DriverInfo {
        source: package.source().name().to_owned(),
        inf: package.inf_path().to_owned(),
        encoding: inf.encoding().to_string(),
        class: version.class.clone(),
        boot_critical: guid.as_deref().is_some_and(boot::is_boot_critical),
        is_extension: version.is_extension(),
        provider: version.provider.clone(),
        date: version.driver_ver.map(|v| v.date_text()),
        version: version.driver_ver.map(|v| v.version_text()),
        catalogs: version.catalogs.clone(),
        targets: decorations,
        languages: inf.strings().languages().map(|id| format!("{id:04x}")).collect(),
        applicability: targets
            .iter()
            .map(|target| applicability(package, target, includes, options, guid.clone().unwrap_or_default()))
            .collect(),
        findings: inf.findings().iter().map(ToString::to_string).collect(),
        class_guid: guid,
    }
}

fn applicability(
    package: &Package<'_>,
    target: &TargetWindows,
    includes: &dyn IncludedInfs,
    options: &DriverOptions,
    class_guid: String,
) -> Applicability {
    let mut result = Applicability::of(target);
    let chosen = select::select(package, target, includes, class_guid);
    let lint = lint_package(package, target, chosen.as_ref().ok());
    match chosen {
        Err(NotSelected::NotForThis(reason, _)) => {
            result.reason = Some(reason);
            if let Ok(models) = models::models_for(package.inf(), target) {
                result.rejected =
                    models.rejected.into_iter().map(|(name, why)| (name, why.to_string())).collect();
                result.sections = models.sections;
            }
        }
        Err(NotSelected::Refused(e)) => result.refuse(&e),
        Ok(selection) => {
            result.fill(&selection, target);
            let staged = Staged::new(package, &selection, target.arch)
                .and_then(|staged| signature::restore_line_ends(staged, package.source(), &mut Vec::new()));
            match staged {
                Ok(staged) => {
                    let report = signature::check(&staged, target, &options.roots);
                    let rules = (target, options);
                    result.findings.extend(boot_files_of_sha2(&selection, &staged, rules));
                    result.findings.extend(boot_files_without_signature(&selection, &staged, rules, &report));
                    result.signature = Some(report);
                    match staged::check_machines(&selection, &staged, target.arch) {
                        Ok(()) => result.applies = true,
                        Err(e) => result.refuse(&e),
                    }
                }
                Err(e) => result.refuse(&e),
            }
        }
    }
    for finding in lint {
        if !result.findings.contains(&finding.text) {
            result.findings.push(finding.text);
        }
    }
    result
}

impl Applicability {
    /// Nothing known yet.
    fn of(target: &TargetWindows) -> Self {
        Self {
            windows: target.to_string(),
            applies: false,
            reason: None,
            remedy: None,
            sections: Vec::new(),
            rejected: Vec::new(),
            devices: Vec::new(),
            files: Vec::new(),
            services: Vec::new(),
            frameworks: Vec::new(),
            coinstallers: Vec::new(),
            boot_start: false,
            signature: None,
            findings: Vec::new(),
        }
    }

    fn refuse(&mut self, e: &Error) {
        self.reason = Some(e.to_string());
        self.remedy = e.remedy_text().map(str::to_owned);
    }

    fn fill(&mut self, selection: &Selection, target: &TargetWindows) {
        self.sections.clone_from(&selection.models.sections);
        self.rejected =
            selection.models.rejected.iter().map(|(name, why)| (name.clone(), why.to_string())).collect();
        self.devices = selection
            .models
            .models
            .iter()
            .map(|model| DeviceInfo {
                description: model.description.clone(),
                ids: model.ids.clone(),
                install_section: model.install_section.clone(),
            })
            .collect();
        for file in &selection.files {
            let folder = match file.copy.directory(target.arch) {
                Directory::Folder(folder) => format!("\\{folder}"),
                Directory::DriverStore => "the driver store".to_owned(),
                Directory::Source => "the package's folder".to_owned(),
                Directory::Absolute => file.copy.subdir.clone(),
                Directory::Unusable(why) => why.to_owned(),
            };
            self.files.push(FileInfo {
                source: file.source.stored_path.clone(),
                destination: format!("{folder}\\{}", file.copy.destination_name),
            });
        }
        for selected in &selection.installs {
            for service in &selected.install.services {
                if self.services.iter().any(|known| known.name.eq_ignore_ascii_case(&service.name)) {
                    continue;
                }
                self.boot_start |= service.start_type == Some(0) && !service.inbox;
                self.services.push(ServiceInfo {
                    name: service.name.clone(),
                    start: service.start_type,
                    binary: service.binary.clone(),
                    function_driver: service.is_function_driver(),
                    inbox: service.inbox,
                });
            }
            let frameworks =
                selected.install.kmdf.iter().map(|(service, version)| format!("{service}: KMDF {version}"));
            self.frameworks.extend(frameworks);
            self.coinstallers.extend(selected.install.coinstallers.iter().cloned());
        }
        for list in [&mut self.frameworks, &mut self.coinstallers] {
            list.sort();
            list.dedup();
        }
        self.findings = selection.findings.iter().map(ToString::to_string).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_windows() {
        assert_eq!(parse_windows("7-amd64").unwrap().to_string(), "amd64 6.1.7601");
        assert_eq!(parse_windows("8.1-X64").unwrap().to_string(), "amd64 6.3.9600");
        assert_eq!(parse_windows("10.0.14393-arm64").unwrap().to_string(), "arm64 10.0.14393");
        for bad in ["7", "xp-x86", "7-mips", "10.0-x86", ""] {
            assert!(parse_windows(bad).is_err(), "{bad}");
        }
    }
}
