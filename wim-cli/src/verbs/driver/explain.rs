//! `wim driver info`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::drivers::{PackageReport, explain_packages, is_taken};
use wim_core::servicing::drivers::info::{Applicability, DriverInfo};
use wim_core::servicing::drivers::signature::RootOrigin;

use super::add::How;
use super::text::{notes_text, outcome_text};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Explain a driver package: what it is, for which Windows and devices, what it installs, who signed it
///
/// With --for it says why the package does or does not apply to a Windows version (7-amd64, 10.0.19045-x86) or to the
/// images of a WIM (install.wim, boot.wim:2); for images also what adding it would come to.
///
/// Exit status: 0 when a package applies to something asked about, 1 when none does, 2 failed.
///
/// With --json: packages: the facts of the INF, applicability for each Windows, images (image, applicability, verdict);
/// warnings: files called .inf that cannot be read.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// An .inf file, a folder with all below it, a .zip or a .cab
    #[arg(value_name = "PATH", required = true)]
    packages: Vec<PathBuf>,
    /// A Windows version and architecture, or a WIM, perhaps with an image behind a colon; may be repeated
    #[arg(long = "for", value_name = "WINDOWS|IMAGE")]
    about: Vec<String>,
    #[command(flatten)]
    how: How,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let options = self.how.options()?;
        let explained = session.run(|cx| explain_packages(cx, &self.packages, &self.about, &options))?;
        let is_good = |package: &PackageReport| {
            package.info.applicability.iter().any(|one| one.applies)
                || package.images.iter().any(|image| is_taken(&image.verdict.outcome))
        };
        let applies = explained.packages.iter().any(is_good);
        if session.shell.is_json() {
            session.shell.json("driver info", &explained)?;
        } else {
            let mut text = String::new();
            let in_detail = !self.about.is_empty();
            explained.packages.iter().for_each(|package| package_text(&mut text, package, in_detail));
            notes_text(&mut text, &explained.warnings, "");
            session.shell.answer(&text)?;
        }
        Ok(if applies { Outcome::Done } else { Outcome::No })
    }
}

fn package_text(text: &mut String, package: &PackageReport, in_detail: bool) {
    let info = &package.info;
    facts_text(text, info);
    if in_detail {
        info.applicability.iter().for_each(|one| applicability_text(text, one, &one.windows));
    } else {
        let fits: Vec<&str> =
            info.applicability.iter().filter(|one| one.applies).map(|one| one.windows.as_str()).collect();
        let fits = if fits.is_empty() { "none of those tried".to_owned() } else { fits.join(", ") };
        let _ = writeln!(text, "  Applies to  : {fits}");
        // The newest that it applies to stands for the others.
        let shown = info.applicability.iter().rev().find(|one| one.applies).or(info.applicability.first());
        shown.into_iter().for_each(|one| applicability_text(text, one, &one.windows));
    }
    for image in &package.images {
        if let Some(one) = &image.applicability {
            applicability_text(text, one, &format!("{} ({})", image.image, one.windows));
        }
        let outcome = outcome_text(&image.verdict.outcome, "      ");
        let _ = writeln!(text, "    Adding it : {outcome}");
        notes_text(text, &image.verdict.findings, "      ");
    }
    text.push('\n');
}

fn facts_text(text: &mut String, info: &DriverInfo) {
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let _ = writeln!(text, "{} of {}", info.inf, info.source);
    let extension = if info.is_extension { ", extends another driver" } else { "" };
    let critical = if info.boot_critical { ", boot-critical" } else { "" };
    let _ = writeln!(
        text,
        "  Class       : {} {}{critical}{extension}",
        or_dash(&info.class),
        info.class_guid.as_deref().unwrap_or_default()
    );
    let _ = writeln!(text, "  Provider    : {}", or_dash(&info.provider));
    let _ = writeln!(text, "  Version     : {}, {}", or_dash(&info.version), or_dash(&info.date));
    let catalogs: Vec<String> = info
        .catalogs
        .iter()
        .map(
            |(decoration, file)| {
                if decoration.is_empty() { file.clone() } else { format!("{file} ({decoration})") }
            },
        )
        .collect();
    let _ = writeln!(
        text,
        "  Catalog     : {}",
        if catalogs.is_empty() { "none".into() } else { catalogs.join(", ") }
    );
    let targets = if info.targets.is_empty() { "none named".into() } else { info.targets.join(", ") };
    let _ = writeln!(text, "  Decorations : {targets}");
    let _ = writeln!(text, "  Text        : {}", info.encoding);
    notes_text(text, &info.findings, "  ");
}

fn applicability_text(text: &mut String, one: &Applicability, place: &str) {
    let verdict = if one.applies { "applies" } else { "does not apply" };
    let _ = writeln!(text, "  For {place}: {verdict}");
    if let Some(reason) = &one.reason {
        let _ = writeln!(text, "    because {reason}");
    }
    if let Some(remedy) = &one.remedy {
        let _ = writeln!(text, "    {remedy}");
    }
    if !one.sections.is_empty() {
        let _ = writeln!(text, "    Sections  : {}", one.sections.join(", "));
    }
    for (decoration, reason) in &one.rejected {
        let _ = writeln!(text, "    Left aside: {decoration}: {reason}");
    }
    for device in &one.devices {
        let _ = writeln!(text, "    Device    : {} [{}]", device.description, device.install_section);
        for id in &device.ids {
            let _ = writeln!(text, "                {id}");
        }
    }
    for service in &one.services {
        let start = match service.start {
            Some(0) => "at boot",
            Some(1) => "with the system",
            Some(2) => "by itself",
            Some(3) => "on demand",
            Some(4) => "never",
            _ => "as it is",
        };
        let role = if service.function_driver { ", drives the devices" } else { "" };
        let inbox = if service.inbox { ", of Windows itself" } else { "" };
        let binary = service.binary.as_deref().map(|binary| format!(", {binary}")).unwrap_or_default();
        let _ = writeln!(text, "    Service   : {}, starts {start}{role}{inbox}{binary}", service.name);
    }
    for file in &one.files {
        let _ = writeln!(text, "    File      : {} -> {}", file.source, file.destination);
    }
    if !one.frameworks.is_empty() {
        let _ = writeln!(text, "    Needs     : {}", one.frameworks.join(", "));
    }
    if !one.coinstallers.is_empty() {
        let _ = writeln!(text, "    Runs when a device is installed: {}", one.coinstallers.join(", "));
    }
    if let Some(signature) = &one.signature {
        let signer = signature.signer.as_deref().map(|signer| format!(", by {signer}")).unwrap_or_default();
        let root = signature.root.as_ref().map(|root| match root.origin {
            RootOrigin::Given => format!(", verified up to {}, which was given", root.name),
            _ => format!(", verified up to {}", root.name),
        });
        let _ = writeln!(text, "    Signature : {}{signer}{}", signature.label(), root.unwrap_or_default());
        if let Some(reason) = &signature.reason {
            let _ = writeln!(text, "                {reason}");
        }
    }
    notes_text(text, &one.findings, "    ");
}
