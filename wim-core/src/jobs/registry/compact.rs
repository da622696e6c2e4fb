//! Rebuilding hives without free space, and without what is damaged when that may be given up.
//!
//! The rebuilding itself is in `formats::hive`; here it is run on a hive file or on hives inside an image.

use std::path::Path;

use serde::Serialize;

use super::check::FindingRecord;
use super::edit::{EditOptions, Mode, edit_to};
use super::hive_place::{HivePlace, KeyPaths};
use super::target::{Registry, Target};
use crate::base::{Context, Result};
use crate::formats::hive::Damage;
use crate::servicing::hive_set::HiveName;

/// What a rebuild came to.
#[derive(Clone, Debug, Serialize)]
pub struct CompactReport {
    /// The hives that were rebuilt.
    pub hives: Vec<CompactedHive>,
}

/// One hive that was rebuilt.
#[derive(Clone, Debug, Serialize)]
pub struct CompactedHive {
    /// Name of the hive.
    pub hive: String,
    /// Size of the file before.
    pub before_bytes: u64,
    /// Its size now.
    pub after_bytes: u64,
    /// What was damaged and is not in it.
    pub left_out: Vec<FindingRecord>,
}

/// What [`compact`] is to do.
#[derive(Clone, Debug)]
pub struct CompactOptions<'p> {
    /// The hives of an image to rebuild; empty for all of them.
    pub hives: Vec<HivePlace>,
    /// Where the rebuilt hive file goes; none for its own place.
    pub output: Option<&'p Path>,
    /// What to do about damage.
    pub damage: Damage,
}

/// Rebuilds a hive file, or hives of the images that the target names. A dirty hive whose logs do not fit is rebuilt as it
/// lies when damage is given up.
///
/// # Errors
/// `Corrupt` or `Format` for a damaged hive that must not lose anything, `InvalidInput` for an output beside a WIM, those of
/// reading and writing.
pub fn compact(cx: &Context<'_>, target: &Target, options: &CompactOptions<'_>) -> Result<CompactReport> {
    let mut hives = Vec::new();
    let how = EditOptions { mode: Mode::Write, damage: options.damage };
    edit_to(cx, target, &KeyPaths::default(), how, options.output, |registry| {
        for name in chosen(registry, &options.hives)? {
            cx.cancel.check()?;
            registry.set.rebuild(name, "wim reg compact")?;
            let after = registry.hive(name)?.map_or(0, |hive| hive.bytes().len());
            hives.push(CompactedHive {
                hive: registry.label(name),
                before_bytes: registry.set.file_bytes(name).unwrap_or(0),
                after_bytes: after as u64,
                left_out: registry.set.left_out(name).iter().map(Into::into).collect(),
            });
        }
        Ok(())
    })?;
    Ok(CompactReport { hives })
}

fn chosen(registry: &mut Registry<'_>, places: &[HivePlace]) -> Result<Vec<HiveName>> {
    if places.is_empty() || registry.is_single() {
        return registry.hives();
    }
    places.iter().map(|place| place.find(&mut registry.set)).collect()
}
