//! The compression of one to four messages side by side with the SHA instructions of x86-64.
//!
//! One instruction does four rounds and takes some four cycles until its result is there, of which it keeps the processor
//! busy for one or two: the rounds of other messages stand between. State and schedule are laid out as in Intel's description of the
//! extensions (2013): `a` in the highest word, message words turned to big-endian.

#![allow(unsafe_code, reason = "listed in UNSAFE.md with its gain")]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128, _mm_xor_si128,
};

use crate::schedule::{BLOCK, Compress, State};

/// Proof that the processor has the instructions.
pub(crate) struct ShaLanes(());

impl ShaLanes {
    /// None when it lacks one of them.
    pub(crate) fn detect() -> Option<Self> {
        let has_all = std::is_x86_feature_detected!("sha")
            && std::is_x86_feature_detected!("ssse3")
            && std::is_x86_feature_detected!("sse4.1");
        has_all.then_some(Self(()))
    }
}

impl Compress for ShaLanes {
    fn compress<const N: usize>(&self, states: &mut [State; N], inputs: [&[u8]; N], blocks: usize) {
        for input in &inputs {
            assert!(input.len() >= blocks * BLOCK, "a lane has fewer bytes than are to be hashed");
        }
        // SAFETY: `self` exists only where `detect` found the features, and every input has `blocks` blocks.
        unsafe { compress(states, inputs, blocks) }
    }
}

/// Turns four little-endian words around, and their order.
fn big_endian() -> __m128i {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F) }
}

/// # Safety
/// The processor has the features, and every input holds `blocks` blocks.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
unsafe fn compress<const N: usize>(states: &mut [State; N], inputs: [&[u8]; N], blocks: usize) {
    let turn = big_endian();
    let mut abcd = [_mm_setzero_si128(); N];
    let mut first_e = [_mm_setzero_si128(); N];
    for lane in 0..N {
        let [.., e] = states[lane];
        // SAFETY: a state has five words.
        abcd[lane] = _mm_shuffle_epi32::<0x1B>(unsafe { _mm_loadu_si128(states[lane].as_ptr().cast()) });
        first_e[lane] = _mm_set_epi32(e.cast_signed(), 0, 0, 0);
    }
    for block in 0..blocks {
        let before = (abcd, first_e);
        let mut words = [[_mm_setzero_si128(); 4]; N];
        for lane in 0..N {
            for (quarter, word) in words[lane].iter_mut().enumerate() {
                // SAFETY: the caller says that the input holds `blocks` blocks, so that 16 bytes lie here.
                let stored = unsafe {
                    _mm_loadu_si128(inputs[lane].as_ptr().add(block * BLOCK + quarter * 16).cast())
                };
                *word = _mm_shuffle_epi8(stored, turn);
            }
        }
        let mut e = [_mm_setzero_si128(); N];
        // Four rounds of every lane; the words of the schedule that they have used up become those of 16 rounds later.
        macro_rules! rounds {
            ($step:literal, $function:literal) => {
                for lane in 0..N {
                    let used = words[lane][$step % 4];
                    let with_e = if $step == 0 {
                        _mm_add_epi32(first_e[lane], used)
                    } else {
                        _mm_sha1nexte_epu32(e[lane], used)
                    };
                    e[lane] = abcd[lane];
                    abcd[lane] = _mm_sha1rnds4_epu32::<$function>(abcd[lane], with_e);
                    if $step < 16 {
                        let mixed = _mm_sha1msg1_epu32(used, words[lane][($step + 1) % 4]);
                        let mixed = _mm_xor_si128(mixed, words[lane][($step + 2) % 4]);
                        words[lane][$step % 4] = _mm_sha1msg2_epu32(mixed, words[lane][($step + 3) % 4]);
                    }
                }
            };
            ($function:literal: $($step:literal)*) => { $(rounds!($step, $function);)* };
        }
        rounds!(0: 0 1 2 3 4);
        rounds!(1: 5 6 7 8 9);
        rounds!(2: 10 11 12 13 14);
        rounds!(3: 15 16 17 18 19);
        for lane in 0..N {
            first_e[lane] = _mm_sha1nexte_epu32(e[lane], before.1[lane]);
            abcd[lane] = _mm_add_epi32(abcd[lane], before.0[lane]);
        }
    }
    for lane in 0..N {
        // SAFETY: a state has five words.
        unsafe {
            _mm_storeu_si128(states[lane].as_mut_ptr().cast(), _mm_shuffle_epi32::<0x1B>(abcd[lane]));
        }
        states[lane][4] = _mm_extract_epi32::<3>(first_e[lane]).cast_unsigned();
    }
}
