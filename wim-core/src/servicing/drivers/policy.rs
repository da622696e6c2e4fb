//! What keeps a package out of an image although it applies: its signature, the machine's devices, what Windows PE can use.
//!
//! Source: drivers.md 3.4 and 7.4 to 7.5. It decides from what others found; it reads the image only for the updates that teach
//! Windows 7 SHA-2, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::boot;
use super::hardware_ids::{Fit, HardwareIds, hang_below_another};
use super::options::{DriverOptions, Undecorated, Unsigned, WinPeClasses};
use super::package::{Package, Packages, file_name};
use super::registry_lines::start_type;
use super::select::Selection;
use super::sha2_updates;
use super::signature::{RootOrigin, SignatureReport, SignatureStatus};
use super::staged::{Staged, StagedFile};
use super::store::{ImageFiles, refusal};
use crate::base::{Architecture, Cancel, Error, Result};
use crate::formats::catalog::DigestKind;
use crate::formats::inf::{ParseOptions, Service, TargetWindows, models};
use crate::servicing::hive_set::HiveSet;
use crate::servicing::package_files::PackageFiles;
use crate::servicing::target::ImageTarget;

/// Why the signature keeps a package out, if it does; what is odd about it goes to `findings`.
pub(super) fn signature_verdict(
    (selection, staged): (&Selection, &Staged),
    report: &SignatureReport,
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    (windows, options): (&TargetWindows, &DriverOptions),
    findings: &mut Vec<String>,
) -> Result<Option<Error>> {
    if !report.is_accepted(windows) {
        if options.unsigned == Unsigned::Refuse {
            return Ok(Some(unsigned_refusal(report, windows)));
        }
        findings.push(unsigned_note(report, windows));
    } else {
        findings.extend(doubt_about(report, windows));
    }
    if windows.version() > (6, 1) {
        return Ok(None);
    }
    let what = match boot_signed_with_sha2(selection, staged, options).into_iter().next() {
        _ if report.needs_sha2 => "it is signed with SHA-2 alone".to_owned(),
        Some(name) => format!("{name}, which starts with the boot loader, is signed inside with SHA-2 alone"),
        None => return Ok(None),
    };
    let boot_start = boot_services(selection, options).next().is_some();
    match sha2_updates::knows_sha2(image, hives)? {
        Some(true) => {}
        Some(false) if boot_start && windows.arch != Architecture::X86 => {
            return Ok(Some(refusal(
                format!("{what}, which this image cannot check at boot"),
                "add the updates KB4490628 and KB4474419 to this image first",
            )));
        }
        Some(false) => findings.push(format!("{what}, which this image cannot check without KB4474419")),
        None => {
            findings
                .push(format!("{what}; nothing in the image tells whether it can check that (KB4474419)"));
        }
    }
    Ok(None)
}

/// The package's own services that the boot loader starts, those among them whose start type is raised.
fn boot_services<'s>(
    selection: &'s Selection,
    options: &DriverOptions,
) -> impl Iterator<Item = &'s Service> + use<'s> {
    let raise = options.boot_start;
    let services = selection.installs.iter().flat_map(|selected| &selected.install.services);
    let start = move |service: &Service| start_type(service, &selection.class_guid, raise);
    services.filter(move |service| !service.inbox && start(service) == Some(Service::BOOT_START))
}

/// Files of a signed package that the boot loader reads and that have no signature inside, each as a finding.
///
/// Kernel-mode code signing on 64-bit Windows once asked for one beside the catalog; what Microsoft's tests sign has none, so that such
/// drivers load where their catalog is known.
pub(super) fn boot_files_without_signature(
    selection: &Selection,
    staged: &Staged,
    (windows, options): (&TargetWindows, &DriverOptions),
    report: &SignatureReport,
) -> Vec<String> {
    if windows.arch == Architecture::X86 || !report.is_signed() {
        return Vec::new();
    }
    let files = boot_files(selection, staged, options).into_iter();
    let bare =
        files.filter(|(_, file)| file.digests.program.as_ref().is_some_and(|program| !program.has_signature));
    bare.map(|(name, _)| {
        format!("{name} starts with the boot loader and has no signature inside, only that of its catalog")
    })
    .collect()
}

/// The programs of a package that the boot loader reads, by name.
fn boot_files<'s>(
    selection: &'s Selection,
    staged: &'s Staged,
    options: &DriverOptions,
) -> BTreeMap<&'s str, &'s StagedFile> {
    let boot = boot_services(selection, options);
    let names = boot.filter_map(|service| service.binary.as_deref()).map(file_name);
    let file = |name: &str| {
        let file =
            selection.files.iter().find(|file| file.copy.destination_name.eq_ignore_ascii_case(name))?;
        staged.file(&file.source.stored_path)
    };
    names.filter_map(|name| Some((name, file(name)?))).collect()
}

/// Those of [`boot_files`] whose signatures inside are all made with SHA-2: none of them can be checked by a Windows 7 without updates,
/// whatever the catalog has. A file without a signature is not among them.
fn boot_signed_with_sha2<'s>(
    selection: &'s Selection,
    staged: &'s Staged,
    options: &DriverOptions,
) -> Vec<&'s str> {
    let is_sha2 = |file: &StagedFile| {
        let digests = file.digests.program.as_ref().map_or(&[][..], |program| &program.signature_digests);
        let is_later = |digest: &Option<DigestKind>| digest.is_some_and(|digest| digest != DigestKind::Sha1);
        !digests.is_empty() && digests.iter().all(is_later)
    };
    let files = boot_files(selection, staged, options).into_iter();
    files.filter(|(_, file)| is_sha2(file)).map(|(name, _)| name).collect()
}

/// What is to be said of [`boot_signed_with_sha2`] where no image tells whether it can check that.
pub(super) fn boot_files_of_sha2(
    selection: &Selection,
    staged: &Staged,
    (windows, options): (&TargetWindows, &DriverOptions),
) -> Vec<String> {
    if windows.version() > (6, 1) {
        return Vec::new();
    }
    let names = boot_signed_with_sha2(selection, staged, options).into_iter();
    names
        .map(|name| {
            format!("{name} starts with the boot loader and is signed inside with SHA-2 alone: Windows 7 needs KB4474419 for it")
        })
        .collect()
}

/// Why it is not better, in words.
fn reason_of(report: &SignatureReport) -> String {
    if let Some(reason) = &report.reason {
        return reason.clone();
    }
    let issued = report.not_before.as_deref().unwrap_or("an unknown day");
    match &report.root {
        Some(root) if report.is_crossed_too_late() => format!(
            "its certificate hangs below {}, which Windows 10 and later accept for certificates of before 2015-07-29 only; this one is of {issued}",
            root.name
        ),
        Some(root) => format!("its chain was checked up to {}", root.name),
        None => format!("it is {}", report.label()),
    }
}

/// The refusal of a package whose signature Windows would not accept.
pub(super) fn unsigned_refusal(report: &SignatureReport, windows: &TargetWindows) -> Error {
    refusal(
        format!("Windows on {} loads only signed drivers, and {}", windows.arch, reason_of(report)),
        "use the vendor's signed package; or force it, and turn test signing on in the boot \
         configuration (bcdedit /set testsigning on), which Secure Boot forbids",
    )
}

/// What is to be said of a file that got back the line ends its catalog signs.
pub(super) fn restored_note(path: &str) -> String {
    format!("{path}: its line ends had been changed; they are again those that its catalog signs")
}

/// What is to be said of such a package when it is added all the same.
pub(super) fn unsigned_note(report: &SignatureReport, windows: &TargetWindows) -> String {
    let (label, reason) = (report.label(), reason_of(report));
    format!("{label}: Windows on {} will not load it unless test signing is on; {reason}", windows.arch)
}

fn is_given(report: &SignatureReport) -> bool {
    report.root.as_ref().is_some_and(|root| root.origin == RootOrigin::Given)
}

/// What is to be said of a signature that is accepted although it is in doubt.
pub(super) fn doubt_about(report: &SignatureReport, windows: &TargetWindows) -> Option<String> {
    let doubt = match report.status {
        SignatureStatus::ChainNotVerified => "Windows loads it if it knows the root of that chain",
        SignatureStatus::Authenticode if is_given(report) => {
            "that root was given: Windows loads it if it knows that too"
        }
        SignatureStatus::CatalogInvalid | SignatureStatus::NotCovered => {
            "Windows loads it all the same, but something changed what was signed"
        }
        SignatureStatus::Attested if windows.version() < (10, 0) => {
            "that is for Windows 10 and later, where this one may ask before it installs the driver"
        }
        _ => return None,
    };
    Some(format!("{}: {}; {doubt}", report.label(), reason_of(report)))
}

/// `*IfType` of wireless adapters.
const WIRELESS: u32 = 71;

/// Why a package is of no use in Windows PE, if it is of none.
#[must_use]
pub(super) fn winpe_verdict(selection: &Selection, classes: WinPeClasses) -> Option<String> {
    let class = boot::class_by_guid(&selection.class_guid);
    let name = class.map_or(selection.class_guid.as_str(), |class| class.name);
    if ["Extension", "SoftwareComponent"].contains(&name) {
        return Some(format!("class {name} is never for Windows PE; it belongs into the installed Windows"));
    }
    if classes == WinPeClasses::All {
        return None;
    }
    let is_wireless =
        selection.installs.iter().any(|selected| selected.install.interface_type == Some(WIRELESS));
    if name == "Net" && is_wireless {
        return Some("a Wi-Fi adapter, which Windows PE cannot use: it has no wireless service".to_owned());
    }
    if class.is_some_and(|class| class.for_setup) {
        return None;
    }
    Some(format!(
        "class {name} is not needed by Setup; Windows PE gets storage, USB, input and wired network"
    ))
}

/// Which packages are for the devices of a machine.
#[derive(Debug)]
pub struct HardwareMatch<'o> {
    ids: &'o HardwareIds,
    /// Makers of the packages that serve a device.
    providers: BTreeSet<String>,
}

impl<'o> HardwareMatch<'o> {
    /// Looks at all packages, since a hub's driver is wanted with that of the controller above it.
    pub(super) fn new(
        ids: &'o HardwareIds,
        packages: &[Package<'_>],
        target: &TargetWindows,
        undecorated: Undecorated,
    ) -> Self {
        let serves = |package: &&Package<'_>| {
            let models = models::models_with(package.inf(), target, undecorated);
            models.is_ok_and(|models| {
                ids.fit(models.models.iter().flat_map(|model| &model.ids).map(String::as_str)) == Fit::Device
            })
        };
        let providers = packages.iter().filter(serves).filter_map(|package| provider(package));
        Self { ids, providers: providers.collect() }
    }

    /// Reads the packages of all `sources`; none when the options name no devices.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn among(
        sources: &[&dyn PackageFiles],
        target: &ImageTarget,
        options: &'o DriverOptions,
        cancel: &Cancel,
    ) -> Result<Option<Self>> {
        let Some(ids) = &options.hardware else { return Ok(None) };
        let parse = ParseOptions { language: target.language, code_page: options.code_page };
        let packages = Packages::open(sources, parse, cancel)?.packages;
        Ok(Some(Self::new(ids, &packages, &target.windows, options.undecorated)))
    }

    /// Why a package is not for this machine, if it is not.
    pub(super) fn verdict(&self, package: &Package<'_>, selection: &Selection) -> Option<String> {
        let ids = selection.installs.iter().flat_map(|install| &install.ids);
        match self.ids.fit(ids.map(|id| id.id.as_str())) {
            Fit::Device => None,
            Fit::BelowVendorBus if provider(package).is_some_and(|name| self.providers.contains(&name)) => {
                None
            }
            _ => Some("it serves none of the devices in the list of hardware ids".to_owned()),
        }
    }
}

/// True when all devices of a package hang below a bus that only another driver brings up, as the hubs of a USB 3 host do.
pub(super) fn hangs_below_another(
    package: &Package<'_>,
    target: &TargetWindows,
    options: &DriverOptions,
) -> bool {
    let Ok(models) = models::models_with(package.inf(), target, options.undecorated) else { return false };
    let ids = models.models.iter().flat_map(|model| &model.ids).map(String::as_str);
    hang_below_another(ids)
}

fn provider(package: &Package<'_>) -> Option<String> {
    package.version().provider.as_ref().map(|name| name.trim().to_lowercase())
}
