//! Real cabinets, Microsoft's and malformed ones of other projects' tests: the good ones are read whole, the bad ones refused.
//!
//! What is bad is what `cabextract -t` calls so; being stricter is allowed for the few that are named here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wim_core::base::{Cancel, ErrorKind, FileSource, ReadAt, Result, Sha1Digest, Sha1Hasher};
use wim_core::formats::cab::{Cabinet, Method, Span, find_cabinets};

use crate::samples::real_data;

fn open(path: &Path) -> Result<Cabinet> {
    Cabinet::open(Arc::new(FileSource::open(path)?), &path.display().to_string())
}

/// Unpacks everything; the digest of each folder.
fn unpack(cabinet: &Cabinet) -> Result<Vec<Sha1Digest>> {
    let mut digests = Vec::new();
    for (number, _) in cabinet.folders().iter().enumerate() {
        let (mut hasher, mut bytes) = (Sha1Hasher::new(), 0);
        cabinet.unpack_folder(number, &mut |data| {
            hasher.update(data);
            bytes += data.len() as u64;
            Ok(())
        })?;
        for member in cabinet.members().iter().filter(|member| member.folder == number) {
            if member.end() > bytes {
                return Err(cabinet.folder_too_short(member, bytes));
            }
        }
        digests.push(hasher.finish());
    }
    Ok(digests)
}

fn cabinets_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(cabinets_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// File names that `cabextract -t` accepts.
const GOOD: [&str; 34] = [
    "case-ascii.cab",
    "case-utf8.cab",
    "dirwalk-vulns.cab",
    "encoding-sjis.cab",
    "utf8-stresstest.cab",
    "large-files-cab.cab",
    "hidden-files.cab",
    "mszip_lzx_qtm.cab",
    "normal_255c_filename.cab",
    "normal_2files_1folder.cab",
    "normal_2files_2folders.cab",
    "reserve_---.cab",
    "reserve_-F-.cab",
    "reserve_H--.cab",
    "reserve_H-D.cab",
    "reserve_HF-.cab",
    "reserve_HFD.cab",
    "test-signed.cab",
    "test-mszip.cab",
    "test_fuzz.cab",
    "cab_2.cab",
    "cab_3.cab",
    "cab_filename_cp932.cab",
    "cab_lzx_16bit.cab",
    "cab_lzx_e8.cab",
    "cab_lzx_literal_control.cab",
    "ApolloLake.cab",
    "Avoton.cab",
    "Braswell.cab",
    "Broadwell-DE.cab",
    "ColetoCreek.cab",
    "Common.cab",
    "Crystalwell.cab",
    "Denverton.cab",
];

#[test]
fn good_cabinets_are_read_and_bad_ones_refused() {
    let Some(root) = real_data("cab") else { return };
    let mut read = 0;
    for path in cabinets_below(&root) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // One that must be searched for, and parts of sets: see the other tests.
        if name == "search_tricky1.cab" || name.starts_with("split-") || name.contains("multi") {
            continue;
        }
        let result = open(&path).and_then(|cabinet| unpack(&cabinet));
        match &result {
            Ok(_) => read += 1,
            Err(e) => println!("{name}: {e}"),
        }
        assert_eq!(
            result.is_ok(),
            GOOD.contains(&name.as_str()),
            "{name}: {:?}",
            result.err().map(|e| e.to_string())
        );
    }
    println!("{read} cabinets read");
}

#[test]
fn updates_are_cabinets_with_a_signature_behind_them() {
    let Some(path) = real_data("updates/Windows6.1-KB2999226-x64.msu") else { return };
    let msu = open(&path).unwrap();
    let names: Vec<&str> = msu.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "WSUSSCAN.cab",
            "Windows6.1-KB2999226-x64.cab",
            "Windows6.1-KB2999226-x64-pkgProperties.txt",
            "Windows6.1-KB2999226-x64.xml"
        ]
    );
    let package = &msu.members()[1];
    assert_eq!(msu.read_member(package, 1000).unwrap_err().kind(), ErrorKind::Limit);
    let bytes = msu.read_member(package, 2 << 20).unwrap();
    let inner = Cabinet::open(Arc::new(bytes), "inner").unwrap();
    assert!(matches!(inner.folders()[0].method, Method::Lzx(window) if window.bytes() == 1 << 21));
    unpack(&inner).unwrap();
}

/// The first part of a set with all others joined to it.
fn join(folder: &Path, names: &[&str]) -> Result<Cabinet> {
    let mut parts = names.iter().map(|name| open(&folder.join(name)));
    let first = parts.next().unwrap()?;
    parts.try_fold(first, |set, part| set.join(part?))
}

#[test]
fn sets_are_joined_in_their_order_only() {
    let Some(root) = real_data("cab") else { return };
    let split = root.join("cabextract");
    let names = ["split-1.cab", "split-2.cab", "split-3.cab", "split-4.cab", "split-5.cab"];
    let set = join(&split, &names).unwrap();
    assert!(set.folders().iter().all(|folder| folder.is_complete()));
    assert!(set.members().iter().all(|member| member.span == Span::Whole));
    unpack(&set).unwrap();
    // A part alone names what is missing.
    let first = open(&split.join(names[0])).unwrap();
    assert_eq!(unpack(&first).unwrap_err().kind(), ErrorKind::NotFound);
    let error = unpack(&open(&split.join(names[1])).unwrap()).unwrap_err();
    assert!(error.to_string().contains("Split-1.CAB"), "{error}");
    assert_eq!(join(&split, &[names[0], names[2]]).err().unwrap().kind(), ErrorKind::InvalidInput);
    assert_eq!(join(&split, &[names[1], names[0]]).err().unwrap().kind(), ErrorKind::InvalidInput);

    let basic = [
        "multi_basic_pt1.cab",
        "multi_basic_pt2.cab",
        "multi_basic_pt3.cab",
        "multi_basic_pt4.cab",
        "multi_basic_pt5.cab",
    ];
    let set = join(&root.join("libmspack"), &basic).unwrap();
    assert_eq!((set.folders().len(), set.members().len()), (1, 3));
    unpack(&set).unwrap();
    unpack(&join(&root.join("libarchive"), &["cab_multi.p1.cab", "cab_multi.p2.cab"]).unwrap()).unwrap();
}

#[test]
fn embedded_cabinets_are_found() {
    let Some(root) = real_data("cab") else { return };
    let tricky: Arc<dyn ReadAt> = Arc::new(fs::read(root.join("libmspack/search_tricky1.cab")).unwrap());
    let found = find_cabinets(&tricky, &Cancel::new()).unwrap();
    println!("{found:?}");
    assert_eq!(found.len(), 1);
    // Two of them behind other things, the second across the border of two reads.
    let small = fs::read(root.join("libmspack/normal_2files_2folders.cab")).unwrap();
    let mut program = b"MZ MSCF MSCF\0\0\0\0".repeat(100);
    program.extend(&small);
    let second = (256 << 10) - 17;
    program.resize(second, b'M');
    program.extend(&small);
    program.extend(b"signature");
    let program: Arc<dyn ReadAt> = Arc::new(program);
    let found = find_cabinets(&program, &Cancel::new()).unwrap();
    assert_eq!(
        found.iter().map(|f| (f.offset, f.size)).collect::<Vec<_>>(),
        [(1600, 285), (second as u64, 285)]
    );
    let cabinet = Cabinet::open(Arc::new(found[1].section(&program).unwrap()), "inside").unwrap();
    assert_eq!(unpack(&cabinet).unwrap().len(), 2);
}
