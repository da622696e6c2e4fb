//! `wim package check`.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use wim_core::jobs::registry::Target;
use wim_core::jobs::updates::{CheckOptions, ImageCheck, PackageCheck, PlanMode, check};
use wim_core::servicing::updates::{Branch, UpdatePlan};

use crate::exit::{Outcome, Verdict};
use crate::session::Session;

#[derive(Serialize)]
struct Answer {
    images: Vec<ImageCheck>,
}

pub(super) fn run(
    session: &Session,
    target: Target,
    files: Vec<PathBuf>,
    branch: Branch,
    dry_run: bool,
) -> Verdict {
    let plan = if dry_run { PlanMode::Make } else { PlanMode::Omit };
    let options = CheckOptions { target, files, branch, plan };
    let images = session.run(|cx| check(cx, &options))?;
    let is_answered =
        images.iter().any(ImageCheck::anything_fits) && !images.iter().any(ImageCheck::has_unreadable);
    let outcome = if is_answered { Outcome::Done } else { Outcome::No };
    if session.shell.is_json() {
        session.shell.json("package check", &Answer { images })?;
        return Ok(outcome);
    }
    let mut text = String::new();
    for (position, image) in images.iter().enumerate() {
        if position > 0 {
            text.push('\n');
        }
        text += &lines(image);
    }
    session.shell.answer(&text)?;
    Ok(outcome)
}

// Writing to a String cannot fail, so the results of writeln! are dropped below.

fn lines(image: &ImageCheck) -> String {
    let mut text = String::new();
    let name = image.name.as_deref().unwrap_or("");
    let stack = image.servicing_stack.as_deref().unwrap_or("none found");
    let _ = writeln!(
        text,
        "Image {} {name}: Windows {} {}, servicing stack {stack}",
        image.image, image.version, image.architecture
    );
    for package in &image.packages {
        text += &package_lines(package);
    }
    for finding in &image.findings {
        let _ = writeln!(text, "Finding: {finding}");
    }
    text
}

fn package_lines(package: &PackageCheck) -> String {
    let mut text = String::new();
    let order = package.order.map_or_else(|| "-".to_owned(), |order| format!("{order}."));
    let name = package.kb.as_deref().unwrap_or(&package.identity);
    let reason = if package.reason.is_empty() { String::new() } else { format!(": {}", package.reason) };
    let _ = writeln!(text, "{order:>3} {name:<10} {}{reason}", package.outcome.label());
    let _ = writeln!(text, "      {}", package.path);
    if !package.after.is_empty() {
        let _ = writeln!(text, "      after {}", package.after.join(", "));
    }
    for note in &package.notes {
        let _ = writeln!(text, "      note: {note}");
    }
    if let Some(plan) = &package.plan {
        text += &plan_lines(plan);
    }
    if let Some(reason) = &package.no_plan {
        let _ = writeln!(text, "      no plan: {reason}");
    }
    text
}

fn plan_lines(plan: &UpdatePlan) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "      would put {} files, {} links, {} directories, {} registry values and {} records",
        plan.files.len(),
        plan.links.len(),
        plan.directories.len(),
        plan.registry.len(),
        plan.records.len()
    );
    for file in &plan.files {
        let _ = writeln!(text, "        file {} from {}", file.path, file.source);
    }
    for link in &plan.links {
        let verb = if link.replaces { "replaces" } else { "adds" };
        let _ = writeln!(text, "        link {verb} {} = {}", link.path, link.target);
    }
    for directory in &plan.directories {
        let _ = writeln!(text, "        directory {}", directory.path);
    }
    for edit in &plan.registry {
        let _ = writeln!(text, "        registry {edit}");
    }
    for edit in &plan.records {
        let _ = writeln!(text, "        record {edit}");
    }
    for note in &plan.notes {
        let _ = writeln!(text, "        note: {note}");
    }
    text
}
