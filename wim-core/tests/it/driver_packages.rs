//! Driver packages invented for tests: the samples T1 to T7 of drivers.md 8.

use crate::driver_image::program;
use wim_core::base::Architecture::{Amd64, Arm64, X86};
use wim_core::servicing::package_files::MemoryFiles;

/// T1, which `.ci/checks/driver_golden.sh` uses too: storage for x86 and amd64, boot-start.
pub(crate) const TSTOR: &str = include_str!("driver_samples/tstor.inf");

pub(crate) fn tstor() -> MemoryFiles {
    MemoryFiles::new("tstor")
        .with("tstor.inf", TSTOR.as_bytes())
        .with("tstor.cat", *b"catalog")
        .with("x86/tstor.sys", program(X86, [1, 2, 3, 4]))
        .with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]))
}

/// T2: a USB 3 host with a switch driver, a renamed co-installer and a framework version.
pub(crate) const TUSB3: &str = r#"[Version]
Signature="$Windows NT$"
Class=USB
ClassGuid={36FC9E60-C465-11CF-8056-444553540000}
Provider="Test Corp"
DriverVer=02/03/2020,2.0.0.0
CatalogFile.NTamd64=tusb3.cat
[SourceDisksNames]
1="Disk"
[SourceDisksFiles]
tusb3xhc.sys=1
tusb3sw.sys=1
tco.dll=1
[DestinationDirs]
DefaultDestDir=12
co.files=11
[Manufacturer]
"Test Corp"=M,NTamd64.6.1
[M.NTamd64.6.1]
%PCI\VEN_1234&DEV_0330.D%=X,PCI\VEN_1234&DEV_0330&REV_01
%PCI\VEN_1234&DEV_0330.D%=X,PCI\VEN_1234&DEV_0330&REV_02,PCI\VEN_1234&DEV_0330
[X.NT]
CopyFiles=drv.files
[drv.files]
tusb3xhc.sys
tusb3sw.sys,,,0x20
[X.NT.CoInstallers]
AddReg=co.reg
CopyFiles=co.files
[co.files]
tco2.dll,tco.dll,,0x6000
[co.reg]
HKR,,CoInstallers32,0x00010000,"tco2.dll,TcoEntry"
[X.NT.Services]
AddService=tusb3xhc,%SPSVCINST_ASSOCSERVICE%,xhc.service
AddService=tusb3sw,,sw.service
[xhc.service]
ServiceType=1
StartType=3
ErrorControl=1
ServiceBinary=%12%\tusb3xhc.sys
LoadOrderGroup=Base
[sw.service]
ServiceType=1
StartType=0
ErrorControl=1
ServiceBinary=%12%\tusb3sw.sys
[X.NT.Wdf]
KmdfService=tusb3xhc,wdf
[wdf]
KmdfLibraryVersion=1.11
[Strings]
PCI\VEN_1234&DEV_0330.D="Test xHCI"
SPSVCINST_ASSOCSERVICE=0x2
"#;

pub(crate) fn tusb3() -> MemoryFiles {
    MemoryFiles::new("tusb3")
        .with("TUSB3.INF", TUSB3.as_bytes())
        .with("tusb3.cat", *b"catalog")
        .with("tusb3xhc.sys", program(Amd64, [2, 0, 0, 0]))
        .with("tusb3sw.sys", program(Amd64, [2, 0, 0, 0]))
        .with("tco.dll", program(Amd64, [2, 0, 0, 1]))
}

/// T3, which that check uses too: a network adapter; dirid 12 for Windows 7, dirid 13 for Windows 10.
pub(crate) const TNET: &str = include_str!("driver_samples/tnet.inf");

pub(crate) fn tnet() -> MemoryFiles {
    MemoryFiles::new("tnet")
        .with("tnet.inf", TNET.as_bytes())
        .with("tnet.cat", *b"catalog")
        .with("tnet.sys", program(Amd64, [3, 0, 0, 0]))
}

/// T4: an extension.
pub(crate) const TEXT: &str = r#"[Version]
Signature="$Windows NT$"
Class=Extension
ClassGuid={e2f84ce7-8efa-411c-aa69-97454ca4cb57}
ExtensionId={01234567-89ab-cdef-0123-456789abcdef}
Provider="Test Corp"
DriverVer=04/05/2020,4.0.0.0
CatalogFile=text.cat
[Manufacturer]
"Test Corp"=M,NTamd64.10.0,NTarm64.10.0
[M.NTamd64.10.0]
"Test Extension"=E,PCI\VEN_1234&DEV_0001
[M.NTarm64.10.0]
"Test Extension"=E,PCI\VEN_1234&DEV_0001
[E]
[E.HW]
AddReg=hw
[hw]
HKR,,Extended,0x00010001,1
"#;

pub(crate) fn text() -> MemoryFiles {
    MemoryFiles::new("text").with("text.inf", TEXT.as_bytes()).with("text.cat", *b"catalog")
}

/// T5: everything the lexer must bear, in UTF-16LE.
pub(crate) const TBAD: &str = "[Version]\r\nSignature = \"$Windows NT$\" ; comment \"with quote\r\nClass=\"SCSI\"Adapter\r\n\
ClassGuid={4D36E97B-E325-11CE-BFC1-08002BE10318}\r\nProvider=%Who%\r\nDriverVer = 1/2/2020 , 1.2\r\n\r\n\
[Manufacturer]\r\n\"A;B\" = Models, \\ ; continued\r\n   NTx86, \\\r\n NTamd64\r\n\
[Models.NTamd64]\r\n%Unknown% = Inst, PCI\\VEN_1&DEV_2 ,\r\n\
[Models.NTamd64]\r\n\"Say \"\"hi\"\"\" = Inst, \"PCI\\VEN_1&DEV_3\", , PCI\\VEN_1\r\n\
[Inst]\r\nAddReg = Reg\r\n[Reg]\r\nHKR,,\"Path\",,\"C:\\Some\\\"\r\nHKR,,Multi,0x10000,\"a,b\",c ; d\r\n\
[Strings]\r\nWho=\"Wer, wenn nicht wir\"\r\n[Strings.0407]\r\nWho=\"Niemand\"\r\n\u{1A}";

pub(crate) fn tbad_bytes() -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(TBAD.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

/// T6: a package without one of its files.
pub(crate) fn tmiss() -> MemoryFiles {
    MemoryFiles::new("tmiss")
        .with("tmiss.inf", TSTOR.replace("tstor", "tmiss").into_bytes())
        .with("tmiss.cat", *b"catalog")
        .with("x86/tmiss.sys", program(X86, [1, 2, 3, 4]))
}

/// T7: for x86 only.
pub(crate) fn tx86() -> MemoryFiles {
    let inf = TSTOR.replace("tstor", "tx86").replace(",NTamd64.6.1", "");
    MemoryFiles::new("tx86")
        .with("tx86.inf", inf.into_bytes())
        .with("tx86.cat", *b"catalog")
        .with("x86/tx86.sys", program(X86, [1, 2, 3, 4]))
}

/// T1 whose amd64 binary is made for arm64.
pub(crate) fn wrong_machine() -> MemoryFiles {
    tstor().with("x64/tstor.sys", program(Arm64, [1, 2, 3, 4]))
}
