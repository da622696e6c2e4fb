//! The encoder of folders: pieces of frames in, frames out, each piece with the data before it as history.
//!
//! The parsers are WIM's, which know chunks of at most a window: a piece is half a window, its history the other half. Blocks
//! span frames, but not pieces. E8 translation is always on, with WIM's file size.

use super::recode::Recoder;
use super::{E8_FRAMES, FRAME_BYTES};
use crate::e8;
use crate::encode::{Parser, tune_rounds};
use crate::format::{E8_FILE_SIZE, WindowOrder};
use crate::items::{Frequencies, Item};
use crate::write_block::{BlockCodes, Kind, Lengths};
use lz_kit::Level;
use lz_kit::bitstream::Forward16Writer;
use lz_kit::lz77::{PaddedChunk, RecentOffsets};

/// Most stored bytes of a frame: what [MS-CAB] allows incompressible data to grow by.
const MAX_FRAME_BYTES: usize = FRAME_BYTES + 6144;

/// Compresses one folder after the other; the result depends on the data, the window and the level alone.
#[derive(Debug)]
pub struct Encoder {
    window: WindowOrder,
    parser: Parser,
    chunk: PaddedChunk,
    /// Translated data: what matches may refer to, then what is being encoded.
    data: Vec<u8>,
    /// Frames done.
    frames: u64,
    output: Output,
}

impl Encoder {
    /// An encoder at the start of a folder.
    #[must_use]
    pub fn new(window: WindowOrder, level: Level) -> Self {
        Self {
            window,
            parser: Parser::new(window, level),
            chunk: PaddedChunk::new(window.bytes() as usize),
            data: Vec::new(),
            frames: 0,
            output: Output::new(window, tune_rounds(level)),
        }
    }

    /// Bytes of memory that an encoder made with the same arguments holds.
    #[must_use]
    pub fn scratch_bytes(window: WindowOrder, level: Level) -> usize {
        let bytes = window.bytes() as usize;
        let output = bytes / FRAME_BYTES * MAX_FRAME_BYTES + BlockCodes::SCRATCH_BYTES;
        let items = bytes * size_of::<Item>();
        size_of::<Self>()
            + 2 * PaddedChunk::scratch_bytes(bytes)
            + Parser::scratch_bytes(window, level)
            + output
            + items
    }

    /// Bytes that are best passed to [`Self::encode`] at a time: a whole number of frames.
    #[must_use]
    pub const fn piece_bytes(&self) -> usize {
        let half = self.window.bytes() as usize / 2;
        if half < FRAME_BYTES { FRAME_BYTES } else { half }
    }

    /// Goes to the start of another folder.
    pub fn reset(&mut self) {
        self.data.clear();
        self.frames = 0;
        self.output.state = State::START;
    }

    /// Compresses the next bytes of the folder and hands each frame to `sink`: compressed bytes and uncompressed length.
    ///
    /// All calls for a folder but the last pass whole frames.
    ///
    /// # Errors
    /// What the sink gives; the folder cannot go on then.
    pub fn encode<E>(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[u8], usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let piece_bytes = self.piece_bytes();
        for piece in bytes.chunks(piece_bytes) {
            self.encode_piece(piece);
            let mut start = 0;
            for (&end, frame) in self.output.ends.iter().zip(piece.chunks(FRAME_BYTES)) {
                sink(&self.output.bytes[start..end], frame.len())?;
                start = end;
            }
        }
        Ok(())
    }

    fn encode_piece(&mut self, piece: &[u8]) {
        let mut translated = piece.to_vec();
        for frame in translated.chunks_mut(FRAME_BYTES) {
            if self.frames < E8_FRAMES {
                e8::translate_at(frame, (self.frames * FRAME_BYTES as u64) as u32);
            }
            self.frames += 1;
        }
        let before = self.output.state.clone();
        let Self { window, parser, chunk, data, output, .. } = self;
        let fits = output.fill(&translated, |output, writer| {
            let mut done = 0;
            while done < translated.len() {
                // What lies half a window back is forgotten, so that chunks fit the parser.
                let kept = data.len().min(window.bytes() as usize / 2);
                data.drain(..data.len() - kept);
                let room = window.bytes() as usize - kept;
                let end = translated.len().min(done + room);
                data.extend_from_slice(&translated[done..end]);
                assert!(chunk.set(data), "the chunk is at most a window");
                let recent = output.state.recent.within(kept);
                output.parsed = recent;
                let mut at = kept;
                parser.parse_from(chunk, (kept, recent), *window, &mut |items, ends| {
                    let mut start = 0;
                    for &end in ends {
                        at += output.write_block(&items[start..end], &data[at..], writer);
                        start = end;
                    }
                });
                done = end;
            }
        });
        if !fits {
            // Some frame grew too much, which only hostile mixtures do: the piece is stored raw.
            output.state = before;
            output.fill(&translated, |output, writer| output.write_raw(&translated, writer));
        }
    }
}

/// What a decoder has at the end of a piece.
#[derive(Clone, Debug)]
struct State {
    recent: RecentOffsets,
    lengths: Lengths,
    /// The head of the stream is written.
    started: bool,
}

impl State {
    const START: Self = Self { recent: RecentOffsets::INITIAL, lengths: Lengths::ZERO, started: false };
}

/// Frames of one piece.
#[derive(Debug)]
struct Output {
    window: WindowOrder,
    tune_rounds: u32,
    codes: BlockCodes,
    state: State,
    /// The parser's recent offsets.
    parsed: RecentOffsets,
    items: Vec<Item>,
    bytes: Vec<u8>,
    /// Where each frame ends in `bytes`.
    ends: Vec<usize>,
    /// Bytes since the start of the frame.
    in_frame: usize,
}

impl Output {
    fn new(window: WindowOrder, tune_rounds: u32) -> Self {
        Self {
            window,
            tune_rounds,
            codes: BlockCodes::new(),
            state: State::START,
            parsed: RecentOffsets::INITIAL,
            items: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
            in_frame: 0,
        }
    }

    /// Fills `bytes` and `ends` with what `write` writes for `piece`; false when a frame is too long.
    fn fill(&mut self, piece: &[u8], write: impl FnOnce(&mut Self, &mut Forward16Writer<'_>)) -> bool {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(piece.len().div_ceil(FRAME_BYTES) * MAX_FRAME_BYTES, 0);
        self.ends.clear();
        self.in_frame = 0;
        let mut writer = Forward16Writer::new(&mut bytes);
        if !self.state.started {
            self.state.started = true;
            writer.put(1, 1);
            writer.put(E8_FILE_SIZE as u32, 32);
            writer.flush();
        }
        write(self, &mut writer);
        if self.in_frame > 0 {
            self.ends.push(writer.align());
        }
        let fits = writer.finish().is_some();
        self.bytes = bytes;
        let starts = std::iter::once(&0).chain(&self.ends);
        fits && self.ends.iter().zip(starts).all(|(end, start)| end - start <= MAX_FRAME_BYTES)
    }

    /// Writes `items`, which stand for the first of `data`, as a block; returns the number of bytes.
    fn write_block(&mut self, items: &[Item], data: &[u8], writer: &mut Forward16Writer<'_>) -> usize {
        let mut recoder = Recoder { parsed: self.parsed, actual: self.state.recent, in_frame: self.in_frame };
        self.items.clear();
        let bytes = recoder.recode(items, data, &mut self.items);
        self.parsed = recoder.parsed;
        self.state.recent = recoder.actual;
        let mut frequencies = Frequencies::ZERO;
        frequencies.add(&self.items);
        self.codes.make(self.window, &frequencies, &self.state.lengths, self.tune_rounds);
        if self.codes.kind == Kind::Uncompressed && bytes % 2 == 1 {
            // Decoders disagree about where the padding of a raw block is when it ends with a frame.
            self.codes.avoid_raw();
        }
        self.codes.write_cab_head(bytes, self.state.recent, writer);
        if self.codes.kind == Kind::Uncompressed {
            self.put_raw(&data[..bytes], writer);
            return bytes;
        }
        self.state.lengths.clone_from(&self.codes.lengths);
        let mut start = 0;
        for (i, item) in self.items.iter().enumerate() {
            self.in_frame += usize::from(item.length);
            if self.in_frame == FRAME_BYTES {
                self.codes.write_items(&self.items[start..=i], writer);
                self.ends.push(writer.align());
                (self.in_frame, start) = (0, i + 1);
            }
        }
        self.codes.write_items(&self.items[start..], writer);
        bytes
    }

    fn put_raw(&mut self, mut bytes: &[u8], writer: &mut Forward16Writer<'_>) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(FRAME_BYTES - self.in_frame));
            writer.put_bytes(now);
            self.in_frame += now.len();
            if self.in_frame == FRAME_BYTES {
                self.ends.push(writer.align());
                self.in_frame = 0;
            }
            bytes = later;
        }
    }

    /// Writes a raw block for each frame.
    fn write_raw(&mut self, piece: &[u8], writer: &mut Forward16Writer<'_>) {
        self.codes.set_raw();
        for frame in piece.chunks(FRAME_BYTES) {
            self.codes.write_cab_head(frame.len(), self.state.recent, writer);
            self.put_raw(frame, writer);
            if frame.len() % 2 == 1 {
                writer.put_bytes(&[0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CabWindow, Decoder};
    use super::*;

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect()
    }

    /// Phrases with calls between them, and stretches of noise.
    fn program(len: usize, seed: u64) -> Vec<u8> {
        let dice = noise(len / 8 + 64, seed);
        let mut bytes = Vec::with_capacity(len + 300);
        for (i, pair) in dice.windows(4).enumerate() {
            match pair[0] % 5 {
                0 => bytes.extend_from_slice(&pair[1..]),
                1 => bytes.extend([0xE8, pair[1], pair[2] % 4, 0, 0]),
                2 if bytes.len() > 3000 => {
                    let from = bytes.len() - 1 - (usize::from(pair[1]) * 11);
                    for at in from..from + usize::from(pair[2]) {
                        bytes.push(bytes[at]);
                    }
                }
                3 if i % 100 == 0 => bytes.extend(noise(4000, u64::from(pair[1]))),
                _ => bytes.extend_from_slice(b"mov eax, [ebp]"),
            }
            if bytes.len() >= len {
                break;
            }
        }
        bytes.resize(len, 7);
        bytes
    }

    fn round_trip(window: u8, level: u32, plain: &[u8], piece: usize) -> usize {
        let window_order = WindowOrder::new(window).expect("in range");
        let mut encoder = Encoder::new(window_order, Level::from_number(level));
        let mut decoder = Decoder::new(CabWindow::new(window).expect("in range"));
        let mut total = 0;
        for turn in 0..2 {
            let mut seen = 0;
            for bytes in plain.chunks(piece) {
                let ok: Result<(), ()> = encoder.encode(bytes, |frame, len| {
                    assert!(frame.len() <= MAX_FRAME_BYTES);
                    let decoded = decoder.decode_frame(frame, len).expect("our own frame");
                    assert!(*decoded == plain[seen..seen + len], "window {window}, level {level}, at {seen}");
                    seen += len;
                    total += frame.len() * (1 - turn);
                    Ok(())
                });
                ok.expect("the sink does not fail");
            }
            assert_eq!(seen, plain.len());
            encoder.reset();
            decoder.reset();
        }
        total
    }

    #[test]
    fn folders_come_back_from_every_window_and_level() {
        let plain = program(700_001, 1);
        for window in 15..=21 {
            for level in [1, 20, 50] {
                round_trip(window, level, &plain, 1 << 21);
            }
        }
        for len in [1, 2, 33, 32767, 32768, 32769, 65536, 100_000] {
            round_trip(15, 20, &plain[..len], FRAME_BYTES);
            round_trip(16, 50, &plain[..len], FRAME_BYTES);
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        for len in [10, 32768, 200_000, 200_001] {
            let stored = round_trip(17, 50, &noise(len, 3), 1 << 20);
            assert!(stored <= len + len / 20 + 300, "{stored} bytes for {len}");
        }
    }

    /// History is what makes a folder smaller than its frames one by one.
    #[test]
    fn frames_refer_to_those_before_them() {
        let mut plain = noise(60_000, 5);
        plain.extend_from_within(..);
        plain.extend_from_within(..);
        let stored = round_trip(18, 20, &plain, FRAME_BYTES);
        assert!(stored < 70_000, "{stored}");
        let long = round_trip(15, 50, &[0; 1_000_000], 1 << 20);
        assert!(long < 20_000, "{long}");
    }

    #[test]
    fn a_piece_that_grows_is_stored_raw() {
        let window = WindowOrder::new(16).expect("in range");
        let plain = noise(100_001, 9);
        let mut output = Output::new(window, 0);
        let mut decoder = Decoder::new(CabWindow::new(16).expect("in range"));
        assert!(output.fill(&plain, |output, writer| output.write_raw(&plain, writer)));
        let mut start = 0;
        for (frame, &end) in plain.chunks(FRAME_BYTES).zip(&output.ends) {
            let decoded = decoder.decode_frame(&output.bytes[start..end], frame.len()).expect("raw frames");
            // E8 restoration changes what was never translated.
            assert_eq!(decoded.len(), frame.len());
            start = end;
        }
        assert_eq!(output.ends.len(), 4);
    }
}
