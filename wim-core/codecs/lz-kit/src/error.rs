//! The errors of the codecs: small, `Copy`, built in cold branches.

use std::fmt;

/// Why a compressed chunk could not be decoded.
///
/// The caller knows which blob and chunk it was reading; the codec only knows what is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeError {
    /// The stream ends before the output is full.
    Truncated,
    /// A Huffman code is over-subscribed or incomplete.
    BadCode,
    /// A symbol was read from a code that has none.
    EmptyCode,
    /// A block header names an unknown type or an impossible size.
    BadBlock,
    /// A match reaches back before the start of the output, or is otherwise not representable.
    BadOffset,
    /// A match or run reaches past the end of the output, block or list.
    BadLength,
    /// The caller asked for an output longer than the format allows.
    OutputTooLong,
    /// The caller, when asked, did not want the decoder to go on.
    Stopped,
}

/// An encoder gave up because its caller said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the encoder was told to stop")
    }
}

impl std::error::Error for Stopped {}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the compressed data ends too early",
            Self::BadCode => "a Huffman code is over-subscribed or incomplete",
            Self::EmptyCode => "a symbol is read from an empty Huffman code",
            Self::BadBlock => "a block header has an unknown type or an impossible size",
            Self::BadOffset => "a match starts before the beginning of the data",
            Self::BadLength => "a match or run is longer than what is left to fill",
            Self::OutputTooLong => "the uncompressed size is larger than the format allows",
            Self::Stopped => "the decoder was told to stop",
        })
    }
}

impl std::error::Error for DecodeError {}
