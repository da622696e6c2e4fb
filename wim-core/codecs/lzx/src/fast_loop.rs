//! The fast loop of the LZX decoder: the same steps as the careful one, while both buffers have room.
//!
//! The format is described in [MS-PATCH], the budget below. It stops, with nothing half done, when a buffer gets
//! short, and returns the errors that the careful loop would.

#![expect(unsafe_code, reason = "unchecked loads and stores within a proved budget; listed in UNSAFE.md")]

use std::hint;
use std::ops::Range;

use lz_kit::DecodeError;
use lz_kit::bitstream::{FastBits, Forward16Reader};
use lz_kit::huffman::{CodeKind, ENTRY_SUBTABLE};
#[cfg(target_arch = "x86_64")]
use lz_kit::lz77::copy_match::Ssse3;
use lz_kit::lz77::copy_match::{COPY_OVERRUN, PatternCopy, Portable, copy_match_exactly, copy_match_fast};

use crate::block_header::{
    ALIGNED_ROOT_BITS, BlockKind, Codes, LENGTH_ROOT_BITS, MAIN_ALIGNED, MAIN_BYTE_SHIFT, MAIN_CLASS_SHIFT,
    MAIN_EXTRA_SHIFT, MAIN_LENGTH_SHIFT, MAIN_LONG, MAIN_ROOT_BITS, SYMBOL_SHIFT,
};
use crate::decode::RecentOffsets;
use crate::format::{
    MAX_ALIGNED_LEN, MAX_EXTRA_BITS, MAX_LENGTH_LEN, MAX_MAIN_LEN, MIN_MATCH_LEN, NUM_LENGTH_HEADERS,
};

/// Plain items that a turn decodes at most before it looks at its limits again.
const GROUP: usize = 3;
/// Bytes of a vector, which spreads the pattern of a match with a small offset.
const VECTOR: usize = 16;
/// Bytes that one load and store copies of any other plain item.
const WORD: usize = 8;
/// Most bytes that a turn writes without a check of its own, what the last copy overruns included.
const STEP_OUT: usize = GROUP * VECTOR + COPY_OVERRUN;
/// Most bytes that a turn reads or looks at: four refills.
const STEP_IN: usize = 4 * Forward16Reader::REFILL_BYTES;

// After a refill, main and length codewords can be consumed, after the next extra bits and an aligned symbol, …
const _: () = assert!(MAX_MAIN_LEN + MAX_LENGTH_LEN <= Forward16Reader::BITS_AFTER_REFILL);
const _: () = assert!(MAX_EXTRA_BITS + MAX_ALIGNED_LEN <= Forward16Reader::BITS_AFTER_REFILL);
// … or, after one, all of a match without a length symbol. What such a match takes is compared in a byte.
const _: () = assert!(MAX_MAIN_LEN + MAX_EXTRA_BITS + MAX_ALIGNED_LEN <= Forward16Reader::BITS_AFTER_REFILL);
// The longest match without a length symbol is one word.
const _: () = assert!(MIN_MATCH_LEN + NUM_LENGTH_HEADERS - 2 <= WORD && WORD <= VECTOR);

/// Vectors that start with any byte: the source of literals, seen as matches of length 1.
static LITERALS: [u8; 256 + VECTOR] = {
    let mut bytes = [0; 256 + VECTOR];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

/// Decodes `block`, which does not start at 0, until its end comes near or one of the buffers gets short.
///
/// Returns the new position.
pub(crate) fn decode_items(
    codes: &Codes,
    reader: &mut Forward16Reader<'_>,
    recent: &mut RecentOffsets,
    out: &mut [u8],
    block: Range<usize>,
) -> Result<usize, DecodeError> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("avx")
    {
        // SAFETY: the processor has what the function needs.
        return unsafe { decode_items_bmi2(codes, reader, recent, out, block) };
    }
    decode_items_portably(codes, reader, recent, out, block)
}

/// [`decode_items`] for any processor.
pub(crate) fn decode_items_portably(
    codes: &Codes,
    reader: &mut Forward16Reader<'_>,
    recent: &mut RecentOffsets,
    out: &mut [u8],
    block: Range<usize>,
) -> Result<usize, DecodeError> {
    // SAFETY: any processor will do.
    unsafe {
        match codes.kind {
            BlockKind::Aligned => decode_items_on::<_, true>(Portable, codes, reader, recent, out, block),
            _ => decode_items_on::<_, false>(Portable, codes, reader, recent, out, block),
        }
    }
}

/// [`decode_items_on`] compiled for processors of 2013 and later.
///
/// # Safety
/// The processor has AVX, BMI1 and BMI2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,bmi1,bmi2,ssse3")]
unsafe fn decode_items_bmi2(
    codes: &Codes,
    reader: &mut Forward16Reader<'_>,
    recent: &mut RecentOffsets,
    out: &mut [u8],
    block: Range<usize>,
) -> Result<usize, DecodeError> {
    // SAFETY: SSSE3 is among the features of this function.
    unsafe {
        match codes.kind {
            BlockKind::Aligned => decode_items_on::<_, true>(Ssse3, codes, reader, recent, out, block),
            _ => decode_items_on::<_, false>(Ssse3, codes, reader, recent, out, block),
        }
    }
}

/// The loop, for aligned blocks and for verbatim ones.
///
/// Every other match of an aligned block has an aligned-offset symbol: too even to guess, so the symbol is looked up
/// behind every item and counts for nothing where there is none.
///
/// A turn starts only if [`STEP_IN`] bytes can be read and [`STEP_OUT`] bytes written; whatever needs more (a long match)
/// checks for itself. It decodes plain items, at most [`GROUP`] and as long as the bits of one refill last, and then
/// one that is not plain, if that is what comes.
///
/// # Safety
/// The processor has what `cpu` needs.
#[inline(always)]
unsafe fn decode_items_on<C: RecentQueue, const ALIGNED: bool>(
    cpu: C,
    codes: &Codes,
    reader: &mut Forward16Reader<'_>,
    recent: &mut RecentOffsets,
    out: &mut [u8],
    block: Range<usize>,
) -> Result<usize, DecodeError> {
    let data = reader.data();
    // A literal is checked as a match with the first recent offset would be. That offset lies within the output from the
    // start of a chunk on, unless a raw block has set it.
    let literals_pass = (1..=block.start).contains(&(recent[0] as usize));
    // Symbols of the aligned-offset code are read without a question whether there are any.
    let symbols_exist = !ALIGNED || codes.aligned.kind() == CodeKind::Complete;
    let room = data.len() >= STEP_IN && block.len() >= STEP_OUT && block.end <= out.len();
    if !room || !literals_pass || !symbols_exist {
        return Ok(block.start);
    }
    let last_in = data[data.len() - STEP_IN..].as_ptr();
    let last_out = block.end - STEP_OUT;
    let mut queue = cpu.load(recent);
    let mut to = Target { first: out.as_mut_ptr(), size: out.len(), position: block.start };
    let root = codes.main.root();
    let aligned_bits = if ALIGNED { MAX_ALIGNED_LEN } else { 0 };
    let look_up = |bits: &FastBits| root[(bits.peek() >> (64 - MAIN_ROOT_BITS)) as usize];

    let mut bits = FastBits::lend(reader);
    while bits.next() <= last_in && to.position <= last_out {
        // SAFETY: for every call of this loop, STEP_IN bytes can be read at its start (four refills), STEP_OUT bytes
        // can be written, and something has been written before.
        unsafe { bits.refill() };
        let mut entry = look_up(&bits);
        if is_plain(entry) {
            let before = bits;
            bits.consume(entry);
            let low = aligned_low::<ALIGNED>(codes, &mut bits, entry);
            let entry_2 = look_up(&bits);
            // SAFETY: see above.
            queue = unsafe { to.put_plain::<C, ALIGNED>(cpu, queue, entry, before.peek(), low)? };
            if bits.lack(entry_2 + aligned_bits) {
                continue;
            }
            entry = entry_2;
            if is_plain(entry) {
                let before = bits;
                bits.consume(entry);
                let low = aligned_low::<ALIGNED>(codes, &mut bits, entry);
                let entry_3 = look_up(&bits);
                // SAFETY: see above.
                queue = unsafe { to.put_plain::<C, ALIGNED>(cpu, queue, entry, before.peek(), low)? };
                if bits.lack(entry_3 + aligned_bits) {
                    continue;
                }
                entry = entry_3;
                if is_plain(entry) {
                    let before = bits;
                    bits.consume(entry);
                    let low = aligned_low::<ALIGNED>(codes, &mut bits, entry);
                    // SAFETY: see above.
                    queue = unsafe { to.put_plain::<C, ALIGNED>(cpu, queue, entry, before.peek(), low)? };
                    continue;
                }
            }
            // SAFETY: see above.
            unsafe { bits.refill() };
        }
        if entry & ENTRY_SUBTABLE != 0 {
            entry = codes.main.look_up_below(look_up(&bits), bits.peek())?;
            if is_plain(entry) {
                let before = bits;
                bits.consume(entry);
                let low = aligned_low::<ALIGNED>(codes, &mut bits, entry);
                // SAFETY: see above.
                queue = unsafe { to.put_plain::<C, ALIGNED>(cpu, queue, entry, before.peek(), low)? };
                continue;
            }
        }
        // SAFETY: see above.
        unsafe {
            let (len, formatted) = read_long(codes, &mut bits, entry)?;
            let (next, offset) = cpu.pick(queue, entry, formatted);
            queue = next;
            to.put_long(cpu, offset, len, block.end)?;
        }
    }
    bits.give_back(reader);
    *recent = cpu.store(queue);
    Ok(to.position)
}

/// Whether a main entry is a literal, or a match that needs no length symbol.
#[inline(always)]
const fn is_plain(entry: u32) -> bool {
    entry & (MAIN_LONG | ENTRY_SUBTABLE) == 0
}

/// Reads the aligned-offset symbol of an entry that has one, without a branch.
#[inline(always)]
fn aligned_low<const ALIGNED: bool>(codes: &Codes, bits: &mut FastBits, entry: u32) -> u32 {
    if !ALIGNED {
        return 0;
    }
    let aligned = (entry / MAIN_ALIGNED) & 1;
    let symbol =
        codes.aligned.root()[(bits.peek() >> (64 - ALIGNED_ROOT_BITS)) as usize] & aligned.wrapping_neg();
    bits.consume(symbol & 63);
    symbol >> SYMBOL_SHIFT
}

/// Reads a match with a length symbol, whose entry is on top of `bits`; returns its length, and its offset plus two if
/// that is explicit.
///
/// # Safety
/// At least 48 bits are valid, and a refill's bytes can be read.
#[inline(always)]
unsafe fn read_long(codes: &Codes, bits: &mut FastBits, entry: u32) -> Result<(usize, u32), DecodeError> {
    bits.consume(entry & 63);
    let mut symbol = codes.length.root()[(bits.peek() >> (64 - LENGTH_ROOT_BITS)) as usize];
    if symbol & ENTRY_SUBTABLE != 0 {
        symbol = codes.length.look_up_below(symbol, bits.peek())?;
    }
    bits.consume(symbol & 63);
    let len = length(entry) + (symbol >> SYMBOL_SHIFT) as usize;
    // SAFETY: the caller's duty.
    unsafe { bits.refill() };

    let extra_bits = (entry >> MAIN_EXTRA_SHIFT) & 31;
    let high =
        ((entry >> MAIN_BYTE_SHIFT) & 0xff) << extra_bits | (bits.peek() >> 1 >> (63 - extra_bits)) as u32;
    bits.consume(extra_bits);
    // Every other match here is aligned, in an aligned block: too even to guess, so both cases go the same way.
    let aligned = (entry / MAIN_ALIGNED) & 1;
    let symbol =
        codes.aligned.root()[(bits.peek() >> (64 - ALIGNED_ROOT_BITS)) as usize] & aligned.wrapping_neg();
    if symbol & ENTRY_SUBTABLE != 0 {
        return Err(DecodeError::EmptyCode);
    }
    bits.consume(symbol & 63);
    Ok((len, high << (3 * aligned) | symbol >> SYMBOL_SHIFT))
}

/// The match length in a main entry, without that of a length symbol; 1 for a literal.
#[inline(always)]
const fn length(entry: u32) -> usize {
    ((entry >> MAIN_LENGTH_SHIFT) & 15) as usize
}

/// An explicit offset plus two, less what an aligned-offset symbol adds, from an entry that is on top of `bits`.
///
/// Codeword and extra bits are counted together, so the extra bits are the last of them.
#[inline(always)]
fn formatted_offset(entry: u32, bits: u64) -> u32 {
    let extra_bits = (entry >> MAIN_EXTRA_SHIFT) & 31;
    let extra = bits.rotate_left(entry) & ((1 << extra_bits) - 1);
    (((entry >> MAIN_BYTE_SHIFT) & 0xff) << extra_bits) + extra as u32
}

/// The recent offsets, kept in the way that suits one processor.
trait RecentQueue: PatternCopy {
    /// The three recent offsets.
    type Queue: Copy;

    fn load(self, recent: &RecentOffsets) -> Self::Queue;

    fn store(self, queue: Self::Queue) -> RecentOffsets;

    /// The queue after an item of this main entry, and the item's offset, which is then the first in it.
    ///
    /// `formatted` is two more than the offset if that is explicit, and anything otherwise.
    ///
    /// # Safety
    /// The processor has what the implementation needs.
    unsafe fn pick(self, queue: Self::Queue, entry: u32, formatted: u32) -> (Self::Queue, usize);
}

/// For each class, which of the recent offsets (3: the explicit one) become the recent offsets.
const ORDERS: [[usize; 3]; 4] = [[0, 1, 2], [1, 0, 2], [2, 1, 0], [3, 0, 1]];

impl RecentQueue for Portable {
    type Queue = RecentOffsets;

    #[inline(always)]
    fn load(self, recent: &RecentOffsets) -> RecentOffsets {
        *recent
    }

    #[inline(always)]
    fn store(self, queue: RecentOffsets) -> RecentOffsets {
        queue
    }

    #[inline(always)]
    unsafe fn pick(self, queue: RecentOffsets, entry: u32, formatted: u32) -> (RecentOffsets, usize) {
        let [first, second, third] = queue;
        let candidates = [first, second, third, formatted.wrapping_sub(2)];
        let queue = ORDERS[((entry >> MAIN_CLASS_SHIFT) & 3) as usize].map(|index| candidates[index]);
        (queue, queue[0] as usize)
    }
}

/// [`ORDERS`] as byte shuffles of a vector with the explicit offset on top.
#[cfg(target_arch = "x86_64")]
static SHUFFLES: [[u8; VECTOR]; 4] = {
    let mut shuffles = [[0; VECTOR]; 4];
    let mut class = 0;
    while class < 4 {
        let mut i = 0;
        while i < 12 {
            shuffles[class][i] = (4 * ORDERS[class][i / 4] + i % 4) as u8;
            i += 1;
        }
        class += 1;
    }
    shuffles
};

#[cfg(target_arch = "x86_64")]
impl RecentQueue for Ssse3 {
    type Queue = std::arch::x86_64::__m128i;

    #[inline(always)]
    fn load(self, recent: &RecentOffsets) -> Self::Queue {
        let [first, second, third] = recent.map(u32::cast_signed);
        // SAFETY: SSE2 is part of x86-64.
        unsafe { std::arch::x86_64::_mm_set_epi32(0, third, second, first) }
    }

    #[inline(always)]
    fn store(self, queue: Self::Queue) -> RecentOffsets {
        // SAFETY: both are 16 bytes without invalid values.
        let [first, second, third, _] = unsafe { std::mem::transmute::<Self::Queue, [u32; 4]>(queue) };
        [first, second, third]
    }

    #[inline(always)]
    unsafe fn pick(self, queue: Self::Queue, entry: u32, formatted: u32) -> (Self::Queue, usize) {
        // SAFETY: the caller has seen that there is AVX.
        unsafe { pick_avx(queue, entry, formatted) }
    }
}

/// See [`RecentQueue::pick`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
#[inline]
fn pick_avx(
    queue: std::arch::x86_64::__m128i,
    entry: u32,
    formatted: u32,
) -> (std::arch::x86_64::__m128i, usize) {
    use std::arch::x86_64::{_mm_cvtsi128_si32, _mm_insert_epi32, _mm_loadu_si128, _mm_shuffle_epi8};
    let order = &SHUFFLES[((entry >> MAIN_CLASS_SHIFT) & 3) as usize];
    // SAFETY: 16 bytes of the table.
    let order = unsafe { _mm_loadu_si128(order.as_ptr().cast()) };
    let candidates = _mm_insert_epi32::<3>(queue, formatted.wrapping_sub(2).cast_signed());
    let queue = _mm_shuffle_epi8(candidates, order);
    (queue, _mm_cvtsi128_si32(queue).cast_unsigned() as usize)
}

/// The output, written through a pointer.
struct Target {
    first: *mut u8,
    /// Bytes that may be written.
    size: usize,
    /// Bytes written.
    position: usize,
}

impl Target {
    /// Writes a plain item whose codeword is on top of `bits`; returns the queue after it.
    ///
    /// `low` is its aligned-offset symbol, or 0.
    ///
    /// Literals and matches take the same way, because which one comes next is what cannot be predicted: a literal is
    /// a match of length 1 whose source is [`LITERALS`].
    ///
    /// # Safety
    /// Something has been written, 16 bytes more fit, and the processor has what `cpu` needs.
    #[inline(always)]
    unsafe fn put_plain<C: RecentQueue, const ALIGNED: bool>(
        &mut self,
        cpu: C,
        queue: C::Queue,
        entry: u32,
        bits: u64,
        low: u32,
    ) -> Result<C::Queue, DecodeError> {
        let len = length(entry);
        let mut formatted = formatted_offset(entry, bits);
        if ALIGNED {
            formatted = formatted << (3 * ((entry / MAIN_ALIGNED) & 1)) | low;
        }
        // SAFETY: the caller's duty; the position is within the output.
        let ((queue, offset), to) =
            unsafe { (cpu.pick(queue, entry, formatted), self.first.add(self.position)) };
        // No literal fails here: the first recent offset was good for a match before.
        if offset > self.position {
            return Err(DecodeError::BadOffset);
        }
        if offset < len {
            hint::cold_path();
            // SAFETY: `offset` bytes lie before, and 16 bytes fit.
            unsafe { cpu.copy_vector(to, offset) };
        } else {
            let byte = (entry >> MAIN_BYTE_SHIFT) & 0xff;
            let literal = LITERALS.as_ptr().wrapping_add(byte as usize);
            let from = hint::select_unpredictable(len == 1, literal, to.wrapping_sub(offset).cast_const());
            // SAFETY: the source is a word in LITERALS, or starts within what was written and ends before `to` plus a word;
            // 16 bytes fit.
            unsafe { to.cast::<[u8; WORD]>().write(from.cast::<[u8; WORD]>().read()) };
        }
        self.position += len;
        Ok(queue)
    }

    /// Writes a match of any length that must end at `end` or before.
    ///
    /// # Safety
    /// The processor has what `cpu` needs; the position is at most `end`, and that at most the size.
    #[inline(always)]
    unsafe fn put_long<C: PatternCopy>(
        &mut self,
        cpu: C,
        offset: usize,
        len: usize,
        end: usize,
    ) -> Result<(), DecodeError> {
        if offset > self.position {
            return Err(DecodeError::BadOffset);
        }
        if len > end - self.position {
            return Err(DecodeError::BadLength);
        }
        if len + COPY_OVERRUN <= self.size - self.position {
            // SAFETY: there are `offset` bytes before, and room for the match and the overrun.
            unsafe { copy_match_fast(cpu, self.first.add(self.position), offset, len) };
        } else {
            // SAFETY: there are `offset` bytes before, and room for the match.
            unsafe { copy_match_exactly(self.first.add(self.position), offset, len) };
        }
        self.position += len;
        Ok(())
    }
}
