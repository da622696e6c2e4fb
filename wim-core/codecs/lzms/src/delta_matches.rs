//! Match finder for delta matches: tables of records whose fields count up or down.
//!
//! For each span the newest position is kept at which the same three differences were seen; that is all. Matches found are
//! compared byte by byte before they are reported.

use crate::recent_sources::DeltaSource;

/// Spans searched: 2^0 to 2^5 bytes.
const POWERS: u32 = 6;
/// Shortest match looked for.
const MIN_LENGTH: usize = 3;
const HASH_BITS: u32 = 15;
/// No position.
const NONE: u32 = u32::MAX;

/// The newest positions by differences.
#[derive(Debug)]
pub(crate) struct DeltaMatches {
    newest: Vec<u32>,
    /// Positions below are in the table.
    entered: usize,
}

/// Length of the delta match of `source` at `at`, at most `limit`.
#[inline(always)]
pub(crate) fn delta_length(data: &[u8], at: usize, source: DeltaSource, limit: usize) -> usize {
    let Ok((span, offset)) = source.within(at) else { return 0 };
    let end = at + limit;
    let (now, now_before) = (&data[at..end], &data[at - span..end - span]);
    let (then, then_before) =
        (&data[at - offset..end - offset], &data[at - offset - span..end - offset - span]);
    let differs = |((a, b), (c, d)): ((&u8, &u8), (&u8, &u8))| a.wrapping_sub(*b) != c.wrapping_sub(*d);
    now.iter().zip(now_before).zip(then.iter().zip(then_before)).position(differs).unwrap_or(limit)
}

impl DeltaMatches {
    pub(crate) const SCRATCH_BYTES: usize = 4 * (POWERS as usize) << HASH_BITS;

    pub(crate) fn new() -> Self {
        Self { newest: vec![NONE; (POWERS as usize) << HASH_BITS], entered: 0 }
    }

    /// Forgets the previous chunk.
    pub(crate) fn start(&mut self) {
        self.newest.fill(NONE);
        self.entered = 0;
    }

    /// Enters the positions before `to` without searching.
    pub(crate) fn skip(&mut self, data: &[u8], to: usize) {
        while self.entered < to {
            self.enter(data, |_, _| {});
        }
    }

    /// Enters the next position, which must be `at`, and reports the newest match for each span.
    #[inline(always)]
    pub(crate) fn find(
        &mut self,
        data: &[u8],
        at: usize,
        limit: usize,
        mut found: impl FnMut(DeltaSource, usize),
    ) {
        debug_assert_eq!(at, self.entered, "positions come in order");
        self.enter(data, |at, source| {
            let length = delta_length(data, at, source, limit.min(data.len() - at));
            if length >= MIN_LENGTH {
                found(source, length);
            }
        });
    }

    #[inline(always)]
    fn enter(&mut self, data: &[u8], mut found: impl FnMut(usize, DeltaSource)) {
        let at = self.entered;
        self.entered += 1;
        let Some(&[a, b, c]) = data.get(at..).and_then(<[u8]>::first_chunk::<MIN_LENGTH>) else { return };
        for power in 0..POWERS {
            let span = 1 << power;
            if at < span {
                break;
            }
            let Some(&[d, e, f]) = data[at - span..].first_chunk::<MIN_LENGTH>() else { break };
            let differences =
                u32::from_le_bytes([a.wrapping_sub(d), b.wrapping_sub(e), c.wrapping_sub(f), 0]);
            // Only offsets that are whole spans can be named, so that positions between are told apart here.
            let key = differences | ((at & (span - 1)) as u32) << 24;
            let hash = key.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
            let place = &mut self.newest[((power as usize) << HASH_BITS) + hash as usize];
            let earlier = std::mem::replace(place, at as u32) as usize;
            let distance = at.wrapping_sub(earlier);
            if earlier != NONE as usize && distance & (span - 1) == 0 {
                found(at, DeltaSource { power, raw: (distance >> power) as u32 });
            }
        }
    }
}
