//! A driver package as vendors ship them: one INF for x86, x64 and arm64, a binary for each, sources in sub-folders.

use std::io::Write;
use std::path::Path;

use super::media::TIME;
use crate::base::{Architecture, Error, Result};
use crate::jobs::pseudo_files::program;

const INF: &str = r#"; NVMe miniport of the demonstration. Made up; drives nothing.
[Version]
Signature   = "$WINDOWS NT$"
Class       = SCSIAdapter
ClassGuid   = {4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider    = %Maker%
DriverVer   = 06/21/2017,1.4.7.17

[SourceDisksNames]
1 = %Disk%

[SourceDisksFiles.x86]
demonvme.sys = 1,\x86

[SourceDisksFiles.amd64]
demonvme.sys = 1,\x64

[SourceDisksFiles.arm64]
demonvme.sys = 1,\arm64

[DestinationDirs]
DefaultDestDir = 12

[Manufacturer]
%Maker% = Demo, NTx86.6.1, NTamd64.6.1, NTarm64.10.0

[Demo.NTx86.6.1]
%Device% = Install, PCI\VEN_1B36&DEV_0010&CC_010802, PCI\CC_010802

[Demo.NTamd64.6.1]
%Device% = Install, PCI\VEN_1B36&DEV_0010&CC_010802, PCI\CC_010802

[Demo.NTarm64.10.0]
%Device% = Install, PCI\VEN_1B36&DEV_0010&CC_010802, PCI\CC_010802

[Install]
CopyFiles = @demonvme.sys

[Install.Services]
AddService = demonvme, 0x2, Service, EventLog

[Service]
DisplayName    = %Device%
ServiceType    = 1
StartType      = 0
ErrorControl   = 3
ServiceBinary  = %12%\demonvme.sys
LoadOrderGroup = SCSI Miniport
AddReg         = Parameters

[Parameters]
HKR, "Parameters", "BusType", 0x00010001, 0x00000011
HKR, "Parameters\PnpInterface", "5", 0x00010001, 1

[EventLog]
AddReg = EventMessages

[EventMessages]
HKR,, EventMessageFile, 0x00020000, "%%SystemRoot%%\System32\IoLogMsg.dll"
HKR,, TypesSupported, 0x00010001, 7

[Strings]
Maker  = "wim demonstration"
Disk   = "NVMe driver disk"
Device = "NVMe controller of the demonstration"
"#;

/// Writes a file with the time that all of the demo has: what is added to an image brings its time along.
pub(super) fn write_dated(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        let mut file = std::fs::File::create(path)?;
        file.write_all(bytes)?;
        file.set_modified(TIME.to_system_time())
    };
    write().map_err(|e| Error::io(e, "cannot write", path))
}

/// Writes the package into `folder`.
pub(super) fn write_package(folder: &Path) -> Result<()> {
    let put = |name: &str, bytes: &[u8]| {
        write_dated(&name.split('/').fold(folder.to_owned(), |path, part| path.join(part)), bytes)
    };
    put("demonvme.inf", INF.replace('\n', "\r\n").as_bytes())?;
    for (name, architecture) in [
        ("x86/demonvme.sys", Architecture::X86),
        ("x64/demonvme.sys", Architecture::Amd64),
        ("arm64/demonvme.sys", Architecture::Arm64),
    ] {
        put(name, &program(name, 96 << 10, architecture, [1, 4, 7, 17]))?;
    }
    Ok(())
}
