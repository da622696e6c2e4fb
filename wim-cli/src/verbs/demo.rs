//! `wim demo`: the main job on small media that the command makes itself.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wim_core::base::Architecture;
use wim_core::base::atomic_file::IfExists;
use wim_core::jobs::demo::{DemoOptions, DemoReport, DemoWindows, MediaReport, demo, medium};

use crate::exit::{Outcome, Verdict};
use crate::session::Session;
use crate::verbs::slipstream;

/// Make small Windows-like media and slipstream a driver into it, to see the main job run
///
/// Builds an install.wim of five Windows 7 editions (names, folders, hives and XML as on real media, contents made up) and a
/// driver package, reads it on one core and on all, exports Professional with the driver and a registry file slipstreamed,
/// and verifies the result. Needs no network, no Windows and no root.
///
/// With --json: folder, kept, before, reading, slipstream, after; with --media folder, wims, driver.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Make the files here and keep them [default: a temporary folder]
    #[arg(long, value_name = "D")]
    dir: Option<PathBuf>,
    /// Only make the folder of a whole medium (boot.wim, install.wim with a recovery image) and a driver package in D, to try
    /// wim driver on
    #[arg(long, requires = "dir")]
    media: bool,
    /// Which Windows the images are laid out as
    #[arg(long, value_enum, default_value = "7", requires = "media")]
    windows: Windows,
    /// Architecture of the images
    #[arg(long, value_enum, default_value = "amd64")]
    arch: Arch,
    /// Replace the files of an earlier demo in D
    #[arg(long)]
    force: bool,
}

/// Versions of Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Windows {
    /// 7 with Service Pack 1.
    #[value(name = "7")]
    Seven,
    /// 8.1.
    #[value(name = "8.1")]
    EightOne,
    /// 10.
    #[value(name = "10")]
    Ten,
    /// 11.
    #[value(name = "11")]
    Eleven,
}

/// Architectures of Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arch {
    /// 32 bits.
    X86,
    /// 64 bits.
    Amd64,
    /// 64 bits of ARM; with --media, for Windows 10 and 11.
    Arm64,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let options = DemoOptions {
            folder: self.dir,
            windows: match self.windows {
                Windows::Seven => DemoWindows::Seven,
                Windows::EightOne => DemoWindows::EightOne,
                Windows::Ten => DemoWindows::Ten,
                Windows::Eleven => DemoWindows::Eleven,
            },
            architecture: match self.arch {
                Arch::X86 => Architecture::X86,
                Arch::Amd64 => Architecture::Amd64,
                Arch::Arm64 => Architecture::Arm64,
            },
            if_exists: if self.force { IfExists::Replace } else { IfExists::Refuse },
        };
        if let (true, Some(folder)) = (self.media, &options.folder) {
            let report = session.run(|cx| medium(cx, folder, &options))?;
            if session.shell.is_json() {
                session.shell.json("demo", &report)?;
            } else {
                let mut text = String::new();
                report.wims.iter().for_each(|wim| media_text(&mut text, wim));
                let _ = writeln!(text, "\nA driver package is in {}", report.driver.display());
                session.shell.answer(&text)?;
            }
            return Ok(Outcome::Done);
        }
        let report = session.run(|cx| demo(cx, &options))?;
        if session.shell.is_json() {
            session.shell.json("demo", &report)?;
        } else {
            session.shell.answer(&text_of(&report))?;
        }
        Ok(Outcome::Done)
    }
}

fn text_of(report: &DemoReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "== Before\n");
    media_text(&mut text, &report.before);
    let _ = writeln!(text, "\n== Reading: every blob decompressed and its SHA-1 checked\n");
    for reading in &report.reading {
        let threads = if reading.threads == 1 { "thread " } else { "threads" };
        let _ = writeln!(
            text,
            "  {:>3} {threads}  {:>6.0} MB/s   ({:.1} MB in {:.2} s)",
            reading.threads,
            reading.megabytes_per_second,
            reading.bytes as f64 / 1e6,
            reading.seconds
        );
    }
    let _ = writeln!(
        text,
        "\n== wim slipstream --edition Professional --driver driver --reg settings.reg --add …\n"
    );
    text += &slipstream::text_of(&report.slipstream);
    let _ = writeln!(text, "\n  registry, before and after");
    for change in report.slipstream.images.iter().flat_map(|image| &image.registry) {
        let value = change.value.as_deref().map(|name| if name.is_empty() { "@" } else { name });
        let _ = writeln!(text, "    {}\\{}", change.hive, change.key);
        if let Some(value) = value {
            let old = change.old.as_ref().map_or("(none)", |old| old.text.as_str());
            let new = change.new.as_ref().map_or("(none)", |new| new.text.as_str());
            let _ = writeln!(text, "      {value}: {old} -> {new}");
        }
    }
    let _ = writeln!(text, "\n== After: verified, every blob decoded\n");
    media_text(&mut text, &report.after);
    if report.kept {
        let _ = writeln!(text, "\nThe files are in {}", report.folder.display());
    } else {
        let _ = writeln!(text, "\nThe files are gone; keep them with --dir D");
    }
    text
}

fn media_text(text: &mut String, media: &MediaReport) {
    let name = media.path.file_name().unwrap_or_default().to_string_lossy();
    let _ = writeln!(
        text,
        "{name}: {:.1} MB, {} blobs of {:.1} MB uncompressed, made in {:.2} s",
        media.file_bytes as f64 / 1e6,
        media.blobs,
        media.blob_bytes as f64 / 1e6,
        media.seconds
    );
    for image in &media.images {
        let _ = writeln!(
            text,
            "  {}  {:<24} {:<14} {:>4} files {:>7.1} MB",
            image.index,
            image.name,
            image.edition,
            image.files,
            image.total_bytes as f64 / 1e6
        );
    }
}
