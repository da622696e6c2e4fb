//! Decodes nothing and compresses nothing; its place is taken by `decode.rs` and `encode.rs`.

#[allow(unused_imports, reason = "one codec needs it")]
use crate::format::*;
use lz_kit::{DecodeError, Level};

/// Decoder.

pub struct Decoder;
impl Decoder {
    /// New.
    #[must_use]
    pub fn new(_window: WindowOrder) -> Self {
        Self
    }
    /// Decodes one chunk.
    ///
    /// # Errors
    /// Always.
    pub fn decode(&mut self, _compressed: &[u8], _out: &mut [u8]) -> Result<(), DecodeError> {
        Err(DecodeError::BadBlock)
    }
}
/// Encoder.
pub struct Encoder;
impl Encoder {
    /// New.
    #[must_use]
    pub fn new(_window: WindowOrder, _level: Level) -> Self {
        Self
    }
    /// Compresses one chunk.
    pub fn encode(&mut self, _chunk: &[u8], _out: &mut [u8]) -> Option<usize> {
        None
    }
    /// Memory.
    #[must_use]
    pub fn scratch_bytes(_window: WindowOrder, _level: Level) -> usize {
        0
    }
}
