//! MSZIP: deflate streams of at most 32 KiB each that may refer to the output before them.
//!
//! [MS-MCI]. Each block begins with "CK" and holds one complete stream; the last 32 KiB of output are its dictionary.

use flate2::{Decompress, FlushDecompress, Status};

use super::BLOCK_BYTES;

/// What every block begins with.
pub(super) const BLOCK_SIGNATURE: [u8; 2] = *b"CK";

/// A decoder of one folder's blocks.
pub(super) struct MszipDecoder {
    inflate: Decompress,
    /// The output before, at most 32 KiB of it.
    history: Vec<u8>,
}

impl MszipDecoder {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(false), history: Vec::new() }
    }

    /// Decodes `data` to exactly `out.len()` bytes; what is wrong with it otherwise.
    pub(super) fn decode(&mut self, data: &[u8], out: &mut [u8]) -> Result<(), String> {
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
        if self.inflate.total_out() != out.len() as u64 {
            return Err(format!(
                "the block gives {} bytes instead of {}",
                self.inflate.total_out(),
                out.len()
            ));
        }
        let kept = (BLOCK_BYTES - out.len().min(BLOCK_BYTES)).min(self.history.len());
        self.history.drain(..self.history.len() - kept);
        self.history.extend_from_slice(out);
        Ok(())
    }
}
