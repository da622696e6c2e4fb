//! Copies of earlier output, which may overlap what they write.
//!
//! The meaning is that of every LZ77 format: byte by byte, so that an offset smaller than the length repeats a
//! pattern. Offsets and lengths are checked by the decoders, not here.

/// Copies `len` bytes from `offset` bytes back to `position`, as if byte by byte.
///
/// # Panics
/// If `offset` is 0 or above `position`, or `position + len` above the length of `out`: the caller's checks come first.
#[inline]
pub fn copy_match(out: &mut [u8], position: usize, offset: usize, len: usize) {
    assert!(offset != 0 && offset <= position && len <= out.len() - position, "checked by the decoder");
    let start = position - offset;
    if offset >= len {
        out.copy_within(start..start + len, position);
        return;
    }
    // The pattern, then the pattern and its copy, and so on: each copy doubles what can be copied next.
    let mut copied = 0;
    while copied < len {
        let step = (offset + copied).min(len - copied);
        out.copy_within(start..start + step, position + copied);
        copied += step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_copies_repeat_the_pattern() {
        for offset in 1..40 {
            for len in 0..200 {
                let mut out: Vec<u8> = (0..offset as u8).collect();
                out.resize(offset + len + 5, 0xff);
                copy_match(&mut out, offset, offset, len);
                for i in 0..len {
                    assert_eq!(out[offset + i], (i % offset) as u8);
                }
                assert!(out[offset + len..].iter().all(|&byte| byte == 0xff));
            }
        }
    }
}
