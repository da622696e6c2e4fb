//! `wim driver check`.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use wim_core::jobs::drivers::{CheckReport, check};
use wim_core::servicing::drivers::lint::Severity;
use wim_core::servicing::drivers::profiles::{CheckState, Profile, Verdict as ProfileVerdict};

use super::Images;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Look for what keeps images from booting or drivers from working
///
/// Filters and bindings without a service, services without a file, frameworks that are too old, missing co-installers,
/// damaged records, control sets that are not there; as notes also what drivers left that no list knows. With --profile also
/// what a kind of machine needs: drivers, updates before them, registration at boot.
///
/// Exit status: 0 nothing serious; 1 when Windows may not boot or a profile is incomplete; 2 failed.
///
/// With --json: images (path, index, name, windows, findings (severity, text), profiles (profile, verdict, checks)).
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    images: Images,
    /// What the image must be ready for: win7-usb3, win7-nvme, virtio, intel-vmd; may be repeated
    #[arg(long = "profile", value_name = "NAME", value_parser = parse_profile)]
    profiles: Vec<Profile>,
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    Profile::parse(text).map_err(|e| match e.remedy_text() {
        Some(remedy) => format!("{e}; {remedy}"),
        None => e.to_string(),
    })
}

#[derive(Serialize)]
struct Answer {
    images: Vec<CheckReport>,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let images = session.run(|cx| check(cx, &self.images.targets(), &self.profiles))?;
        let outcome = if images.iter().any(CheckReport::is_bad) { Outcome::No } else { Outcome::Done };
        if session.shell.is_json() {
            session.shell.json("driver check", &Answer { images })?;
        } else {
            let mut text = String::new();
            images.iter().for_each(|image| image_text(&mut text, image));
            session.shell.answer(&text)?;
        }
        Ok(outcome)
    }
}

fn image_text(text: &mut String, image: &CheckReport) {
    let name = image.name.as_deref().unwrap_or("without a name");
    let _ = writeln!(text, "{}, image {}: {name} ({})", image.path, image.index, image.windows);
    for finding in &image.findings {
        let label = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let _ = writeln!(text, "  {label}: {}", finding.text);
    }
    for profile in &image.profiles {
        let verdict = match profile.verdict {
            ProfileVerdict::NotApplicable => "is for another Windows",
            ProfileVerdict::Ready => "ready",
            ProfileVerdict::ReadyWithWarnings => "ready, with something to know",
            ProfileVerdict::Incomplete => "incomplete",
        };
        let _ = writeln!(text, "  {}: {verdict}", profile.profile);
        for check in &profile.checks {
            let state = match check.state {
                CheckState::Ok => "ok",
                CheckState::Warning => "warning",
                CheckState::Missing => "missing",
            };
            let _ = writeln!(text, "    {state:<8} {}: {}", check.what, check.found);
            if let Some(remedy) = &check.remedy {
                let _ = writeln!(text, "             {remedy}");
            }
        }
    }
    if image.findings.is_empty() && image.profiles.is_empty() {
        let _ = writeln!(text, "  nothing found");
    }
}
