//! `wim driver remove`.

use clap::Args;
use wim_core::jobs::drivers::{MediaFolderWork, media_folder, remove};

use super::Changing;
use super::add::unbootable;
use super::text::{media_folder_answer, work_text};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Take drivers out of images again
///
/// What was added by this command goes exactly: its files, registry values and entries of lists, in any order of removals;
/// what other drivers rely on stays until the last of them goes, what something else changed since stays and is told.
///
/// Exit status: 0 done; 1 when a driver is in no image; 2 failed.
///
/// With --json: dry_run, changed, files, missing, warnings; per image removed, notes, files, registry, recovery. With
/// --media-folder: dry_run, changed, folder, packages, removed, missing, warnings.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    changing: Changing,
    /// The driver: oemN.inf, the name of its INF or of its folder in the image, or the beginning of its identity; may be
    /// repeated
    #[arg(short, long = "driver", value_name = "NAME", required = true)]
    drivers: Vec<String>,
    /// Remove drivers even where Windows may then no longer boot
    #[arg(long, conflicts_with = "media_folder")]
    force_unbootable: bool,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        if let Some(medium) = self.changing.media_folder() {
            let work = MediaFolderWork::Remove { names: self.drivers };
            let report = session.run(|cx| media_folder(cx, medium, &work, self.changing.mode()))?;
            let is_all = report.missing.is_empty();
            return media_folder_answer(session, "driver remove", &report, is_all);
        }
        let places = self.changing.places();
        let report =
            session.run(|cx| remove(cx, &places, &self.drivers, unbootable(self.force_unbootable)))?;
        if session.shell.is_json() {
            session.shell.json("driver remove", &report)?;
        } else {
            session.shell.answer(&work_text(&report))?;
        }
        Ok(if report.missing.is_empty() { Outcome::Done } else { Outcome::No })
    }
}
