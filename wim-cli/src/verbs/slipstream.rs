//! `wim slipstream`: drivers, registry files and files into images, without unpacking them.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use wim_core::base::atomic_file::IfExists;
use wim_core::formats::wim::ChunkFormat;
use wim_core::image::WimPath;
use wim_core::jobs::Level;
use wim_core::jobs::slipstream::{ImageReport, Mode, SlipstreamOptions, SlipstreamReport, slipstream};
use wim_core::servicing::drivers::{DriverOptions, DriverReport, Unsigned};
use wim_core::transfer::write::Integrity;

use crate::arguments::{CompressionChoice, ReferenceArguments, VerifyArgument, parse_compression};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;
use crate::verbs::driver::{notes_text, outcome_text};

/// Add drivers, registry settings and files to the images of a WIM, and keep the editions wanted
///
/// Reads IN.wim, edits its images as overlays (nothing is unpacked; unchanged data is copied compressed), writes OUT.wim
/// beside its place, reads it back and renames it. A second run over the result changes nothing and writes the same bytes.
/// Drivers go in only where their INF fits the image's architecture and Windows version; a driver whose binary is for
/// another machine is refused, whatever its INF says.
///
/// Exit status: 0 done; 1 when drivers were given and none fits any image; 2 failed. Times written are those of
/// SOURCE_DATE_EPOCH when set, else of the image's last change, so that equal input gives equal output.
///
/// With --json: input, output, dry_run, changed, images (index, input_index, name, edition, architecture, version, changed,
/// drivers, files, registry, warnings), dropped, written.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM to read
    #[arg(value_name = "IN.wim")]
    input: PathBuf,
    /// The WIM to write; never the input
    #[arg(short, long, value_name = "OUT.wim")]
    output: PathBuf,
    /// Keep only this image: a number, name or edition such as Professional; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    edition: Vec<String>,
    /// Add driver packages: a folder with all below it, an .inf file, a .zip or a .cab; may be repeated
    #[arg(long, value_name = "PATH")]
    driver: Vec<PathBuf>,
    /// Add drivers that Windows on the image's architecture would not load: unsigned, test-signed, or with a broken catalog
    ///
    /// They load only where test signing is on (bcdedit /set testsigning on), which Secure Boot forbids. 32-bit Windows
    /// loads them anyway.
    #[arg(long, requires = "driver")]
    force_unsigned: bool,
    /// Import a registry file; may be repeated
    #[arg(long, value_name = "FILE.reg")]
    reg: Vec<PathBuf>,
    /// Put a file or folder of this host into every image; may be repeated
    #[arg(long, value_name = "HOSTPATH=IMAGEPATH", value_parser = parse_addition)]
    add: Vec<(PathBuf, WimPath)>,
    /// Compress with this type and level, as in LZX:max [default: as IN.wim]
    #[arg(long, value_name = "TYPE[:LEVEL]", value_parser = parse_compression)]
    compress: Option<CompressionChoice>,
    /// Give OUT.wim an integrity table [default: as IN.wim]
    #[arg(long, conflicts_with = "nocheck")]
    check: bool,
    /// Give OUT.wim no integrity table
    #[arg(long)]
    nocheck: bool,
    /// How OUT.wim is read back before it takes its name
    #[arg(long, value_enum, default_value = "written")]
    verify: VerifyArgument,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace OUT.wim if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    references: ReferenceArguments,
}

/// `HOSTPATH=IMAGEPATH`; the last `=` divides, since image paths rarely have one.
fn parse_addition(text: &str) -> Result<(PathBuf, WimPath), String> {
    let (host, image) = text.rsplit_once('=').ok_or("write it as HOSTPATH=IMAGEPATH")?;
    if host.is_empty() || image.is_empty() {
        return Err("write it as HOSTPATH=IMAGEPATH".to_owned());
    }
    let path = WimPath::parse(image).map_err(|e| e.to_string())?;
    if path == WimPath::root() {
        return Err("IMAGEPATH must name the new file or folder".to_owned());
    }
    Ok((PathBuf::from(host), path))
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let options = self.into_options();
        let report = session.run(|cx| slipstream(cx, &options))?;
        if session.shell.is_json() {
            session.shell.json("slipstream", &report)?;
        } else {
            session.shell.answer(&text_of(&report))?;
        }
        Ok(if report.nothing_matched() { Outcome::No } else { Outcome::Done })
    }

    fn into_options(self) -> SlipstreamOptions {
        let compress = self
            .compress
            .map(|choice| (ChunkFormat::usual(choice.compression), choice.level.unwrap_or(Level::NORMAL)));
        let integrity = match (self.check, self.nocheck) {
            (true, _) => Some(Integrity::Make),
            (_, true) => Some(Integrity::Omit),
            _ => None,
        };
        SlipstreamOptions {
            input: self.input,
            refs: self.references.references,
            output: self.output,
            if_exists: if self.force { IfExists::Replace } else { IfExists::Refuse },
            editions: self.edition,
            drivers: self.driver,
            driver_options: DriverOptions {
                unsigned: if self.force_unsigned { Unsigned::Accept } else { Unsigned::Refuse },
                ..DriverOptions::default()
            },
            reg_files: self.reg,
            additions: self.add,
            compress,
            integrity,
            verify: self.verify.depth(),
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
        }
    }
}

/// The report for people.
pub(crate) fn text_of(report: &SlipstreamReport) -> String {
    let mut text = String::new();
    for image in &report.images {
        image_text(&mut text, image);
    }
    for dropped in &report.dropped {
        let _ = writeln!(text, "Left out: image {}", dropped.name);
    }
    if !report.changed {
        let _ = writeln!(text, "Nothing changed inside the images.");
    }
    match &report.written {
        Some(written) => {
            let _ = writeln!(
                text,
                "Wrote {}: {} bytes; {} resources copied as they were ({} bytes), {} compressed (from {} bytes).",
                report.output,
                written.file_bytes,
                written.copied_resources,
                written.copied_bytes,
                written.encoded_resources,
                written.encoded_bytes
            );
        }
        None => {
            let _ = writeln!(text, "Dry run: nothing was written.");
        }
    }
    text
}

fn image_text(text: &mut String, image: &ImageReport) {
    let name = image.name.as_deref().unwrap_or("without a name");
    let facts: Vec<&str> = [&image.edition, &image.architecture, &image.version]
        .into_iter()
        .filter_map(Option::as_deref)
        .collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let _ = writeln!(text, "Image {}: {name}{facts}", image.index);
    image.drivers.iter().for_each(|driver| driver_text(text, driver));
    for file in &image.files {
        let _ = writeln!(text, "  {:<8} {}  [{}]", file.change, file.path, file.reason);
    }
    if !image.registry.is_empty() {
        let _ = writeln!(text, "  {} registry values and keys changed", image.registry.len());
    }
    if !image.changed {
        let _ = writeln!(text, "  unchanged");
    }
}

fn driver_text(text: &mut String, driver: &DriverReport) {
    let version = driver.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let what = outcome_text(&driver.outcome, "           ");
    let _ = writeln!(text, "  driver   {} {}{version}: {what}", driver.source, driver.inf);
    notes_text(text, &driver.findings, "           ");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_name_a_host_path_and_an_image_path() {
        let (host, image) = parse_addition("a=b.txt=/Windows/x.txt").unwrap();
        assert_eq!((host, image.to_string()), (PathBuf::from("a=b.txt"), "\\Windows\\x.txt".to_owned()));
        for bad in ["x", "=x", "x=", "x=\\", "x=..\\y", "x=C:\\y"] {
            assert!(parse_addition(bad).is_err(), "{bad}");
        }
    }
}
