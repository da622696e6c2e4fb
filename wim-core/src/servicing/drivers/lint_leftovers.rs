//! What drivers left in an image whose list was lost: packages, files of Windows that they had replaced, services.
//!
//! Source: drivers.md 3.6. None of it keeps Windows from anything, but no removal finds it either: each is told with what can be done.

use super::adopt::{Stranger, strangers};
use super::database::{self, HIVES, OEM_INF_MAP, ROOT};
use super::level_a::{self, FOLDER, REPLACED_FOLDER};
use super::lint::{LintFinding, Severity};
use super::manifest::Manifest;
use super::registry_lines::OWNERS;
use super::store::ImageFiles;
use crate::base::Result;
use crate::servicing::hive_set::{HiveName, HiveSet, control_set_key};

/// Looks for what is left of drivers that are neither on the list `manifest` nor in the driver database.
///
/// # Errors
/// What reading the image or the hives gives.
pub(super) fn leftovers(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    manifest: &Manifest,
    findings: &mut Vec<LintFinding>,
) -> Result<()> {
    let mut note = |text| findings.push(LintFinding { severity: Severity::Note, text });
    let services = services(hives)?;
    let is_ours = |stranger: &Stranger| {
        stranger.inf.split_once('\\').is_some_and(|(folder, _)| level_a::is_folder_name(folder))
    };
    for stranger in strangers(image, None, manifest)?.into_iter().filter(is_ours) {
        let own = |name: &&String| stranger.services.contains(&name.to_lowercase());
        let present: Vec<&str> = services.iter().filter(own).map(String::as_str).collect();
        let has = match present.is_empty() {
            true => String::new(),
            false => format!(", with {} in the registry", present.join(", ")),
        };
        note(format!(
            "{FOLDER}\\{} is on no list of added drivers{has}: add that package again, which takes it up, and remove it if nobody wants it",
            stranger.inf
        ));
    }
    let folder = image.spelled(&format!("{FOLDER}\\{REPLACED_FOLDER}"))?;
    for package in image.view().list(&folder).unwrap_or_default() {
        let name = package.name.to_text();
        let path = folder.child(package.name);
        let (_, files) = image.below(&path);
        if !files.is_empty() && !is_known(hives, manifest, &name)? {
            note(format!(
                "{path} keeps files of Windows ({}) for a driver that nothing knows any more: put them where their paths below it say, or remove it",
                files.len()
            ));
        }
    }
    for service in services {
        if let Some(gone) = unpublished_owner(hives, &service)? {
            note(format!(
                "the service {service} belongs to {gone}, which is not published: add its driver again, or delete the key with \"wim reg\""
            ));
        }
    }
    Ok(())
}

/// The services of the current control set.
fn services(hives: &mut HiveSet<'_>) -> Result<Vec<String>> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(Vec::new()) };
    hives.subkeys(HiveName::System, &format!("{}\\Services", control_set_key(set)))
}

/// True for the name of a package folder that the list or the driver database has.
fn is_known(hives: &mut HiveSet<'_>, manifest: &Manifest, package: &str) -> Result<bool> {
    let is_listed = manifest.drivers.iter().any(|entry| entry.folder_name().eq_ignore_ascii_case(package));
    Ok(is_listed || database::published_as(hives, package)?.is_some())
}

/// The first owner of a service that is no published INF, when none of its owners is one.
fn unpublished_owner(hives: &mut HiveSet<'_>, service: &str) -> Result<Option<String>> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(None) };
    let key = format!("{}\\Services\\{service}", control_set_key(set));
    let owners = hives.get(HiveName::System, &key, OWNERS)?.and_then(|value| value.as_multi_sz());
    let map = hives.get(HiveName::System, ROOT, OEM_INF_MAP)?.map(|value| value.data).unwrap_or_default();
    let mut first = None;
    for owner in owners.unwrap_or_default() {
        // Windows' own INFs are in no list of those that are published.
        let Some(number) = database::number_of(&owner) else { return Ok(None) };
        let mut is_published = database::with_number(&map, number) == map;
        for hive in HIVES {
            is_published |= hives.key_exists(hive, &format!("{ROOT}\\DriverInfFiles\\{owner}"))?;
        }
        if is_published {
            return Ok(None);
        }
        first.get_or_insert(owner);
    }
    Ok(first)
}
