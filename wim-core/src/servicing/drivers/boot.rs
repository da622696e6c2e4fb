//! Which drivers matter before Windows can look for any: boot-critical classes, and the critical device database.
//!
//! Source: drivers.md 1.12 and 2.2. It decides and names; what is written is `level_a`'s affair.

/// What to do about the start type of drivers for the disk that Windows boots from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BootStart {
    /// As the INF says.
    #[default]
    AsWritten,
    /// Function drivers of storage and USB host classes start with the boot loader: for booting from such a disk.
    Raise,
}

/// Which packages get their services and files put in place, rather than being offered to Windows only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BootCritical {
    /// Those whose device class is boot-critical.
    #[default]
    ByClass,
    /// All.
    Always,
    /// None.
    Never,
}

/// A device setup class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceClass {
    /// Its name.
    pub name: &'static str,
    /// Its GUID in upper case with braces.
    pub guid: &'static str,
    /// Whether Windows needs such devices to boot.
    pub boot_critical: bool,
}

const fn class(name: &'static str, guid: &'static str, boot_critical: bool) -> DeviceClass {
    DeviceClass { name, guid, boot_critical }
}

/// The classes of drivers.md 1.12.
///
/// UNVERIFIED beyond SCSIAdapter, System and HIDClass (seen configured by Windows itself) and Net, Display and SoftwareComponent
/// (seen not to be); a class property of an image would settle it, and Windows 7 has none.
pub const CLASSES: [DeviceClass; 21] = [
    class("SCSIAdapter", "{4D36E97B-E325-11CE-BFC1-08002BE10318}", true),
    class("hdc", "{4D36E96A-E325-11CE-BFC1-08002BE10318}", true),
    class("System", "{4D36E97D-E325-11CE-BFC1-08002BE10318}", true),
    class("USB", "{36FC9E60-C465-11CF-8056-444553540000}", true),
    class("HIDClass", "{745A17A0-74D3-11D0-B6FE-00A0C90F57DA}", true),
    class("Keyboard", "{4D36E96B-E325-11CE-BFC1-08002BE10318}", true),
    class("Mouse", "{4D36E96F-E325-11CE-BFC1-08002BE10318}", true),
    class("DiskDrive", "{4D36E967-E325-11CE-BFC1-08002BE10318}", true),
    class("CDROM", "{4D36E965-E325-11CE-BFC1-08002BE10318}", true),
    class("Volume", "{71A27CDD-812A-11D0-BEC7-08002BE2092F}", true),
    class("Computer", "{4D36E966-E325-11CE-BFC1-08002BE10318}", true),
    class("Processor", "{50127DC3-0F36-415E-A6CC-4CB3BE910B65}", true),
    class("1394", "{6BDD1FC1-810F-11D0-BEC7-08002BE2092F}", true),
    class("SBP2", "{D48179BE-EC20-11D1-B6B8-00C04FA372A7}", true),
    class("SDHost", "{A0A588A4-C46F-4B37-B7EA-C82FE89870C6}", true),
    class("Extension", "{E2F84CE7-8EFA-411C-AA69-97454CA4CB57}", false),
    class("Net", "{4D36E972-E325-11CE-BFC1-08002BE10318}", false),
    class("Display", "{4D36E968-E325-11CE-BFC1-08002BE10318}", false),
    class("MEDIA", "{4D36E96C-E325-11CE-BFC1-08002BE10318}", false),
    class("Printer", "{4D36E979-E325-11CE-BFC1-08002BE10318}", false),
    class("SoftwareComponent", "{5C4C3332-344D-483C-8739-259E934C9CC8}", false),
];

/// The class with this GUID (upper case, braces).
#[must_use]
pub fn class_by_guid(guid: &str) -> Option<&'static DeviceClass> {
    CLASSES.iter().find(|class| class.guid.eq_ignore_ascii_case(guid))
}

/// The class of this name.
#[must_use]
pub fn class_by_name(name: &str) -> Option<&'static DeviceClass> {
    CLASSES.iter().find(|class| class.name.eq_ignore_ascii_case(name))
}

/// True when a driver of the class must be in place before Windows looks for drivers.
#[must_use]
pub fn is_boot_critical(guid: &str) -> bool {
    class_by_guid(guid).is_some_and(|class| class.boot_critical)
}

/// True for classes of which a machine may boot from a device: their function drivers are what [`BootStart::Raise`] raises.
#[must_use]
pub fn can_hold_the_boot_disk(guid: &str) -> bool {
    class_by_guid(guid).is_some_and(|class| ["SCSIAdapter", "hdc", "USB", "SDHost"].contains(&class.name))
}

/// The key of a device id in the critical device database: backslashes become `#`.
#[must_use]
pub fn critical_device_key(id: &str) -> String {
    id.replace('\\', "#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_keys() {
        assert!(is_boot_critical("{4d36e97b-e325-11ce-bfc1-08002be10318}"));
        assert!(!is_boot_critical("{4D36E972-E325-11CE-BFC1-08002BE10318}"));
        assert!(!is_boot_critical("{00000000-0000-0000-0000-000000000000}"));
        assert!(can_hold_the_boot_disk(class_by_name("usb").unwrap().guid));
        assert!(!can_hold_the_boot_disk(class_by_name("Keyboard").unwrap().guid));
        assert_eq!(critical_device_key("PCI\\VEN_1&DEV_2"), "PCI#VEN_1&DEV_2");
        assert_eq!(critical_device_key("*PNP0600"), "*PNP0600");
    }
}
