//! The devices of one machine, so that only its drivers are added.
//!
//! A list comes from Windows (`pnputil /enum-devices /ids`, Device Manager, `wmic`) or from Linux (`lspci -nn`, `lsusb`); each
//! line is searched for ids and everything else is passed over. Less exact ids that Windows would try for the same device
//! (drivers.md 1.11) are added. Where `lspci` leaves out a device's subsystem or interface, drivers for any of them fit: one too
//! many does no harm, one too few leaves the machine without its disk.

use std::collections::BTreeSet;

use crate::base::{Error, Result};
use crate::formats::inf::encoding;

/// Most ids of one list; a machine has a few hundred.
const MAX_IDS: usize = 100_000;
/// Largest list.
const MAX_BYTES: usize = 16 << 20;
/// What to do about a list beyond these limits.
const ONE_MACHINE: &str = "give the list of one machine: a few hundred lines";
/// Enumerators of Windows itself. Devices of any other appear only once a vendor's bus driver runs.
const KNOWN_ENUMERATORS: [&str; 25] = [
    "1394",
    "ACPI",
    "BTH",
    "BTHENUM",
    "DISPLAY",
    "FDC",
    "GENDISK",
    "HDAUDIO",
    "HID",
    "IDE",
    "INTELAUDIO",
    "ISAPNP",
    "MONITOR",
    "PCI",
    "PCIIDE",
    "PCMCIA",
    "ROOT",
    "SCSI",
    "SD",
    "STORAGE",
    "SWD",
    "UEFI",
    "USB",
    "USBSTOR",
    "VMBUS",
];

/// How the names begin that Windows' own hub driver gives to devices below `USB`; anything else there is made by a vendor's bus driver, as
/// `USB\\ASMEDIAROOT_Hub`, `USB\\TIUSBD_Hub` and `USB\\VIA_ROOT_HUB` are by those for Windows 7.
const USB_NAMES: [&str; 8] =
    ["CLASS_", "COMPOSITE", "DEVCLASS_", "MS_COMP_", "ROOT_HUB", "UNKNOWN", "VID_", "VID&"];

/// Hardware ids in upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HardwareIds {
    ids: BTreeSet<String>,
    /// Beginnings of ids whose end the list does not tell: devices without their subsystem, classes without their interface.
    open: BTreeSet<String>,
    /// The last device that `lspci` named, for the line with its subsystem.
    last: Option<String>,
}

/// True for the id of a device that appears only once a vendor's bus driver runs.
pub(super) fn is_below_vendor_bus(id: &str) -> bool {
    let Some((enumerator, name)) = id.split_once('\\') else { return false };
    let (enumerator, name) = (enumerator.trim(), name.trim().to_uppercase());
    match KNOWN_ENUMERATORS.iter().any(|known| known.eq_ignore_ascii_case(enumerator)) {
        true => enumerator.eq_ignore_ascii_case("USB") && !USB_NAMES.iter().any(|own| name.starts_with(own)),
        false => true,
    }
}

/// True when all devices of a driver with these ids hang below a bus that only another driver brings up, as the hubs of a USB 3 host
/// do.
pub(super) fn hang_below_another<'i>(ids: impl IntoIterator<Item = &'i str>) -> bool {
    HardwareIds::default().fit(ids) == Fit::BelowVendorBus
}

/// How a driver fits the devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// One of them is served, or may be.
    Device,
    /// None is, but all its devices hang below a bus that only another vendor's driver brings up.
    BelowVendorBus,
    /// None is.
    Nothing,
}

impl HardwareIds {
    /// Reads a list, in any encoding that INFs have.
    ///
    /// # Errors
    /// `Format` when no line holds an id, `Limit` for a list that is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::limit("a list of hardware ids larger than 16 MiB").remedy(ONE_MACHINE));
        }
        let (text, _) = encoding::decode(bytes, encoding::DEFAULT_CODE_PAGE);
        let mut list = Self::default();
        for line in text.lines() {
            list.read_line(line);
            if list.ids.len() > MAX_IDS {
                return Err(Error::limit(format!("more than {MAX_IDS} hardware ids")).remedy(ONE_MACHINE));
            }
        }
        if list.ids.is_empty() {
            return Err(Error::format("list of hardware ids", "lines", 0, "no line holds an id").remedy(
                "write one id a line, as PCI\\VEN_8086&DEV_1E31, or the output of `lspci -nn` and `lsusb`",
            ));
        }
        Ok(list)
    }

    /// How many ids there are, less exact ones of the same devices included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// True when a device of the machine has this id.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(&id.trim().to_uppercase())
    }

    /// True when a device of the machine has this id, or may have it for all that the list tells.
    fn may_have(&self, id: &str) -> bool {
        const SUBSYSTEM: &str = "&SUBSYS_";
        let id = id.trim().to_uppercase();
        let is_open = |start: &str| self.open.contains(start);
        self.ids.contains(&id)
            || id.split_once(SUBSYSTEM).is_some_and(|(start, _)| is_open(start))
            || id.contains("CC_")
                && id.len().checked_sub(2).and_then(|end| id.get(..end)).is_some_and(is_open)
    }

    /// How a driver with these ids fits.
    #[must_use]
    pub fn fit<'i>(&self, ids: impl IntoIterator<Item = &'i str>) -> Fit {
        let mut all_below = None;
        for id in ids {
            if self.may_have(id) {
                return Fit::Device;
            }
            all_below = Some(all_below.unwrap_or(true) && is_below_vendor_bus(id));
        }
        if all_below == Some(true) { Fit::BelowVendorBus } else { Fit::Nothing }
    }

    fn read_line(&mut self, line: &str) {
        // As XML has it.
        let line = line.trim().replace("&amp;", "&");
        if line.starts_with(['#', ';']) {
            return;
        }
        self.read_lspci(&line);
        self.read_lsusb(&line);
        for word in line.split(['"', '{', '}', ',', ' ', '\t', '=', '|', '<', '>']) {
            if is_device_id(word) {
                self.add(word);
            }
        }
    }

    /// `00:14.0 USB controller [0c03]: Intel … [8086:1e31] (rev 04) (prog-if 30 [XHCI])`, and below it with `-v` or `-k`
    /// `Subsystem: ASUSTeK … [1043:84ca]`.
    fn read_lspci(&mut self, line: &str) {
        let brackets: Vec<&str> = line.split('[').skip(1).filter_map(|part| part.split(']').next()).collect();
        let class = brackets.iter().find(|text| text.len() == 4 && is_hex(text)).copied();
        let Some((vendor, device)) = brackets.iter().rev().find_map(|text| pair_of_words(text)) else {
            return;
        };
        if line.starts_with("Subsystem:") {
            if let Some(id) = self.last.take() {
                self.open.remove(&id);
                self.add(&format!("{id}&SUBSYS_{device}{vendor}"));
            }
            return;
        }
        let after = |mark: &str| {
            let rest = line.split(mark).nth(1)?;
            rest.get(..2).filter(|digits| is_hex(digits)).map(str::to_uppercase)
        };
        let id = format!("PCI\\VEN_{vendor}&DEV_{device}").to_uppercase();
        match after("(rev ") {
            Some(revision) => self.add(&format!("{id}&REV_{revision}")),
            None => self.add(&id),
        }
        self.open.insert(id.clone());
        self.last = Some(id.clone());
        if let Some(class) = class {
            let interface = after("(prog-if ").unwrap_or_default();
            if interface.is_empty() {
                let class = class.to_uppercase();
                self.open.extend([format!("PCI\\CC_{class}"), format!("{id}&CC_{class}")]);
            }
            self.add(&format!("PCI\\CC_{class}{interface}"));
            self.add(&format!("{id}&CC_{class}{interface}"));
        }
    }

    /// `Bus 002 Device 001: ID 1d6b:0003 Linux Foundation 3.0 root hub`.
    fn read_lsusb(&mut self, line: &str) {
        let id = line.split(" ID ").nth(1).and_then(|rest| rest.split_whitespace().next());
        if let Some((vendor, product)) = id.and_then(pair_of_words) {
            self.add(&format!("USB\\VID_{vendor}&PID_{product}"));
        }
    }

    /// Adds an id, or the path of a device instance, with the less exact ones.
    fn add(&mut self, id: &str) {
        let id = id.trim().to_uppercase();
        // The third part of a path tells devices of the same kind apart.
        let mut parts = id.splitn(3, '\\');
        let short = match (parts.next(), parts.next()) {
            (Some(enumerator), Some(device)) => format!("{enumerator}\\{device}"),
            _ => id.clone(),
        };
        for less in less_exact(&short) {
            self.ids.insert(less);
        }
        self.ids.insert(short);
        self.ids.insert(id);
    }
}

/// The less exact ids that Windows makes of a PCI or USB id.
fn less_exact(id: &str) -> Vec<String> {
    let Some((enumerator, device)) = id.split_once('\\') else { return Vec::new() };
    let part = |prefix: &str| device.split('&').find(|part| part.starts_with(prefix));
    let join = |parts: &[Option<&str>]| {
        let there: Option<Vec<&str>> = parts.iter().copied().collect();
        there.map(|parts| format!("{enumerator}\\{}", parts.join("&")))
    };
    let class: Option<&str> = part("CC_");
    let short_class = class.and_then(|class| class.get(.."CC_ccss".len()));
    let (vendor, product) = (part("VEN_"), part("DEV_"));
    let all = match enumerator {
        "PCI" => vec![
            join(&[vendor, product, part("SUBSYS_")]),
            join(&[vendor, product, class]),
            join(&[vendor, product, short_class]),
            join(&[vendor, product, part("REV_")]),
            join(&[vendor, product]),
            join(&[vendor, class]),
            join(&[vendor, short_class]),
            join(&[vendor]),
            join(&[class]),
            join(&[short_class]),
        ],
        "USB" | "HID" => {
            vec![join(&[part("VID_"), part("PID_"), part("MI_")]), join(&[part("VID_"), part("PID_")])]
        }
        // ACPI\PNP0A08 is also known as *PNP0A08.
        "ACPI" if !device.contains('&') => vec![Some(format!("*{device}"))],
        _ => Vec::new(),
    };
    all.into_iter().flatten().collect()
}

fn is_device_id(word: &str) -> bool {
    if let Some(rest) = word.strip_prefix('*') {
        return rest.len() >= 7 && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    }
    // A path of a file has a drive or begins with a separator.
    word.split_once('\\').is_some_and(|(enumerator, device)| {
        !device.is_empty()
            && enumerator.len() >= 2
            && enumerator.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `8086:1e31`.
fn pair_of_words(text: &str) -> Option<(&str, &str)> {
    let (a, b) = text.split_once(':')?;
    (a.len() == 4 && b.len() == 4 && is_hex(a) && is_hex(b)).then_some((a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_windows_and_linux_are_read() {
        let text = "# this machine\r\nInstance ID: PCI\\VEN_8086&DEV_1E31&SUBSYS_84CA1043&REV_04\\3&11583659&0&A0\r\n\
            {\"PCI\\VEN_144D&DEV_A804&CC_010802\",\"PCI\\VEN_144D&DEV_A804\"}\n\
            02:00.0 Ethernet controller [0200]: Realtek RTL8111 [10ec:8168] (rev 0c)\n\
            Bus 002 Device 002: ID 0781:5581 SanDisk Corp. Ultra\nACPI\\PNP0A08\nC:\\Windows\\inf\\x.inf\n";
        let list = HardwareIds::parse(text.as_bytes()).unwrap();
        for id in [
            "PCI\\VEN_8086&DEV_1E31",
            "pci\\ven_8086&dev_1e31&rev_04",
            "PCI\\CC_0108",
            "PCI\\VEN_10EC&DEV_8168&REV_0C",
            "PCI\\CC_0200",
            "USB\\VID_0781&PID_5581",
            "*PNP0A08",
        ] {
            assert!(list.contains(id), "{id}");
        }
        assert!(!list.contains("PCI\\VEN_10EC&DEV_8168&REV_0D") && !list.contains("C:\\Windows"));
        assert_eq!(list.fit(["PCI\\VEN_1&DEV_2", "PCI\\VEN_144D&DEV_A804"]), Fit::Device);
        assert_eq!(list.fit(["IUSB3\\ROOT_HUB30", "IUSB3\\CLASS_09"]), Fit::BelowVendorBus);
        assert_eq!(list.fit(["IUSB3\\ROOT_HUB30", "USB\\CLASS_09"]), Fit::Nothing);
        for hub in ["USB\\ASMEDIAROOT_Hub&VID1B21&PID1142", "USB\\TIUSBD_Hub", "usb\\via_root_hub"] {
            assert_eq!(list.fit([hub]), Fit::BelowVendorBus, "{hub}");
        }
        for own in ["USB\\ROOT_HUB30", "USB\\VID_0781&PID_5581&MI_00", "USB\\Class_08&SubClass_06"] {
            assert!(!is_below_vendor_bus(own), "{own}");
        }
        assert_eq!(list.fit([]), Fit::Nothing);
    }

    #[test]
    fn what_a_list_does_not_tell_may_be() {
        let bare = HardwareIds::parse(b"01:00.0 Mass storage [0108]: x [1022:7805] (rev 01)\n").unwrap();
        let told = b"01:00.0 Mass storage [0108]: x [1022:7805] (prog-if 02)\n\tSubsystem: HP [103c:2215]\n";
        let told = HardwareIds::parse(told).unwrap();
        for (id, may_be, is) in [
            ("PCI\\VEN_1022&DEV_7805&SUBSYS_2215103C", true, true),
            ("PCI\\VEN_1022&DEV_7805&SUBSYS_11112222&REV_01", true, false),
            ("pci\\cc_010802", true, true),
            ("PCI\\CC_010801", true, false),
            ("PCI\\CC_0106", false, false),
            ("PCI\\VEN_103C&DEV_2215", false, false),
            ("PCI\\VEN_1022&DEV_7806&SUBSYS_2215103C", false, false),
        ] {
            assert_eq!((bare.fit([id]) == Fit::Device, told.fit([id]) == Fit::Device), (may_be, is), "{id}");
        }
        let xml = b"<HardwareId>PCI\\VEN_8086&amp;DEV_1E31&amp;REV_04</HardwareId>";
        assert!(HardwareIds::parse(xml).unwrap().contains("PCI\\VEN_8086&DEV_1E31"));
    }

    #[test]
    fn a_list_without_ids_is_refused() {
        let e = HardwareIds::parse(b"nothing here\n").unwrap_err();
        assert!(e.remedy_text().is_some());
        assert!(HardwareIds::parse(b"").is_err());
    }
}
