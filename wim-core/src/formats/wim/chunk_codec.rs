//! Which codec and chunk size compress a resource, and the codecs behind one door.

use std::fmt;

use lz_kit::lz77::PaddedChunk;
use lz_kit::{DecodeError, Level, Stopped};

use super::pipable::WimLayout;
use crate::base::ChunkSize;

/// Compression types of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Stored as it is.
    None,
    /// XPRESS with Huffman codes.
    Xpress,
    /// LZX.
    Lzx,
    /// LZMS, only in version 0xE00.
    Lzms,
}

impl Compression {
    /// Smallest and largest exponents of its chunk sizes (wim-format 2.2).
    fn chunk_log2(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::None => 12..=30,
            Self::Xpress => 12..=16,
            Self::Lzx => 15..=21,
            Self::Lzms => 15..=30,
        }
    }

    /// The number that stands for it in solid resources (wim-format 6.1).
    #[must_use]
    pub fn solid_number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Xpress => 1,
            Self::Lzx => 2,
            Self::Lzms => 3,
        }
    }

    /// The type of a number in a solid resource.
    #[must_use]
    pub fn from_solid_number(number: u32) -> Option<Self> {
        [Self::None, Self::Xpress, Self::Lzx, Self::Lzms]
            .into_iter()
            .find(|compression| compression.solid_number() == number)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Xpress => "XPRESS",
            Self::Lzx => "LZX",
            Self::Lzms => "LZMS",
        })
    }
}

/// A compression type with a chunk size that it allows, and where chunk tables stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkFormat {
    compression: Compression,
    chunk_size: ChunkSize,
    layout: WimLayout,
}

impl ChunkFormat {
    /// No compression.
    pub const UNCOMPRESSED: Self =
        Self { compression: Compression::None, chunk_size: ChunkSize::DEFAULT, layout: WimLayout::Standard };

    /// A pair that the format allows; none for a chunk size the type does not have.
    #[must_use]
    pub fn new(compression: Compression, chunk_size: ChunkSize) -> Option<Self> {
        let layout = WimLayout::Standard;
        compression.chunk_log2().contains(&chunk_size.log2()).then_some(Self {
            compression,
            chunk_size,
            layout,
        })
    }

    /// The pair that Windows of all ages reads: 32 KiB chunks.
    ///
    /// For LZMS this is the type's own default of 128 KiB.
    #[must_use]
    pub fn usual(compression: Compression) -> Self {
        let chunk_size = match compression {
            Compression::Lzms => ChunkSize::from_bytes(128 << 10).unwrap_or(ChunkSize::DEFAULT),
            _ => ChunkSize::DEFAULT,
        };
        Self { compression, chunk_size, layout: WimLayout::Standard }
    }

    /// The same in another layout.
    #[must_use]
    pub fn in_layout(self, layout: WimLayout) -> Self {
        Self { layout, ..self }
    }

    /// Where chunk tables, and the other parts of the file, stand.
    #[must_use]
    pub fn layout(self) -> WimLayout {
        self.layout
    }

    /// The pair with the largest chunks that the type has, up to `most_bytes`: for solid resources.
    #[must_use]
    pub fn largest(compression: Compression, most_bytes: u32) -> Self {
        let fitting = compression.chunk_log2().filter(|&log2| 1 << log2 <= most_bytes);
        let chunk_size = fitting.max().and_then(|log2| ChunkSize::from_bytes(1 << log2));
        Self { compression, ..Self::usual(compression) }.with_chunk_size(chunk_size)
    }

    fn with_chunk_size(self, chunk_size: Option<ChunkSize>) -> Self {
        chunk_size.map_or(self, |chunk_size| Self { chunk_size, ..self })
    }

    /// The longest chunk of a resource of `size` bytes, in bytes.
    fn longest(self, size: u64) -> usize {
        usize::try_from(size.min(u64::from(self.chunk_size.bytes()))).unwrap_or(usize::MAX)
    }

    /// The compression type.
    #[must_use]
    pub fn compression(self) -> Compression {
        self.compression
    }

    /// The chunk size; without meaning when nothing is compressed.
    #[must_use]
    pub fn chunk_size(self) -> ChunkSize {
        self.chunk_size
    }
}

/// The decoder of one format, with its scratch; one per worker.
pub enum ChunkDecoder {
    /// For files without compressed resources.
    None,
    /// XPRESS.
    Xpress(Box<xpress::Decoder>),
    /// LZX.
    Lzx(Box<lzx::Decoder>),
    /// LZMS.
    Lzms(Box<lzms::Decoder>),
}

impl ChunkDecoder {
    /// Memory of one decoder in bytes, for the budget.
    #[must_use]
    pub fn scratch_bytes(format: ChunkFormat) -> u64 {
        let bytes = match format.compression {
            Compression::None => 0,
            Compression::Xpress => xpress::Decoder::SCRATCH_BYTES,
            Compression::Lzx => lzx::Decoder::scratch_bytes(window_of(format)),
            Compression::Lzms => lzms::Decoder::SCRATCH_BYTES,
        };
        bytes as u64
    }

    /// The decoder of `format`.
    #[must_use]
    pub fn new(format: ChunkFormat) -> Self {
        match format.compression {
            Compression::None => Self::None,
            Compression::Xpress => Self::Xpress(Box::default()),
            Compression::Lzx => Self::Lzx(Box::new(lzx::Decoder::new(window_of(format)))),
            Compression::Lzms => Self::Lzms(Box::default()),
        }
    }

    /// Decodes one chunk into exactly `out`; a chunk as long as `out` is stored raw (wim-format 4.2).
    ///
    /// # Errors
    /// What the codec finds wrong.
    pub fn decode(&mut self, stored: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        self.decode_while(stored, out, &|| true)
    }

    /// As [`decode`](Self::decode); within a long chunk, `go_on` is asked after every megabyte or so whether to.
    ///
    /// # Errors
    /// [`DecodeError::Stopped`] when `go_on` says no; else what the codec finds wrong.
    pub fn decode_while(
        &mut self,
        stored: &[u8],
        out: &mut [u8],
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), DecodeError> {
        if stored.len() == out.len() {
            out.copy_from_slice(stored);
            return Ok(());
        }
        match self {
            Self::None => Err(DecodeError::BadBlock),
            Self::Xpress(decoder) => decoder.decode(stored, out),
            Self::Lzx(decoder) => decoder.decode(stored, out),
            Self::Lzms(decoder) => decoder.decode_while(stored, out, go_on),
        }
    }
}

/// The encoder of one format and level, with its scratch; one per worker.
pub enum ChunkEncoder {
    /// Stores everything raw.
    None,
    /// XPRESS.
    Xpress(Box<xpress::Encoder>),
    /// LZX.
    Lzx(Box<lzx::Encoder>),
    /// LZMS.
    Lzms(Box<lzms::Encoder>),
}

impl ChunkEncoder {
    /// The encoder of `format` at `level`.
    #[must_use]
    pub fn new(format: ChunkFormat, level: Level) -> Self {
        Self::for_chunks_of(format, level, u64::MAX)
    }

    /// The same for chunks of at most `most_bytes`, which may take less memory; longer ones it stores raw.
    #[must_use]
    pub fn for_chunks_of(format: ChunkFormat, level: Level, most_bytes: u64) -> Self {
        let chunk_bytes = format.longest(most_bytes);
        match format.compression {
            Compression::None => Self::None,
            Compression::Xpress => Self::Xpress(Box::new(xpress::Encoder::new(chunk_bytes, level))),
            Compression::Lzx => Self::Lzx(Box::new(lzx::Encoder::new(window_of(format), level))),
            Compression::Lzms => Self::Lzms(Box::new(lzms::Encoder::new(chunk_bytes, level))),
        }
    }

    /// Memory of one encoder in bytes, for the budget.
    #[must_use]
    pub fn scratch_bytes(format: ChunkFormat, level: Level) -> u64 {
        let bytes = match format.compression {
            Compression::Lzms => lzms::Encoder::scratch_bytes(format.longest(u64::MAX), level),
            _ => return Self::in_place_scratch_bytes(format, level, u64::MAX),
        };
        bytes as u64
    }

    /// Memory of one encoder of chunks of at most `most_bytes` with which only [`encode_in_place`](Self::encode_in_place) is
    /// called.
    #[must_use]
    pub fn in_place_scratch_bytes(format: ChunkFormat, level: Level, most_bytes: u64) -> u64 {
        let chunk_bytes = format.longest(most_bytes);
        let bytes = match format.compression {
            Compression::None => 0,
            Compression::Xpress => xpress::Encoder::scratch_bytes(chunk_bytes, level),
            Compression::Lzx => lzx::Encoder::scratch_bytes(window_of(format), level),
            Compression::Lzms => lzms::Encoder::in_place_scratch_bytes(chunk_bytes, level),
        };
        bytes as u64
    }

    /// Compresses the chunk in `chunk` in its place; one that would not shrink stays as it is, and that is its stored form.
    /// `go_on` is told of the bytes encoded since it was last asked; encoders of small chunks ask it once.
    ///
    /// # Errors
    /// [`Stopped`] when `go_on` says no.
    pub fn encode_in_place(
        &mut self,
        chunk: &mut PaddedChunk,
        go_on: &dyn Fn(usize) -> bool,
    ) -> Result<(), Stopped> {
        if let Self::Lzms(encoder) = self {
            return encoder.encode_in_place(chunk, go_on).map(drop);
        }
        if !go_on(0) {
            return Err(Stopped);
        }
        let mut stored = Vec::new();
        self.encode_onto(chunk.bytes(), &mut stored, &|| true)?;
        // It is at most as long as the chunk was.
        let _ = chunk.set(&stored);
        Ok(())
    }

    /// Compresses one chunk onto the end of `out`; a chunk that would not shrink is stored raw. Returns the stored size.
    ///
    /// Within a long chunk, `go_on` is asked every quarter of a megabyte whether to.
    ///
    /// # Errors
    /// [`Stopped`] when `go_on` says no; `out` is then as it was.
    pub fn encode_onto(
        &mut self,
        chunk: &[u8],
        out: &mut Vec<u8>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<usize, Stopped> {
        let start = out.len();
        out.resize(start + chunk.len(), 0);
        let room = out.get_mut(start..).unwrap_or(&mut []);
        let room = room.split_last_mut().map_or(&mut [][..], |(_, shorter)| shorter);
        let written = match self {
            Self::None => None,
            Self::Xpress(encoder) => encoder.encode(chunk, room),
            Self::Lzx(encoder) => encoder.encode(chunk, room),
            Self::Lzms(encoder) => match encoder.encode_while(chunk, room, &|_| go_on()) {
                Ok(written) => written,
                Err(stopped) => {
                    out.truncate(start);
                    return Err(stopped);
                }
            },
        };
        out.truncate(start + written.unwrap_or(0));
        if written.is_none() {
            out.extend_from_slice(chunk);
        }
        Ok(out.len() - start)
    }
}

fn window_of(format: ChunkFormat) -> lzx::WindowOrder {
    lzx::WindowOrder::new(format.chunk_size.log2())
        .expect("ChunkFormat::new admits LZX chunks of 2^15 to 2^21 only")
}
