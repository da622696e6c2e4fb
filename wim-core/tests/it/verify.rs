//! What `verify` finds in good and bad files, made here and made by others.

use std::path::Path;
use std::sync::Arc;

use wim_core::base::{Cancel, Context, FileSource, Result, Silent};
use wim_core::formats::wim::WimFile;
use wim_core::transfer::verify::{IntegrityStatus, Severity, VerifyReport, verify};

use crate::samples::real_data;

fn verify_file(path: &Path) -> Result<VerifyReport> {
    let source = FileSource::open(path)?;
    let wim = WimFile::open(Arc::new(source), &path.display().to_string())?;
    let cancel = Cancel::new();
    verify(&Context::new(&Silent, &cancel), &wim)
}

fn damage(report: &VerifyReport) -> Vec<String> {
    let damage = report.findings.iter().filter(|finding| finding.severity == Severity::Damage);
    damage.map(|finding| format!("{:?} {:?} {}", finding.image, finding.paths, finding.error)).collect()
}

#[test]
fn files_of_other_programs_are_good_or_damaged_as_their_makers_say() {
    let Some(data) = real_data("wim") else { return };
    for name in [
        "XPRESS.wim",
        "LZX.wim",
        "BootXPRESS.wim",
        "MultiImage.wim",
        "dissect-basic32k.wim",
        "dissect-basic4k.wim",
        "wimlib-empty_dacl.wim",
        "wimlib-longpaths.wim",
    ] {
        let report = verify_file(&data.join(name)).unwrap();
        assert_eq!(damage(&report), [] as [&str; 0], "{name}");
        assert!(report.blobs > 0, "{name}");
        let has_table = name == "MultiImage.wim";
        assert_eq!(report.integrity == IntegrityStatus::Good, has_table, "{name}");
    }
    for (name, part) in [
        ("VerifyFail.wim", "differ from the integrity table"),
        ("wimlib-corrupted_file_1.wim", "the data has SHA-1"),
        ("wimlib-dotdot.wim", "a name that no file can have"),
        ("wimlib-duplicate_names.wim", "the same name again"),
        ("wimlib-cyclic.wim", "image 1"),
    ] {
        let found = damage(&verify_file(&data.join(name)).unwrap());
        assert!(found.iter().any(|text| text.contains(part)), "{name}: {found:?}");
    }
    let found = damage(&verify_file(&data.join("Split.swm")).unwrap());
    assert!(found.iter().any(|text| text.contains("part 2 of 2 of the split set is missing")), "{found:?}");
}
