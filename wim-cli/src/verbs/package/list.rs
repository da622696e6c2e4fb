//! `wim package list`.

use std::fmt::Write as _;

use serde::Serialize;
use wim_core::jobs::registry::Target;
use wim_core::jobs::updates::{ImagePackages, list};

use crate::exit::{Outcome, Verdict};
use crate::session::Session;

#[derive(Serialize)]
struct Answer {
    images: Vec<ImagePackages>,
}

pub(super) fn run(session: &Session, target: &Target, updates_only: bool) -> Verdict {
    let mut images = session.run(|cx| list(cx, target))?;
    if updates_only {
        images.iter_mut().for_each(|image| image.packages.retain(|package| package.kb.is_some()));
    }
    if session.shell.is_json() {
        session.shell.json("package list", &Answer { images })?;
        return Ok(Outcome::Done);
    }
    let mut text = String::new();
    for (position, image) in images.iter().enumerate() {
        if position > 0 {
            text.push('\n');
        }
        text += &lines(image);
    }
    session.shell.answer(&text)?;
    Ok(Outcome::Done)
}

// Writing to a String cannot fail, so the results of writeln! are dropped below.

fn lines(image: &ImagePackages) -> String {
    let mut text = String::new();
    let name = image.name.as_deref().unwrap_or("");
    let _ = writeln!(text, "Image {} {name}: Windows {} {}", image.image, image.version, image.architecture);
    let stack = image.servicing_stack.as_deref().unwrap_or("none found");
    let _ = writeln!(text, "Servicing stack: {stack}");
    if !image.languages.is_empty() {
        let _ = writeln!(text, "Languages: {}", image.languages.join(", "));
    }
    if let Some(found_in) = &image.base_manifest {
        let _ = writeln!(text, "Base of compressed manifests: {found_in}");
    }
    if image.approximate {
        let _ = writeln!(text, "There is no SOFTWARE hive: states are not known");
    }
    for reason in &image.pending {
        let _ = writeln!(text, "Pending: {reason}");
    }
    let _ = writeln!(text, "Packages: {}", image.packages.len());
    for package in &image.packages {
        let state = package.state.map_or("not recorded", |state| state.label());
        let _ = writeln!(text, "  {state:<12} {}", package.package);
    }
    for finding in &image.findings {
        let _ = writeln!(text, "Finding: {finding}");
    }
    text
}
