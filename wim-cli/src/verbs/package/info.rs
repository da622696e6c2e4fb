//! `wim package info`.

use std::fmt::Write as _;
use std::path::Path;

use wim_core::jobs::updates::{ComponentInfo, InfoOptions, PackageInfo, info};

use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Most parents that are shown; some packages name dozens.
const SHOWN_PARENTS: usize = 4;

pub(super) fn run(session: &Session, file: &Path, options: &InfoOptions, detailed: bool) -> Verdict {
    let found = session.run(|cx| info(cx, file, options))?;
    if session.shell.is_json() {
        session.shell.json("package info", &found)?;
        return Ok(Outcome::Done);
    }
    let mut text = head(&found);
    if detailed {
        found.components.iter().for_each(|component| text += &component_lines(component));
    }
    for finding in &found.findings {
        session.shell.complain("warning", finding);
    }
    session.shell.answer(&text)?;
    Ok(Outcome::Done)
}

// Writing to a String cannot fail, so the results of writeln! are dropped below.

fn head(found: &PackageInfo) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{:<17} {value}", format!("{name}:"));
        }
    };
    line("Package", &found.identity);
    line("Article", found.kb.as_deref().unwrap_or(""));
    line("Type", &found.release_type);
    line("Description", found.title.unwrap_or(&found.description));
    line("Support", &found.support);
    line("Created", &found.created);
    line("Restart", &found.restart);
    line("Container", &format!("{}, {}", found.container, payload_words(found.payload)));
    line(
        "Servicing stack",
        &found.servicing_stack.as_ref().map_or(String::new(), |v| format!("{v} or later")),
    );
    for parent in &found.parents {
        let shown: Vec<&str> = parent.any_of.iter().take(SHOWN_PARENTS).map(String::as_str).collect();
        let more = match parent.any_of.len().saturating_sub(SHOWN_PARENTS) {
            0 => String::new(),
            more => format!(" or {more} more"),
        };
        line("For", &format!("{}{more} ({})", shown.join(" or "), parent.compare));
    }
    let children: Vec<&str> = found.packages.iter().skip(1).map(|child| child.identity.as_str()).collect();
    line("Child packages", &children.len().to_string());
    let (deployments, components): (Vec<_>, Vec<_>) = found.components.iter().partition(|c| c.deployment);
    line("Deployments", &deployments.len().to_string());
    line("Components", &components.len().to_string());
    let files: usize = components.iter().map(|component| component.files.len()).sum();
    let values: usize = components.iter().map(|component| component.registry.len()).sum();
    let drivers: usize =
        found.packages.iter().flat_map(|package| &package.updates).map(|update| update.drivers.len()).sum();
    line("Files", &files.to_string());
    line("Registry values", &values.to_string());
    line("Drivers", &drivers.to_string());
    for installer in &found.installers {
        let first = installer.components.first().map_or("", String::as_str);
        let more = match installer.components.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        line("Needs", &format!("{}: {first}{more}", installer.installer));
    }
    text
}

fn payload_words(payload: &str) -> &str {
    match payload {
        "files" => "files as they are",
        "delta" => "files in pieces, to be rebuilt (wim package expand)",
        _ => "files in pieces beside it (PSF)",
    }
}

fn component_lines(component: &ComponentInfo) -> String {
    let mut text = String::new();
    let kind = if component.deployment { " (deployment)" } else { "" };
    let _ = writeln!(text, "\n{}{kind}", component.key_form);
    for file in &component.files {
        let destination = file.destination.as_deref().unwrap_or("(the store alone)");
        let _ = writeln!(text, "  {} -> {destination}", file.name);
        if let Some(digest) = &file.digest {
            let _ = writeln!(text, "      {digest}");
        }
    }
    for value in &component.registry {
        let name = value.value.as_deref().map_or(String::new(), |name| {
            let name = if name.is_empty() { "(default)" } else { name };
            let (kind, data) = (value.kind.as_deref().unwrap_or(""), value.data.as_deref().unwrap_or(""));
            format!(", {name} = {kind} {data}")
        });
        let _ = writeln!(text, "  {}{name}", value.key);
    }
    for membership in &component.memberships {
        let _ = writeln!(text, "  category {membership}");
    }
    for installer in &component.installers {
        let _ = writeln!(text, "  needs {installer}");
    }
    text
}
