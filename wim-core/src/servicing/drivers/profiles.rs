//! Named checks of an image: whether all is in place that a kind of machine needs to install and boot.
//!
//! Source: drivers.md 6, and 7.4 for the updates. A check says what it found, so that its verdict can be followed; nothing is
//! changed. What only a running Windows could tell (which of two drivers wins) is not judged.

use std::collections::BTreeSet;

use serde::Serialize;

use super::bindings::{self, Binding, ServiceState};
use super::boot;
use super::framework::{self, KmdfVersion};
use super::hardware_ids::is_below_vendor_bus;
use super::manifest::{Manifest, ManifestEntry};
use super::sha2_updates;
use super::store::{ImageFiles, file_version};
use crate::base::{Error, Result};
use crate::servicing::cbs;
use crate::servicing::hive_set::{HiveName, HiveSet};
use crate::servicing::target::{ImageTarget, StoreGeneration};

/// A named set of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// USB 3 keyboards and sticks on Windows 7.
    Win7Usb3,
    /// Windows 7 on an NVMe disk.
    Win7Nvme,
    /// Paravirtual disks and network of QEMU/KVM.
    Virtio,
    /// NVMe disks behind Intel's Volume Management Device.
    IntelVmd,
}

impl Profile {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Win7Usb3, Self::Win7Nvme, Self::Virtio, Self::IntelVmd];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Win7Usb3 => "win7-usb3",
            Self::Win7Nvme => "win7-nvme",
            Self::Virtio => "virtio",
            Self::IntelVmd => "intel-vmd",
        }
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// `InvalidInput` with the names there are.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|profile| profile.name().eq_ignore_ascii_case(name.trim())).ok_or_else(
            || {
                let names: Vec<&str> = Self::ALL.iter().map(|profile| profile.name()).collect();
                Error::invalid_input(format!("{name:?} is no profile"))
                    .remedy(format!("use one of {}", names.join(", ")))
            },
        )
    }
}

/// What a profile comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The profile is for another Windows.
    NotApplicable,
    /// All that is needed is there.
    Ready,
    /// It works, with something to know.
    ReadyWithWarnings,
    /// Something that is needed is missing.
    Incomplete,
}

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Warning,
    /// Missing or wrong.
    Missing,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked for.
    pub what: String,
    /// What was found.
    pub state: CheckState,
    /// In words.
    pub found: String,
    /// What can be done about it.
    pub remedy: Option<String>,
}

/// All checks of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileReport {
    /// Its name.
    pub profile: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// The checks, in order.
    pub checks: Vec<Check>,
}

/// Checks an image.
///
/// # Errors
/// What reading the image or its hives gives.
pub fn check(
    profile: Profile,
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    target: &ImageTarget,
) -> Result<ProfileReport> {
    let mut checker = Checker { image, hives, target, checks: Vec::new() };
    let is_seven = target.windows.version() == (6, 1);
    let applies = match profile {
        Profile::Win7Usb3 if is_seven => checker.usb3().map(|()| true)?,
        Profile::Win7Nvme if is_seven => checker.nvme().map(|()| true)?,
        Profile::Virtio => checker.virtio().map(|()| true)?,
        Profile::IntelVmd if target.windows.version() >= (10, 0) => checker.vmd().map(|()| true)?,
        _ => false,
    };
    let states = || checker.checks.iter().map(|check| check.state);
    let verdict = match () {
        () if !applies => Verdict::NotApplicable,
        () if states().any(|state| state == CheckState::Missing) => Verdict::Incomplete,
        () if states().any(|state| state == CheckState::Warning) => Verdict::ReadyWithWarnings,
        () => Verdict::Ready,
    };
    Ok(ProfileReport { profile: profile.name().to_owned(), verdict, checks: checker.checks })
}

struct Checker<'c, 'i, 'v> {
    image: &'c ImageFiles<'i>,
    hives: &'c mut HiveSet<'v>,
    target: &'c ImageTarget,
    checks: Vec<Check>,
}

/// Host controller drivers that came with Windows 7, all of USB 2 or older.
const OLD_HOSTS: [&str; 4] = ["usbehci", "usbohci", "usbuhci", "usbhub"];

impl Checker<'_, '_, '_> {
    fn note(&mut self, what: &str, state: CheckState, found: impl Into<String>, remedy: Option<&str>) {
        self.checks.push(Check {
            what: what.to_owned(),
            state,
            found: found.into(),
            remedy: remedy.filter(|_| state != CheckState::Ok).map(str::to_owned),
        });
    }

    fn bound(&mut self, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Binding>> {
        bindings::bindings(self.hives, self.target.generation, wanted)
    }

    fn state(&mut self, service: &str) -> Result<Option<ServiceState>> {
        bindings::service_state(self.image, self.hives, service)
    }

    /// Notes what there is of the services that `bound` devices have; true when one of them is whole.
    ///
    /// `boots` says that the devices may hold the boot disk, for which the boot loader has to load the driver.
    fn driver(&mut self, what: &str, bound: &[Binding], boots: Boots, remedy: &str) -> Result<bool> {
        let mut services: Vec<String> = bound.iter().filter_map(|binding| binding.service.clone()).collect();
        services.sort_by_key(|service| service.to_lowercase());
        services.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        if services.is_empty() {
            self.note(what, CheckState::Missing, "no driver is registered for it", Some(remedy));
            return Ok(false);
        }
        let mut whole = false;
        for service in services {
            let found = self.state(&service)?;
            let (state, text) = match &found {
                None => (CheckState::Missing, format!("devices are bound to {service}, which is no service")),
                Some(found) if !found.file_is_there => {
                    (CheckState::Missing, format!("service {service}: {} is not there", found.file))
                }
                Some(found) => match (found.start, boots) {
                    (Some(4), _) => (CheckState::Missing, format!("service {service} is disabled")),
                    (Some(0), _) => (CheckState::Ok, format!("service {service}")),
                    (Some(start), Boots::Maybe) => (
                        CheckState::Warning,
                        format!(
                            "service {service} starts on demand ({start}): devices work, but Windows cannot boot from one"
                        ),
                    ),
                    (start, _) => (
                        CheckState::Missing,
                        format!(
                            "service {service} does not start with the boot loader (start type {start:?})"
                        ),
                    ),
                },
            };
            whole |= state != CheckState::Missing;
            let remedy = match state {
                CheckState::Warning => "to boot from such a device add the driver with boot start",
                _ => remedy,
            };
            self.note(what, state, text, Some(remedy));
            if let Some(needed) = found.and_then(|found| found.kmdf) {
                self.framework(&service, &needed)?;
            }
        }
        Ok(whole)
    }

    fn framework(&mut self, service: &str, needed: &str) -> Result<()> {
        let Some(version) = framework::parse_version(needed) else { return Ok(()) };
        let present: KmdfVersion = framework::present_version(self.image, &self.target.windows)?;
        let state = if version <= present { CheckState::Ok } else { CheckState::Missing };
        self.note(
            "kernel-mode driver framework",
            state,
            format!("{service} needs {needed}, the image has {}.{}", present.0, present.1),
            Some("add the update KB2685811 (KMDF 1.11) to this image"),
        );
        Ok(())
    }

    fn service_pack(&mut self) {
        let build = self.target.windows.build;
        let state = if build >= 7601 { CheckState::Ok } else { CheckState::Missing };
        self.note(
            "Service Pack 1",
            state,
            format!("build {build}"),
            Some("use an image of Windows 7 with Service Pack 1"),
        );
    }

    fn sha2(&mut self) -> Result<()> {
        let (state, text) = match sha2_updates::knows_sha2(self.image, self.hives)? {
            Some(true) => (CheckState::Ok, "drivers signed with SHA-2 can be checked"),
            Some(false) => (CheckState::Warning, "drivers signed with SHA-2 alone will not load"),
            None => (CheckState::Warning, "nothing tells whether drivers signed with SHA-2 load"),
        };
        self.note(
            "SHA-2 signatures",
            state,
            text,
            Some("add KB4490628 and KB4474419 for drivers signed since 2019"),
        );
        Ok(())
    }

    /// True when an update's package is installed, permanent or superseded.
    fn has_update(&mut self, number: &str) -> Result<bool> {
        Ok(cbs::has_one_of(self.hives, &[number])? == Some(true))
    }

    fn usb3(&mut self) -> Result<()> {
        self.service_pack();
        let usb = |binding: &Binding| {
            binding.class_guid.as_deref().is_some_and(|guid| guid.eq_ignore_ascii_case(boot::USB))
                && !binding
                    .service
                    .as_deref()
                    .is_some_and(|service| OLD_HOSTS.iter().any(|old| old.eq_ignore_ascii_case(service)))
        };
        let mut hosts = self.bound(&|id| id.to_uppercase().starts_with("PCI\\"))?;
        hosts.retain(usb);
        let remedy = "add the maker's xHCI driver for Windows 7";
        self.driver("USB 3 host controller", &hosts, Boots::Maybe, remedy)?;
        // Windows 7 has no driver for the root hubs that makers' host drivers bring up.
        let mut hubs = self.bound(&is_below_vendor_bus)?;
        hubs.retain(usb);
        let remedy = "add the hub driver that comes with the host controller's";
        self.driver("USB 3 hub", &hubs, Boots::Maybe, remedy)?;
        self.hosts_without_hubs(&hosts, &hubs)?;
        self.sha2()
    }

    /// Host controllers of makers none of whose hub drivers is there: theirs bring up hubs that other makers' do not know.
    fn hosts_without_hubs(&mut self, hosts: &[Binding], hubs: &[Binding]) -> Result<()> {
        let manifest = Manifest::load(self.image.view())?;
        let of = |binding: &Binding| {
            let has =
                |entry: &&ManifestEntry| entry.ids.iter().any(|id| id.eq_ignore_ascii_case(&binding.id));
            manifest.drivers.iter().find(has)
        };
        let hubs: Vec<&ManifestEntry> = hubs.iter().filter_map(of).collect();
        let has_hub = |host: &&ManifestEntry| hubs.iter().any(|hub| hub.has_maker_of(host));
        let alone: BTreeSet<String> =
            hosts.iter().filter_map(of).filter(|host| !has_hub(host)).map(ManifestEntry::title).collect();
        if !hubs.is_empty() && !alone.is_empty() {
            let text = format!("no hub driver of the same maker: {}", Vec::from_iter(alone).join(", "));
            let remedy = "add the hub driver that comes with the host controller's";
            self.note("hubs of each maker", CheckState::Missing, text, Some(remedy));
        }
        Ok(())
    }

    fn nvme(&mut self) -> Result<()> {
        self.service_pack();
        let is_class = |id: &str| id.to_uppercase().starts_with("PCI\\CC_0108");
        let own = self.bound(&is_class)?;
        let stornvme: Vec<Binding> = own
            .iter()
            .filter(|binding| binding.service.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("stornvme")))
            .cloned()
            .collect();
        let mut vendors = self.bound(&|id| id.to_uppercase().starts_with("PCI\\"))?;
        let mut kept = Vec::new();
        for binding in vendors.drain(..) {
            if let Some(service) = binding.service.clone()
                && !service.eq_ignore_ascii_case("stornvme")
                && self.is_nvme(&service)?
            {
                kept.push(binding);
            }
        }
        let has_update = self.has_update("KB2990941")?;
        let remedy = "add KB2990941-v3 and KB3087873-v2, or the maker's NVMe driver for Windows 7";
        if !stornvme.is_empty() || has_update {
            self.driver("Microsoft's NVMe driver", &stornvme, Boots::Yes, remedy)?;
            self.hotfixes(has_update)?;
            if !kept.is_empty() {
                let names: Vec<String> = kept
                    .iter()
                    .map(|b| format!("{} ({})", b.id, b.service.clone().unwrap_or_default()))
                    .collect();
                let both = kept.iter().any(|binding| is_class(&binding.id));
                let state = if both { CheckState::Missing } else { CheckState::Ok };
                let remedy = "keep one of the two drivers for these devices";
                self.note("one driver for each device", state, names.join(", "), Some(remedy));
            }
        } else {
            self.driver("NVMe driver", &kept, Boots::Yes, remedy)?;
        }
        self.note(
            "firmware",
            CheckState::Ok,
            "booting from NVMe needs UEFI and a GPT disk, which an image cannot tell",
            None,
        );
        self.sha2()
    }

    /// True for a storage driver that says it is on an NVMe bus, or is called so.
    fn is_nvme(&mut self, service: &str) -> Result<bool> {
        const BUS_TYPE_NVME: u32 = 0x11;
        if service.to_lowercase().contains("nvme") {
            return Ok(true);
        }
        let Some(&set) = self.hives.control_sets()?.first() else { return Ok(false) };
        let key = format!("ControlSet{set:03}\\Services\\{service}\\Parameters");
        let bus = self.hives.get(HiveName::System, &key, "BusType")?.and_then(|value| value.as_dword());
        Ok(bus == Some(BUS_TYPE_NVME))
    }

    fn hotfixes(&mut self, has_first: bool) -> Result<()> {
        let has_second = self.has_update("KB3087873")?;
        let version = |checker: &Self, name: &str| -> Result<Option<[u16; 4]>> {
            let path = checker.image.spelled(&format!("\\Windows\\System32\\drivers\\{name}"))?;
            Ok(checker.image.read(&path)?.and_then(|bytes| file_version(&bytes)))
        };
        // What the second update brings, where the component store says nothing.
        let by_file = version(self, "stornvme.sys")?.is_some_and(|v| v >= [6, 1, 7601, 18615])
            && version(self, "storport.sys")?.is_some_and(|v| v >= [6, 1, 7601, 18969]);
        let (state, text) = match (has_first || by_file, has_second || by_file) {
            (true, true) => (CheckState::Ok, "KB2990941 and KB3087873 are there"),
            (true, false) => {
                (CheckState::Warning, "KB3087873 is missing: STOP 0x7E after adding a language pack")
            }
            (false, true) => (CheckState::Missing, "KB3087873 is there without KB2990941"),
            (false, false) => (CheckState::Missing, "neither KB2990941 nor KB3087873 is there"),
        };
        self.note("NVMe hotfixes", state, text, Some("add KB2990941-v3 first, then KB3087873-v2"));
        Ok(())
    }

    fn virtio(&mut self) -> Result<()> {
        let device = |id: &str, numbers: [&str; 2]| {
            let id = id.to_uppercase();
            numbers.iter().any(|number| id.starts_with(&format!("PCI\\VEN_1AF4&DEV_{number}")))
        };
        let block = self.bound(&|id| device(id, ["1001", "1042"]))?;
        let scsi = self.bound(&|id| device(id, ["1004", "1048"]))?;
        let remedy = "add viostor (and vioscsi) of the virtio drivers for this Windows";
        match (block.is_empty(), scsi.is_empty()) {
            (true, false) => {
                self.driver("virtio SCSI disk", &scsi, Boots::Yes, remedy)?;
                let text = "only disks on a virtio SCSI controller can be booted from";
                self.note("virtio block disk", CheckState::Warning, text, Some("add viostor too"));
            }
            (_, no_scsi) => {
                self.driver("virtio block disk", &block, Boots::Yes, remedy)?;
                if !no_scsi {
                    self.driver("virtio SCSI disk", &scsi, Boots::Yes, remedy)?;
                }
            }
        }
        let net = self.bound(&|id| device(id, ["1000", "1041"]))?;
        let staged = net.iter().any(|binding| binding.inf.is_some() || binding.service.is_some())
            || self.offers("netkvm")?;
        let state = if staged { CheckState::Ok } else { CheckState::Warning };
        let text = if staged { "a driver is there" } else { "no driver is there" };
        self.note("virtio network", state, text, Some("add NetKVM of the virtio drivers for this Windows"));
        if self.target.windows.version() <= (6, 1) {
            self.sha2()?;
        }
        Ok(())
    }

    /// True when the list of added drivers has one whose INF begins so: Windows 7 binds no network adapter before it is installed.
    fn offers(&self, stem: &str) -> Result<bool> {
        let manifest = Manifest::load(self.image.view())?;
        Ok(manifest.drivers.iter().any(|entry| entry.inf.to_lowercase().starts_with(stem)))
    }

    fn vmd(&mut self) -> Result<()> {
        /// Volume Management Devices of processors since 2017: servers, then clients.
        const DEVICES: [&str; 9] = ["201D", "28C0", "09AB", "9A0B", "467F", "A77F", "7D0B", "AD0B", "B60B"];
        let vmd = self.bound(&|id| {
            let id = id.to_uppercase();
            DEVICES.iter().any(|device| id.starts_with(&format!("PCI\\VEN_8086&DEV_{device}")))
        })?;
        let remedy = "add Intel's RST VMD driver (iaStorVD) for this Windows, to boot.wim too";
        self.driver("Volume Management Device", &vmd, Boots::Yes, remedy)?;
        if self.target.generation == StoreGeneration::Modern
            && !boot::is_boot_critical_in(self.hives, boot::SCSI_ADAPTER)?
        {
            let text = "the image does not count storage controllers as needed to boot";
            self.note("device class", CheckState::Warning, text, Some("check the image's class properties"));
        }
        Ok(())
    }
}

/// Whether Windows may have to boot from the devices of a check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boots {
    /// It does: the boot loader has to load the driver.
    Yes,
    /// It may; they are of use without.
    Maybe,
}
