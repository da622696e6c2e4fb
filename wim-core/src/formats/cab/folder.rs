//! A folder: a run of data blocks that one decoder unpacks from first to last.
//!
//! [MS-CAB] 2.2. Folders do not depend on each other, which is what parallel unpacking rests on.

use std::fmt;

use lzx::cab::{CabWindow, HISTORY_WINDOWS};

use super::BLOCK_BYTES;
use crate::base::{Fields, Result};

/// How a folder's data are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As they are.
    Stored,
    /// Deflate in blocks that share their history.
    Mszip,
    /// Quantum, with a window of 2^`window_bits` bytes (10 to 21).
    Quantum {
        /// Base-2 logarithm of the window.
        window_bits: u8,
    },
    /// LZX with this window.
    Lzx(CabWindow),
    /// A number that means none of these; members can be listed, not read.
    Unknown(u16),
}

impl Method {
    /// The method of a folder's type field.
    #[must_use]
    pub fn from_type(number: u16) -> Self {
        let [low, high] = number.to_le_bytes();
        let window_bits = high & 31;
        match low & 15 {
            0 => Self::Stored,
            1 => Self::Mszip,
            2 if (10..=21).contains(&window_bits) => Self::Quantum { window_bits },
            3 => CabWindow::new(window_bits).map_or(Self::Unknown(number), Self::Lzx),
            _ => Self::Unknown(number),
        }
    }

    /// Memory that unpacking takes beside a few data blocks, in bytes.
    #[must_use]
    pub fn scratch_bytes(self) -> u64 {
        match self {
            Self::Stored | Self::Unknown(_) => 0,
            Self::Mszip => 128 << 10,
            Self::Quantum { window_bits } => 1 << window_bits,
            Self::Lzx(window) => (HISTORY_WINDOWS * window.bytes()) as u64 + (128 << 10),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored => f.write_str("stored"),
            Self::Mszip => f.write_str("MSZIP"),
            Self::Quantum { window_bits } => write!(f, "Quantum:{window_bits}"),
            Self::Lzx(window) => write!(f, "LZX:{}", window.bytes().trailing_zeros()),
            Self::Unknown(number) => write!(f, "unknown method {number:#06x}"),
        }
    }
}

/// The data blocks of a folder that lie in one cabinet of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the cabinet among those at hand.
    pub(super) part: usize,
    /// Offset of the first block.
    pub(super) offset: u64,
    /// Number of blocks.
    pub(super) blocks: u16,
}

/// One folder of a cabinet or a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// How its data are stored.
    pub method: Method,
    pub(super) runs: Vec<Run>,
    /// True when its first data lie in a cabinet that is not at hand.
    pub starts_before: bool,
    /// True when its last data lie in a cabinet that is not at hand.
    pub ends_after: bool,
}

impl Folder {
    /// Bytes of an entry without its reserved area.
    pub(super) const BYTES: usize = 8;

    /// Number of data blocks in the cabinets at hand.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.blocks)).sum()
    }

    /// The most that its data blocks can hold, in uncompressed bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.blocks() * BLOCK_BYTES as u64
    }

    /// True when all its data are at hand.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.starts_before && !self.ends_after
    }

    /// Reads the entry at the cursor of `f`, with `reserve` reserved bytes behind it.
    pub(super) fn parse(f: &mut Fields<'_>, reserve: u8) -> Result<Self> {
        let offset = u64::from(f.u32("coffCabStart")?);
        let blocks = f.u16("cCFData")?;
        let method = Method::from_type(f.u16("typeCompress")?);
        f.skip("abReserve", usize::from(reserve))?;
        let runs = vec![Run { part: 0, offset, blocks }];
        Ok(Self { method, runs, starts_before: false, ends_after: false })
    }
}
