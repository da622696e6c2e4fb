//! What all editing actions share: their options, and how edits are told.

use clap::Args;
use wim_core::base::Error;
use wim_core::formats::hive::Damage;
use wim_core::jobs::registry::{self as job, EditOptions, EditReport, Mode, Registry};

use super::paths::{Paths, TargetArguments};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Options of editing actions.
#[derive(Args, Debug)]
pub(super) struct Editing {
    /// Print the edits and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Rebuild a damaged hive before it is edited, without what cannot be read; all of that is named
    #[arg(long)]
    force_repair: bool,
}

impl Editing {
    fn options(&self) -> EditOptions {
        let mode = if self.dry_run { Mode::DryRun } else { Mode::Write };
        EditOptions { mode, damage: damage(self.force_repair) }
    }
}

/// What `--force-repair` says about damage.
pub(super) fn damage(is_given_up: bool) -> Damage {
    if is_given_up { Damage::GiveUp } else { Damage::Refuse }
}

/// Runs `work` on the target and tells what it edited.
pub(super) fn edit(
    session: &Session,
    target: &TargetArguments,
    paths: &Paths,
    editing: &Editing,
    mut work: impl FnMut(&mut Registry<'_>) -> Result<(), Error>,
) -> Verdict {
    let target = target.parse();
    let how = editing.options();
    let report = session.run(|cx| job::edit(cx, &target, &paths.key_paths(), how, &mut work))?;
    tell(session, &report, how.mode)
}

fn tell(session: &Session, report: &EditReport, mode: Mode) -> Verdict {
    if session.shell.is_json() {
        session.shell.json("reg edit", report)?;
        return Ok(Outcome::Done);
    }
    for image in &report.images {
        let place = image.image.map(|image| format!("image {image}: ")).unwrap_or_default();
        for lost in &image.left_out {
            let finding = &lost.finding;
            let key = if finding.key.is_empty() { String::new() } else { format!(", key {}", finding.key) };
            session.shell.complain("damage", &format!("{place}{}{key}: {}", lost.hive, finding.message));
        }
        if mode == Mode::DryRun {
            for edit in &image.edits {
                let value = edit.value.as_deref().map(|value| format!(" [{value}]")).unwrap_or_default();
                let new = edit.new.as_deref().map(|new| format!(" = {new}")).unwrap_or_default();
                session.shell.answer(&format!("{place}{} {}{value}{new}\n", edit.action, edit.key))?;
            }
        }
        let tense = if mode == Mode::DryRun { "would be made" } else { "made" };
        session.shell.say(&format!("{place}{} edits {tense}", image.edits.len()))?;
    }
    Ok(Outcome::Done)
}
