//! `wim driver add`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wim_core::base::Error;
use wim_core::formats::catalog::Certificate;
use wim_core::jobs::drivers::{MediaFolderWork, add, media_folder};
use wim_core::servicing::drivers::media_folder::{MediaOutcome, MediaReport};
use wim_core::servicing::drivers::{
    BootCritical, BootStart, DriverOptions, HardwareIds, Newer, Publisher, Unbootable, Undecorated, Unsigned,
    WinPeClasses,
};

use super::Changing;
use super::text::{media_folder_answer, work_text};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Add driver packages to the images of WIM files, or of a whole medium
///
/// A package goes in where its INF fits the image's architecture and Windows version: on Windows Vista and 7 in place at
/// boot, on 8 and later into the driver store, in Windows PE only what Setup needs. The recovery image inside install
/// images is serviced too, once however many editions share it. Adding again changes nothing.
///
/// Exit status: 0 done, or already there; 1 when a package was refused by every image it is for, or none fits any image;
/// 2 failed. Refusals and skipped packages are told with their reasons.
///
/// With --json: dry_run, changed, files (path, output, changed, images, written), missing, warnings; per image drivers,
/// files, registry, recovery. With --media-folder: dry_run, changed, folder, packages, removed, missing, warnings.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    changing: Changing,
    /// Driver packages: a folder with all below it, an .inf file, a .zip or a .cab; may be repeated
    #[arg(short, long = "driver", value_name = "PATH", required = true)]
    drivers: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// How drivers are added.
#[derive(Args, Debug)]
pub(super) struct How {
    /// Add drivers that Windows on the image's architecture would not load: unsigned, test-signed, or with a broken catalog
    ///
    /// They load only where test signing is on (bcdedit /set testsigning on), which Secure Boot forbids. 32-bit Windows
    /// loads them anyway.
    #[arg(long)]
    force_unsigned: bool,
    /// Let drivers of disk controllers and USB hosts start with the boot loader, to boot from such a disk
    #[arg(long)]
    boot_start: bool,
    /// Which packages are put in place at boot
    #[arg(long, value_enum, value_name = "WHICH", default_value = "by-class")]
    boot_critical: Critical,
    /// Add only drivers for the devices of this list: hardware ids, one a line, or the output of lspci -nn, lsusb, pnputil
    ///
    /// With lspci -nnv a driver for other makers' versions of a device is left out: it names subsystems too.
    #[arg(long = "match", value_name = "FILE")]
    matching: Option<PathBuf>,
    /// Make the image trust the publisher of what is added, so that Windows does not ask
    #[arg(long)]
    trust_publisher: bool,
    /// Likewise trust a publisher's own root certificate, as test signatures have
    #[arg(long, requires = "trust_publisher")]
    trust_root: bool,
    /// A root certificate to which a signature may go back, beside Microsoft's: .cer, .crt or .pem; may be repeated
    ///
    /// Only whether the chain ends there is checked, by the signatures of its certificates: Windows itself may not know that
    /// root.
    #[arg(long = "root-cert", value_name = "FILE")]
    root_certs: Vec<PathBuf>,
    /// Take INFs that name no architecture for the image's, as mislabelled packages need
    #[arg(long)]
    allow_undecorated: bool,
    /// Add drivers even where the image lacks the kernel-mode framework (KMDF) they need
    #[arg(long)]
    ignore_kmdf: bool,
    /// Add drivers even where Windows may then not boot: they name filters or files that are not there
    #[arg(long)]
    force_unbootable: bool,
    /// Put all device classes into Windows PE, not only those that Setup needs
    #[arg(long)]
    all_classes: bool,
    /// Replace newer files, and bindings of devices to other drivers
    #[arg(long)]
    replace_newer: bool,
    /// Code page of INFs in 8-bit text that is not UTF-8
    #[arg(long, value_name = "NUMBER")]
    code_page: Option<u16>,
}

/// Which packages are put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Critical {
    /// Those whose device class Windows needs to boot.
    ByClass,
    /// All.
    Always,
    /// None.
    Never,
}

impl How {
    /// The options for a job.
    ///
    /// # Errors
    /// What reading the list of hardware ids gives.
    pub(super) fn options(&self) -> Result<DriverOptions, Error> {
        let usual = DriverOptions::default();
        Ok(DriverOptions {
            boot_start: if self.boot_start { BootStart::Raise } else { BootStart::AsWritten },
            boot_critical: match self.boot_critical {
                Critical::ByClass => BootCritical::ByClass,
                Critical::Always => BootCritical::Always,
                Critical::Never => BootCritical::Never,
            },
            newer: if self.replace_newer { Newer::Replace } else { Newer::Keep },
            roots: root_certificates(&self.root_certs)?,
            ignore_framework: self.ignore_kmdf,
            unbootable: unbootable(self.force_unbootable),
            unsigned: if self.force_unsigned { Unsigned::Accept } else { Unsigned::Refuse },
            undecorated: if self.allow_undecorated { Undecorated::Accept } else { Undecorated::Refuse },
            publisher: match (self.trust_publisher, self.trust_root) {
                (_, true) => Publisher::TrustWithRoot,
                (true, false) => Publisher::Trust,
                (false, false) => Publisher::Unchanged,
            },
            hardware: self.matching.as_ref().map(hardware_ids).transpose()?,
            winpe_classes: if self.all_classes { WinPeClasses::All } else { WinPeClasses::SetupNeeds },
            code_page: self.code_page.unwrap_or(usual.code_page),
            ..usual
        })
    }

    /// Options that say what is done inside images, and so nothing of the medium's folder.
    fn of_images_only(&self) -> Vec<&'static str> {
        let given = [
            ("--boot-start", self.boot_start),
            ("--boot-critical", self.boot_critical != Critical::ByClass),
            ("--trust-publisher", self.trust_publisher),
            ("--trust-root", self.trust_root),
            ("--ignore-kmdf", self.ignore_kmdf),
            ("--force-unbootable", self.force_unbootable),
            ("--replace-newer", self.replace_newer),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }
}

/// What a flag says of changes after which Windows may not boot.
pub(super) fn unbootable(force: bool) -> Unbootable {
    if force { Unbootable::Accept } else { Unbootable::Refuse }
}

fn root_certificates(paths: &[PathBuf]) -> Result<Vec<Certificate>, Error> {
    let mut roots = Vec::new();
    for path in paths {
        let bytes = std::fs::read(path).map_err(|e| Error::io(e, "cannot read", path))?;
        roots.extend(Certificate::read_file(&bytes).map_err(|e| e.in_file(path.display()))?);
    }
    Ok(roots)
}

fn hardware_ids(path: &PathBuf) -> Result<HardwareIds, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(e, "cannot read", path))?;
    HardwareIds::parse(&bytes).map_err(|e| e.in_file(path.display()))
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let Self { changing, drivers, how } = self;
        let options = how.options()?;
        if let Some(medium) = changing.media_folder() {
            let without_meaning = how.of_images_only();
            if !without_meaning.is_empty() {
                let names = without_meaning.join(", ");
                return Err(Error::invalid_input(format!("{names}: not together with --media-folder"))
                    .remedy("leave it out: Setup itself installs what lies in that folder")
                    .into());
            }
            let work = MediaFolderWork::Add { packages: drivers, options: Box::new(options) };
            let report = session.run(|cx| media_folder(cx, medium, &work, changing.mode()))?;
            let is_placed = |package: &MediaReport| matches!(package.outcome, MediaOutcome::Placed { .. });
            let is_any = report.packages.iter().any(is_placed);
            return media_folder_answer(session, "driver add", &report, is_any);
        }
        let places = changing.places();
        let report = session.run(|cx| add(cx, &places, &drivers, &options))?;
        if session.shell.is_json() {
            session.shell.json("driver add", &report)?;
        } else {
            session.shell.answer(&work_text(&report))?;
        }
        let is_no = !report.took_something() || !report.refused_everywhere().is_empty();
        Ok(if is_no { Outcome::No } else { Outcome::Done })
    }
}
