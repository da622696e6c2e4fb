//! What happened to packages, for people.

use std::fmt::Write as _;

use wim_core::jobs::drivers::{FileReport, ImageReport, MediaFolderReport, WorkReport};
use wim_core::servicing::drivers::media_folder::MediaOutcome;
use wim_core::servicing::drivers::{DriverReport, Outcome as DriverOutcome};

use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// What became of a package, in one line, and what to do about a refusal in a second one behind `indent`.
pub(crate) fn outcome_text(outcome: &DriverOutcome, indent: &str) -> String {
    match outcome {
        DriverOutcome::Added(added) => {
            let services: Vec<_> = added.services.iter().map(|service| service.name.as_str()).collect();
            let services = if services.is_empty() {
                String::new()
            } else {
                format!(", services {}", services.join(" "))
            };
            let completed = if added.completed { " what was missing" } else { "" };
            let critical = if added.boot_critical { ", in place at boot" } else { "" };
            format!("added{completed}{critical}{services}, {} device ids", added.device_ids.len())
        }
        DriverOutcome::AlreadyPresent { .. } => "already there".to_owned(),
        DriverOutcome::Refused { reason, remedy, .. } => {
            let remedy = remedy.as_deref().map(|remedy| format!("\n{indent}{remedy}")).unwrap_or_default();
            format!("refused: {reason}{remedy}")
        }
        DriverOutcome::Skipped { reason, .. } => format!("skipped: {reason}"),
    }
}

/// Notes, one a line.
pub(crate) fn notes_text(text: &mut String, notes: &[String], indent: &str) {
    for note in notes {
        let _ = writeln!(text, "{indent}note: {note}");
    }
}

/// Tells what became of a medium's `$WinPEDriver$`; `is_yes` decides the exit code.
pub(super) fn media_folder_answer(
    session: &Session,
    verb: &str,
    report: &MediaFolderReport,
    is_yes: bool,
) -> Verdict {
    if session.shell.is_json() {
        session.shell.json(verb, report)?;
    } else {
        session.shell.answer(&media_folder_text(report))?;
    }
    Ok(if is_yes { Outcome::Done } else { Outcome::No })
}

fn media_folder_text(report: &MediaFolderReport) -> String {
    let mut text = format!("{}\n", report.folder);
    for package in &report.packages {
        let version = package.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let _ = write!(text, "  {}{version}: ", package.inf);
        let _ = match &package.outcome {
            MediaOutcome::Placed { folder, windows } => {
                writeln!(text, "{folder}, for {}", windows.join(", "))
            }
            MediaOutcome::Skipped { reason } => writeln!(text, "skipped: {reason}"),
            MediaOutcome::Refused { reason, remedy, .. } => {
                let remedy = remedy.as_deref().map(|remedy| format!("\n    {remedy}")).unwrap_or_default();
                writeln!(text, "refused: {reason}{remedy}")
            }
        };
        notes_text(&mut text, &package.findings, "    ");
    }
    for folder in &report.removed {
        let _ = writeln!(text, "  {folder}: removed");
    }
    for name in &report.missing {
        let _ = writeln!(text, "  {name}: not there");
    }
    notes_text(&mut text, &report.warnings, "  ");
    if report.dry_run {
        let _ = writeln!(text, "Dry run: nothing was written.");
    } else if !report.changed {
        let _ = writeln!(text, "Nothing changed.");
    }
    text
}

/// The report of `add` and `remove`.
pub(super) fn work_text(report: &WorkReport) -> String {
    let mut text = String::new();
    for file in &report.files {
        let _ = writeln!(text, "{}", file.path);
        file.images.iter().for_each(|image| image_text(&mut text, image, "  "));
        file_end(&mut text, file, report.dry_run);
    }
    notes_text(&mut text, &report.warnings, "");
    if report.dry_run {
        let _ = writeln!(text, "Dry run: nothing was written.");
    } else if !report.changed {
        let _ = writeln!(text, "Nothing changed inside the images.");
    }
    text
}

fn file_end(text: &mut String, file: &FileReport, is_dry_run: bool) {
    match &file.written {
        Some(written) => {
            let _ = writeln!(
                text,
                "  Wrote {}: {} bytes; {} resources copied as they were ({} bytes), {} compressed (from {} bytes).",
                file.output,
                written.file_bytes,
                written.copied_resources,
                written.copied_bytes,
                written.encoded_resources,
                written.encoded_bytes
            );
        }
        None if !file.changed && !is_dry_run && file.output == file.path => {
            let _ = writeln!(text, "  Unchanged; the file was not written.");
        }
        None => {}
    }
}

fn image_text(text: &mut String, image: &ImageReport, indent: &str) {
    let name = image.name.as_deref().unwrap_or("without a name");
    let pe = if image.winpe { ", Windows PE" } else { "" };
    let _ = writeln!(
        text,
        "{indent}Image {}: {name} ({} {}{pe})",
        image.index, image.architecture, image.version
    );
    let deeper = format!("{indent}  ");
    image.drivers.iter().for_each(|driver| driver_text(text, driver, &deeper));
    for removed in &image.removed {
        let version = removed.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let published = removed.published.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let _ = writeln!(text, "{deeper}{}{version}{published}: removed, {}", removed.inf, removed.folder);
    }
    notes_text(text, &image.notes, &deeper);
    notes_text(text, &image.warnings, &deeper);
    if image.changed {
        let _ = writeln!(
            text,
            "{deeper}{} files and {} registry values and keys changed",
            image.files.len(),
            image.registry.len()
        );
    } else {
        let _ = writeln!(text, "{deeper}unchanged");
    }
    if let Some(inner) = &image.recovery {
        match &inner.same_as {
            Some(same) => {
                let _ = writeln!(text, "{deeper}{}: the same file as in {same}", inner.path);
            }
            None => {
                let _ = writeln!(text, "{deeper}{}", inner.path);
                inner.images.iter().for_each(|image| image_text(text, image, &format!("{deeper}  ")));
            }
        }
    }
}

fn driver_text(text: &mut String, driver: &DriverReport, indent: &str) {
    let version = driver.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let deeper = format!("{indent}  ");
    let outcome = outcome_text(&driver.outcome, &deeper);
    let _ = writeln!(text, "{indent}{} {}{version}: {outcome}", driver.source, driver.inf);
    notes_text(text, &driver.findings, &deeper);
}
