//! Looks for what would keep a Windows from booting or a driver from working: filters without a service, services without a file.
//!
//! Source: drivers.md 3.6 and 6.5. A filter that the class of the boot disk names and that is not there means STOP 0x7B. It reports
//! and changes nothing.

use serde::Serialize;

use super::store::ImageFiles;
use crate::base::Result;
use crate::servicing::hive_set::{HiveName, HiveSet};

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

/// Checks the current control set of an image.
///
/// # Errors
/// What reading the SYSTEM hive gives.
pub fn lint(image: &ImageFiles<'_>, hives: &mut HiveSet<'_>) -> Result<Vec<LintFinding>> {
    let mut findings = Vec::new();
    let Some(&set) = hives.control_sets()?.first() else { return Ok(findings) };
    let set = format!("ControlSet{set:03}");
    filters(hives, &format!("{set}\\Control\\Class"), &set, "class", &mut findings)?;
    filters(
        hives,
        &format!("{set}\\Control\\CriticalDeviceDatabase"),
        &set,
        "critical device",
        &mut findings,
    )?;
    boot_services(image, hives, &set, &mut findings)?;
    findings.sort();
    findings.dedup();
    findings.reverse();
    Ok(findings)
}

/// Filters, and bound services, that have no service key.
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
        let bound = hives.get(HiveName::System, &key, "Service")?.and_then(|v| v.as_str());
        services.extend(bound.filter(|text| !text.trim().is_empty()).map(|text| ("service", text)));
        for (value, service) in services {
            if !hives.key_exists(HiveName::System, &format!("{set}\\Services\\{}", service.trim()))? {
                let severity = if value == "service" { Severity::Note } else { Severity::Error };
                let text =
                    format!("{what} {name} names {value} {service}, which is no service of this image");
                findings.push(LintFinding { severity, text });
            }
        }
    }
    Ok(())
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
        let path = hives.get(HiveName::System, &key, "ImagePath")?.and_then(|v| v.as_str());
        let path = file_of(path.as_deref().unwrap_or_default(), &name);
        let Ok(spelled) = image.spelled(&path) else { continue };
        if image.view().entry(&spelled).is_none() {
            let severity = if start == 0 { Severity::Error } else { Severity::Warning };
            let text = format!("service {name} starts at boot, but {path} is not there");
            findings.push(LintFinding { severity, text });
        }
    }
    Ok(())
}

/// The file in the image that an `ImagePath` of a driver means; without one it is `System32\drivers\<name>.sys`.
fn file_of(path: &str, service: &str) -> String {
    let path = path.trim().trim_matches('"');
    let lower = path.to_ascii_lowercase();
    let after = |prefix: &str| lower.starts_with(prefix).then(|| path.get(prefix.len()..)).flatten();
    if path.is_empty() {
        return format!("\\Windows\\System32\\drivers\\{service}.sys");
    }
    match after("\\systemroot\\").or_else(|| after("%systemroot%\\")).or_else(|| after("\\??\\c:\\windows\\"))
    {
        Some(rest) => format!("\\Windows\\{rest}"),
        None if lower.starts_with("system32\\") => format!("\\Windows\\{path}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_paths_of_all_forms() {
        for (path, file) in [
            ("", "\\Windows\\System32\\drivers\\x.sys"),
            ("System32\\drivers\\y.sys", "\\Windows\\System32\\drivers\\y.sys"),
            ("\\SystemRoot\\System32\\drivers\\y.sys", "\\Windows\\System32\\drivers\\y.sys"),
            ("%SystemRoot%\\y.sys", "\\Windows\\y.sys"),
        ] {
            assert_eq!(file_of(path, "x"), file);
        }
    }
}
