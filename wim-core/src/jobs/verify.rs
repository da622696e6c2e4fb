//! Everything that is wrong with a WIM file, as a report.
//!
//! The checks are `transfer::verify`'s. A file whose header says WIM but whose tables cannot be read is damaged, which is an
//! answer; a file that is no WIM, or one that this version cannot read, is an error.

use std::path::Path;

use serde::Serialize;

use super::open::Check;
use super::part_set::PartSet;
use crate::base::{Context, Error, ErrorKind, Place, Result, Silent};
use crate::transfer::verify::{IntegrityCheck, IntegrityStatus, Severity, VerifyFinding, verify_set};

/// What was checked and what was found.
#[derive(Debug)]
pub struct Verified {
    /// The path it was opened by.
    pub path: String,
    /// Images checked.
    pub images: usize,
    /// Blobs read.
    pub blobs: usize,
    /// Their uncompressed bytes.
    pub bytes: u64,
    /// What the integrity table says; none when it was not looked at.
    pub integrity: Option<IntegrityStatus>,
    /// What was found.
    pub findings: Vec<VerifyFinding>,
}

/// The numbers of a [`Verified`], for programs.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedNumbers {
    /// The path it was opened by.
    pub path: String,
    /// True when anything is damaged.
    pub damaged: bool,
    /// Images checked.
    pub images: usize,
    /// Blobs read.
    pub blobs: usize,
    /// Their uncompressed bytes.
    pub bytes: u64,
    /// `absent`, `good`, `damaged` or `not_checked`.
    pub integrity: &'static str,
}

impl Verified {
    /// True when anything is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }

    /// The numbers, for programs.
    #[must_use]
    pub fn numbers(&self) -> VerifiedNumbers {
        VerifiedNumbers {
            path: self.path.clone(),
            damaged: self.is_damaged(),
            images: self.images,
            blobs: self.blobs,
            bytes: self.bytes,
            integrity: match self.integrity {
                None => "not_checked",
                Some(IntegrityStatus::Absent) => "absent",
                Some(IntegrityStatus::Good) => "good",
                Some(IntegrityStatus::Damaged) => "damaged",
            },
        }
    }
}

/// Checks all of the file at `path` and, of a split set, all parts; `refs` are globs of files that belong to it.
///
/// # Errors
/// `Io` when the file cannot be read, `Format` when it is no WIM, `Limit`,
/// `Cancelled`.
pub fn run(cx: &Context<'_>, path: &Path, refs: &[String], integrity: IntegrityCheck) -> Result<Verified> {
    let name = path.display().to_string();
    // Warnings of the opening are findings here, so that they are not told twice.
    let quiet = Context::new(&Silent, cx.cancel).with_threads(cx.threads()).with_memory(cx.memory_bytes());
    let set = match PartSet::open(path, refs, Check::Nothing, &quiet) {
        Ok(set) => set,
        Err(error) if is_damage(&error) => {
            let finding = VerifyFinding { severity: Severity::Damage, image: None, paths: Vec::new(), error };
            let findings = vec![finding];
            return Ok(Verified { path: name, images: 0, blobs: 0, bytes: 0, integrity: None, findings });
        }
        Err(error) => return Err(error),
    };
    let mut report = verify_set(cx, &set.wim, (&set.parts(), &set.bases()), integrity)?;
    for finding in &mut report.findings {
        finding.error = set.explain(finding.error.duplicate());
    }
    let is_checked = integrity == IntegrityCheck::Check;
    Ok(Verified {
        path: name,
        images: report.images,
        blobs: report.blobs,
        bytes: report.bytes,
        integrity: is_checked.then_some(report.integrity),
        findings: report.findings,
    })
}

/// True when an error of opening says that a WIM is damaged, rather than that there is no WIM.
fn is_damage(error: &Error) -> bool {
    let is_no_wim = matches!(error.place(), Place::Field { structure: "WIM header", field: "magic", .. });
    matches!(error.kind(), ErrorKind::Format | ErrorKind::Corrupt) && !is_no_wim
}
