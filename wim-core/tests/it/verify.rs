//! What `verify` finds in good and bad files, made here and made by others.

use std::path::Path;
use std::sync::Arc;

use wim_core::base::{Cancel, Context, FileSource, Result, Sha1Digest, Silent};
use wim_core::formats::wim::{ChunkFormat, ImageXml, WimFile};
use wim_core::image::{Inode, Tree};
use wim_core::transfer::verify::{IntegrityStatus, Severity, VerifyReport, verify};
use wim_core::transfer::write::{Integrity, compact};

use crate::corpus::{sample, shared_metadata, wide, wim_of, wim_with_xml};
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

/// The findings of a file in memory as severity and text; each says what to do about it.
fn findings(file: Vec<u8>) -> Vec<(Severity, String)> {
    let wim = WimFile::open(Arc::new(file), "test.wim").unwrap();
    let cancel = Cancel::new();
    let report = verify(&Context::new(&Silent, &cancel), &wim).unwrap();
    let text = |finding: wim_core::transfer::verify::VerifyFinding| {
        assert!(finding.error.remedy_text().is_some(), "{}", finding.error);
        (finding.severity, format!("{:?} {}", finding.paths, finding.error))
    };
    report.findings.into_iter().map(text).collect()
}

/// An uncompressed file of the sample tree after `change`, which is given its bytes and where its lookup table and its metadata
/// are; the digest of the metadata is made right again.
fn changed(change: impl Fn(&mut [u8], usize, usize)) -> Vec<(Severity, String)> {
    let (tree, contents) = sample();
    let mut xml = ImageXml::default();
    // What the sample is: two directories, four names of three files, and the 700 bytes of one file under two of them.
    for (name, count) in
        [("DIRCOUNT", "2"), ("FILECOUNT", "4"), ("TOTALBYTES", "2106"), ("HARDLINKBYTES", "700")]
    {
        xml.set(name, count);
    }
    let mut bytes = wim_with_xml(&tree, &contents, xml, ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let wim = WimFile::open(Arc::new(bytes.clone()), "plain").unwrap();
    let table = wim.header().lookup_table.offset as usize;
    let metadata = wim.table().metadata()[0].header;
    let start = metadata.offset as usize;
    change(&mut bytes, table, start);
    let digest = Sha1Digest::of(&bytes[start..start + metadata.size as usize]);
    bytes[table + 30..table + 50].copy_from_slice(&digest.0);
    findings(bytes)
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> usize {
    from + bytes[from..].windows(what.len()).position(|window| window == what).unwrap()
}

#[test]
fn names_that_windows_refuses_or_does_not_tell_apart_are_remarks() {
    let mut tree = Tree::new_empty();
    for name in ["CON", "a:b", "x.", "Foo", "foo", "bar"] {
        tree.add(tree.root(), name.into(), Inode { attributes: 0x20, ..Inode::default() }).unwrap();
    }
    let found = findings(wim_of(&tree, &[], ChunkFormat::UNCOMPRESSED, Integrity::Omit));
    assert!(found.iter().all(|(severity, _)| *severity == Severity::Remark), "{found:?}");
    for part in ["\\CON: Win32", "\\a:b: Win32", "\\x.: Win32", "in case only"] {
        assert_eq!(found.iter().filter(|(_, text)| text.contains(part)).count(), 1, "{part}: {found:?}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn names_of_one_file_that_disagree_are_told() {
    // A dentry's name lies 102 bytes behind its start, its attributes 8.
    let found = changed(|bytes, _, start| {
        let name = find(bytes, &wide("second"), start);
        bytes[name - 102 + 8] |= 1;
    });
    let [(Severity::Remark, text)] = &found[..] else { panic!("{found:?}") };
    assert!(text.contains("\\folder\\second") && text.contains("other attributes"), "{text}");
}

#[test]
fn counts_and_references_name_what_they_are_about() {
    assert_eq!(changed(|_, _, _| {}), []);
    for count in ["DIRCOUNT", "HARDLINKBYTES", "FILECOUNT", "TOTALBYTES"] {
        let found = changed(|bytes, table, _| {
            let image = find(bytes, &wide("<IMAGE"), table);
            let value = find(bytes, &wide(&format!("<{count}>")), image) + 2 * (count.len() + 2);
            bytes[value] = b'9';
        });
        let [(Severity::Remark, text)] = &found[..] else { panic!("{count}: {found:?}") };
        assert!(text.contains(count), "{text}");
    }
    // The second entry of the table is the first blob: its reference count, then its digest.
    let found = changed(|bytes, table, _| bytes[table + 50 + 26] = 77);
    let [(Severity::Remark, text)] = &found[..] else { panic!("{found:?}") };
    assert!(
        text.contains("counts 77 references") && text.contains("blob ") && text.contains("\\\\"),
        "{text}"
    );
    let found = changed(|bytes, table, _| bytes[table + 50 + 30] ^= 1);
    let says = |part: &str| found.iter().any(|(_, text)| text.contains(part));
    assert!(says("bytes that no image refers to") && says("the blob is not in the file"), "{found:?}");
    assert!(!says("TOTALBYTES"), "sizes that are not known are not counted as 0: {found:?}");
}

#[test]
fn metadata_of_two_images_is_one_resource_and_stays_one() {
    let mut file = shared_metadata();
    assert_eq!(findings(file.clone()), []);
    let wim = WimFile::open(Arc::new(file.clone()), "shared.wim").unwrap();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel);
    let (header, bytes) = compact(&cx, &wim, &|_| true, Integrity::Omit, &mut file).unwrap();
    assert!(bytes < wim.source().size(), "the resource that no entry leads to is a hole");
    file[..header.to_bytes().len()].copy_from_slice(&header.to_bytes());
    file.truncate(usize::try_from(bytes).unwrap());
    assert_eq!(findings(file.clone()), []);
    let wim = WimFile::open(Arc::new(file), "compact.wim").unwrap();
    let [one, two] = wim.table().metadata() else { panic!("{:?}", wim.table().metadata()) };
    assert!(one.is_same_resource(two));
}

#[test]
fn entries_of_one_place_and_two_digests_overlap() {
    let mut file = shared_metadata();
    let wim = WimFile::open(Arc::new(file.clone()), "shared.wim").unwrap();
    let table = usize::try_from(wim.header().lookup_table.offset).unwrap();
    file[table + 50 + 30] ^= 1;
    let found = findings(file);
    assert!(found.iter().any(|(_, text)| text.contains("overlaps the one before it")), "{found:?}");
}
