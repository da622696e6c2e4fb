//! Match finder for delta matches: tables of records whose fields count up or down.
//!
//! For each span the newest position is kept at which the same three differences were seen; that is all. Matches found are
//! compared byte by byte before they are reported.

use crate::recent_sources::DeltaSource;

/// Spans searched: 2^0 to 2^7 bytes, all there are.
const POWERS: u32 = 8;
/// Shortest match looked for.
const MIN_LENGTH: usize = 3;
const HASH_BITS: u32 = 16;
/// How many positions ahead of its use a table entry is asked for.
const AHEAD: usize = 8;
/// No position.
const NONE: u32 = u32::MAX;

/// The newest positions by differences.
#[derive(Debug)]
pub(crate) struct DeltaMatches {
    newest: Vec<u32>,
    /// Positions below are in the table.
    entered: usize,
    /// Places in the table of the next positions, by position modulo their number.
    places: [[u32; POWERS as usize]; AHEAD],
}

/// Length of the delta match of `source` at `at`, at most `limit`.
#[inline(always)]
pub(crate) fn delta_length(data: &[u8], at: usize, source: DeltaSource, limit: usize) -> usize {
    let Ok((span, offset)) = source.within(at) else { return 0 };
    let difference = |at: usize| data[at].wrapping_sub(data[at - span]);
    if limit == 0 || difference(at) != difference(at - offset) {
        return 0;
    }
    let end = at + limit;
    let (now, now_before) = (&data[at..end], &data[at - span..end - span]);
    let (then, then_before) =
        (&data[at - offset..end - offset], &data[at - offset - span..end - offset - span]);
    let differs = |((a, b), (c, d)): ((&u8, &u8), (&u8, &u8))| a.wrapping_sub(*b) != c.wrapping_sub(*d);
    now.iter().zip(now_before).zip(then.iter().zip(then_before)).position(differs).unwrap_or(limit)
}

impl DeltaMatches {
    pub(crate) const SCRATCH_BYTES: usize = (4 * POWERS as usize) << HASH_BITS;

    pub(crate) fn new() -> Self {
        Self { newest: vec![NONE; (POWERS as usize) << HASH_BITS], entered: 0, places: [[0; _]; AHEAD] }
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
        if at == 0 {
            (0..AHEAD).for_each(|at| self.places[at] = places_of(data, at));
        }
        let places = self.places[at % AHEAD];
        let next = places_of(data, at + AHEAD);
        next.iter().for_each(|&place| prefetch(&self.newest, place as usize));
        self.places[at % AHEAD] = next;
        if at + MIN_LENGTH > data.len() {
            return;
        }
        for (power, place) in (0u32..).zip(places) {
            let span = 1 << power;
            if at < span {
                break;
            }
            let earlier = std::mem::replace(&mut self.newest[place as usize], at as u32) as usize;
            let distance = at.wrapping_sub(earlier);
            // Only offsets that are whole spans can be named.
            if earlier != NONE as usize && distance & (span - 1) == 0 {
                found(at, DeltaSource { power, raw: (distance >> power) as u32 });
            }
        }
    }
}

/// The places in the table for the differences at `at`, one for each span; some place where there are none.
#[inline(always)]
fn places_of(data: &[u8], at: usize) -> [u32; POWERS as usize] {
    let word =
        |at: usize| data.get(at..).and_then(<[u8]>::first_chunk::<4>).map(|&bytes| u32::from_le_bytes(bytes));
    let mut places = std::array::from_fn(|power| (power as u32) << HASH_BITS);
    let Some(now) = word(at) else { return places };
    for (power, place) in (0u32..).zip(&mut places) {
        let span = 1 << power;
        let Some(before) = at.checked_sub(span).and_then(word) else { break };
        // Byte by byte: the upper bits are set before, so that no byte borrows from the next, and put right after.
        let differences = ((now | 0x8080_8080) - (before & 0x7f7f_7f7f)) ^ ((now ^ !before) & 0x8080_8080);
        // Positions that are not whole spans apart are told apart here.
        let key = differences << 8 | (at & (span - 1)) as u32;
        *place = power << HASH_BITS | key.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
    }
    places
}

/// Asks for the cache line of an entry.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "a hint; listed in UNSAFE.md"))]
fn prefetch(table: &[u32], place: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint may name any address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(table.as_ptr().wrapping_add(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (table, place);
}
