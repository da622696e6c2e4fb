//! Files added to an image, taken out of it and moved in it.
//!
//! All commands are carried out on the image's tree, then the file gets the new metadata and contents behind its end, or is
//! written anew. When any command fails the file stays as it was.

mod commands;

pub use commands::{AddSwitches, DeleteSwitches, UpdateCommand, parse};

use std::path::Path;

use serde::Serialize;

use super::assemble::{AddRules, Assembly, ImagePlace};
use super::clock::job_time;
use super::dir::{NothingFits, find_typed, typed_path};
use super::images;
use super::open::{Check, case_of_paths, load_image};
use super::rebuild::{IntegrityChoice, Written};
use super::target::{Placement, Target};
use crate::base::{Context, Error, FileTime, Place, Reason, Result};
use crate::image::glob::Case;
use crate::image::{ExistingFiles, GraftRules, Tree, WimPath};
use crate::transfer::capture::{CaptureOptions, Links, UnixData};

/// How an image is updated.
#[derive(Clone, Debug)]
pub struct UpdateOptions {
    /// What is captured by `add` commands.
    pub capture: CaptureOptions,
    /// Options of every `add`.
    pub add: AddSwitches,
    /// Options of every `delete`.
    pub delete: DeleteSwitches,
    /// What becomes of the integrity table.
    pub integrity: IntegrityChoice,
    /// What is checked before.
    pub check: Check,
    /// Where the changes go.
    pub placement: Placement,
}

/// What was updated.
#[derive(Clone, Debug, Serialize)]
pub struct Updated {
    /// The file.
    #[serde(flatten)]
    pub written: Written,
    /// Number of the image.
    pub image: u32,
    /// Commands carried out.
    pub commands: usize,
    /// Files that were added, whether new or in place of another.
    pub added_files: u64,
    /// Bytes of them.
    pub added_bytes: u64,
}

/// Carries out `commands` on the image that `text` names, or the only one, of the file at `path`.
///
/// # Errors
/// `NotFound` for a path that is not there, `InvalidInput` for what cannot be put, deleted or moved, with the command;
/// else what capturing, reading and writing give. The file is then as it was.
pub fn run(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    commands: &[UpdateCommand],
    options: &UpdateOptions,
) -> Result<Updated> {
    let Target { wim, file } = Target::open(path, options.check, cx)?;
    let image = images::choose_one(&wim, text)?;
    let (time, case) = (job_time()?, case_of_paths());
    let place = format!("{}: image {image}", wim.name());
    let mut assembly = Assembly::of(load_image(&wim, image, cx)?);
    for command in commands {
        let tree = &assembly.tree;
        command.paths().iter().for_each(|path| warn_of_twins(cx, (tree, &place), path, case));
        carry_out(cx, &mut assembly, command, options, (time, case))?;
    }
    let totals = assembly.totals;
    let rules = (options.integrity, options.placement);
    let written = assembly.write_into(cx, (&wim, file, path), ImagePlace::Of(image), time, rules)?;
    Ok(Updated {
        written,
        image: image.number(),
        commands: commands.len(),
        added_files: totals.files,
        added_bytes: totals.bytes,
    })
}

fn carry_out(
    cx: &Context<'_>,
    assembly: &mut Assembly,
    command: &UpdateCommand,
    options: &UpdateOptions,
    (time, case): (FileTime, Case),
) -> Result<()> {
    match command {
        UpdateCommand::Add { source, target, options: switches } => {
            let has = |pick: fn(&AddSwitches) -> bool| pick(switches) || pick(&options.add);
            let mut capture = options.capture.clone();
            if has(|s| s.dereference) {
                capture.links = Links::Follow;
            }
            if has(|s| s.unix_data) {
                capture.unix_data = UnixData::Capture;
            }
            capture.descriptors = switches.descriptors.unwrap_or(capture.descriptors);
            let refuse = has(|s| s.no_replace);
            let existing = if refuse { ExistingFiles::Refuse } else { ExistingFiles::Replace };
            let rules = AddRules { graft: GraftRules { existing, case, time }, known: None };
            assembly.add(cx, source, &typed_path(target), &capture, rules)
        }
        UpdateCommand::Delete { path, options: switches } => {
            let force = switches.force || options.delete.force;
            let recursive = switches.recursive || options.delete.recursive;
            delete(assembly, &typed_path(path), DeleteSwitches { force, recursive }, case)
        }
        UpdateCommand::Rename { from, to } => assembly.tree.rename(&typed_path(from), &typed_path(to), case),
    }
}

/// Warns when a path that is about to be changed means the first of several files, or lies in the first of several.
fn warn_of_twins(cx: &Context<'_>, image: (&Tree, &str), path: &str, case: Case) {
    if case == Case::Ignored {
        find_typed(cx, image, &typed_path(path));
    }
}

fn delete(assembly: &mut Assembly, path: &WimPath, switches: DeleteSwitches, case: Case) -> Result<()> {
    let at = || Place::Path(path.to_string());
    let tree = &mut assembly.tree;
    let Some(node) = tree.find_by(path, case) else {
        return match switches.force {
            true => Ok(()),
            false => Err(Error::not_found("there is no such path in the image")
                .at(at())
                .remedy("give delete --force for paths that may be missing")
                .with_source(NothingFits)),
        };
    };
    if tree.inode_of(node).is_directory() && !switches.recursive {
        return Err(Error::invalid_input("it is a directory")
            .because(Reason::IsDirectory)
            .at(at())
            .remedy("give delete --recursive for directories with all they hold"));
    }
    if node == tree.root() {
        // The root stays, empty.
        for child in tree.children(node).to_vec() {
            tree.remove(child);
        }
    } else {
        tree.remove(node);
    }
    Ok(())
}
