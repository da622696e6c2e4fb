//! What is written is read back: any members, any method, any number of threads; and damage is never taken for data.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use wim_core::base::{Cancel, Context, ErrorKind, Result, Silent};
use wim_core::formats::cab::{Attributes, Cabinet, DosTime, FolderCompression, NewMember};
use wim_core::image::edit::Content;
use wim_core::jobs::Level;
use wim_core::transfer::pack::{PackInput, pack, plan_folders};
use wim_core::transfer::unpack::{MemberSink, Reach, unpack};

use crate::samples::{mixed_bytes, random_bytes};

fn inputs(members: &[(String, Vec<u8>)]) -> Vec<PackInput> {
    let input = |(name, bytes): &(String, Vec<u8>)| PackInput {
        member: NewMember {
            name: name.clone(),
            size: bytes.len() as u64,
            offset: 0,
            folder: 0,
            modified: DosTime { date: 40 << 9 | 3 << 5 | 4, time: 5 << 11 },
            attributes: Attributes(Attributes::ARCHIVE),
        },
        content: Content::bytes(bytes.clone()),
    };
    members.iter().map(input).collect()
}

/// A cabinet of these members, in memory.
pub(crate) fn make(
    members: &[(String, Vec<u8>)],
    compression: FolderCompression,
    folder_bytes: u64,
    threads: usize,
) -> Vec<u8> {
    let cancel = Cancel::new();
    // Little memory, so that large folders go straight to the file.
    let cx = Context::new(&Silent, &cancel).with_threads(threads).with_memory(1 << 20);
    let mut inputs = inputs(members);
    let folders = plan_folders(&mut inputs, folder_bytes).unwrap();
    let mut out = Vec::new();
    let size = pack(&cx, &inputs, folders, compression, &mut out).unwrap();
    assert_eq!(size, out.len() as u64);
    out
}

/// Members in memory, by number.
#[derive(Default)]
struct Collect(Mutex<HashMap<usize, Vec<u8>>>);

impl MemberSink for Collect {
    type Open = (usize, Vec<u8>);

    fn begin(&self, member: usize) -> Result<Self::Open> {
        Ok((member, Vec::new()))
    }

    fn write(&self, open: &mut Self::Open, bytes: &[u8]) -> Result<()> {
        open.1.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&self, (member, bytes): Self::Open) -> Result<()> {
        assert!(self.0.lock().unwrap().insert(member, bytes).is_none(), "member {member} twice");
        Ok(())
    }

    fn repeat(&self, member: usize, original: usize) -> Result<()> {
        let bytes = self.0.lock().unwrap()[&original].clone();
        self.finish((member, bytes))
    }
}

fn read_all(cabinet: &Cabinet, threads: usize) -> Result<HashMap<usize, Vec<u8>>> {
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(threads);
    let sink = Collect::default();
    let all: Vec<usize> = (0..cabinet.members().len()).collect();
    unpack(&cx, cabinet, &all, Reach::WholeFolders, &sink)?;
    Ok(sink.0.into_inner().unwrap())
}

fn compressions() -> Vec<FolderCompression> {
    let mut all = vec![
        FolderCompression::Stored,
        FolderCompression::Mszip(Level::FAST),
        FolderCompression::Mszip(Level::MAX),
    ];
    for window in [15, 16, 18, 21] {
        all.push(FolderCompression::lzx(window, Level::FAST).unwrap());
    }
    all.push(FolderCompression::lzx(15, Level::NORMAL).unwrap());
    all.push(FolderCompression::lzx(17, Level::NORMAL).unwrap());
    all
}

fn member() -> impl Strategy<Value = (String, Vec<u8>)> {
    let size = prop_oneof![Just(0), 1_usize..100, 30_000_usize..40_000, 60_000_usize..140_000];
    let bytes = (size, any::<u64>(), any::<bool>()).prop_map(|(size, seed, mixed)| {
        if mixed { mixed_bytes(seed, size) } else { random_bytes(seed, size) }
    });
    ("[a-zà-ü]{1,8}(\\\\[a-z0-9]{1,8}){0,2}", bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn anything_written_is_read_back(
        members in prop::collection::vec(member(), 1..6),
        folder_bytes in prop_oneof![Just(1_u64), Just(50_000), Just(u64::MAX)],
        which in 0..9_usize,
    ) {
        let compression = compressions()[which];
        let bytes = make(&members, compression, folder_bytes, 1);
        prop_assert!(bytes == make(&members, compression, folder_bytes, 3));
        let cabinet = Cabinet::open(Arc::new(bytes), "test.cab").unwrap();
        prop_assert_eq!(cabinet.members().len(), members.len());
        for threads in [1, 3] {
            let read = read_all(&cabinet, threads).unwrap();
            for (number, (name, plain)) in members.iter().enumerate() {
                let member = &cabinet.members()[number];
                prop_assert_eq!(&member.name, name);
                prop_assert_eq!(member.attributes.has(Attributes::UTF8_NAME), !name.is_ascii());
                prop_assert!(read[&number] == *plain);
            }
        }
        let first = &cabinet.members()[0];
        prop_assert!(cabinet.read_member(first, u64::MAX).unwrap() == members[0].1);
    }
}

fn small(compression: FolderCompression) -> Vec<u8> {
    let members = [("a.txt".to_owned(), mixed_bytes(3, 900)), ("dir\\b".to_owned(), mixed_bytes(4, 40_000))];
    make(&members, compression, u64::MAX, 1)
}

#[test]
fn every_flipped_bit_of_the_data_is_found() {
    for compression in [
        FolderCompression::Stored,
        FolderCompression::Mszip(Level::FAST),
        FolderCompression::lzx(15, Level::FAST).unwrap(),
    ] {
        let good = small(compression);
        let data = good.len() - 2000;
        for at in (data..good.len()).step_by(37) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            let cabinet = Cabinet::open(Arc::new(bytes), "test.cab").unwrap();
            let error = read_all(&cabinet, 1).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format), "at {at}: {error}");
        }
    }
}

#[test]
fn cut_and_changed_cabinets_end_in_errors_or_in_bounds() {
    for compression in [0, 1, 3, 6].map(|which| compressions()[which]) {
        let good = small(compression);
        for end in (0..good.len()).step_by(good.len() / 60 + 1) {
            let read = Cabinet::open(Arc::new(good[..end].to_vec()), "cut").and_then(|cab| read_all(&cab, 1));
            assert!(read.is_err(), "{compression:?} cut at {end}");
        }
        for at in 0..150.min(good.len()) {
            for value in [0, 1, 0x80, 0xFF] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let Ok(cabinet) = Cabinet::open(Arc::new(bytes), "changed") else { continue };
                let Ok(read) = read_all(&cabinet, 1) else { continue };
                let bound: u64 = cabinet.folders().iter().map(|folder| folder.max_bytes()).sum();
                assert!(read.values().all(|bytes| bytes.len() as u64 <= bound));
            }
        }
    }
}

/// Some makers store equal files once; others overlap, which is refused.
#[test]
fn equal_members_are_read_and_overlapping_ones_refused() {
    let mut bytes = small(FolderCompression::Stored);
    // Both entries: at 44 and behind the first name. The second becomes equal to the first, then partly so.
    let second = 44 + 16 + "a.txt".len() + 1;
    bytes.copy_within(44..52, second);
    let cabinet = Cabinet::open(Arc::new(bytes.clone()), "test.cab").unwrap();
    let read = read_all(&cabinet, 2).unwrap();
    assert!(read[&0] == read[&1] && read[&0].len() == 900);
    bytes[second..second + 4].copy_from_slice(&5000_u32.to_le_bytes());
    let cabinet = Cabinet::open(Arc::new(bytes), "test.cab").unwrap();
    assert_eq!(read_all(&cabinet, 1).unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn what_no_cabinet_can_hold_is_refused() {
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel);
    let mut out = Vec::new();
    for name in ["", "a\0b", &"x".repeat(256)] {
        let mut inputs = inputs(&[(name.to_owned(), vec![1])]);
        let folders = plan_folders(&mut inputs, 1).unwrap();
        let error = pack(&cx, &inputs, folders, FolderCompression::Stored, &mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let mut inputs = inputs(&[("a".to_owned(), Vec::new())]);
    inputs[0].member.size = 1 << 31;
    assert_eq!(plan_folders(&mut inputs, u64::MAX).unwrap_err().kind(), ErrorKind::Limit);
    assert!(
        FolderCompression::lzx(14, Level::FAST).is_err() && FolderCompression::lzx(22, Level::FAST).is_err()
    );
}
