//! Oracles of the formats that driver packages are made of: whatever the bytes, an answer and no panic.

use std::sync::Arc;

use wim_core::base::{Architecture, Cancel, Place};
use wim_core::formats::catalog::Catalog;
use wim_core::formats::inf::install::install;
use wim_core::formats::inf::models::models_for;
use wim_core::formats::inf::{Inf, NoIncludes, ParseOptions, TargetWindows, Undecorated, Version, files};
use wim_core::formats::pe::PeFile;
use wim_core::formats::szdd;
use wim_core::servicing::drivers::lint_package::lint_package;
use wim_core::servicing::drivers::media_folder::plan_media;
use wim_core::servicing::drivers::package::Package;
use wim_core::servicing::drivers::select::select_with;
use wim_core::servicing::drivers::{DriverOptions, HardwareIds};
use wim_core::servicing::package_files::MemoryFiles;

/// Windows 7 SP1 amd64 and Windows 11 arm64: one old and one new reader of decorations.
const TARGETS: [TargetWindows; 2] = [
    TargetWindows {
        arch: Architecture::Amd64,
        major: 6,
        minor: 1,
        build: 7601,
        product_type: 1,
        suite_mask: 0x100,
    },
    TargetWindows {
        arch: Architecture::Arm64,
        major: 10,
        minor: 0,
        build: 22000,
        product_type: 1,
        suite_mask: 0x100,
    },
];

/// An INF is read to the end: sections, models, install sections, files. Findings have a line and a column.
///
/// # Panics
/// When a finding has no place, or anything below panics.
pub fn inf_is_read_whole(bytes: &[u8]) {
    let Ok(inf) = Inf::parse("fuzz.inf", bytes, ParseOptions::default()) else { return };
    let inf = Arc::new(inf);
    for finding in inf.findings() {
        assert!(matches!(finding.place(), Place::Line { line: 1.., column: 1.. }), "{finding}");
    }
    let _ = Version::read(&inf);
    for target in &TARGETS {
        let Ok(models) = models_for(&inf, target) else { continue };
        for model in models.models.iter().take(200) {
            let Some(found) = install(&inf, &model.install_section, target, &NoIncludes) else { continue };
            for copy in &found.copies {
                assert!(!copy.destination_name.contains(['\\', '/', ':']), "{copy:?}");
                assert!(!copy.source_name.contains(['\\', '/', ':']), "{copy:?}");
                if let Ok(place) = files::source_path(&inf, &copy.source_name, target.arch) {
                    assert!(place.folder.split('\\').all(|part| part != ".."), "{place:?}");
                }
            }
        }
    }
}

/// A package around an INF is chosen from, linted and planned for a medium, or refused; no file leaves its folder.
///
/// # Panics
/// When a path leads out of the medium's folder, or anything below panics.
pub fn package_is_planned_or_refused(bytes: &[u8]) {
    let files = MemoryFiles::new("fuzz").with("d/fuzz.inf", bytes.to_vec()).with("d/x.sys", *b"MZ");
    let Ok(package) = Package::open(&files, "d\\fuzz.inf", ParseOptions::default()) else { return };
    for target in &TARGETS {
        let selection = select_with(&package, target, &NoIncludes, String::new(), Undecorated::Accept).ok();
        for finding in lint_package(&package, target, selection.as_ref()) {
            assert!(!finding.text.is_empty());
        }
    }
    let plan = plan_media(&[&files], &TARGETS, &DriverOptions::default(), &Cancel::new())
        .expect("reports, not errors");
    for file in &plan.files {
        assert!(file.path.starts_with("$WinPEDriver$\\") && !file.path.contains(".."), "{}", file.path);
    }
}

/// A list of hardware ids is read or refused; what it has, it finds again.
///
/// # Panics
/// When an id of a line is not found, or anything below panics.
pub fn hardware_ids_are_read_or_refused(bytes: &[u8]) {
    let Ok(ids) = HardwareIds::parse(bytes) else { return };
    assert!(!ids.is_empty());
    let again = HardwareIds::parse(b"PCI\\VEN_8086&DEV_1E31&SUBSYS_84CA1043&REV_04").expect("one id");
    assert!(again.contains("pci\\ven_8086&dev_1e31") && again.len() >= 4);
}

/// A compressed file expands or is refused.
pub fn szdd_is_expanded_or_refused(bytes: &[u8]) {
    if let Ok(expanded) = szdd::expand(bytes) {
        // The densest form is a match of 18 bytes in 17 bits.
        assert!(expanded.len() <= 9 * bytes.len() + 18, "{} bytes from {}", expanded.len(), bytes.len());
    }
}

/// The headers of a program are read or refused.
pub fn pe_is_read_or_refused(bytes: &[u8]) {
    if let Ok(pe) = PeFile::parse(bytes) {
        let _ = (pe.architecture(), pe.file_version(), pe.certificate_table());
    }
}

/// A catalog is read or refused.
pub fn catalog_is_read_or_refused(bytes: &[u8]) {
    if let Ok(catalog) = Catalog::parse(bytes) {
        // A digest takes more bytes in the file than in memory, so a list cannot be longer than its file.
        assert!(catalog.list.members.len() <= bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every small change of a small INF, and every cut.
    #[test]
    fn a_small_inf_in_all_its_neighbours() {
        let text = "[Version]\nSignature=\"$Windows NT$\"\n[Manufacturer]\n%A%=M,NTamd64.6.1,NTarm64\n\
            [M.NTamd64.6.1]\n\"d\"=I,PCI\\X&Y,Z\n[I]\nCopyFiles=@a.sys,L\nAddReg=R\nNeeds=I\n[L]\nb.sys,c.sys,,0x20\n\
            [R]\nHKR,,v,0x10001,1\nHKLM,a\\b,,0x10000,x,\"y\"\n[I.Services]\nAddService=s,2,S,E\n[S]\nStartType=0\n\
            [DestinationDirs]\nDefaultDestDir=12\n[SourceDisksFiles]\na.sys=1,x\n[Strings]\nA=\"b;c\"\n";
        let bytes = text.as_bytes();
        for end in 0..bytes.len() {
            inf_is_read_whole(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for byte in [b'[', b']', b'=', b',', b'"', b'%', b'\\', b';', b'\n', b'.', 0, 0xFF] {
                let mut changed = bytes.to_vec();
                changed[at] = byte;
                inf_is_read_whole(&changed);
            }
        }
    }

    #[test]
    fn small_compressed_files_and_programs() {
        let szdd = b"SZDD\x88\xF0\x27\x33A\0\x09\0\0\0\x07abc\xF0\xF3";
        let kwaj = b"KWAJ\x88\xF0\x27\xD1\x02\0\x12\0\x01\0\x02\0\0\0\xFFab";
        for file in [&szdd[..], &kwaj[..]] {
            for at in 0..file.len() {
                for byte in 0..=255 {
                    let mut changed = file.to_vec();
                    changed[at] = byte;
                    szdd_is_expanded_or_refused(&changed);
                    pe_is_read_or_refused(&changed);
                }
            }
        }
    }

    /// One element of DER.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]][..], &content].concat()
    }

    #[test]
    fn a_small_catalog_in_all_its_neighbours() {
        let oid = |body: &[u8]| der(6, &[body]);
        let signed_data = oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2]);
        let trust_list = oid(&[0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x0A, 1]);
        let sha1 = der(0x30, &[&oid(&[0x2B, 0x0E, 3, 2, 0x1A])]);
        let digest = der(0x30, &[&sha1, &der(4, &[&[7; 20]])]);
        let data = der(0x30, &[&oid(&[0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 0x19])]);
        let indirect = der(0x30, &[&data, &digest]);
        let attribute =
            der(0x30, &[&oid(&[0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 4]), &der(0x31, &[&indirect])]);
        let entry = der(0x30, &[&der(4, &[&[7; 20]]), &der(0x31, &[&attribute])]);
        let usage = der(0x30, &[&trust_list]);
        let time = der(0x17, &[b"170511123456Z"]);
        let list = der(0x30, &[&usage, &der(4, &[&[1; 16]]), &time, &sha1, &der(0x30, &[&entry])]);
        let info = der(0x30, &[&trust_list, &der(0xA0, &[&list])]);
        let one = der(2, &[&[1]]);
        let signed = der(0x30, &[&one, &der(0x31, &[&sha1]), &info, &der(0x31, &[])]);
        let file = der(0x30, &[&signed_data, &der(0xA0, &[&signed])]);
        let catalog = Catalog::parse(&file).unwrap();
        assert!(catalog.list.members.len() == 1 && catalog.signed.signer().is_none());
        for at in 0..file.len() {
            catalog_is_read_or_refused(&file[..at]);
            for byte in [0, 1, 2, 4, 6, 0x17, 0x1F, 0x30, 0x31, 0x7F, 0x80, 0x82, 0x84, 0xA0, 0xFF] {
                let mut changed = file.clone();
                changed[at] = byte;
                catalog_is_read_or_refused(&changed);
            }
        }
    }
}
