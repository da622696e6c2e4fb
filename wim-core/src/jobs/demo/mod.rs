//! `demo`: makes small Windows-like media and runs the very code of `slipstream` on it.
//!
//! `media` makes an install.wim of five editions, `driver` a driver package; then the file is read on one core and on
//! all, Professional is exported with the driver and a registry file slipstreamed, and the result is verified.

mod driver;
mod hives;
mod media;
mod windows;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use self::windows::DemoWindows;
use self::windows::Product;
use super::open;
use super::slipstream::{Mode, SlipstreamOptions, SlipstreamReport, VerifyDepth, slipstream};
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Architecture, Context, Error, ImageIndex, Result};
use crate::formats::wim::{ImageXml, WimFile};
use crate::image::WimPath;
use crate::servicing::drivers::{DriverOptions, Unsigned};
use crate::transfer::verify::verify;

/// What the demo is asked for.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Folder that the files are made in and kept; a temporary one that goes away when none.
    pub folder: Option<PathBuf>,
    /// Which Windows the images are.
    pub windows: DemoWindows,
    /// Architecture of the images.
    pub architecture: Architecture,
    /// Whether files of an earlier demo may be replaced.
    pub if_exists: IfExists,
}

/// What was done and seen.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    /// Where the files are.
    pub folder: PathBuf,
    /// False when the folder is gone by now.
    pub kept: bool,
    /// The install.wim that was made.
    pub before: MediaReport,
    /// Reading and checking it with one thread and with all.
    pub reading: Vec<ReadingReport>,
    /// What slipstreaming did.
    pub slipstream: SlipstreamReport,
    /// The WIM that came of it.
    pub after: MediaReport,
}

/// One WIM file.
#[derive(Clone, Debug, Serialize)]
pub struct MediaReport {
    /// Its path.
    pub path: PathBuf,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of its blobs, uncompressed.
    pub blob_bytes: u64,
    /// Number of its blobs.
    pub blobs: usize,
    /// Seconds that making it took.
    pub seconds: f64,
    /// Its images.
    pub images: Vec<EditionReport>,
}

/// One image.
#[derive(Clone, Debug, Serialize)]
pub struct EditionReport {
    /// Its number.
    pub index: u32,
    /// DISPLAYNAME.
    pub name: String,
    /// EDITIONID.
    pub edition: String,
    /// Files, as its XML counts them.
    pub files: u64,
    /// Bytes of its files, as its XML counts them.
    pub total_bytes: u64,
}

/// One reading of all blobs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReadingReport {
    /// Worker threads.
    pub threads: usize,
    /// Bytes decoded and hashed.
    pub bytes: u64,
    /// Seconds.
    pub seconds: f64,
    /// 10^6 bytes a second.
    pub megabytes_per_second: f64,
}

/// The registry file of the demo: what an administrator might set for all machines.
const REG_FILE: &str = "Windows Registry Editor Version 5.00\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n\
    \"NoAutoRebootWithLoggedOnUsers\"=dword:00000001\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\FileSystem]\r\n\
    \"LongPathsEnabled\"=dword:00000001\r\n";

/// Makes the media, reads it, slipstreams it, verifies the result.
///
/// # Errors
/// `InvalidInput` when files are in the way, `Io`, and whatever the jobs it runs return.
pub fn demo(cx: &Context<'_>, options: &DemoOptions) -> Result<DemoReport> {
    let product = Product::new(options.windows, options.architecture)?;
    let temporary = match &options.folder {
        None => Some(
            tempfile::tempdir()
                .map_err(|e| Error::io(e, "cannot make a folder in", &std::env::temp_dir()))?,
        ),
        Some(_) => None,
    };
    let folder = match (&options.folder, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => PathBuf::from("."),
    };
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(e, "cannot make the folder", &folder))?;
    let (input, output) = (folder.join("install.wim"), folder.join("install-professional.wim"));
    let (drivers, reg_file) = (folder.join("driver"), folder.join("settings.reg"));

    let started = Instant::now();
    let mut file = AtomicFile::create(&input, options.if_exists)?;
    media::write_media(cx, product, None, &mut file)?;
    file.commit()?;
    driver::write_package(&drivers)?;
    driver::write_dated(&reg_file, REG_FILE.as_bytes())?;
    let before = media_report(cx, &input, started)?;

    let mut reading = Vec::new();
    for threads in [1, cx.threads()] {
        if threads > 1 || reading.is_empty() {
            reading.push(read_all(cx, &input, threads)?);
        }
    }

    let started = Instant::now();
    let slipstreamed = slipstream(
        cx,
        &SlipstreamOptions {
            input,
            refs: Vec::new(),
            output: output.clone(),
            if_exists: options.if_exists,
            editions: vec!["Professional".to_owned()],
            drivers: vec![drivers],
            // Nobody has signed the demo's driver; reports say so.
            driver_options: DriverOptions { unsigned: Unsigned::Accept, ..DriverOptions::default() },
            reg_files: vec![reg_file.clone()],
            additions: vec![(reg_file, WimPath::parse("\\Windows\\Setup\\settings.reg")?)],
            compress: None,
            integrity: None,
            verify: VerifyDepth::Full,
            mode: Mode::Write,
        },
    )?;
    let after = media_report(cx, &output, started)?;
    Ok(DemoReport { folder, kept: temporary.is_none(), before, reading, slipstream: slipstreamed, after })
}

/// What [`medium`] made.
#[derive(Clone, Debug, Serialize)]
pub struct MediumReport {
    /// The folder of the medium.
    pub folder: PathBuf,
    /// Its WIM files.
    pub wims: Vec<MediaReport>,
    /// A driver package beside the medium.
    pub driver: PathBuf,
}

/// Makes the folder of a whole medium, `sources/boot.wim` and `sources/install.wim` with a recovery image in it, and a driver
/// package beside it: something to try `wim driver` on.
///
/// # Errors
/// `InvalidInput` when files are in the way and for a Windows that does not exist, `Io`.
pub fn medium(cx: &Context<'_>, folder: &Path, options: &DemoOptions) -> Result<MediumReport> {
    let product = Product::new(options.windows, options.architecture)?;
    let sources = folder.join("medium").join("sources");
    std::fs::create_dir_all(&sources).map_err(|e| Error::io(e, "cannot make the folder", &sources))?;
    let mut wims = Vec::new();
    for name in ["boot.wim", "install.wim"] {
        let (path, started) = (sources.join(name), Instant::now());
        let mut file = AtomicFile::create(&path, options.if_exists)?;
        if name == "boot.wim" {
            media::write_boot(cx, product, &mut file)?;
        } else {
            let recovery = media::recovery_image(cx, product)?;
            media::write_media(cx, product, Some(recovery), &mut file)?;
        }
        file.commit()?;
        wims.push(media_report(cx, &path, started)?);
    }
    let driver = folder.join("driver");
    driver::write_package(&driver)?;
    Ok(MediumReport { folder: folder.join("medium"), wims, driver })
}

fn media_report(cx: &Context<'_>, path: &Path, started: Instant) -> Result<MediaReport> {
    let seconds = started.elapsed().as_secs_f64();
    let wim = open::open(path, open::Check::Nothing, cx)?;
    let blobs = wim.table().blobs();
    let image = |(position, xml): (usize, &ImageXml)| EditionReport {
        index: ImageIndex::from_position(position).number(),
        name: xml.display_name().unwrap_or_default().to_owned(),
        edition: xml.edition_id().unwrap_or_default().to_owned(),
        files: xml.count("FILECOUNT").unwrap_or(0),
        total_bytes: xml.count("TOTALBYTES").unwrap_or(0),
    };
    Ok(MediaReport {
        path: path.to_owned(),
        file_bytes: wim.source().size(),
        blob_bytes: blobs.iter().map(|blob| blob.header.size).sum(),
        blobs: blobs.len(),
        seconds,
        images: wim.xml().images().iter().enumerate().map(image).collect(),
    })
}

/// Verifies the file with `threads` workers, and takes the time.
fn read_all(cx: &Context<'_>, path: &Path, threads: usize) -> Result<ReadingReport> {
    let inner = Context::new(cx.progress, cx.cancel).with_threads(threads).with_memory(cx.memory_bytes());
    let wim: Arc<WimFile> = Arc::new(open::open(path, open::Check::Nothing, &inner)?);
    let started = Instant::now();
    let report = verify(&inner, &wim)?;
    let seconds = started.elapsed().as_secs_f64();
    if report.is_damaged() {
        return Err(Error::corrupt("the file that was just made is damaged").in_file(path.display()));
    }
    let megabytes_per_second = report.bytes as f64 / 1e6 / seconds.max(1e-9);
    Ok(ReadingReport { threads, bytes: report.bytes, seconds, megabytes_per_second })
}
