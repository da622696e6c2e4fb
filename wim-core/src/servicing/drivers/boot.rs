//! Which drivers matter before Windows can look for any: boot-critical classes, and the critical device database.
//!
//! Source: drivers.md 1.12 and 2.2. It decides and names; what is written is `level_a`'s affair.

use crate::base::Result;
use crate::formats::inf::version::EXTENSION_CLASS;
use crate::servicing::hive_set::{HiveName, HiveSet};

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
    /// Whether Setup in Windows PE has a use for such devices.
    pub for_setup: bool,
}

const fn class(name: &'static str, guid: &'static str, boot_critical: bool, for_setup: bool) -> DeviceClass {
    DeviceClass { name, guid, boot_critical, for_setup }
}

/// Storage controllers.
pub const SCSI_ADAPTER: &str = "{4D36E97B-E325-11CE-BFC1-08002BE10318}";
/// USB hosts and hubs.
pub const USB: &str = "{36FC9E60-C465-11CF-8056-444553540000}";

/// The classes of drivers.md 1.12 and those that Windows 10 21H2 marks as boot-critical.
///
/// On that Windows the class property says so for exactly these, and `SYSTEM\DriverDatabase` holds packages of these classes and of
/// Extension and no others. Windows 7 has no such property: UNVERIFIED there beyond SCSIAdapter, System and HIDClass.
pub const CLASSES: [DeviceClass; 43] = [
    class("SCSIAdapter", SCSI_ADAPTER, true, true),
    class("hdc", "{4D36E96A-E325-11CE-BFC1-08002BE10318}", true, true),
    class("System", "{4D36E97D-E325-11CE-BFC1-08002BE10318}", true, true),
    class("USB", USB, true, true),
    class("HIDClass", "{745A17A0-74D3-11D0-B6FE-00A0C90F57DA}", true, true),
    class("Keyboard", "{4D36E96B-E325-11CE-BFC1-08002BE10318}", true, true),
    class("Mouse", "{4D36E96F-E325-11CE-BFC1-08002BE10318}", true, true),
    class("DiskDrive", "{4D36E967-E325-11CE-BFC1-08002BE10318}", true, true),
    class("CDROM", "{4D36E965-E325-11CE-BFC1-08002BE10318}", true, true),
    class("Volume", "{71A27CDD-812A-11D0-BEC7-08002BE2092F}", true, true),
    class("VolumeSnapshot", "{533C5B84-EC70-11D2-9505-00C04F79DEAF}", true, true),
    class("FloppyDisk", "{4D36E980-E325-11CE-BFC1-08002BE10318}", true, true),
    class("fdc", "{4D36E969-E325-11CE-BFC1-08002BE10318}", true, true),
    class("Computer", "{4D36E966-E325-11CE-BFC1-08002BE10318}", true, true),
    class("Processor", "{50127DC3-0F36-415E-A6CC-4CB3BE910B65}", true, false),
    class("1394", "{6BDD1FC1-810F-11D0-BEC7-08002BE2092F}", true, true),
    class("SBP2", "{D48179BE-EC20-11D1-B6B8-00C04FA372A7}", true, true),
    class("SDHost", "{A0A588A4-C46F-4B37-B7EA-C82FE89870C6}", true, true),
    class("PCMCIA", "{4D36E977-E325-11CE-BFC1-08002BE10318}", true, true),
    class("ScmDisk", "{53966CB1-4D46-4166-BF23-C522403CD495}", true, true),
    class("ScmVolume", "{53CCB149-E543-4C84-B6E0-BCE4F6B7E806}", true, true),
    class("SmrDisk", "{53487C23-680F-4585-ACC3-1F10D6777E82}", true, true),
    class("SmrVolume", "{53B3CF03-8F5A-4788-91B6-D19ED9FCCCBF}", true, true),
    class("EhStorSilo", "{9DA2B80F-F89F-4A49-A5C2-511B085B9E8A}", true, true),
    class("USBDevice", "{88BAE032-5A81-49F0-BC3D-A4FF138216D6}", true, true),
    class("USBFunctionController", "{BBBE8734-08FA-4966-B6A6-4E5AD010CDD7}", true, false),
    class("UCM", "{E6F1AA1C-7F3B-4473-B2E8-C97D8AC71D53}", true, true),
    class("Ports", "{4D36E978-E325-11CE-BFC1-08002BE10318}", true, false),
    class("Battery", "{72631E54-78A4-11D0-BCF7-00AA00B7B32A}", true, false),
    class("Memory", "{5099944A-F6B9-4057-A056-8C550228544C}", true, true),
    class("SecurityDevices", "{D94EE5D8-D189-4994-83D2-F68D7D41B0E6}", true, false),
    class("Firmware", "{F2E7DD72-6468-4E36-B6F1-6488F42C1B52}", true, false),
    class("Extension", EXTENSION_CLASS, false, false),
    class("Net", "{4D36E972-E325-11CE-BFC1-08002BE10318}", false, true),
    class("Display", "{4D36E968-E325-11CE-BFC1-08002BE10318}", false, false),
    class("MEDIA", "{4D36E96C-E325-11CE-BFC1-08002BE10318}", false, false),
    class("Modem", "{4D36E96D-E325-11CE-BFC1-08002BE10318}", false, false),
    class("Monitor", "{4D36E96E-E325-11CE-BFC1-08002BE10318}", false, false),
    class("Printer", "{4D36E979-E325-11CE-BFC1-08002BE10318}", false, false),
    class("Image", "{6BDD1FC6-810F-11D0-BEC7-08002BE2092F}", false, false),
    class("Bluetooth", "{E0CBF06C-CD8B-4647-BB8A-263B43F0F974}", false, false),
    class("Biometric", "{53D29EF7-377C-4D14-864B-EB3A85769359}", false, false),
    class("SoftwareComponent", "{5C4C3332-344D-483C-8739-259E934C9CC8}", false, false),
];

/// What Windows calls a class in English, where that is the same on all versions.
#[must_use]
pub fn class_description(name: &str) -> Option<&'static str> {
    let known = class_by_name(name)?.name;
    let text = match known {
        "SCSIAdapter" => "Storage controllers",
        "hdc" => "IDE ATA/ATAPI controllers",
        "System" => "System devices",
        "USB" => "Universal Serial Bus controllers",
        "HIDClass" => "Human Interface Devices",
        "Keyboard" => "Keyboards",
        "Mouse" => "Mice and other pointing devices",
        "DiskDrive" => "Disk drives",
        "CDROM" => "DVD/CD-ROM drives",
        "Volume" => "Storage volumes",
        "VolumeSnapshot" => "Storage volume shadow copies",
        "FloppyDisk" => "Floppy disk drives",
        "fdc" => "Floppy drive controllers",
        "Computer" => "Computer",
        "Processor" => "Processors",
        "1394" => "IEEE 1394 host controllers",
        "SBP2" => "SBP2 IEEE 1394 Devices",
        "SDHost" => "SD host adapters",
        "PCMCIA" => "PCMCIA adapters",
        "USBDevice" => "Universal Serial Bus devices",
        "USBFunctionController" => "USB Function Controllers",
        "UCM" => "USB Connector Managers",
        "Ports" => "Ports (COM & LPT)",
        "Battery" => "Batteries",
        "SecurityDevices" => "Security devices",
        "Firmware" => "Firmware",
        "Extension" => "Extensions",
        "Net" => "Network adapters",
        "Display" => "Display adapters",
        "MEDIA" => "Sound, video and game controllers",
        "Modem" => "Modems",
        "Monitor" => "Monitors",
        "Printer" => "Printers",
        "Image" => "Imaging devices",
        "Bluetooth" => "Bluetooth",
        "Biometric" => "Biometric devices",
        "SoftwareComponent" => "Software components",
        _ => return None,
    };
    Some(text)
}

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

/// What an image itself says of a class: its `DEVPKEY_DeviceClass_BootCritical`; where it says nothing, the table above does.
///
/// # Errors
/// What reading the SYSTEM hive gives.
pub fn is_boot_critical_in(hives: &mut HiveSet<'_>, guid: &str) -> Result<bool> {
    // Windows 8 and later keep the property as the default value of `0003`, earlier ones in `Data` two keys deeper.
    const PROPERTY: &str = "Properties\\{6a3433f4-5626-40e8-a9b9-dbd9ecd2884b}";
    if let Some(&set) = hives.control_sets()?.first() {
        let class = format!("ControlSet{set:03}\\Control\\Class\\{guid}\\{PROPERTY}");
        for (key, value) in [("0003", ""), ("00000003\\00000000", "Data")] {
            if let Some(found) = hives.get(HiveName::System, &format!("{class}\\{key}"), value)? {
                return Ok(found.data.first().is_some_and(|&byte| byte != 0));
            }
        }
    }
    Ok(is_boot_critical(guid))
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
