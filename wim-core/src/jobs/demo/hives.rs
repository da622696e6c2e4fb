//! The registry hives of the demo's Windows, made by our own writer with what servicing looks at.

use super::windows::Product;
use crate::base::{Architecture, FileTime, Result};
use crate::formats::hive::{CreateOptions, Hive, HiveVersion, RegValue};

fn new_hive(root: &str, time: FileTime) -> Result<Hive> {
    let options = CreateOptions { root_name: root.to_owned(), time, ..CreateOptions::default() };
    let mut hive = Hive::create(HiveVersion::V1_5, &options)?;
    hive.set_edit_time(time);
    Ok(hive)
}

/// A hive with a root key only: SAM, SECURITY, DEFAULT, NTUSER.DAT.
pub(super) fn bare(root: &str, time: FileTime) -> Result<Vec<u8>> {
    let mut hive = new_hive(root, time)?;
    hive.create_key("Software\\Microsoft")?;
    hive.finish()
}

/// SYSTEM: control set, device classes, in-box services, critical devices.
pub(super) fn system(product: Product, time: FileTime) -> Result<Vec<u8>> {
    let mut hive = new_hive("CMI-CreateHive{F10156BE-0E87-4EFB-969E-5DA29D131144}", time)?;
    for (name, number) in [("Current", 1), ("Default", 1), ("Failed", 0), ("LastKnownGood", 1)] {
        hive.set_value("Select", name, &RegValue::dword(number))?;
    }
    let environment = "ControlSet001\\Control\\Session Manager\\Environment";
    let processor = match product.architecture {
        Architecture::X86 => "x86".to_owned(),
        other => other.name().to_uppercase(),
    };
    hive.set_value(environment, "PROCESSOR_ARCHITECTURE", &RegValue::sz(&processor))?;
    hive.set_value("ControlSet001\\Control\\ProductOptions", "ProductType", &RegValue::sz("WinNT"))?;
    hive.set_value(
        "ControlSet001\\Control\\ProductOptions",
        "ProductSuite",
        &RegValue::multi_sz(&["Terminal Server"]),
    )?;
    if product.is_seven() {
        hive.set_value("ControlSet001\\Control\\Windows", "CSDVersion", &RegValue::dword(0x100))?;
        hive.set_value("ControlSet001\\Control\\Windows", "CSDBuildNumber", &RegValue::dword(17514))?;
    } else {
        driver_database(&mut hive, product)?;
    }
    hive.set_value("ControlSet001\\Control\\Nls\\Language", "InstallLanguage", &RegValue::sz("0409"))?;
    hive.set_value("ControlSet001\\Control\\MUI\\UILanguages\\en-US", "LCID", &RegValue::dword(0x409))?;
    for (guid, class) in CLASSES {
        hive.set_value(&format!("ControlSet001\\Control\\Class\\{guid}"), "Class", &RegValue::sz(class))?;
    }
    for (service, file, group, start) in SERVICES {
        let key = format!("ControlSet001\\Services\\{service}");
        hive.set_value(&key, "Type", &RegValue::dword(1))?;
        hive.set_value(&key, "Start", &RegValue::dword(*start))?;
        hive.set_value(&key, "ErrorControl", &RegValue::dword(1))?;
        hive.set_value(&key, "Group", &RegValue::sz(group))?;
        hive.set_value(&key, "ImagePath", &RegValue::expand_sz(&format!("system32\\drivers\\{file}")))?;
    }
    let critical = if product.is_seven() { CRITICAL } else { &[] };
    for (id, service, class) in critical {
        let key = format!("ControlSet001\\Control\\CriticalDeviceDatabase\\{id}");
        hive.set_value(&key, "Service", &RegValue::sz(service))?;
        hive.set_value(&key, "ClassGUID", &RegValue::sz(class))?;
    }
    hive.set_value("Setup", "CmdLine", &RegValue::sz("oobe\\windeploy.exe"))?;
    hive.finish()
}

/// DRIVERS: the driver database of classes that Windows does not need to boot.
pub(super) fn drivers(product: Product, time: FileTime) -> Result<Vec<u8>> {
    let mut hive = new_hive("CMI-CreateHive{2A6B8B9F-6A39-4B1C-9C3A-51C1B9C2F7E4}", time)?;
    driver_database(&mut hive, product)?;
    hive.finish()
}

/// An empty driver database of Windows 8 and later.
fn driver_database(hive: &mut Hive, product: Product) -> Result<()> {
    let architecture = RegValue::dword(product.architecture.windows_number().into());
    hive.set_value("DriverDatabase", "Architecture", &architecture)?;
    hive.set_value("DriverDatabase", "SchemaVersion", &RegValue::dword(0x0001_0000))?;
    for key in ["DeviceIds", "DriverFiles", "DriverInfFiles", "DriverPackages"] {
        hive.create_key(&format!("DriverDatabase\\{key}"))?;
    }
    Ok(())
}

const USB: &str = "{36FC9E60-C465-11CF-8056-444553540000}";
const SCSI: &str = "{4D36E97B-E325-11CE-BFC1-08002BE10318}";
const SYSTEM_CLASS: &str = "{4D36E97D-E325-11CE-BFC1-08002BE10318}";

const CLASSES: &[(&str, &str)] = &[
    (USB, "USB"),
    (SCSI, "SCSIAdapter"),
    (SYSTEM_CLASS, "System"),
    ("{4D36E96A-E325-11CE-BFC1-08002BE10318}", "hdc"),
    ("{4D36E967-E325-11CE-BFC1-08002BE10318}", "DiskDrive"),
    ("{4D36E972-E325-11CE-BFC1-08002BE10318}", "Net"),
    ("{745A17A0-74D3-11D0-B6FE-00A0C90F57DA}", "HIDClass"),
];

const SERVICES: &[(&str, &str, &str, u32)] = &[
    ("pci", "pci.sys", "Boot Bus Extender", 0),
    ("msahci", "msahci.sys", "SCSI Miniport", 0),
    ("disk", "disk.sys", "SCSI Class", 0),
    ("usbehci", "usbehci.sys", "Base", 3),
    ("usbhub", "usbhub.sys", "Base", 3),
    ("Ntfs", "ntfs.sys", "Boot File System", 3),
];

const CRITICAL: &[(&str, &str, &str)] = &[
    ("PCI#CC_0604", "pci", SYSTEM_CLASS),
    ("PCI#CC_010601", "msahci", "{4D36E96A-E325-11CE-BFC1-08002BE10318}"),
    ("PCI#CC_0C0320", "usbehci", USB),
    ("USB#ROOT_HUB20", "usbhub", USB),
];

/// SOFTWARE: which Windows this is, and where it looks for drivers.
pub(super) fn software(product: Product, edition: &str, name: &str, time: FileTime) -> Result<Vec<u8>> {
    let mut hive = new_hive("CMI-CreateHive{199DAFC2-6F16-4946-BF90-5A3FC3A60902}", time)?;
    let nt = "Microsoft\\Windows NT\\CurrentVersion";
    let (major, minor, build, _) = product.windows.version();
    let is_seven = product.is_seven();
    let is_pe = edition == "WindowsPE";
    // It stays 6.3 from 8.1 on; the numbers below tell since 10.
    let version = if major < 10 { format!("{major}.{minor}") } else { "6.3".to_owned() };
    let build = build.to_string();
    for (value, text) in [
        ("CurrentVersion", version.as_str()),
        ("CurrentBuild", &build),
        ("CurrentBuildNumber", &build),
        ("EditionID", edition),
        ("ProductName", name),
        ("InstallationType", if is_pe { "WindowsPE" } else { "Client" }),
    ] {
        hive.set_value(nt, value, &RegValue::sz(text))?;
    }
    if is_seven {
        hive.set_value(nt, "CSDVersion", &RegValue::sz("Service Pack 1"))?;
        hive.set_value(nt, "BuildLab", &RegValue::sz("7601.win7sp1_rtm.101119-1850"))?;
    }
    if major >= 10 {
        hive.set_value(nt, "CurrentMajorVersionNumber", &RegValue::dword(major.into()))?;
        hive.set_value(nt, "CurrentMinorVersionNumber", &RegValue::dword(minor.into()))?;
    }
    if is_pe {
        hive.set_value(
            &format!("{nt}\\WinPE"),
            "Version",
            &RegValue::sz(&format!("{major}.{minor}.{build}")),
        )?;
    }
    let windows = "Microsoft\\Windows\\CurrentVersion";
    hive.set_value(windows, "DevicePath", &RegValue::expand_sz("%SystemRoot%\\inf"))?;
    hive.set_value(windows, "ProgramFilesDir", &RegValue::sz("C:\\Program Files"))?;
    hive.finish()
}
