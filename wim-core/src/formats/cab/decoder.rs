//! The decoder of a folder, whatever its method: stored bytes of one block in, its data out.

use super::BLOCK_BYTES;
use super::folder::Method;
use super::quantum::QuantumDecoder;
use crate::base::mszip::MszipDecoder;
use crate::base::{Error, Result};

/// State from block to block.
pub(super) enum Decoder {
    Stored,
    Mszip(Box<MszipDecoder>),
    Quantum(Box<QuantumDecoder>),
    Lzx(Box<lzx::cab::Decoder>),
}

impl Decoder {
    /// A decoder at the start of a folder.
    ///
    /// # Errors
    /// `Unsupported` for an unknown method.
    pub(super) fn new(method: Method) -> Result<Self> {
        Ok(match method {
            Method::Stored => Self::Stored,
            Method::Mszip => Self::Mszip(Box::default()),
            Method::Lzx(window) => Self::Lzx(Box::new(lzx::cab::Decoder::new(window))),
            Method::Quantum { window_bits } => Self::Quantum(Box::new(QuantumDecoder::new(window_bits))),
            Method::Unknown(_) => {
                return Err(Error::unsupported(format!("a folder compressed with {method}"))
                    .remedy("the cabinet is damaged, or made by a program that keeps to no standard"));
            }
        })
    }

    /// Decodes a block to its `size` bytes; what is wrong with it otherwise. `out` is scratch.
    pub(super) fn decode<'a>(
        &'a mut self,
        stored: &'a [u8],
        size: usize,
        out: &'a mut Vec<u8>,
    ) -> std::result::Result<&'a [u8], String> {
        match self {
            Self::Stored if stored.len() == size => Ok(stored),
            Self::Stored => Err(format!("{} bytes are stored for {size}", stored.len())),
            Self::Mszip(decoder) => {
                out.resize(BLOCK_BYTES, 0);
                let out = out.get_mut(..size).unwrap_or_default();
                match decoder.decode(stored, out)? {
                    given if given == out.len() => Ok(out),
                    given => Err(format!("the block gives {given} bytes instead of {}", out.len())),
                }
            }
            Self::Quantum(decoder) => decoder.decode(stored, size),
            Self::Lzx(decoder) => decoder.decode_frame(stored, size).map_err(|e| e.to_string()),
        }
    }
}
