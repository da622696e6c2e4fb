//! The sources of the last matches, which later ones name by a number.
//!
//! There is a queue for LZ matches and one for delta matches. Facts from wimlib's source; nothing here knows how a number is
//! coded.

use std::hint;

use lz_kit::DecodeError;

use crate::format::NUM_REPEATS;

/// Where a delta match comes from: bytes whose differences to those 2^power before are what they were `raw` · 2^power
/// bytes earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeltaSource {
    pub(crate) power: u32,
    /// Offset in spans.
    pub(crate) raw: u32,
}

impl DeltaSource {
    /// Span and offset in bytes, if there is as much data before `position`.
    #[inline(always)]
    pub(crate) fn within(self, position: usize) -> Result<(usize, usize), DecodeError> {
        let (span, offset) = (1u64 << self.power, u64::from(self.raw) << self.power);
        if span + offset > position as u64 {
            return Err(DecodeError::BadOffset);
        }
        Ok((span as usize, offset as usize))
    }
}

/// Sources of the last matches of one kind, the newest first.
///
/// The format inserts a source only after the next item. Here it is inserted at once, and an item that follows one of
/// its own kind counts from the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recent<T>([T; NUM_REPEATS + 1]);

impl Recent<u32> {
    pub(crate) const FIRST_LZ: Self = Self([1, 2, 3, 4]);
}

impl Recent<DeltaSource> {
    pub(crate) const FIRST_DELTA: Self = {
        const fn source(raw: u32) -> DeltaSource {
            DeltaSource { power: 0, raw }
        }
        Self([source(1), source(2), source(3), source(4)])
    };
}

impl<T: Copy> Recent<T> {
    /// Source number `index`; `follows_own_kind` is 1 or 0.
    #[inline(always)]
    pub(crate) fn get(&self, index: u32, follows_own_kind: u32) -> T {
        self.0[(index + follows_own_kind) as usize % (NUM_REPEATS + 1)]
    }

    /// Source number `index`, which comes to the front; `follows_own_kind` is 1 or 0.
    #[inline(always)]
    pub(crate) fn repeat(&mut self, index: u32, follows_own_kind: u32) -> T {
        let place = (index + follows_own_kind) as usize % (NUM_REPEATS + 1);
        let source = self.0[place];
        // Everything before moves one place back.
        let [a, b, c, d] = self.0;
        self.0 = [
            source,
            hint::select_unpredictable(place > 0, a, b),
            hint::select_unpredictable(place > 1, b, c),
            hint::select_unpredictable(place > 2, c, d),
        ];
        source
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, source: T) {
        let [a, b, c, _] = self.0;
        self.0 = [source, a, b, c];
    }
}
