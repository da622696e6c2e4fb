//! The records of a component store: the COMPONENTS hive, `Winners`, and the keys of CBS.
//!
//! Source: updates.md 5.2 and 5.3. Data whose meaning is not published is copied from a sibling of the same image; without one
//! the value that measurements of real images show most is taken, and the plan says so.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::{PlannedAction, PlannedEdit, UpdatePlan};
use crate::base::Result;
use crate::base::hex;
use crate::formats::cbs::{AssemblyIdentity, PackageId};
use crate::formats::hive::RegValue;
use crate::servicing::cbs::CBS;
use crate::servicing::hive_set::{HiveName, HiveSet};
use crate::servicing::updates::applicability::AppliedUpdate;
use crate::servicing::updates::image_state::{ImageState, WINNERS};
use crate::servicing::updates::judge::Judgement;
use crate::servicing::updates::names::{
    component_key_form, deployment_key_form, family_key_form, file_value_name, install_reference,
    package_value_name,
};
use crate::servicing::updates::package::{Kb, LoadedManifest, UpdatePackage};

const COMPONENTS: &str = "DerivedData\\Components";
const DEPLOYMENTS: &str = "CanonicalData\\Deployments";
const CATALOGS: &str = "CanonicalData\\Catalogs";
const VERSIONED_INDEX: &str = "DerivedData\\VersionedIndex";
/// Flag of an `f!` value: a plain file that the component owns. What the other bits mean is not published.
const PLAIN_FILE: u32 = 1;
/// The first Windows that compresses files of its store, and marks it in their flags: which bits do is not published.
const FIRST_COMPRESSING: (u32, u32) = (6, 2);
/// Data of an install reference that updates of measured images have most.
const USUAL_REFERENCE_DATA: &str = "2";
/// Most deployments that are looked through for a reference to copy.
const MAX_LOOKED_AT: usize = 5000;
/// `CurrentState` of an installed package.
const INSTALLED: u32 = 0x70;

/// The SHA-256 of bytes in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

/// Adds setting a value, unless it is so already, in the image or in the plan.
fn set(
    plan: &mut UpdatePlan,
    hives: &mut HiveSet<'_>,
    hive: HiveName,
    key: &str,
    name: &str,
    data: RegValue,
) -> Result<()> {
    let old = hives.get(hive, key, name)?;
    if old.as_ref() != Some(&data) && plan.recorded.insert((hive, key.to_owned(), name.to_owned())) {
        let action = PlannedAction::SetValue(name.to_owned(), data);
        plan.records.push(PlannedEdit { hive, key: key.to_owned(), action, old });
    }
    Ok(())
}

/// A component or deployment of the store: identity, digest of its manifest, files.
pub(super) fn component(
    plan: &mut UpdatePlan,
    found: &LoadedManifest,
    state: &ImageState,
    hives: &mut HiveSet<'_>,
) -> Result<()> {
    let key = format!("{COMPONENTS}\\{}", found.key_form);
    let identity = &found.manifest.identity;
    set(plan, hives, HiveName::Components, &key, "identity", RegValue::binary(identity.to_string()))?;
    let digest: [u8; 32] = Sha256::digest(&found.bytes).into();
    set(plan, hives, HiveName::Components, &key, "S256H", RegValue::binary(digest))?;
    for file in &found.manifest.files {
        let name = file_value_name(&file.name);
        let flags = file_flags(identity, &name, state, hives)?;
        set(plan, hives, HiveName::Components, &key, &name, RegValue::dword(flags))?;
    }
    Ok(())
}

/// The flags that the newest version of the component in the store has for a file, since ours is kept as that one is.
///
/// Where they may say that the file is compressed, which ours is not, only the one known flag is taken.
fn file_flags(
    identity: &AssemblyIdentity,
    name: &str,
    state: &ImageState,
    hives: &mut HiveSet<'_>,
) -> Result<u32> {
    let windows = &state.target.windows;
    if (windows.major, windows.minor) >= FIRST_COMPRESSING {
        return Ok(PLAIN_FILE);
    }
    let Some(&version) = state.versions_in_store(identity).first() else { return Ok(PLAIN_FILE) };
    let form = component_key_form(&AssemblyIdentity { version, ..identity.clone() })?;
    let value = hives.get(HiveName::Components, &format!("{COMPONENTS}\\{form}"), name)?;
    Ok(value.and_then(|value| value.as_dword()).unwrap_or(PLAIN_FILE) | PLAIN_FILE)
}

/// That a deployment uses a component.
pub(super) fn used_by(
    plan: &mut UpdatePlan,
    component: &str,
    deployment: &AssemblyIdentity,
    hives: &mut HiveSet<'_>,
) -> Result<()> {
    let key = format!("{COMPONENTS}\\{component}");
    let name = format!("c!{}", deployment_key_form(deployment)?);
    set(plan, hives, HiveName::Components, &key, &name, RegValue::binary([]))
}

/// A deployment: identity, catalog, and the references of the update that installs it.
pub(super) fn deployment(
    plan: &mut UpdatePlan,
    found: &LoadedManifest,
    update: &AppliedUpdate,
    catalog: Option<(String, String)>,
    hives: &mut HiveSet<'_>,
) -> Result<()> {
    let form = deployment_key_form(&found.manifest.identity)?;
    let key = format!("{DEPLOYMENTS}\\{form}");
    let identity = found.manifest.identity.to_string();
    set(plan, hives, HiveName::Components, &key, "appid", RegValue::binary(identity))?;
    if let Some((_, digest)) = catalog {
        set(plan, hives, HiveName::Components, &key, "CatalogThumbprint", RegValue::sz(&digest))?;
        let catalog = format!("{CATALOGS}\\{digest}");
        set(plan, hives, HiveName::Components, &catalog, &format!("c!{form}"), RegValue::binary([]))?;
    }
    let data = match sibling_reference_data(hives)? {
        Some(data) => data,
        None => {
            note(plan, "no update of the image has an install reference to copy; its data is taken as \"2\"");
            USUAL_REFERENCE_DATA.to_owned()
        }
    };
    let reference = install_reference(&update.package, &update.update);
    let bytes = reference_bytes(&reference, &data);
    for mark in ['p', 's', 'i'] {
        let name = package_value_name(mark, &update.package, &update.update);
        set(plan, hives, HiveName::Components, &key, &name, RegValue::binary(bytes.clone()))?;
    }
    Ok(())
}

fn note(plan: &mut UpdatePlan, text: &str) {
    if !plan.notes.iter().any(|known| known == text) {
        plan.notes.push(text.to_owned());
    }
}

/// Two lengths, then both texts.
fn reference_bytes(reference: &str, data: &str) -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&length(reference));
    bytes.extend_from_slice(&length(data));
    bytes.extend_from_slice(reference.as_bytes());
    bytes.extend_from_slice(data.as_bytes());
    bytes
}

/// The second text of an install reference.
fn reference_data(bytes: &[u8]) -> Option<String> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    let (second, texts) = rest.split_first_chunk::<4>()?;
    let start = usize::try_from(u32::from_le_bytes(*first)).ok()?;
    let length = usize::try_from(u32::from_le_bytes(*second)).ok()?;
    let data = texts.get(start..start.checked_add(length)?)?;
    let is_number = !data.is_empty() && data.len() <= 10 && data.iter().all(u8::is_ascii_digit);
    is_number.then(|| String::from_utf8_lossy(data).into_owned())
}

/// The data of the first reference of an installed update.
fn sibling_reference_data(hives: &mut HiveSet<'_>) -> Result<Option<String>> {
    for deployment in hives.subkeys(HiveName::Components, DEPLOYMENTS)?.into_iter().take(MAX_LOOKED_AT) {
        for (name, value) in hives.values(HiveName::Components, &format!("{DEPLOYMENTS}\\{deployment}"))? {
            let name = name.to_ascii_lowercase();
            if name.starts_with("i!cbs_package_")
                && name.contains("for_kb")
                && let Some(data) = reference_data(&value.data)
            {
                return Ok(Some(data));
            }
        }
    }
    Ok(None)
}

/// That a component is in use. A family that the image uses without a record of it gets none.
pub(super) fn winner(
    plan: &mut UpdatePlan,
    identity: &AssemblyIdentity,
    state: &ImageState,
    hives: &mut HiveSet<'_>,
) -> Result<()> {
    let family = format!("{WINNERS}\\{}", family_key_form(identity));
    let is_new = state.versions_in_store(identity).is_empty();
    if !is_new && !hives.key_exists(HiveName::Software, &family)? {
        return Ok(());
    }
    let group = identity.version.major_minor();
    let version = identity.version.to_string();
    let grouped = format!("{family}\\{group}");
    set(plan, hives, HiveName::Software, &family, "", RegValue::sz(&group))?;
    set(plan, hives, HiveName::Software, &grouped, "", RegValue::sz(&version))?;
    set(plan, hives, HiveName::Software, &grouped, &version, RegValue::binary([1]))
}

/// The packages in CBS: state, names, owners and updates.
pub(super) fn packages(
    plan: &mut UpdatePlan,
    package: &UpdatePackage<'_>,
    judgement: &Judgement,
    state: &ImageState,
    hives: &mut HiveSet<'_>,
) -> Result<()> {
    let top = &package.top().id;
    let owners = owners(package, judgement);
    for id in &judgement.packages {
        let is_top = id.is_same(top);
        let sibling = sibling(id, is_top, state);
        if sibling.is_none() {
            note(
                plan,
                "no update of the image has a record in CBS to copy; owners and updates are marked with 0",
            );
        }
        let key = format!("{CBS}\\Packages\\{id}");
        let from = sibling.map(|sibling| format!("{CBS}\\Packages\\{sibling}"));
        let visibility = if is_top { 1 } else { 2 };
        for (name, usual) in [
            ("Visibility", Some(visibility)),
            ("SelfUpdate", Some(0)),
            ("Trusted", None),
            ("CurrentState", None),
        ] {
            let data = match (name, &from) {
                ("CurrentState", _) => Some(RegValue::dword(INSTALLED)),
                (_, Some(from)) => hives.get(HiveName::Software, from, name)?,
                _ => None,
            };
            if let Some(data) = data.or_else(|| usual.map(RegValue::dword)) {
                set(plan, hives, HiveName::Software, &key, name, data)?;
            }
        }
        let own_name = RegValue::sz(&format!("{id}.mum"));
        set(plan, hives, HiveName::Software, &key, "InstallName", own_name)?;
        let owner_data = first_data(hives, from.as_deref(), "Owners")?;
        // What nothing holds is its own.
        let own = vec![id.to_string()];
        for owner in owners.get(&lower(id)).unwrap_or(&own) {
            set(plan, hives, HiveName::Software, &format!("{key}\\Owners"), owner, owner_data.clone())?;
        }
        let update_data = first_data(hives, from.as_deref(), "Updates")?;
        for update in updates_of(package, judgement, id) {
            set(plan, hives, HiveName::Software, &format!("{key}\\Updates"), &update, update_data.clone())?;
        }
    }
    Ok(())
}

/// A package of the same shape that the image has installed.
fn sibling<'s>(id: &PackageId, is_top: bool, state: &'s ImageState) -> Option<&'s PackageId> {
    let shape = |id: &PackageId| id.name.to_ascii_lowercase().starts_with("package_for_kb");
    let candidates =
        state.packages.iter().filter(|package| package.is_installed(state) && !package.id.is_same(id));
    let mut same =
        candidates.filter(|package| Kb::find(&package.id.name).is_some() && shape(&package.id) == is_top);
    same.next().map(|package| &package.id)
}

/// Data of the first value below a sibling's subkey; 0 without one.
fn first_data(hives: &mut HiveSet<'_>, sibling: Option<&str>, subkey: &str) -> Result<RegValue> {
    let values = match sibling {
        Some(sibling) => hives.values(HiveName::Software, &format!("{sibling}\\{subkey}"))?,
        None => Vec::new(),
    };
    Ok(values.into_iter().next().map_or_else(|| RegValue::dword(0), |(_, data)| data))
}

fn lower(id: &PackageId) -> String {
    id.to_string().to_lowercase()
}

/// For each package of the plan that others of it hold, in lower case, the names of those.
fn owners(package: &UpdatePackage<'_>, judgement: &Judgement) -> HashMap<String, Vec<String>> {
    let mut owners: HashMap<String, Vec<String>> = HashMap::new();
    for entry in judgement.packages.iter().filter_map(|id| package.by_id(id)) {
        for child in entry.manifest.updates.iter().flat_map(|update| &update.packages) {
            let names = owners.entry(lower(&child.identity.package_id())).or_default();
            let name = entry.id.to_string();
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
    }
    owners
}

/// Names of the updates of a package that are installed.
fn updates_of(package: &UpdatePackage<'_>, judgement: &Judgement, id: &PackageId) -> Vec<String> {
    let own = judgement.applied.iter().filter(|update| update.package.is_same(id));
    let mut names: Vec<String> = own.map(|update| update.update.clone()).collect();
    let entry = package.by_id(id);
    for update in entry.map_or(&[][..], |entry| &entry.manifest.updates) {
        let is_planned = |child: &crate::formats::cbs::ChildPackage| {
            judgement.packages.iter().any(|planned| planned.is_same(&child.identity.package_id()))
        };
        if update.packages.iter().any(is_planned) && !names.contains(&update.name) {
            names.push(update.name.clone());
        }
    }
    names
}

/// Drops the store's own index of families, which its stack makes anew when it is gone.
pub(super) fn drop_cache(plan: &mut UpdatePlan, hives: &mut HiveSet<'_>) -> Result<()> {
    for name in hives.subkeys(HiveName::Components, VERSIONED_INDEX)? {
        plan.records.push(PlannedEdit {
            hive: HiveName::Components,
            key: format!("{VERSIONED_INDEX}\\{name}"),
            action: PlannedAction::DeleteKey,
            old: None,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_written() {
        let bytes = reference_bytes("P~t~x86~~1.0.0.0.u", "16");
        assert_eq!(reference_data(&bytes).as_deref(), Some("16"));
        for end in 0..bytes.len() {
            assert_eq!(reference_data(&bytes[..end]), None, "{end}");
        }
        let mut lying = bytes;
        lying[..8].fill(0xFF);
        assert_eq!(reference_data(&lying), None);
    }
}
