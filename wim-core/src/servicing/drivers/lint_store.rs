//! Checks of the driver database: what is published has its file, its package and its folder, and what Windows refuses without.
//!
//! Source: drivers.md 3.3 and 5. Only third-party packages are looked at; those of Windows are Windows' affair.

use super::database::{self, FILE_REPOSITORY, HIVES, INF_FOLDER, OEM_INF_MAP, ROOT};
use super::lint::{LintFinding, Severity};
use super::store::ImageFiles;
use crate::base::Result;
use crate::servicing::hive_set::{HiveName, HiveSet};

/// Bytes of a package's `Version`.
const VERSION_BYTES: usize = 48;

/// Checks what both hives say of published INFs.
pub(super) fn records(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    let map = hives.get(HiveName::System, ROOT, OEM_INF_MAP)?.map(|value| value.data).unwrap_or_default();
    let mut find = |severity, text| findings.push(LintFinding { severity, text });
    for hive in HIVES {
        for name in hives.subkeys(hive, &format!("{ROOT}\\DriverInfFiles"))? {
            let Some(number) = database::number_of(&name) else { continue };
            if database::with_number(&map, number) != map {
                let text = format!("{name} is published, but the map of numbers has its number as free");
                find(Severity::Warning, text);
            }
            let file = image.spelled(&format!("{INF_FOLDER}\\{name}"))?;
            if !image.exists(&file) {
                find(Severity::Warning, format!("{name} is published, but {file} is not there"));
            }
            let key = format!("{ROOT}\\DriverInfFiles\\{name}");
            let active = hives.get(hive, &key, "Active")?.and_then(|value| value.as_str());
            let Some(package) = active else {
                find(Severity::Warning, format!("{name} is published without an active package"));
                continue;
            };
            let key = format!("{ROOT}\\DriverPackages\\{package}");
            if !hives.key_exists(hive, &key)? {
                find(Severity::Error, format!("{name} names the package {package}, which has no record"));
                continue;
            }
            let version = hives.get(hive, &key, "Version")?.map_or(0, |value| value.data.len());
            if version != VERSION_BYTES {
                let text = format!(
                    "package {package} has no Version of 48 bytes: Windows answers with error 1168 and may not boot"
                );
                find(Severity::Error, text);
            }
            if let Ok(folder) = image.spelled(&format!("{FILE_REPOSITORY}\\{package}"))
                && !image.exists(&folder)
            {
                find(Severity::Warning, format!("package {package} has no folder in the driver store"));
            }
        }
    }
    Ok(())
}
