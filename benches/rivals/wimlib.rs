//! wimlib's codecs, called in process.
//!
//! The functions are documented in wimlib.h. Whole-file comparisons run the process `wimlib-imagex` instead.

#![expect(unsafe_code, reason = "a C library; benches are never shipped")]

use std::ptr;

use wimlib_sys as sys;

/// A codec, by wimlib's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// XPRESS with Huffman codes.
    Xpress = 1,
    /// LZX as WIM has it.
    Lzx = 2,
    /// LZMS.
    Lzms = 3,
}

/// A compressor of chunks.
pub struct Compressor(*mut sys::wimlib_compressor);

impl Compressor {
    /// A compressor of chunks up to `chunk_bytes` at one of wimlib's levels; `None` if it refuses.
    #[must_use]
    pub fn new(codec: Codec, chunk_bytes: usize, level: u32) -> Option<Self> {
        let mut made = ptr::null_mut();
        // SAFETY: the out pointer is valid; on success it is ours to free.
        let status = unsafe { sys::wimlib_create_compressor(codec as _, chunk_bytes, level, &raw mut made) };
        (status as u32 == 0).then_some(Self(made))
    }

    /// Compresses a chunk; `None` if it does not shrink.
    pub fn compress(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0u8; chunk.len()];
        // SAFETY: both buffers are as long as said; one byte less asks for a real gain.
        let len = unsafe {
            sys::wimlib_compress(
                chunk.as_ptr().cast(),
                chunk.len(),
                out.as_mut_ptr().cast(),
                chunk.len() - 1,
                self.0,
            )
        };
        out.truncate(len);
        (len != 0).then_some(out)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { sys::wimlib_free_compressor(self.0) };
    }
}

/// A decompressor of chunks.
pub struct Decompressor(*mut sys::wimlib_decompressor);

impl Decompressor {
    /// A decompressor of chunks up to `chunk_bytes`; `None` if wimlib refuses.
    #[must_use]
    pub fn new(codec: Codec, chunk_bytes: usize) -> Option<Self> {
        let mut made = ptr::null_mut();
        // SAFETY: the out pointer is valid; on success it is ours to free.
        let status = unsafe { sys::wimlib_create_decompressor(codec as _, chunk_bytes, &raw mut made) };
        (status as u32 == 0).then_some(Self(made))
    }

    /// Decompresses a chunk to exactly `out.len()` bytes; says whether that worked.
    pub fn decompress(&mut self, compressed: &[u8], out: &mut [u8]) -> bool {
        // SAFETY: both buffers are as long as said.
        let status = unsafe {
            sys::wimlib_decompress(
                compressed.as_ptr().cast(),
                compressed.len(),
                out.as_mut_ptr().cast(),
                out.len(),
                self.0,
            )
        };
        status == 0
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { sys::wimlib_free_decompressor(self.0) };
    }
}
