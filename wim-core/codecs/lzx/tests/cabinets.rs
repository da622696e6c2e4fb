//! LZX folders of real cabinets, beside the crate `lzxd` as oracle; folders made here for every window, deltas' too; and
//! wrong ones. On all of them the decoder's loops say the same, errors included.

use std::fs;
use std::path::{Path, PathBuf};

use lzx::DecodeError;
use lzx::cab::{CabWindow, Decoder, FRAME_BYTES};
use proptest::prelude::*;

/// A folder's window and its frames: compressed bytes and uncompressed length.
struct Folder {
    log2: u8,
    frames: Vec<(Vec<u8>, usize)>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

/// The LZX folders of a cabinet, as far as it can be read ([MS-CAB] 2).
fn lzx_folders(cabinet: &[u8]) -> Option<Vec<Folder>> {
    if cabinet.get(..4)? != b"MSCF" {
        return None;
    }
    let (folders, flags) = (u16_at(cabinet, 26)?, u16_at(cabinet, 30)?);
    let (mut at, mut folder_reserve, mut data_reserve) = (36, 0, 0);
    if flags & 4 != 0 {
        folder_reserve = usize::from(*cabinet.get(38)?);
        data_reserve = usize::from(*cabinet.get(39)?);
        at = 40 + u16_at(cabinet, 36)?;
    }
    for _ in 0..2 * (flags & 1) + (flags & 2) {
        at += cabinet.get(at..)?.iter().position(|&byte| byte == 0)? + 1;
    }
    let mut found = Vec::new();
    for _ in 0..folders {
        let (mut data, count, kind) =
            (u32_at(cabinet, at)?, u16_at(cabinet, at + 4)?, u16_at(cabinet, at + 6)?);
        at += 8 + folder_reserve;
        if kind & 15 != 3 {
            continue;
        }
        let mut frames = Vec::new();
        for _ in 0..count {
            let (Some(packed), Some(len)) = (u16_at(cabinet, data + 4), u16_at(cabinet, data + 6)) else {
                break;
            };
            let start = data + 8 + data_reserve;
            let Some(bytes) = cabinet.get(start..start + packed) else { break };
            frames.push((bytes.to_vec(), len));
            data = start + packed;
        }
        found.push(Folder { log2: (kind >> 8) as u8 & 31, frames });
    }
    Some(found)
}

fn oracle(log2: u8) -> Option<lzxd::Lzxd> {
    use lzxd::WindowSize as W;
    let size = match log2 {
        15 => W::KB32,
        16 => W::KB64,
        17 => W::KB128,
        18 => W::KB256,
        19 => W::KB512,
        20 => W::MB1,
        21 => W::MB2,
        _ => return None,
    };
    Some(lzxd::Lzxd::new(size))
}

fn cabinets(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            cabinets(&path, found);
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("cab")) {
            found.push(path);
        }
    }
}

#[test]
fn real_cabinets_decode_as_the_oracle_says() {
    let root = std::env::var_os("WIM_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data"),
        PathBuf::from,
    );
    let mut paths = Vec::new();
    cabinets(&root, &mut paths);
    paths.sort();
    if paths.is_empty() {
        println!("skipped: no cabinets there");
        return;
    }
    let (mut folders, mut bytes) = (0, 0usize);
    for path in paths {
        let cabinet = fs::read(&path).expect("readable");
        for folder in lzx_folders(&cabinet).into_iter().flatten() {
            let Some(mut theirs) = oracle(folder.log2) else {
                assert!(CabWindow::new(folder.log2).is_none() || folder.log2 > 21);
                continue;
            };
            let mut ours = Decoders::new(folder.log2);
            // A few hundred frames of each folder: windows have slid by then, and the oracle is slow.
            for (index, (data, len)) in folder.frames.iter().take(300).enumerate() {
                let len = (*len).min(FRAME_BYTES);
                let frame = ours.decode_frame(data, len);
                // The oracle indexes past the end of very short data.
                let expected = if data.len() < 4 { None } else { theirs.decompress_next(data, len).ok() };
                let (Ok(frame), Some(expected)) = (&frame, expected) else {
                    println!("{}: frame {index}: {frame:?}", path.display());
                    assert!(
                        frame.is_err() || malformed(&path),
                        "{} frame {index}: the oracle refuses",
                        path.display()
                    );
                    assert!(
                        expected.is_none() || malformed(&path),
                        "{} frame {index}: refused",
                        path.display()
                    );
                    break;
                };
                if path.ends_with("libarchive/cab_lzx_e8.cab") {
                    // A call to offset 0 at position 0: libmspack leaves it as it is, the oracle adds the file size.
                    assert_eq!(frame[..5], [0xe8, 0, 0, 0, 0]);
                    assert_eq!(frame[5..], expected[5..]);
                    continue;
                }
                assert!(*frame == expected, "{} frame {index} differs", path.display());
                bytes += len;
            }
            folders += 1;
        }
    }
    println!("{folders} folders, {bytes} bytes compared");
    assert!(folders > 0);
}

/// Names of the test data's README that are malformed on purpose.
fn malformed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["cve-", "bad_", "partial_", "lzx-", "cab_lzx_"].iter().any(|start| name.starts_with(start))
}

/// The three loops side by side over one folder.
struct Decoders([Decoder; 3]);

impl Decoders {
    fn new(log2: u8) -> Self {
        let window = CabWindow::new(log2).expect("in range");
        Self(std::array::from_fn(|_| Decoder::new(window)))
    }

    /// Decodes a frame three ways and returns what all of them say.
    fn decode_frame(&mut self, data: &[u8], len: usize) -> Result<&[u8], DecodeError> {
        let [fast, portable, careful] = &mut self.0;
        let result = fast.decode_frame(data, len);
        assert!(result == portable.decode_frame_portably(data, len), "portable and fast");
        assert!(result == careful.decode_frame_carefully(data, len), "careful and fast");
        result
    }
}

/// A bit stream of 16-bit units, the first bit on top.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: usize, count: u32) {
        self.bits = self.bits << count | value as u64;
        self.count += count;
        while self.count >= 16 {
            self.count -= 16;
            self.bytes.extend(((self.bits >> self.count) as u16).to_le_bytes());
        }
    }

    /// Ends a frame: fills up the unit.
    fn finish(&mut self) -> Vec<u8> {
        self.put(0, (16 - self.count % 16) % 16);
        std::mem::take(&mut self.bytes)
    }
}

/// A complete code of `symbols` codewords as equal as can be: the number of the shorter ones, and their length.
#[derive(Clone, Copy)]
struct FlatCode {
    short: usize,
    bits: u32,
}

impl FlatCode {
    fn new(symbols: usize) -> Self {
        let bits = symbols.ilog2();
        Self { short: (2 << bits) - symbols, bits }
    }

    fn put(self, out: &mut Bits, symbol: usize) {
        match symbol.checked_sub(self.short) {
            None => out.put(symbol, self.bits),
            Some(long) => out.put(2 * self.short + long, self.bits + 1),
        }
    }

    /// The codeword lengths of these symbols, none of which had one before.
    fn put_lengths(self, out: &mut Bits, symbols: std::ops::Range<usize>) {
        // A precode of two codewords of one bit: the two lengths, as differences from none. The smaller symbol has the 0.
        let symbol_of = |len: u32| (17 - len) as usize % 17;
        for symbol in 0..20 {
            let is_used = symbol == symbol_of(self.bits) || symbol == symbol_of(self.bits + 1);
            out.put(usize::from(is_used), 4);
        }
        for symbol in symbols {
            out.put(usize::from(symbol < self.short), 1);
        }
    }
}

/// Offset slots: where each begins, two added, and how many extra bits it has.
fn slots(log2: u8) -> Vec<(usize, u32)> {
    let (mut slots, mut base) = (Vec::new(), 0);
    while base < 1 << log2 {
        let extra = (slots.len() as u32 / 2).saturating_sub(1).min(17);
        slots.push((base, extra));
        base += 1 << extra;
    }
    slots
}

/// A folder of `len` bytes in one block, with matches up to the window's end: its frames, and what they decode to.
fn folder_of(log2: u8, len: usize, is_aligned: bool, seed: u64) -> (Folder, Vec<u8>) {
    let mut state = seed;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let slots = slots(log2);
    let (main, lengths) = (FlatCode::new(256 + 8 * slots.len()), FlatCode::new(249));
    let mut out = Bits::default();
    out.put(0, 1);
    out.put(if is_aligned { 2 } else { 1 }, 3);
    out.put(len, 24);
    if is_aligned {
        // Eight codewords of three bits: the symbol itself.
        (0..8).for_each(|_| out.put(3, 3));
    }
    main.put_lengths(&mut out, 0..256);
    main.put_lengths(&mut out, 256..256 + 8 * slots.len());
    lengths.put_lengths(&mut out, 0..249);
    let (mut plain, mut frames, mut recent) = (Vec::<u8>::with_capacity(len), Vec::new(), [1usize; 3]);
    while plain.len() < len {
        let frame_end = len.min(plain.len() / FRAME_BYTES * FRAME_BYTES + FRAME_BYTES);
        let room = frame_end - plain.len();
        if plain.is_empty() || room < 2 || next(3) == 0 {
            let byte = next(256);
            main.put(&mut out, byte);
            plain.push(byte as u8);
        } else {
            let length = room.min(if next(2) == 0 { 2 + next(7) } else { 2 + next(256) });
            let repeat = next(8);
            let (slot, extra) = if repeat < 3 && recent[repeat] <= plain.len() {
                recent.swap(0, repeat);
                (repeat, 0)
            } else {
                let reach = plain.len().min((1 << log2) - 3);
                let most = if next(2) == 0 { reach.min(20) } else { reach };
                let offset = 1 + next(most);
                let slot = slots.partition_point(|&(base, _)| base <= offset + 2) - 1;
                recent = [offset, recent[0], recent[1]];
                (slot, offset + 2 - slots[slot].0)
            };
            main.put(&mut out, 256 + 8 * slot + (length - 2).min(7));
            if length >= 9 {
                lengths.put(&mut out, length - 9);
            }
            out.put(extra, slots[slot].1);
            for _ in 0..length {
                plain.push(plain[plain.len() - recent[0]]);
            }
        }
        if plain.len() == frame_end {
            let frame_len = frame_end - (frame_end - 1) / FRAME_BYTES * FRAME_BYTES;
            frames.push((out.finish(), frame_len));
        }
    }
    (Folder { log2, frames }, plain)
}

/// A raw block with these recent offsets, then a match of two bytes at the first of them.
fn match_behind_raw_block(log2: u8, offset: u32) -> Vec<u8> {
    let main = FlatCode::new(256 + 8 * slots(log2).len());
    let mut out = Bits::default();
    let raw_head = |out: &mut Bits, size: usize| {
        out.put(3, 3);
        out.put(size, 24);
        // One bit at least is skipped, up to the end of the unit.
        out.put(0, 16 - out.count % 16);
    };
    raw_head(&mut out, 2);
    [offset, 1, 1].iter().for_each(|recent| out.bytes.extend(recent.to_le_bytes()));
    out.bytes.extend(b"xy");
    out.put(1, 3);
    out.put(2, 24);
    main.put_lengths(&mut out, 0..256);
    main.put_lengths(&mut out, 256..256 + 8 * slots(log2).len());
    FlatCode::new(249).put_lengths(&mut out, 0..249);
    main.put(&mut out, 256);
    out.finish()
}

#[test]
fn a_recent_offset_beyond_the_window_is_refused_wherever_it_stands() {
    let log2 = 15;
    let raw: Vec<u8> = (0..FRAME_BYTES as u32).map(|i| (i * 31 / 7) as u8).collect();
    // The history is longer than the window: how much of it there is must make no difference.
    for frames in 2..6 {
        for (offset, is_good) in
            [(1u32 << log2, true), ((1 << log2) + 1, false), (50_000, false), (u32::MAX, false)]
        {
            let mut decoders = Decoders::new(log2);
            for number in 0..frames {
                let mut out = Bits::default();
                out.put(0, u32::from(number == 0));
                out.put(3, 3);
                out.put(FRAME_BYTES, 24);
                out.put(0, 16 - out.count % 16);
                out.bytes.extend([1, 0, 0, 0].repeat(3));
                out.bytes.extend(&raw);
                assert!(decoders.decode_frame(&out.finish(), FRAME_BYTES) == Ok(&raw));
            }
            let result = decoders.decode_frame(&match_behind_raw_block(log2, offset), 4).map(<[u8]>::to_vec);
            // The match begins two bytes behind the frame's start.
            let source = raw[(FRAME_BYTES + 2 - (1 << log2)) % FRAME_BYTES..][..2].to_vec();
            let expected = [b"xy".to_vec(), source].concat();
            assert_eq!(
                result,
                if is_good { Ok(expected) } else { Err(DecodeError::BadOffset) },
                "{frames}, {offset}"
            );
        }
    }
}

#[test]
fn the_loops_agree_in_every_window() {
    for log2 in 15..=25 {
        // So long that matches reach back past the windows of cabinets, and that small windows slide.
        let len = if log2 > 21 { (5 << 20) + 77 } else { 6 * FRAME_BYTES + 77 };
        for is_aligned in [false, true] {
            let (folder, plain) = folder_of(log2, len, is_aligned, u64::from(log2));
            let mut decoders = Decoders::new(log2);
            for ((data, len), expected) in folder.frames.iter().zip(plain.chunks(FRAME_BYTES)) {
                assert!(decoders.decode_frame(data, *len) == Ok(expected), "window 2^{log2}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn the_loops_agree_on_wrong_folders(
        log2 in 15u8..=25,
        len in 1000usize..100_000,
        is_aligned in any::<bool>(),
        seed in any::<u64>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let (mut folder, _) = folder_of(log2, len, is_aligned, seed);
        for (frame, place, value) in changes {
            let data = &mut frame.get_mut(&mut folder.frames).0;
            let at = place.index(data.len());
            data[at] = value;
        }
        let mut decoders = Decoders::new(log2);
        for (data, len) in &folder.frames {
            if decoders.decode_frame(data, *len).is_err() {
                break;
            }
        }
    }

    #[test]
    fn the_loops_agree_on_noise(
        log2 in 15u8..=25,
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..600), 0usize..=FRAME_BYTES), 1..4),
    ) {
        let mut decoders = Decoders::new(log2);
        for (data, len) in &frames {
            let _ = decoders.decode_frame(data, *len);
        }
    }
}
