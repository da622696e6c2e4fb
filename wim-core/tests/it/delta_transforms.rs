//! Each transform of PE references on a tiny image of its own: a rift of three stretches moves what it should, and no more.

use wim_core::base::{Digest, ErrorKind};
use wim_core::formats::delta::apply::{Claim, apply, table_bytes};

use crate::delta_writer::{BitWriter, Options, endless_map, preprocess, write_transform};
use crate::pe_image::{AMD64, CODE, DATA, FILE_BYTES, I386, Image, OLD_BASE, OPTIONAL, managed_image};

const NEW_BASE: u64 = 0x100_0000;
const STAMP: u32 = 0x1234_5678;
/// Code from 0x1200 moves by 0x10, data by 0x1000.
const RIFT: [(i64, i64); 3] = [(0x1000, 0x1000), (0x1200, 0x1210), (0x2000, 0x3000)];

/// The image after the transforms of `flags`.
fn transformed(image: &Image, flags: i64) -> After {
    transformed_by(image, flags, preprocess(NEW_BASE, STAMP, &[(0, 0)], &RIFT))
}

fn transformed_by(image: &Image, flags: i64, preprocess: Vec<u8>) -> After {
    let file_type = if image.machine == AMD64 { 8 } else { 2 };
    let options = Options { file_type, flags, preprocess, ..Options::default() };
    let delta = write_transform(&image.bytes, &options);
    After(apply(&image.bytes, &delta, &Claim::unproved()).unwrap())
}

struct After(Vec<u8>);

impl After {
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.0[at..at + 2].try_into().unwrap())
    }
}

#[test]
fn headers_get_the_base_and_time_of_the_target() {
    let wide = transformed(&Image::new(AMD64), 0);
    assert_eq!((wide.u32(OPTIONAL + 64), wide.u32(0x88), wide.u64(OPTIONAL + 24)), (0, STAMP, NEW_BASE));
    let narrow = transformed(&Image::new(I386), 0);
    assert_eq!((narrow.u32(0x88), narrow.u32(OPTIONAL + 28)), (STAMP, NEW_BASE as u32));
}

#[test]
fn imports_move_names_and_thunks_but_no_ordinals() {
    let mut image = Image::new(AMD64);
    image.directory(1, 0x2000, 40);
    image.put32(DATA, 0x2040).put32(DATA + 12, 0x2080).put32(DATA + 16, 0x2060);
    for table in [0x40, 0x60] {
        image.put32(DATA + table, 0x2090).put(DATA + table + 8, &(1_u64 << 63 | 5).to_le_bytes());
    }
    let after = transformed(&image, 0x4);
    assert_eq!([0, 12, 16].map(|at| after.u32(DATA + at)), [0x3040, 0x3080, 0x3060]);
    for table in [0x40, 0x60] {
        assert_eq!((after.u64(DATA + table), after.u64(DATA + table + 8)), (0x3090, 1 << 63 | 5));
    }
}

#[test]
fn bound_imports_are_moved_as_addresses_or_unbound() {
    let mut image = Image::new(I386);
    image.directory(1, 0x2000, 40);
    image.put32(DATA, 0x2040).put32(DATA + 4, 99).put32(DATA + 8, 7).put32(DATA + 12, 0x2080);
    image.put32(DATA + 16, 0x2060).put32(DATA + 0x40, 0x2090).put32(DATA + 0x60, OLD_BASE as u32 + 0x1300);
    let bound = transformed(&image, 0x4);
    assert_eq!((bound.u32(DATA + 0x60), bound.u32(DATA + 4)), (NEW_BASE as u32 + 0x1310, 99));
    let unbound = transformed(&image, 0x2000);
    assert_eq!((unbound.u32(DATA + 4), unbound.u32(DATA + 8), unbound.u32(DATA + 0x60)), (0, 0, 0x2090));
    let characteristics = unbound.u32(OPTIONAL + 224 + 40 + 36);
    assert_eq!(characteristics, 0x4000_0040 | 0xC000_0000);
    assert_eq!(transformed(&image, 0x2004).u32(DATA + 0x60), 0x3090);
}

#[test]
fn exports_move_addresses_and_names() {
    let mut image = Image::new(I386);
    image.directory(0, 0x2100, 40);
    let at = DATA + 0x100;
    image.put32(at + 12, 0x2200).put32(at + 20, 2).put32(at + 24, 1);
    image.put32(at + 28, 0x2140).put32(at + 32, 0x2150).put32(at + 36, 0x2160);
    image.put32(DATA + 0x140, 0x1300).put32(DATA + 0x144, 0).put32(DATA + 0x148, 0x1300);
    image.put32(DATA + 0x150, 0x2208).put32(DATA + 0x160, 0x0001_0000);
    let after = transformed(&image, 0x8);
    assert_eq!([12, 28, 32, 36].map(|field| after.u32(at + field)), [0x3200, 0x3140, 0x3150, 0x3160]);
    // The third address is not counted, and the ordinals are none.
    assert_eq!([0x140, 0x144, 0x148].map(|field| after.u32(DATA + field)), [0x1310, 0, 0x1300]);
    assert_eq!((after.u32(DATA + 0x150), after.u32(DATA + 0x160)), (0x3208, 0x0001_0000));
}

#[test]
fn resources_move_relative_to_their_tree() {
    let mut image = Image::new(I386);
    // The tree begins where data moves by 0x1000; from 0x2100 on it moves by 0x1040.
    image.directory(2, 0x2000, 0x400);
    image.put(DATA + 14, &1_u16.to_le_bytes()).put32(DATA + 16, 0x8000_0080).put32(DATA + 20, 0x8000_0120);
    let child = DATA + 0x120;
    image.put(child + 14, &2_u16.to_le_bytes()).put32(child + 16, 1).put32(child + 20, 0x180);
    // A loop back to the root is not followed, but moved.
    image.put32(child + 24, 2).put32(child + 28, 0x8000_0000);
    image.put32(DATA + 0x180, 0x2200).put32(DATA + 0x184, 12);
    let rift = [(0x1000, 0x1000), (0x2000, 0x3000), (0x2100, 0x3140)];
    let after = transformed_by(&image, 0x10, preprocess(NEW_BASE, STAMP, &[(0, 0)], &rift));
    assert_eq!((after.u32(DATA + 16), after.u32(DATA + 20)), (0x8000_0080, 0x8000_0160));
    assert_eq!((after.u32(child + 20), after.u32(child + 28)), (0x180, 0x8000_0000));
    // The address of the data counts as an offset from the tree.
    assert_eq!((after.u32(DATA + 0x180), after.u32(DATA + 0x184)), (0x2240, 12));
}

#[test]
fn relocations_move_words_and_the_table_is_sorted_anew() {
    let mut image = Image::new(I386);
    image.directory(5, 0x2400, 24);
    let (table, base) = (DATA + 0x400, OLD_BASE as u32);
    // Two pages, in the order that the target will not have: data first.
    image.put32(table, 0x2000).put32(table + 4, 12).put(table + 8, &[0x10, 0x30, 0, 0]);
    image.put32(table + 12, 0x1000).put32(table + 16, 12).put(table + 20, &[0x00, 0x33, 0x04, 0x33]);
    image
        .put32(DATA + 0x10, base + 0x1300)
        .put32(CODE + 0x300, base + 0x2020)
        .put32(CODE + 0x304, base + 0x1000);
    let after = transformed(&image, 0x20);
    let new = NEW_BASE as u32;
    assert_eq!((after.u32(DATA + 0x10), after.u32(CODE + 0x300)), (new + 0x1310, new + 0x3020));
    assert_eq!(after.u32(CODE + 0x304), new + 0x1000);
    assert_eq!((after.u32(table), after.u32(table + 4)), (0x1000, 12));
    assert_eq!((after.u16(table + 8), after.u16(table + 10)), (0x3310, 0x3314));
    assert_eq!((after.u32(table + 12), after.u32(table + 16)), (0x3000, 12));
    assert_eq!((after.u16(table + 20), after.u16(table + 22)), (0x3010, 0));

    let mut wide = Image::new(AMD64);
    wide.directory(5, 0x2400, 12)
        .put32(table, 0x2000)
        .put32(table + 4, 12)
        .put(table + 8, &[0x10, 0xA0, 0, 0]);
    wide.put(DATA + 0x10, &(OLD_BASE + 0x1300).to_le_bytes());
    let after = transformed(&wide, 0x20);
    assert_eq!((after.u64(DATA + 0x10), after.u16(table + 8)), (NEW_BASE + 0x1310, 0xA010));
}

#[test]
fn operands_in_listed_functions_of_amd64_move() {
    let mut image = Image::new(AMD64);
    image.directory(3, 0x2000, 12);
    image.put32(DATA, 0x1100).put32(DATA + 4, 0x1110).put32(DATA + 8, 0x2100);
    // call 0x1300; lea rsi, [rip + data at 0x2020]; ret; the same call behind the end of the function.
    image.put(CODE + 0x100, &[0xE8]).put32(CODE + 0x101, 0x1300 - 0x1105);
    image
        .put(CODE + 0x105, &[0x48, 0x8D, 0x35])
        .put32(CODE + 0x108, 0x2020 - 0x110C)
        .put(CODE + 0x10C, &[0xC3]);
    image.put(CODE + 0x110, &[0xE8]).put32(CODE + 0x111, 0x1300 - 0x1115);
    // Unwind data with a handler behind one slot, rounded up to two.
    image.put(DATA + 0x100, &[0x09, 0, 1, 0]).put32(DATA + 0x108, 0x1300);
    let after = transformed(&image, 0x200);
    assert_eq!(after.u32(CODE + 0x101), 0x1310 - 0x1105);
    assert_eq!(after.u32(CODE + 0x108), 0x3020 - 0x110C);
    assert_eq!(after.u32(CODE + 0x111), 0x1300 - 0x1115);
    let after = transformed(&image, 0x400);
    assert_eq!([0, 4, 8].map(|at| after.u32(DATA + at)), [0x1100, 0x1110, 0x3100]);
    assert_eq!(after.u32(DATA + 0x108), 0x1310);
    // Not without its flag.
    assert_eq!(after.u32(CODE + 0x101), 0x1300 - 0x1105);
}

#[test]
fn jumps_and_calls_of_i386_move_where_they_lead_into_the_image() {
    let mut image = Image::new(I386);
    image.put(CODE, &[0xE8]).put32(CODE + 1, 0x1300 - 0x1005);
    image.put(CODE + 5, &[0xE9]).put32(CODE + 6, 0x1300 - 0x100A);
    image.put(CODE + 10, &[0x0F, 0x84]).put32(CODE + 12, 0x1320 - 0x1010);
    // Far away: no address of the image.
    image.put(CODE + 16, &[0xE8]).put32(CODE + 17, 0x7000_0000);
    // Into data, which is no code when what is not code is marked.
    image.put(CODE + 21, &[0xE8]).put32(CODE + 22, 0x2010 - 0x101A);
    let calls = transformed(&image, 0x100);
    assert_eq!(calls.u32(CODE + 1), 0x1310 - 0x1005);
    assert_eq!(calls.u32(CODE + 6), 0x1300 - 0x100A);
    assert_eq!((calls.u32(CODE + 17), calls.u32(CODE + 22)), (0x7000_0000, 0x3010 - 0x101A));
    assert_eq!(transformed(&image, 0x102).u32(CODE + 22), 0x2010 - 0x101A);
    let jumps = transformed(&image, 0x80);
    assert_eq!((jumps.u32(CODE + 6), jumps.u32(CODE + 12)), (0x1310 - 0x100A, 0x1330 - 0x1010));
    // A jump over what was taken out becomes short.
    let closer = [(0x1000, 0x1000), (0x1200, 0x1020), (0x2000, 0x3000)];
    let mut image = Image::new(I386);
    image.put(CODE, &[0xE9]).put32(CODE + 1, 0x1210 - 0x1005);
    image.put(CODE + 5, &[0x0F, 0x85]).put32(CODE + 7, 0x1210 - 0x100B);
    let short = transformed_by(&image, 0x80, preprocess(NEW_BASE, STAMP, &[(0, 0)], &closer));
    assert_eq!(short.0[CODE..CODE + 2], [0xEB, 0x30 - 5]);
    assert_eq!(short.0[CODE + 5..CODE + 7], [0x75, 0x30 - 0xB]);
}

#[test]
fn managed_metadata_is_renumbered() {
    let image = managed_image();
    let mut bits = BitWriter::new();
    bits.put(NEW_BASE, 32).put(0, 32).put(0, 32).put(STAMP.into(), 32).rift(&[(0, 0)]).put(0, 1).rift(&RIFT);
    bits.put(1, 1).int_format().int_format().int_format().int_format();
    // Strings move by 16 from 3 on; type references by two rows.
    bits.rift_entries(&[(0, 0), (3, 19)]);
    (0..3).for_each(|_| {
        bits.rift_entries(&[]);
    });
    (0..64).for_each(|table| {
        bits.rift_entries(if table == 1 { &[(0, 2)] } else { &[] });
    });
    let preprocess = bits.finish();
    let after = transformed_by(&image, 0xC000, preprocess);
    let root = DATA + 0x100;
    let rows = root + 0x80 + 32;
    assert_eq!([2, 4, 8, 10].map(|at| after.u16(rows + at)), [1, 25, 19, 0]);
    let methods = rows + 12;
    assert_eq!((after.u32(methods), after.u16(methods + 8)), (0x1250, 21));
    // The signature names type reference 3 now.
    assert_eq!(after.0[root + 0x1C6], 3 << 2 | 1);
    // The token of the first body is renumbered, that of the last method is not.
    assert_eq!((after.u32(CODE + 0x242), after.u32(CODE + 0x262)), (0x0100_0003, 0x0100_0001));
    // Without a map only addresses move.
    let plain = transformed(&image, 0xC000);
    assert_eq!((plain.u32(methods), plain.u16(rows + 8)), (0x1250, 3));
}

#[test]
fn references_of_other_machines_are_only_based_anew() {
    let mut image = Image::new(AMD64);
    image.directory(3, 0x2000, 12).put32(DATA, 0x1300).put32(DATA + 4, 0x1310);
    // A delta of type i386 with an amd64 reference: its own transforms do nothing.
    let options = Options {
        file_type: 2,
        flags: 0x5C2,
        preprocess: preprocess(NEW_BASE, STAMP, &[], &RIFT),
        ..Options::default()
    };
    let after =
        After(apply(&image.bytes, &write_transform(&image.bytes, &options), &Claim::unproved()).unwrap());
    assert_eq!((after.u32(DATA), after.u64(OPTIONAL + 24)), (0x1300, NEW_BASE));
}

#[test]
fn programs_without_any_digest_are_refused_unless_the_proof_is_waived() {
    let image = Image::new(AMD64);
    let preprocess = preprocess(NEW_BASE, STAMP, &[], &RIFT);
    let delta =
        write_transform(&image.bytes, &Options { file_type: 8, flags: 0, preprocess, ..Options::default() });
    let error = apply(&image.bytes, &delta, &Claim::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("digest"), "{error}");
    let target = apply(&image.bytes, &delta, &Claim::unproved()).unwrap();
    let stated = Claim { digest: Some(Digest::Md5([0; 16]).of_same_kind(&target)), ..Claim::default() };
    assert_eq!(apply(&image.bytes, &delta, &stated).unwrap(), target);
}

#[test]
fn maps_of_endless_tables_are_refused_before_they_fill_memory() {
    let image = managed_image();
    let options = |tables: u32| {
        let preprocess = endless_map(tables);
        Options { file_type: 2, flags: 0xC000, preprocess, ..Options::default() }
    };
    let refused = |tables: u32| {
        apply(&image.bytes, &write_transform(&image.bytes, &options(tables)), &Claim::unproved()).unwrap_err()
    };
    // What they would take is known before they are read.
    let needed = |tables: u32| table_bytes(&write_transform(&image.bytes, &options(tables)));
    assert!(needed(3) > 3 << 23 && needed(0) < 1 << 16 && table_bytes(b"no delta") == 0);
    // As many entries as one table may have, in two of them, and in three.
    assert_ne!(refused(2).kind(), ErrorKind::Limit);
    let error = refused(3);
    assert!(
        error.kind() == ErrorKind::Limit && error.message().contains("only 0 of 1048576 are left"),
        "{error}"
    );
}

#[test]
fn tables_that_ask_for_endless_work_are_refused() {
    let mut image = Image::new(AMD64);
    // 4096 descriptors that share one array of thunks, which is the whole file.
    image.directory(1, 0x2000, 0x800);
    for descriptor in (DATA..FILE_BYTES - 20).step_by(20) {
        image.put32(descriptor, 0x2001).put32(descriptor + 12, 0x2001).put32(descriptor + 16, 0x2001);
    }
    let options = Options {
        file_type: 8,
        flags: 0x4,
        preprocess: preprocess(NEW_BASE, STAMP, &[], &[(0, 1)]),
        ..Options::default()
    };
    let delta = write_transform(&image.bytes, &options);
    let error = apply(&image.bytes, &delta, &Claim::unproved()).unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.message().contains("import tables"), "{error}");
    // Functions that all cover the same code.
    let mut image = Image::new(AMD64);
    image.directory(3, 0x2000, 0x800);
    for record in (DATA..FILE_BYTES - 12).step_by(12) {
        image.put32(record, 0x1000).put32(record + 4, 0x1400);
    }
    let delta = write_transform(&image.bytes, &Options { flags: 0x200, ..options });
    let error = apply(&image.bytes, &delta, &Claim::unproved()).unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.message().contains("functions"), "{error}");
}
