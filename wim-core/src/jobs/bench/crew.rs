//! The timed work: encoding, decoding and the reference workload over one sample on a number of threads.
//!
//! Threads and codecs stand ready before the clock starts, and answers are checked after it stops. What a new codec touches
//! for the first time and what the output grows by is timed, as it is in a job: in samples of few chunks it weighs. The order in which
//! threads take batches is left to them; the bytes that come out are the same whatever it was.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::sample::{Cut, Sample};
use crate::base::sha1::Sha1Hasher;
use crate::base::{Cancel, Context, Error, Result, Sha1Digest};
use crate::formats::wim::{ChunkDecoder, ChunkEncoder, ChunkFormat};
use crate::jobs::Level;

/// A timing shorter than this is repeated and the mean taken: clocks and wake-ups would show in it.
const SHORTEST: Duration = Duration::from_millis(40);
/// Most repetitions of one timing.
const MOST_PASSES: u32 = 64;
/// Entries of the reference workload's table: 32 KiB, in the first-level cache as a decoder's tables are.
const PROBE_ENTRIES: usize = 8192;
/// Number of the reference workload and of the way speeds are set beside it; to be raised with every change to [`probe`] or to
/// that, as speeds relative to another one cannot be compared.
pub(super) const REFERENCE_VERSION: u32 = 2;

/// The chunks of one batch, compressed.
struct EncodedBatch {
    sizes: Vec<u32>,
    bytes: Vec<u8>,
}

/// A whole sample, compressed.
pub(super) struct Encoded {
    batches: Vec<EncodedBatch>,
}

impl Encoded {
    /// Bytes of all chunks.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes.len() as u64).sum()
    }

    /// Digest of all chunks and their sizes.
    pub(super) fn digest(&self) -> Sha1Digest {
        let mut hasher = Sha1Hasher::new();
        for batch in &self.batches {
            batch.sizes.iter().for_each(|size| hasher.update(&size.to_le_bytes()));
            hasher.update(&batch.bytes);
        }
        hasher.finish()
    }
}

/// Threads that measure together.
pub(super) struct Crew<'c> {
    cx: Context<'c>,
}

impl<'c> Crew<'c> {
    /// A crew of `threads` threads.
    pub(super) fn new(cx: &Context<'c>, threads: usize) -> Result<Self> {
        let cx = Context::new(cx.progress, cx.cancel).with_threads(threads).with_memory(cx.memory_bytes());
        cx.pool()?;
        Ok(Self { cx })
    }

    /// Number of threads.
    pub(super) fn threads(&self) -> usize {
        self.cx.threads()
    }

    /// Runs `work` on every thread at once, each with its own state, and takes the time until the last one is done.
    fn timed<S: Send, T: Send>(
        &self,
        states: Vec<S>,
        work: impl Fn(&mut S) -> Result<T> + Sync,
    ) -> Result<(Vec<T>, Duration)> {
        let slots: Vec<Mutex<S>> = states.into_iter().map(Mutex::new).collect();
        let pool = self.cx.pool()?;
        let started = Instant::now();
        let results = pool.broadcast(|place| {
            let slot =
                slots.get(place.index()).map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner));
            slot.map(|mut state| work(&mut state))
        });
        let elapsed = started.elapsed();
        let answers = results.into_iter().flatten().collect::<Result<Vec<T>>>()?;
        Ok((answers, elapsed))
    }

    /// Compresses the sample once.
    pub(super) fn encode(
        &self,
        sample: &Sample,
        cut: &Cut,
        format: ChunkFormat,
        level: Level,
    ) -> Result<(Encoded, Duration)> {
        let encoder = |_| Ok(ChunkEncoder::new(format, level));
        let states = (0..self.threads()).map(encoder).collect::<Result<Vec<_>>>()?;
        let next = AtomicUsize::new(0);
        let (parts, elapsed) = self.timed(states, |encoder| {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = cut.batches.get(number) else { return Ok(done) };
                self.cx.cancel.check()?;
                let chunks = &cut.chunks[batch.clone()];
                done.push((number, encode_batch(encoder, self.cx.cancel, sample, chunks)?));
            }
        })?;
        let mut batches: Vec<(usize, EncodedBatch)> = parts.into_iter().flatten().collect();
        batches.sort_by_key(|(number, _)| *number);
        Ok((Encoded { batches: batches.into_iter().map(|(_, batch)| batch).collect() }, elapsed))
    }

    /// Decompresses `encoded` into `out` until the time can be read well; returns the mean time of a pass.
    ///
    /// # Errors
    /// `Corrupt` when the bytes differ from the sample, which would be a fault of the codec.
    pub(super) fn decode(
        &self,
        sample: &Sample,
        cut: &Cut,
        format: ChunkFormat,
        encoded: &Encoded,
        out: &mut [u8],
    ) -> Result<Duration> {
        let (mut passes, mut total) = (0, Duration::ZERO);
        while passes == 0 || (total < SHORTEST && passes < MOST_PASSES) {
            out.fill(0);
            let decoder = |_| Ok(ChunkDecoder::new(format));
            let states = (0..self.threads()).map(decoder).collect::<Result<Vec<_>>>()?;
            let batches = Mutex::new(batches_of(cut, encoded, out));
            let (_, elapsed) = self.timed(states, |decoder| {
                loop {
                    let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some((chunks, batch, out)) = batch else { return Ok(()) };
                    decode_batch(decoder, self.cx.cancel, chunks, batch, out)?;
                }
            })?;
            if *out != *sample.bytes {
                return Err(wrong_answer("decoded bytes differ from what was encoded"));
            }
            total += elapsed;
            passes += 1;
        }
        Ok(total / passes)
    }

    /// The reference workload: returns its answer, which depends on the sample alone, and the mean time of a pass.
    pub(super) fn probe(&self, sample: &Sample, cut: &Cut) -> Result<(u64, Duration)> {
        let (mut passes, mut total, mut answer) = (0, Duration::ZERO, 0);
        while passes == 0 || (total < SHORTEST && passes < MOST_PASSES) {
            let states = (0..self.threads()).map(|_| vec![0u32; PROBE_ENTRIES]).collect();
            let next = AtomicUsize::new(0);
            let (answers, elapsed) = self.timed(states, |table| {
                let mut sum = 0u64;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = cut.batches.get(number) else { return Ok(sum) };
                    self.cx.cancel.check()?;
                    for chunk in &cut.chunks[batch.clone()] {
                        sum = sum.wrapping_add(probe(&sample.bytes[chunk.clone()], table));
                    }
                }
            })?;
            answer = answers.into_iter().fold(0u64, u64::wrapping_add);
            total += elapsed;
            passes += 1;
        }
        Ok((answer, total / passes))
    }
}

/// The error of an answer that is not what it must be.
pub(super) fn wrong_answer(what: &str) -> Error {
    Error::corrupt(format!("a measurement's answer is wrong: {what}"))
        .remedy("do not trust this build or this machine's memory; please report it with the input")
}

fn encode_batch(
    encoder: &mut ChunkEncoder,
    cancel: &Cancel,
    sample: &Sample,
    chunks: &[Range<usize>],
) -> Result<EncodedBatch> {
    let go_on = || !cancel.is_raised();
    let length = chunks.iter().map(Range::len).sum();
    let mut batch =
        EncodedBatch { sizes: Vec::with_capacity(chunks.len()), bytes: Vec::with_capacity(length) };
    for chunk in chunks {
        let size = encoder.encode_onto(&sample.bytes[chunk.clone()], &mut batch.bytes, &go_on);
        let size = size.map_err(|_| Error::cancelled())?;
        batch.sizes.push(u32::try_from(size).unwrap_or(u32::MAX));
    }
    // A batch keeps what it needs and no more, so that the whole stays within the budget.
    batch.bytes.shrink_to_fit();
    Ok(batch)
}

type BatchToDecode<'b> = (&'b [Range<usize>], &'b EncodedBatch, &'b mut [u8]);

/// Batches with the places they decode to, the first one last, as workers pop them.
fn batches_of<'b>(cut: &'b Cut, encoded: &'b Encoded, mut out: &'b mut [u8]) -> Vec<BatchToDecode<'b>> {
    let mut batches = Vec::with_capacity(cut.batches.len());
    for (range, batch) in cut.batches.iter().zip(&encoded.batches) {
        let chunks = &cut.chunks[range.clone()];
        let length = chunks.iter().map(Range::len).sum();
        let (here, rest) = std::mem::take(&mut out).split_at_mut(length);
        batches.push((chunks, batch, here));
        out = rest;
    }
    batches.reverse();
    batches
}

fn decode_batch(
    decoder: &mut ChunkDecoder,
    cancel: &Cancel,
    chunks: &[Range<usize>],
    batch: &EncodedBatch,
    mut out: &mut [u8],
) -> Result<()> {
    cancel.check()?;
    let mut stored = batch.bytes.as_slice();
    for (chunk, &size) in chunks.iter().zip(&batch.sizes) {
        let (this, rest) = stored.split_at((size as usize).min(stored.len()));
        let (here, behind) = std::mem::take(&mut out).split_at_mut(chunk.len());
        let decoded = decoder.decode_while(this, here, &|| !cancel.is_raised());
        // What a decoder that was told to stop has left is no wrong answer.
        cancel.check()?;
        decoded.map_err(|error| wrong_answer(&format!("a chunk does not decode: {error}")))?;
        (stored, out) = (rest, behind);
    }
    Ok(())
}

/// Looks every fourth byte's neighbourhood up in a table of what came before and counts what it finds.
///
/// A stand-in for a codec in what a processor does: hashing, dependent loads from a small table, branches that the data
/// decides. It is kept as it is for ever ([`REFERENCE_VERSION`]), so that dividing by its speed takes the machine out of a
/// measurement. The table must be as long as [`PROBE_ENTRIES`]; its contents do not matter.
fn probe(chunk: &[u8], table: &mut [u32]) -> u64 {
    table.fill(0);
    let (mut sum, mut at) = (0u64, 0usize);
    while let Some(&[a, b, c, d]) = chunk.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let word = u32::from_le_bytes([a, b, c, d]);
        let slot = (word.wrapping_mul(0x9E37_79B1) >> 19) as usize % PROBE_ENTRIES;
        let seen = std::mem::replace(&mut table[slot], word);
        if seen == word {
            sum = sum.wrapping_mul(31).wrapping_add(u64::from(d) + 1);
            at += 4;
        } else {
            sum = sum.rotate_left(5) ^ u64::from(word);
            at += 1 + usize::from(a & 1);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ChunkSize, Silent};
    use crate::formats::wim::Compression;

    fn with_crews(test: impl Fn(&Crew<'_>, &Sample)) {
        let (progress, cancel) = (Silent, Cancel::new());
        let cx = Context::new(&progress, &cancel);
        let sample = Sample::take(&cx, None, 1 << 20).unwrap();
        for threads in [1, 2, 8] {
            test(&Crew::new(&cx, threads).unwrap(), &sample);
        }
    }

    #[test]
    fn every_crew_gets_the_same_answers() {
        let cut_bytes = ChunkSize::DEFAULT;
        let seen = Mutex::new(Vec::new());
        with_crews(|crew, sample| {
            let cut = sample.cut(cut_bytes);
            let format = ChunkFormat::new(Compression::Xpress, cut_bytes).unwrap();
            let (encoded, _) = crew.encode(sample, &cut, format, Level::FAST).unwrap();
            let mut out = vec![0; sample.bytes.len()];
            crew.decode(sample, &cut, format, &encoded, &mut out).unwrap();
            let (answer, _) = crew.probe(sample, &cut).unwrap();
            seen.lock().unwrap().push((encoded.stored_bytes(), encoded.digest(), answer));
        });
        let seen = seen.into_inner().unwrap();
        assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:?}");
        assert!(seen[0].0 < 900_000, "{seen:?}");
    }

    #[test]
    fn a_wrong_answer_is_an_error_and_not_a_figure() {
        with_crews(|crew, sample| {
            let cut = sample.cut(ChunkSize::DEFAULT);
            let format = ChunkFormat::usual(Compression::Lzx);
            let (mut encoded, _) = crew.encode(sample, &cut, format, Level::FAST).unwrap();
            let raw = encoded.batches.last_mut().unwrap();
            let middle = raw.bytes.len() / 2;
            raw.bytes[middle] ^= 0x55;
            let mut out = vec![0; sample.bytes.len()];
            let error = crew.decode(sample, &cut, format, &encoded, &mut out).unwrap_err();
            assert!(error.to_string().contains("answer is wrong"), "{error}");
        });
    }

    #[test]
    fn cancelling_stops_a_crew() {
        let (progress, cancel) = (Silent, Cancel::new());
        let cx = Context::new(&progress, &cancel);
        let sample = Sample::take(&cx, None, 1 << 20).unwrap();
        let cut = sample.cut(ChunkSize::DEFAULT);
        let crew = Crew::new(&cx, 2).unwrap();
        cancel.raise();
        let result = crew.encode(&sample, &cut, ChunkFormat::usual(Compression::Lzx), Level::MAX);
        assert_eq!(result.err().map(|e| e.kind()), Some(crate::base::ErrorKind::Cancelled));
    }

    #[test]
    fn cancelling_stops_a_crew_inside_its_only_chunk() {
        let (progress, cancel) = (Silent, Cancel::new());
        let cx = Context::new(&progress, &cancel);
        let sample = Sample::take(&cx, None, 4 << 20).unwrap();
        let size = ChunkSize::from_bytes(64 << 20).unwrap();
        let (cut, format) = (sample.cut(size), ChunkFormat::new(Compression::Lzms, size).unwrap());
        let crew = Crew::new(&cx, 1).unwrap();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                cancel.raise();
            });
            crew.encode(&sample, &cut, format, Level::MAX)
        });
        assert_eq!(result.err().map(|e| e.kind()), Some(crate::base::ErrorKind::Cancelled));
    }
}
