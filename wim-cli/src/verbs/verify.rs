//! `wim verify`: is everything in the file as it should be?

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use wim_core::base::Reason;
use wim_core::jobs::verify::{Verified, VerifiedNumbers, run};
use wim_core::transfer::verify::{IntegrityCheck, Severity, VerifyFinding};

use crate::arguments::ReferenceArguments;
use crate::error_report;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Check everything in a WIM file: tables, metadata, names, references and the digest of every blob
///
/// Exit code 1 when damage is found. With --json: path, damaged, images, blobs, bytes, integrity (absent, good, damaged
/// or not_checked) and findings, each with severity (damage or remark), image, paths and error.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Do not check the integrity table
    #[arg(long)]
    nocheck: bool,
    #[command(flatten)]
    references: ReferenceArguments,
}

/// The JSON answer.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    numbers: VerifiedNumbers,
    findings: Vec<Value>,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let integrity = if self.nocheck { IntegrityCheck::Skip } else { IntegrityCheck::Check };
        let verified = session.run(|cx| run(cx, &self.wimfile, &self.references.references, integrity))?;
        if session.shell.is_json() {
            let findings = verified.findings.iter().map(finding_value).collect();
            session.shell.json("verify", &Answer { numbers: verified.numbers(), findings })?;
        } else {
            session.shell.answer(&findings_text(&verified))?;
            if verified.is_damaged() {
                session.shell.say(&format!("\"{}\" failed verification!", verified.path))?;
            } else {
                session.shell.say(&format!("\"{}\" was successfully verified.", verified.path))?;
            }
        }
        let damage = verified.findings.iter().filter(|finding| finding.severity == Severity::Damage);
        // The integrity table is what wimlib looks at first.
        let damage = damage.min_by_key(|finding| finding.error.reason() != Some(Reason::IntegrityDiffers));
        let reason = damage.and_then(|finding| finding.error.reason());
        Ok(if verified.is_damaged() { Outcome::Damage(reason) } else { Outcome::Done })
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Damage => "damage",
        Severity::Remark => "remark",
    }
}

fn findings_text(verified: &Verified) -> String {
    let mut text = String::new();
    for VerifyFinding { severity, image, paths, error } in &verified.findings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {error}", severity_name(*severity));
        for path in paths {
            let _ = match image {
                Some(image) => writeln!(text, "    in image {image}: {path}"),
                None => writeln!(text, "    in {path}"),
            };
        }
    }
    text
}

fn finding_value(finding: &VerifyFinding) -> Value {
    json!({
        "severity": severity_name(finding.severity),
        "image": finding.image.map(|image| image.number()),
        "paths": finding.paths,
        "error": error_report::object(&finding.error)["error"],
    })
}
