//! `wim package expand`: all files of an update, rebuilt and proved.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wim_core::jobs::packages::expand::{Expanded, expand};
use wim_core::jobs::registry::Target;

use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Rebuild all files of an update into a new folder
///
/// Files that are stored as deltas of others are rebuilt. Each is compared with the length and digest that the index of the
/// package states, the digest in its delta and those in the manifests of the package; when one differs nothing is left in
/// DIR, which must be empty or not there yet. With --json: path, target, files, bytes, stored, copies, deltas,
/// proved_by_index, proved_by_manifests.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The .msu, .cab, .wim or .psf file
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// Folder for the files
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// Image of the Windows that the package is for: digests in compressed manifests are compared too
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    path: String,
    target: String,
    #[serde(flatten)]
    expanded: &'a Expanded,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let image = self.image.as_deref().map(Target::parse);
        let expanded = session.run(|cx| expand(cx, &self.package, &self.target, image.as_ref()))?;
        if session.shell.is_json() {
            let (path, target) = (self.package.display().to_string(), self.target.display().to_string());
            session.shell.json("package expand", &Answer { path, target, expanded: &expanded })?;
            return Ok(Outcome::Done);
        }
        let Expanded { files, bytes, stored, copies, deltas, proved_by_index, proved_by_manifests } =
            expanded;
        session.shell.say(&format!(
            "{files} files of {bytes} bytes: {stored} stored, {copies} copies, {deltas} deltas\n\
             Proved: {proved_by_index} by the index of the package, {proved_by_manifests} digests in manifests"
        ))?;
        Ok(Outcome::Done)
    }
}
