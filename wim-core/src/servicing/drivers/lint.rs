//! Looks for what would keep a Windows from booting or a driver from working: filters without a service, services without a file.
//!
//! Source: drivers.md 3.6 and 6.5. A filter that the class of the boot disk names and that is not there means STOP 0x7B. It reports
//! and changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use super::bindings::{critical_devices, file_of, names_a_drive, service_state};
use super::boot;
use super::framework;
use super::lint_leftovers;
use super::lint_store;
use super::manifest::{Manifest, ManifestEntry};
use super::store::ImageFiles;
use crate::base::{Result, hex};
use crate::servicing::hive_set::{HiveName, HiveSet, control_set_key};
use crate::servicing::target::{ImageTarget, StoreGeneration};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// A device may not work.
    Warning,
    /// Windows may not boot.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LintFinding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub text: String,
}

/// `Start` values of services that Windows needs before it can look for anything.
const BOOT_AND_SYSTEM: [u32; 2] = [0, 1];

/// All checks of an image: [`lint`], frameworks, co-installers, the driver database, drivers that serve the same devices, and what
/// drivers left that nothing knows any more.
///
/// # Errors
/// What reading the hives or the list of added drivers gives.
pub fn lint_image(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    target: &ImageTarget,
) -> Result<Vec<LintFinding>> {
    let mut findings = lint(image, hives)?;
    frameworks(image, hives, target, &mut findings)?;
    coinstallers(image, hives, &mut findings)?;
    if target.generation == StoreGeneration::Modern {
        lint_store::records(image, hives, &mut findings)?;
    }
    let manifest = Manifest::load(image.view())?;
    duplicates(&manifest, &mut findings);
    files_of_other_makers(image, &manifest, &mut findings)?;
    lint_leftovers::leftovers(image, hives, &manifest, &mut findings)?;
    findings.sort();
    findings.dedup();
    findings.reverse();
    Ok(findings)
}

/// Services that need a later framework than the image has.
fn frameworks(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    target: &ImageTarget,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(()) };
    let present = framework::present_version(image, &target.windows)?;
    let parent = format!("ControlSet{set:03}\\Services");
    for name in hives.subkeys(HiveName::System, &parent)? {
        let key = format!("{parent}\\{name}\\Parameters\\Wdf");
        let text = hives.get(HiveName::System, &key, "KmdfLibraryVersion")?.and_then(|value| value.as_str());
        let Some(needed) = text.as_deref().and_then(framework::parse_version) else { continue };
        if needed > present {
            let start = hives.get(HiveName::System, &format!("{parent}\\{name}"), "Start")?;
            let boots =
                start.and_then(|value| value.as_dword()).is_some_and(|s| BOOT_AND_SYSTEM.contains(&s));
            let severity = if boots { Severity::Error } else { Severity::Warning };
            let text = format!(
                "service {name} needs the kernel-mode driver framework {}.{}, the image has {}.{}",
                needed.0, needed.1, present.0, present.1
            );
            findings.push(LintFinding { severity, text });
        }
    }
    Ok(())
}

/// Co-installers of device classes whose file is not there: each device of the class then fails to install.
fn coinstallers(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(()) };
    let key = format!("ControlSet{set:03}\\Control\\CoDeviceInstallers");
    for (class, value) in hives.values(HiveName::System, &key)? {
        for entry in value.as_multi_sz().unwrap_or_default() {
            let file = entry.split(',').next().unwrap_or_default().trim();
            let path = image.spelled(&format!("\\Windows\\System32\\{file}"));
            if !file.is_empty() && path.is_ok_and(|path| !image.exists(&path)) {
                let text = format!("class {class} names the co-installer {file}, which is not in System32");
                findings.push(LintFinding { severity: Severity::Warning, text });
            }
        }
    }
    Ok(())
}

/// Drivers whose devices run another maker's file, because both call it the same.
fn files_of_other_makers(
    image: &ImageFiles<'_>,
    manifest: &Manifest,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    for entry in &manifest.drivers {
        let own = entry.files.iter().map(|file| (&file.path, Some(&file.sha256), None));
        let relied = entry.relied_on.iter().map(|file| (&file.path, None, Some(&file.own)));
        for (path, sha256, stored) in own.chain(relied) {
            let Some(owner) = manifest.owner_of_file(path).filter(|owner| !owner.has_maker_of(entry)) else {
                continue;
            };
            let there = owner.file(path).map(|file| &file.sha256);
            let wanted = match stored {
                Some(stored) => image.sha256_of(&image.spelled(stored)?)?.map(|digest| hex::encode(&digest)),
                None => sha256.cloned(),
            };
            if wanted.is_some() && wanted.as_ref() != there {
                let text = format!(
                    "{path} is the file of {}; devices of {} run it too, although that has another of the same name: remove one of the two",
                    owner.title(),
                    entry.title()
                );
                findings.push(LintFinding { severity: Severity::Warning, text });
            }
        }
    }
    Ok(())
}

/// Added drivers of one maker that serve the same device in different versions.
fn duplicates(manifest: &Manifest, findings: &mut Vec<LintFinding>) {
    let mut by_id: BTreeMap<String, &ManifestEntry> = BTreeMap::new();
    let mut said = HashSet::new();
    for entry in &manifest.drivers {
        for id in &entry.ids {
            let Some(other) = by_id.insert(id.to_uppercase(), entry) else { continue };
            let differs = (&other.date, &other.version) != (&entry.date, &entry.version);
            let pair = (other.identity.clone(), entry.identity.clone());
            if differs && other.arch == entry.arch && said.insert(pair) {
                let (old, new) = if (&other.date, &other.version) < (&entry.date, &entry.version) {
                    (other, entry)
                } else {
                    (entry, other)
                };
                let version = |entry: &ManifestEntry| entry.version.clone().unwrap_or_default();
                let text = format!(
                    "{} {} and {} {} both serve {id}; Windows prefers the later, so the other only takes room",
                    old.inf,
                    version(old),
                    new.inf,
                    version(new)
                );
                findings.push(LintFinding { severity: Severity::Note, text });
            }
        }
    }
}

/// Checks the current control set of an image.
///
/// # Errors
/// What reading the SYSTEM hive gives.
pub fn lint(image: &ImageFiles<'_>, hives: &mut HiveSet<'_>) -> Result<Vec<LintFinding>> {
    let mut findings = Vec::new();
    control_sets(hives, &mut findings)?;
    let Some(&set) = hives.control_sets()?.first() else { return Ok(findings) };
    let set = control_set_key(set);
    filters(hives, &format!("{set}\\Control\\Class"), &set, "class", &mut findings)?;
    filters(
        hives,
        &format!("{set}\\Control\\CriticalDeviceDatabase"),
        &set,
        "critical device",
        &mut findings,
    )?;
    boot_services(image, hives, &set, &mut findings)?;
    bound_services(image, hives, &mut findings)?;
    findings.sort();
    findings.dedup();
    findings.reverse();
    Ok(findings)
}

/// The control sets that Windows is told to start with and that are not there: by `Default` the boot loader chooses, and `Current` is what
/// it chose last.
fn control_sets(hives: &mut HiveSet<'_>, findings: &mut Vec<LintFinding>) -> Result<()> {
    let mut named = BTreeMap::new();
    for value in ["Default", "Current"] {
        let number = hives.get(HiveName::System, "Select", value)?.and_then(|value| value.as_dword());
        if let Some(number) = number.filter(|&number| number > 0) {
            named.entry(number).or_insert_with(|| format!("Select\\{value} of the SYSTEM hive names it"));
        }
    }
    if named.is_empty() {
        named.insert(1, "the SYSTEM hive has no Select\\Default that names another".to_owned());
    }
    for (number, why) in named {
        let set = control_set_key(number);
        if !hives.key_exists(HiveName::System, &set)? {
            let text = format!("there is no control set {set} for Windows to start with: {why}");
            findings.push(LintFinding { severity: Severity::Error, text });
        }
    }
    Ok(())
}

/// What of [`lint`] may keep Windows from booting, as texts.
///
/// # Errors
/// As [`lint`].
pub(super) fn errors(image: &ImageFiles<'_>, hives: &mut HiveSet<'_>) -> Result<BTreeSet<String>> {
    let findings = lint(image, hives)?.into_iter();
    Ok(findings.filter(|finding| finding.severity == Severity::Error).map(|finding| finding.text).collect())
}

/// Filters that have no service key.
fn filters(
    hives: &mut HiveSet<'_>,
    parent: &str,
    set: &str,
    what: &str,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    for name in hives.subkeys(HiveName::System, parent)? {
        let key = format!("{parent}\\{name}");
        let mut services = Vec::new();
        for value in ["UpperFilters", "LowerFilters"] {
            let list =
                hives.get(HiveName::System, &key, value)?.and_then(|v| v.as_multi_sz()).unwrap_or_default();
            services
                .extend(list.into_iter().filter(|text| !text.trim().is_empty()).map(|text| (value, text)));
        }
        for (value, service) in services {
            if !hives.key_exists(HiveName::System, &format!("{set}\\Services\\{}", service.trim()))? {
                let text =
                    format!("{what} {name} names {value} {service}, which is no service of this image");
                findings.push(LintFinding { severity: Severity::Error, text });
            }
        }
    }
    Ok(())
}

/// Services to which critical devices are bound and that cannot start: on a real Windows 7 all 110 of them are whole.
fn bound_services(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    let (mut bound, mut services) = (Vec::new(), BTreeMap::new());
    critical_devices(hives, &|_| true, &mut bound)?;
    for device in bound {
        let (Some(service), class) = (device.service, device.class_guid.unwrap_or_default()) else {
            continue;
        };
        let is_critical = boot::is_boot_critical(&class);
        let (_, critical) = services.entry(service.trim().to_lowercase()).or_insert((service, false));
        *critical |= is_critical;
    }
    for (service, critical) in services.into_values() {
        let what = match service_state(image, hives, service.trim())? {
            None => "which is no service of this image".to_owned(),
            Some(state) if state.kind.is_none() || state.start.is_none() => {
                "which has no type or no start type".to_owned()
            }
            // Of those that start at boot it is told anyway.
            Some(state) if !state.file_is_there && state.start != Some(0) => {
                format!("whose file {} is not there", state.file)
            }
            Some(_) => continue,
        };
        // The same text however many devices there are: what a job makes worse is found by comparing them.
        let severity = if critical { Severity::Error } else { Severity::Note };
        let text = format!("critical devices are bound to the service {service}, {what}");
        findings.push(LintFinding { severity, text });
    }
    Ok(())
}

/// True for a path from the root of the image, and not from a drive, a device or a variable.
fn is_on_the_system_drive(path: &str) -> bool {
    let starts =
        |prefix: &str| path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !path.contains([':', '%', '?']) && !starts("\\Device\\") && !starts("\\\\")
}

/// Boot- and system-start drivers whose file is not there.
fn boot_services(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    set: &str,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    const KERNEL: [u32; 2] = [1, 2];
    let parent = format!("{set}\\Services");
    for name in hives.subkeys(HiveName::System, &parent)? {
        let key = format!("{parent}\\{name}");
        let mut number = |value: &str| -> Result<Option<u32>> {
            Ok(hives.get(HiveName::System, &key, value)?.and_then(|v| v.as_dword()))
        };
        let (kind, start) = (number("Type")?, number("Start")?);
        let (Some(kind), Some(start)) = (kind, start) else { continue };
        if !KERNEL.contains(&kind) || !BOOT_AND_SYSTEM.contains(&start) {
            continue;
        }
        let written = hives.get(HiveName::System, &key, "ImagePath")?.and_then(|v| v.as_str());
        let written = written.unwrap_or_default();
        let path = file_of(&written, &name);
        let severity = if start == 0 { Severity::Error } else { Severity::Warning };
        // A drive's name, a device, a variable: the boot loader knows only what lies below the Windows folder. Of a drive it knows
        // nothing even where the rest of the path leads there.
        let is_readable = is_on_the_system_drive(&path) && !(start == 0 && names_a_drive(&written));
        let Some(spelled) = image.spelled(&path).ok().filter(|_| is_readable) else {
            if start == 0 {
                let told = if written.is_empty() { &path } else { &written };
                let text = format!(
                    "service {name} starts at boot, but {told} is no path that the boot loader can read"
                );
                findings.push(LintFinding { severity, text });
            }
            continue;
        };
        if !image.exists(&spelled) {
            let text = format!("service {name} starts at boot, but {path} is not there");
            findings.push(LintFinding { severity, text });
        }
    }
    Ok(())
}
