//! Several packages against one image: which go in, in which order, and why the others do not.
//!
//! Source: updates.md 7.1. Of several versions of one update the newest that applies is taken; a prerequisite that is
//! among the files counts as there once it goes first. The order is that of `windows7.rs`, then of dates; equal input gives
//! equal order.

use std::cmp::Ordering;

use super::image_state::ImageState;
use super::judge::{Judgement, Missing, Outcome, judge};
use super::package::{Kb, UpdatePackage};
use super::windows7;
use crate::base::Result;
use crate::servicing::hive_set::HiveSet;

/// One package of a check, with its place.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Position in the list that was given.
    pub package: usize,
    /// Its place among those to install, counted from 1; none for the others.
    pub order: Option<usize>,
    /// What came of it; prerequisites that others of the list bring are not missing.
    pub judgement: Judgement,
    /// Updates of the list that go before it because it needs them.
    pub after: Vec<Kb>,
}

/// What a package is sorted by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    step: u8,
    date: String,
    kb: Option<Kb>,
    name: String,
    position: usize,
}

/// Judges all `packages`; those to install come first and in order, the others in the order given.
///
/// # Errors
/// As [`judge`].
pub fn check(
    packages: &[UpdatePackage<'_>],
    state: &ImageState,
    hives: &mut HiveSet<'_>,
) -> Result<Vec<Checked>> {
    let mut checked = Vec::new();
    for (position, package) in packages.iter().enumerate() {
        let judgement = judge(package, state, hives)?;
        checked.push(Checked { package: position, order: None, judgement, after: Vec::new() });
    }
    replace_within(packages, &mut checked);
    satisfy_within(packages, &mut checked);
    keep_newest(packages, &mut checked);
    let order = sort(packages, &checked);
    for (place, &position) in order.iter().enumerate() {
        if let Some(one) = checked.get_mut(position) {
            one.order = Some(place + 1);
        }
    }
    checked.sort_by_key(|one| (one.order.unwrap_or(usize::MAX), one.package));
    Ok(checked)
}

/// Of several versions of one package the newest that applies is kept; what becomes of the others is said.
///
/// A newer one that does not apply takes nobody's place: it may be for another edition, or lack what it needs.
fn keep_newest(packages: &[UpdatePackage<'_>], checked: &mut [Checked]) {
    for (position, package) in packages.iter().enumerate() {
        let Some(best) = newest_twin(packages, checked, position) else { continue };
        let version = package.top().id.version;
        let Some(newest) = packages.get(best) else { continue };
        if best == position {
            let newer = twins(packages, package).filter(|(_, twin)| twin.top().id.version > version);
            let notes: Vec<String> = newer
                .filter_map(|(at, twin)| {
                    let (newer, label) = (twin.top().id.version, checked.get(at)?.judgement.outcome.label());
                    Some(format!("{} has version {newer}, which is not taken: {label}", twin.source()))
                })
                .collect();
            if let Some(one) = checked.get_mut(position) {
                one.judgement.notes.extend(notes);
            }
            continue;
        }
        let (file, newer) = (newest.source(), newest.top().id.version);
        let by = match newer.cmp(&version) {
            Ordering::Equal => format!("{file}, which is the same package"),
            Ordering::Greater => format!("{file}, which has version {newer} of the same package"),
            // This one is newer, but does not apply as things are: its own outcome says why.
            Ordering::Less => continue,
        };
        if let Some(one) = checked.get_mut(position) {
            one.judgement.outcome = Outcome::Superseded { by };
        }
    }
}

/// The files that have the same package in any version, this one included, with their positions.
fn twins<'p, 'f>(
    packages: &'p [UpdatePackage<'f>],
    package: &'p UpdatePackage<'f>,
) -> impl Iterator<Item = (usize, &'p UpdatePackage<'f>)> {
    packages.iter().enumerate().filter(|(_, twin)| twin.top().id.is_same_family(&package.top().id))
}

/// Of the versions of a package that would apply, the newest that does, else the newest; of equal ones the first. None
/// when this one would not apply.
fn newest_twin(packages: &[UpdatePackage<'_>], checked: &[Checked], position: usize) -> Option<usize> {
    let would_apply = |at: usize| checked.get(at).filter(|one| one.judgement.afterwards.is_to_install());
    let package = would_apply(position).and_then(|_| packages.get(position))?;
    let best = twins(packages, package).filter_map(|(at, twin)| {
        let applies = would_apply(at)?.judgement.outcome.is_to_install();
        Some((applies, twin.top().id.version, std::cmp::Reverse(at)))
    });
    best.max().map(|(_, _, std::cmp::Reverse(at))| at)
}

/// Takes updates out that others of the list replace, as the table has it.
fn replace_within(packages: &[UpdatePackage<'_>], checked: &mut [Checked]) {
    let installing = |one: &&Checked| one.judgement.afterwards.is_to_install();
    let given: Vec<Kb> = checked
        .iter()
        .filter(installing)
        .filter_map(|one| packages.get(one.package).and_then(UpdatePackage::kb))
        .collect();
    for one in checked.iter_mut().filter(|one| one.judgement.afterwards.is_to_install()) {
        let Some(kb) = packages.get(one.package).and_then(UpdatePackage::kb) else { continue };
        let newer = windows7::entry(kb).map_or(&[][..], |entry| entry.replaced_by);
        let Some(newer) = newer.iter().map(|&kb| Kb(kb)).find(|kb| given.contains(kb)) else { continue };
        // A servicing stack that the newer one itself needs first stays.
        let is_needed = windows7::entry(newer)
            .is_some_and(|newer| newer.needs.iter().any(|need| need.any_of.contains(&kb.0)));
        if !is_needed {
            one.judgement.notes.push(format!("{newer}, which is given too, takes its place"));
            one.judgement.outcome = Outcome::Superseded { by: format!("{newer}, which is given too") };
            one.judgement.afterwards = one.judgement.outcome.clone();
        }
    }
}

/// The package that brings what is missing: the one that is best got for it, else any with such a servicing stack.
fn bringer<'p, 'f>(given: &[&'p UpdatePackage<'f>], missing: &Missing) -> Option<&'p UpdatePackage<'f>> {
    let of_kb = |kb: &Kb| given.iter().find(|package| package.kb() == Some(*kb));
    let has_stack = |package: &&&UpdatePackage<'_>| {
        missing.stack.zip(package.stack_version()).is_some_and(|(least, has)| has >= least)
    };
    missing.any_of.iter().find_map(of_kb).or_else(|| given.iter().find(has_stack)).copied()
}

/// Lets packages of the list be each other's prerequisites, until nothing changes.
fn satisfy_within(packages: &[UpdatePackage<'_>], checked: &mut [Checked]) {
    loop {
        let given = to_install(packages, checked);
        let mut changed = false;
        for one in checked.iter_mut() {
            let Outcome::PrerequisiteMissing { missing } = &mut one.judgement.outcome else { continue };
            one.after = missing.iter().filter_map(|missing| bringer(&given, missing)?.kb()).collect();
            if missing.iter().all(|missing| bringer(&given, missing).is_some()) {
                one.judgement.outcome = one.judgement.afterwards.clone();
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let given = to_install(packages, checked);
    for one in checked.iter_mut() {
        if let Outcome::PrerequisiteMissing { missing } = &mut one.judgement.outcome {
            missing.retain(|missing| bringer(&given, missing).is_none());
        }
        if !one.judgement.outcome.is_to_install() {
            one.after.clear();
            continue;
        }
        for missing in &one.judgement.advised {
            match (bringer(&given, missing), missing.kb) {
                (Some(package), _) => one.after.extend(package.kb()),
                (None, Some(kb)) => {
                    one.judgement.notes.push(format!("{kb} is not there: {}", missing.what));
                }
                (None, None) => {}
            }
        }
        one.after.sort_unstable();
        one.after.dedup();
    }
}

fn to_install<'p, 'f>(packages: &'p [UpdatePackage<'f>], checked: &[Checked]) -> Vec<&'p UpdatePackage<'f>> {
    let installing = checked.iter().filter(|one| one.judgement.outcome.is_to_install());
    installing.filter_map(|one| packages.get(one.package)).collect()
}

/// Positions of the packages to install: those that others need first, else by rank.
fn sort(packages: &[UpdatePackage<'_>], checked: &[Checked]) -> Vec<usize> {
    let mut waiting: Vec<(Rank, &Checked)> = checked
        .iter()
        .filter(|one| one.judgement.outcome.is_to_install())
        .filter_map(|one| Some((rank(packages.get(one.package)?, one.package), one)))
        .collect();
    waiting.sort_by(|a, b| a.0.cmp(&b.0));
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let is_free = |one: &Checked| {
            !waiting.iter().any(|(rank, other)| {
                other.package != one.package && rank.kb.is_some_and(|kb| one.after.contains(&kb))
            })
        };
        // Needs in a circle, which the table does not have, fall back to rank.
        let next = waiting.iter().position(|(_, one)| is_free(one)).unwrap_or(0);
        order.push(waiting.remove(next).1.package);
    }
    order
}

fn rank(package: &UpdatePackage<'_>, position: usize) -> Rank {
    let top = package.top();
    let name = top.id.name.to_ascii_lowercase();
    let kb = package.kb();
    let step = match kb.and_then(windows7::entry) {
        Some(entry) => entry.step,
        None if name.contains("servicingstack") || package.stack_version().is_some() => windows7::STACK_STEP,
        None if name.contains("rollupfix") => windows7::ROLLUP_STEP,
        None => windows7::OTHER_STEP,
    };
    Rank { step, date: top.manifest.creation_time.clone(), kb, name, position }
}
