//! MSZIP: deflate streams of at most 32 KiB each that may refer to the output before them.
//!
//! [MS-MCI]; cabinets and KWAJ files have it. Each block begins with "CK" and holds one complete stream; the last 32 KiB of output are its dictionary.

use flate2::{Decompress, FlushDecompress, Status};

/// What a block holds at most, and how far back it may refer.
pub const BLOCK_BYTES: usize = 32768;
/// What every block begins with.
pub const BLOCK_SIGNATURE: [u8; 2] = *b"CK";

/// A decoder of blocks that belong together.
#[derive(Debug)]
pub struct MszipDecoder {
    inflate: Decompress,
    /// The output before, at most 32 KiB of it.
    history: Vec<u8>,
}

impl Default for MszipDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl MszipDecoder {
    /// A decoder before the first block.
    #[must_use]
    pub fn new() -> Self {
        Self { inflate: Decompress::new(false), history: Vec::new() }
    }

    /// Decodes a block into the beginning of `out` and gives its size, at most `out.len()`.
    ///
    /// # Errors
    /// What is wrong with the block, as text.
    pub fn decode(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize, String> {
        let Some(data) = data.strip_prefix(&BLOCK_SIGNATURE) else {
            return Err("the block does not begin with CK".to_owned());
        };
        self.inflate.reset(false);
        if !self.history.is_empty() {
            self.inflate.set_dictionary(&self.history).map_err(|e| e.to_string())?;
        }
        let status =
            self.inflate.decompress(data, out, FlushDecompress::Finish).map_err(|e| e.to_string())?;
        if status != Status::StreamEnd {
            return Err("the block's data do not end where they should".to_owned());
        }
        let size = usize::try_from(self.inflate.total_out()).unwrap_or(out.len());
        let out = out.get(..size).unwrap_or_default();
        let kept = (BLOCK_BYTES - out.len().min(BLOCK_BYTES)).min(self.history.len());
        self.history.drain(..self.history.len() - kept);
        self.history.extend_from_slice(out);
        Ok(size)
    }
}
