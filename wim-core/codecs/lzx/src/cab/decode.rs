//! The decoder of folders: frame by frame, with a history that grows with the folder.
//!
//! It does not read cabinets: the caller passes the data of one CFDATA block after the other. Of deltas it knows the large
//! windows, but neither reference data nor the longer matches.

use lz_kit::DecodeError;
use lz_kit::bitstream::Forward16Reader;

use super::{CabWindow, E8_FRAMES, FRAME_BYTES};
use crate::block_header::{BlockKind, Codes, SizeField, read_block_start, read_uncompressed_start};
use crate::decode::{Loops, RecentOffsets, decode_items};
use crate::e8;
use crate::format::{
    FIRST_RECENT_OFFSET, NUM_LENGTH_HEADERS, NUM_LITERALS, NUM_RECENT_OFFSETS, num_offset_slots,
};

/// Windows that the history holds before all but the last of them are forgotten: a window is moved for each two that are
/// decoded.
pub const HISTORY_WINDOWS: usize = 3;

/// What is left of the current block.
#[derive(Clone, Copy, Debug)]
struct Block {
    kind: BlockKind,
    /// Bytes it has still to give.
    left: usize,
    /// Whether a padding byte follows the raw bytes.
    padded: bool,
}

/// A decoder of one folder after the other.
///
/// Its history grows with the folder up to [`HISTORY_WINDOWS`] windows, so a small folder costs little whatever window it
/// declares.
#[derive(Clone, Debug)]
pub struct Decoder {
    window: CabWindow,
    codes: Codes,
    recent: RecentOffsets,
    block: Block,
    /// A raw block ended with the last frame's data, and its padding byte was not in it.
    padding_due: bool,
    /// File size for the E8 translation from the head of the stream, once that is read; 0 for none.
    e8_file_size: Option<i32>,
    frames: u64,
    /// Output as it was before E8 translation, up to `end`; what lies behind is of earlier use.
    history: Vec<u8>,
    end: usize,
    /// A frame after E8 translation.
    translated: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of a folder with this window.
    #[must_use]
    pub fn new(window: CabWindow) -> Self {
        let main_symbols = NUM_LITERALS + NUM_LENGTH_HEADERS * num_offset_slots(u32::from(window.0));
        Self {
            window,
            codes: Codes::new(main_symbols),
            recent: [FIRST_RECENT_OFFSET; NUM_RECENT_OFFSETS],
            block: Block { kind: BlockKind::Verbatim, left: 0, padded: false },
            padding_due: false,
            e8_file_size: None,
            frames: 0,
            history: Vec::new(),
            end: 0,
            translated: Vec::new(),
        }
    }

    /// Goes to the start of another folder with the same window.
    pub fn reset(&mut self) {
        self.codes.reset();
        self.recent = [FIRST_RECENT_OFFSET; NUM_RECENT_OFFSETS];
        self.block.left = 0;
        self.padding_due = false;
        self.e8_file_size = None;
        self.frames = 0;
        self.end = 0;
    }

    /// Decodes the next frame, whose compressed bytes are `data`, to exactly `len` bytes.
    ///
    /// `len` is [`FRAME_BYTES`] in all frames but a folder's last. After an error the folder cannot go on; see
    /// [`Self::reset`].
    ///
    /// # Errors
    /// [`DecodeError::OutputTooLong`] if `len` is more than a frame, and others if `data` is not the next frame.
    pub fn decode_frame(&mut self, data: &[u8], len: usize) -> Result<&[u8], DecodeError> {
        self.decode_frame_by(data, len, Loops::FastThenCareful)
    }

    /// As [`Self::decode_frame`], by the careful loop alone: for comparing the two.
    ///
    /// # Errors
    /// The same as [`Self::decode_frame`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_frame_carefully(&mut self, data: &[u8], len: usize) -> Result<&[u8], DecodeError> {
        self.decode_frame_by(data, len, Loops::Careful)
    }

    /// As [`Self::decode_frame`], by the fast loop for any processor: for comparing it.
    ///
    /// # Errors
    /// The same as [`Self::decode_frame`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_frame_portably(&mut self, data: &[u8], len: usize) -> Result<&[u8], DecodeError> {
        self.decode_frame_by(data, len, Loops::PortableThenCareful)
    }

    fn decode_frame_by(&mut self, data: &[u8], len: usize, loops: Loops) -> Result<&[u8], DecodeError> {
        if len > FRAME_BYTES {
            return Err(DecodeError::OutputTooLong);
        }
        let start = self.make_room(len);
        let mut reader = Forward16Reader::new(data);
        let e8_file_size = match self.e8_file_size {
            Some(size) => size,
            None => {
                let size = if reader.read(1)? == 1 { reader.read(32)?.cast_signed() } else { 0 };
                *self.e8_file_size.insert(size)
            }
        };
        let result = self.decode_blocks(&mut reader, start, loops);
        let base = self.frames * FRAME_BYTES as u64;
        self.frames += 1;
        result?;

        let frame = &self.history[start..self.end];
        match u32::try_from(base) {
            Ok(base) if e8_file_size != 0 && self.frames <= E8_FRAMES => {
                self.translated.clear();
                self.translated.extend_from_slice(frame);
                e8::restore_at(&mut self.translated, base, e8_file_size);
                Ok(&self.translated)
            }
            _ => Ok(frame),
        }
    }

    /// Lengthens the history by `len` bytes, forgetting what the window no longer reaches; returns where they start.
    fn make_room(&mut self, len: usize) -> usize {
        let window = self.window.bytes();
        if self.end + len > HISTORY_WINDOWS * window {
            self.history.copy_within(self.end - window..self.end, 0);
            self.end = window;
        }
        let start = self.end;
        self.end += len;
        if self.history.len() < self.end {
            self.history.resize(self.end, 0);
        }
        start
    }

    /// Fills the history from `start` on.
    fn decode_blocks(
        &mut self,
        reader: &mut Forward16Reader<'_>,
        start: usize,
        loops: Loops,
    ) -> Result<(), DecodeError> {
        let end = self.end;
        let mut position = start;
        while position < end {
            if self.padding_due {
                reader.raw_u8()?;
                self.padding_due = false;
            }
            if self.block.left == 0 {
                self.start_block(reader)?;
            }
            let run_end = end.min(position + self.block.left);
            if self.block.kind == BlockKind::Uncompressed {
                let raw = reader.raw_slice(run_end - position)?;
                self.history[position..run_end].copy_from_slice(raw);
            } else {
                let (codes, recent, out) = (&self.codes, &mut self.recent, &mut self.history[..end]);
                if position == 0 {
                    // The first item has nothing before it, which the fast loop counts on.
                    decode_items(codes, reader, recent, &mut out[..1], 0)?;
                    position = 1;
                    self.block.left -= 1;
                }
                loops.decode_items(codes, reader, recent, out, position..run_end)?;
            }
            self.block.left -= run_end - position;
            position = run_end;
            if self.block.left == 0 && self.block.padded {
                self.block.padded = false;
                // The padding may be the last byte of this frame's data or the first of the next.
                self.padding_due = reader.bytes_left() == 0;
                if !self.padding_due {
                    reader.raw_u8()?;
                }
            }
        }
        Ok(())
    }

    /// Reads a block header.
    fn start_block(&mut self, reader: &mut Forward16Reader<'_>) -> Result<(), DecodeError> {
        let (kind, left) = read_block_start(reader, SizeField::Cab)?;
        if kind == BlockKind::Uncompressed {
            // What lies beyond the window is refused when it is used. It may still be at hand, but for other decoders it is not.
            let window = self.window.bytes() as u32;
            let recent = read_uncompressed_start(reader)?;
            self.recent = recent.map(|offset| if offset > window { u32::MAX } else { offset });
        } else {
            self.codes.read(reader, kind)?;
        }
        self.block = Block { kind, left, padded: kind == BlockKind::Uncompressed && left % 2 == 1 };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units from bits given as text.
    fn units(bits: &str) -> Vec<u8> {
        let bits: Vec<u16> = bits.bytes().filter(|b| *b != b' ').map(|b| u16::from(b - b'0')).collect();
        bits.chunks(16)
            .flat_map(|unit| (unit.iter().fold(0, |v, b| v << 1 | b) << (16 - unit.len())).to_le_bytes())
            .collect()
    }

    /// A raw block of `size` bytes with no E8 translation: its head, without the bytes.
    fn raw_head(size: u32) -> Vec<u8> {
        let mut head = units(&format!("0 011 {size:024b}"));
        head.extend([1, 0, 0, 0].repeat(3));
        head
    }

    #[test]
    fn a_raw_block_spans_frames_and_its_padding_comes_with_either() {
        for padding_first in [true, false] {
            let mut decoder = Decoder::new(CabWindow::new(15).expect("in range"));
            let plain: Vec<u8> = (0..FRAME_BYTES as u32 + 11).map(|i| (i * 7 / 3) as u8).collect();
            let mut data = raw_head(plain.len() as u32);
            data.extend(&plain[..FRAME_BYTES]);
            assert!(decoder.decode_frame(&data, FRAME_BYTES) == Ok(&plain[..FRAME_BYTES]));
            let mut data = plain[FRAME_BYTES..].to_vec();
            data.extend([0; 1].repeat(usize::from(padding_first)));
            assert!(decoder.decode_frame(&data, 11) == Ok(&plain[FRAME_BYTES..]));
            // Another raw block, without the head of the stream.
            let mut data = [0; 1].repeat(usize::from(!padding_first));
            data.extend(units("011 000000000000000000000010"));
            data.extend([1, 0, 0, 0].repeat(3));
            data.extend(b"ab");
            assert_eq!(decoder.decode_frame(&data, 2), Ok(b"ab".as_slice()));
        }
    }

    #[test]
    fn e8_positions_count_from_the_start_of_the_folder() {
        let mut decoder = Decoder::new(CabWindow::new(15).expect("in range"));
        let mut plain = vec![0u8; 2 * FRAME_BYTES];
        for at in [100, FRAME_BYTES + 100, FRAME_BYTES - 8] {
            plain[at..at + 5].copy_from_slice(&[0xe8, 0, 0, 2, 0]);
        }
        // File size 2^20, then a raw block.
        let mut data = units(&format!("1 {:032b} 011 {:024b}", 1 << 20, plain.len()));
        data.extend([1, 0, 0, 0].repeat(3));
        data.extend(&plain[..FRAME_BYTES]);
        let frame = decoder.decode_frame(&data, FRAME_BYTES).expect("a good frame");
        assert_eq!(frame[101..105], (0x20000 - 100i32).to_le_bytes());
        assert_eq!(frame[FRAME_BYTES - 7..FRAME_BYTES - 3], [0, 0, 2, 0], "too near the end of the frame");
        let frame = decoder.decode_frame(&plain[FRAME_BYTES..], FRAME_BYTES).expect("a good frame");
        assert_eq!(frame[101..105], (0x20000 - 100 - FRAME_BYTES as i32).to_le_bytes());
    }

    #[test]
    fn wrong_frames_are_refused_and_reset_helps() {
        let mut decoder = Decoder::new(CabWindow::new(21).expect("in range"));
        assert_eq!(decoder.decode_frame(&[], FRAME_BYTES + 1), Err(DecodeError::OutputTooLong));
        assert_eq!(decoder.decode_frame(&[], 5), Err(DecodeError::Truncated));
        decoder.reset();
        let mut data = raw_head(5);
        data.extend(b"hello");
        assert_eq!(decoder.decode_frame(&data, 5), Ok(b"hello".as_slice()));
        assert_eq!(CabWindow::new(14), None);
        assert_eq!(CabWindow::new(26), None);
    }
}
