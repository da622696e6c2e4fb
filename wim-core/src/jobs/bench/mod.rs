//! `bench`: how fast and how small every codec is on the user's own data.
//!
//! [`fn@bench`] takes a sample, measures codec × level × chunk size × threads in interleaved rounds of which the best counts,
//! checks every answer, and compares with a saved measurement when asked to. docs/bench.md describes the method; what is
//! measured is the codecs on data in memory, not the reading and writing of files.

mod compare;
mod crew;
mod page;
mod picture;
mod record;
mod sample;

pub(super) use picture::escaped;

pub use compare::{Comparison, RowComparison};
pub use record::{Machine, Record, Row, RowKey, SampleInfo, Speed};

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::base::{ChunkSize, Context, Error, FileTime, Result, Sha1Digest, Stage};
use crate::formats::wim::{ChunkDecoder, ChunkEncoder, ChunkFormat, Compression};
use crate::jobs::Level;
use crate::jobs::clock::{CivilTime, job_time};
use crate::jobs::target::is_same_file;
use crate::jobs::text_file::write_text;
use compare::{check_comparable, compare};
use crew::{Crew, wrong_answer};
use sample::{Cut, Sample};

/// Sample when the caller names no number of bytes: enough chunks to even out, few enough for a coffee.
pub const DEFAULT_SAMPLE_BYTES: u64 = 8 << 20;
/// Runs when the caller names no number.
pub const DEFAULT_RUNS: u32 = 3;
/// The sample, its compressed form and its decompressed form are held at once.
const COPIES_OF_SAMPLE: u64 = 3;
/// Fewest runs of which a spread can be told, which a limit on what may be lost needs.
const MIN_GATE_RUNS: u32 = 3;
/// Rows that look slower than asked for are measured again this many times the runs, before they count as slower: all of these
/// rounds, whatever the first of them say.
const SECOND_LOOKS: u32 = 3;

/// What is to be measured, and where the results go.
#[derive(Clone, Debug, Default)]
pub struct BenchOptions {
    /// A file, perhaps a WIM; none for the built-in corpus.
    pub input: Option<PathBuf>,
    /// Codecs, each with a level of its own perhaps; all of this version when empty.
    pub codecs: Vec<(Compression, Option<Level>)>,
    /// Levels of the codecs that have none of their own; fast, normal and max when empty.
    pub levels: Vec<Level>,
    /// Chunk sizes; each codec's usual one when empty.
    pub chunk_sizes: Vec<ChunkSize>,
    /// Numbers of threads; one and as many as the context has when empty.
    pub threads: Vec<usize>,
    /// Bytes of the sample.
    pub sample_bytes: Option<u64>,
    /// Runs of which the best counts; [`DEFAULT_RUNS`] when none.
    pub runs: Option<u32>,
    /// Saves the record.
    pub save: Option<PathBuf>,
    /// Compares with this saved record, and repeats its rows and sample when no others are asked for.
    pub compare: Option<PathBuf>,
    /// Part of a speed that may be lost, as 0.05, before the comparison fails.
    pub fail_below: Option<f64>,
    /// Saved records that stand before this one in the picture of history, the oldest first.
    pub history: Vec<PathBuf>,
    /// Writes the pictures as SVG.
    pub svg: Option<PathBuf>,
    /// Writes tables and pictures as one HTML page.
    pub html: Option<PathBuf>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// The figures.
    #[serde(flatten)]
    pub record: Record,
    /// Beside the saved ones.
    pub comparison: Option<Comparison>,
}

/// One thing to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    format: ChunkFormat,
    level: Level,
    threads: usize,
}

impl Cell {
    fn key(&self) -> RowKey {
        RowKey {
            codec: self.format.compression().to_string(),
            level: self.level.number(),
            chunk_bytes: self.format.chunk_size().bytes(),
            threads: self.threads,
        }
    }
}

/// The best times of a cell so far, what each round's were relative to the reference, and the answers that every run must
/// give.
#[derive(Clone, Debug)]
struct Best {
    encode: Duration,
    decode: Duration,
    reference: Duration,
    /// Of each round: the reference workload's time, measured right before and after, by the codec's.
    encode_relative: Vec<f64>,
    decode_relative: Vec<f64>,
    stored_bytes: u64,
    stored_digest: Sha1Digest,
    reference_answer: u64,
}

/// Measures.
///
/// # Errors
/// `InvalidInput` for a plan without rows, an empty input, or a saved record of other data; `Limit` when the memory budget
/// is too small; `Corrupt` when an answer is wrong; `Io`, `Cancelled`, and what reading the input gives.
pub fn bench(cx: &Context<'_>, options: &BenchOptions) -> Result<BenchReport> {
    let base = options.compare.as_deref().map(Record::read).transpose()?;
    let history = options.history.iter().map(|path| Record::read(path)).collect::<Result<Vec<_>>>()?;
    let cells = plan(cx, options, base.as_ref())?;
    let runs = options.runs.or(base.as_ref().map(|base| base.runs)).unwrap_or(DEFAULT_RUNS).max(1);
    if options.fail_below.is_some()
        && let Some(base) = &base
    {
        check_covered(base, &cells, runs)?;
    }
    if !history.is_empty() && options.svg.is_none() && options.html.is_none() {
        return Err(Error::invalid_input("a history is given, but nothing to draw it in")
            .remedy("say where to with --svg FILE or --html FILE"));
    }
    let limit = sample_limit(cx, options, base.as_ref(), &cells)?;
    let sample = Sample::take(cx, options.input.as_deref(), limit)?;
    let mut record = Record::new(rfc3339(job_time()?), sample_info(&sample, limit), runs);
    if let Some(base) = &base {
        check_comparable(base, &record)?;
    }
    let history = drawable(cx, options, history, &record);

    let mut bench = Bench::new(cx, &sample, cells)?;
    bench.tell_of_short_chunks(cx);
    cx.progress
        .start(Stage::Measuring, sample.bytes.len() as u64 * bench.cells.len() as u64 * u64::from(runs));
    for _ in 0..runs {
        bench.round(cx, |_| true)?;
    }
    record.rows = bench.rows();
    let mut comparison = base.as_ref().map(|base| compare(base, &record, options.fail_below));
    if let Some(base) = &base {
        let rows = comparison.iter().flat_map(|now| &now.rows);
        let slower: Vec<RowKey> = rows.filter(|row| looks_slower(row)).map(|row| row.key.clone()).collect();
        if !slower.is_empty() {
            for _ in 0..runs * SECOND_LOOKS {
                bench.round(cx, |cell| slower.contains(&cell.key()))?;
            }
            record.rows = bench.rows();
            comparison = Some(compare(base, &record, options.fail_below));
        }
    }
    write_results(cx, options, (&record, comparison.as_ref()), &history)?;
    Ok(BenchReport { record, comparison })
}

/// Fails unless the cells are all that the base has, measured often enough in both: a gate that leaves a row out would pass
/// whatever became of it.
fn check_covered(base: &Record, cells: &[Cell], runs: u32) -> Result<()> {
    let is_measured = |row: &&Row| cells.iter().any(|cell| cell.key() == row.key);
    let missing: Vec<&Row> = base.rows.iter().filter(|row| !is_measured(row)).collect();
    if let [first, ..] = missing[..] {
        let RowKey { codec, level, chunk_bytes, threads } = &first.key;
        return Err(Error::invalid_input(format!(
            "{} of the {} saved rows would not be measured, the first is {codec}:{level} in chunks of {chunk_bytes} bytes on \
             {threads} threads; a limit on what may be lost holds for all rows or for none",
            missing.len(),
            base.rows.len()
        ))
        .remedy("leave out --codec, --level, --chunk-size and --threads, or save a base of these rows alone"));
    }
    if runs.min(base.runs) < MIN_GATE_RUNS {
        return Err(Error::invalid_input(format!(
            "the base has {} runs and this bench {runs}: less than {MIN_GATE_RUNS} do not tell a slower codec from a busy machine",
            base.runs
        ))
        .remedy("give --runs 3 or more, for the base too"));
    }
    Ok(())
}

/// The records of the history that can stand beside `now`, with their names; each other one is told.
fn drawable(
    cx: &Context<'_>,
    options: &BenchOptions,
    history: Vec<Record>,
    now: &Record,
) -> Vec<(String, Record)> {
    let mut kept = Vec::new();
    for (path, record) in options.history.iter().zip(history) {
        match check_comparable(&record, now) {
            Ok(()) => {
                kept.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), record));
            }
            Err(error) => {
                cx.progress.warn(&error.in_file(format!("{}, left out of the history", path.display())));
            }
        }
    }
    kept
}

/// A larger output stays larger however often it is measured; a lower speed may have been the machine.
fn looks_slower(row: &RowComparison) -> bool {
    !row.undecided.is_empty() || row.worse.iter().any(|what| *what != "ratio")
}

fn write_results(
    cx: &Context<'_>,
    options: &BenchOptions,
    (record, comparison): (&Record, Option<&Comparison>),
    history: &[(String, Record)],
) -> Result<()> {
    if let Some(path) = &options.save {
        let is_base = options.compare.as_ref().is_some_and(|base| is_same_file(base, path));
        if is_base && comparison.is_some_and(|comparison| comparison.is_worse || comparison.is_undecided) {
            let message = "the base is kept: what is or may be worse than it does not become the next base";
            cx.progress.warn(&Error::invalid_input(message).in_file(path.display()));
        } else {
            record.write(path)?;
        }
    }
    let mut records: Vec<(String, &Record)> =
        history.iter().map(|(name, record)| (name.clone(), record)).collect();
    records.push(("now".to_owned(), record));
    if let Some(path) = &options.svg {
        write_text(path, picture::svg(&records))?;
    }
    if let Some(path) = &options.html {
        write_text(path, page::html(&records, comparison))?;
    }
    Ok(())
}

fn rfc3339(time: FileTime) -> String {
    CivilTime::of(time).to_string()
}

fn sample_info(sample: &Sample, limit_bytes: u64) -> SampleInfo {
    SampleInfo {
        name: sample.name.clone(),
        bytes: sample.bytes.len() as u64,
        limit_bytes,
        pieces: sample.pieces(),
        sha1: sample.digest().to_string(),
    }
}

/// What can be measured.
const CODECS: [Compression; 3] = [Compression::Xpress, Compression::Lzx, Compression::Lzms];

/// The cells to measure: those asked for, or those of a saved record.
fn plan(cx: &Context<'_>, options: &BenchOptions, base: Option<&Record>) -> Result<Vec<Cell>> {
    let BenchOptions { codecs, levels, chunk_sizes, threads, .. } = options;
    let asks_nothing = codecs.is_empty() && levels.is_empty() && chunk_sizes.is_empty() && threads.is_empty();
    if let (Some(base), true) = (base, asks_nothing) {
        return base.rows.iter().map(|row| cell_of(&row.key)).collect();
    }
    let all = CODECS.map(|codec| (codec, None));
    let codecs = if codecs.is_empty() { &all[..] } else { codecs };
    let usual_levels = [Level::FAST, Level::NORMAL, Level::MAX];
    let levels = if levels.is_empty() { &usual_levels[..] } else { levels };
    let usual_threads = [1, cx.threads()];
    let threads = if threads.is_empty() { &usual_threads[..] } else { threads };
    let mut cells: Vec<Cell> = Vec::new();
    for &(compression, own_level) in codecs {
        let usual = [ChunkFormat::usual(compression)];
        let formats: Vec<ChunkFormat> = match chunk_sizes.as_slice() {
            [] => usual.to_vec(),
            sizes => sizes.iter().filter_map(|&size| ChunkFormat::new(compression, size)).collect(),
        };
        if compression == Compression::None || formats.is_empty() {
            let message = format!("{compression} has none of the chunk sizes asked for, and is left out");
            cx.progress.warn(&Error::invalid_input(message));
            continue;
        }
        let own = own_level.map(|level| vec![level]);
        for format in formats {
            for &level in own.as_deref().unwrap_or(levels) {
                for &threads in threads {
                    let cell = Cell { format, level, threads: threads.max(1) };
                    if !cells.contains(&cell) {
                        cells.push(cell);
                    }
                }
            }
        }
    }
    if cells.is_empty() {
        return Err(Error::invalid_input("no codec has any of the chunk sizes asked for")
            .remedy("XPRESS has chunks of 4K to 64K, LZX of 32K to 2M, LZMS of 32K to 64M"));
    }
    Ok(cells)
}

/// The cell of a saved row.
fn cell_of(key: &RowKey) -> Result<Cell> {
    let compression = CODECS.into_iter().find(|c| c.to_string() == key.codec);
    let format = compression
        .zip(ChunkSize::from_bytes(key.chunk_bytes))
        .and_then(|(compression, size)| ChunkFormat::new(compression, size));
    match format {
        Some(format) if (1..=1024).contains(&key.threads) => {
            Ok(Cell { format, level: Level::from_number(key.level), threads: key.threads })
        }
        _ => Err(Error::unsupported(format!(
            "the saved bench has a row of {} in chunks of {} bytes on {} threads, which this version cannot repeat",
            key.codec, key.chunk_bytes, key.threads
        ))
        .remedy("name the rows to compare with --codec, --level, --chunk-size and --threads")),
    }
}

/// Bytes that the sample may have.
fn sample_limit(
    cx: &Context<'_>,
    options: &BenchOptions,
    base: Option<&Record>,
    cells: &[Cell],
) -> Result<u64> {
    let state = |cell: &Cell| {
        let one =
            ChunkEncoder::scratch_bytes(cell.format, cell.level) + ChunkDecoder::scratch_bytes(cell.format);
        one.saturating_mul(cell.threads as u64)
    };
    let states = cells.iter().map(state).max().unwrap_or(0);
    let room = cx.memory_bytes().saturating_sub(states) / COPIES_OF_SAMPLE;
    let asked = options.sample_bytes.or(base.map(|base| base.sample.limit_bytes));
    let too_little = |what: String| {
        Err(Error::limit(what).remedy("give more with --memory, or ask for fewer --bytes or --threads"))
    };
    match asked {
        Some(0) => Err(Error::invalid_input("a sample of 0 bytes has nothing to measure")),
        Some(bytes) if bytes > room => too_little(format!(
            "a sample of {bytes} bytes needs {} bytes of memory, the budget is {}",
            bytes.saturating_mul(COPIES_OF_SAMPLE).saturating_add(states),
            cx.memory_bytes()
        )),
        Some(bytes) => Ok(bytes),
        None if room < 64 << 10 => too_little(format!(
            "the codecs' state alone needs {states} bytes of memory, the budget is {}",
            cx.memory_bytes()
        )),
        None => Ok(DEFAULT_SAMPLE_BYTES.min(room)),
    }
}

/// A bench under way.
struct Bench<'b> {
    sample: &'b Sample,
    cells: Vec<Cell>,
    best: Vec<Option<Best>>,
    crews: Vec<Crew<'b>>,
    cuts: Vec<(ChunkSize, Cut)>,
    /// Where chunks are decoded to.
    out: Vec<u8>,
}

impl<'b> Bench<'b> {
    fn new(cx: &Context<'b>, sample: &'b Sample, cells: Vec<Cell>) -> Result<Self> {
        let (mut crews, mut cuts): (Vec<Crew<'b>>, Vec<(ChunkSize, Cut)>) = (Vec::new(), Vec::new());
        for Cell { format, threads, .. } in &cells {
            if !crews.iter().any(|crew| crew.threads() == *threads) {
                crews.push(Crew::new(cx, *threads)?);
            }
            let size = format.chunk_size();
            if !cuts.iter().any(|(known, _)| *known == size) {
                cuts.push((size, sample.cut(size)));
            }
        }
        let best = vec![None; cells.len()];
        Ok(Self { sample, cells, best, crews, cuts, out: vec![0; sample.bytes.len()] })
    }

    /// Measures every cell that is wanted once.
    fn round(&mut self, cx: &Context<'_>, is_wanted: impl Fn(&Cell) -> bool) -> Result<()> {
        for (cell, best) in self.cells.iter().zip(&mut self.best).filter(|(cell, _)| is_wanted(cell)) {
            cx.cancel.check()?;
            let crew = self.crews.iter().find(|crew| crew.threads() == cell.threads);
            let cut = self.cuts.iter().find(|(size, _)| *size == cell.format.chunk_size());
            let (Some(crew), Some((_, cut))) = (crew, cut) else { continue };
            let now = measure(crew, self.sample, cut, cell, &mut self.out)?;
            *best = Some(match best.take() {
                None => now,
                Some(before) => before.joined(&now)?,
            });
            cx.progress.advance(self.sample.bytes.len() as u64);
        }
        Ok(())
    }

    /// Tells of chunk sizes that no chunk of the sample has: their rows are those of shorter chunks.
    fn tell_of_short_chunks(&self, cx: &Context<'_>) {
        for (size, cut) in &self.cuts {
            let longest = cut.chunks.iter().map(Range::len).max().unwrap_or(0);
            if longest < size.bytes() as usize {
                let message = format!(
                    "no chunk of {} bytes is full, the longest has {longest}: these rows are of shorter chunks",
                    size.bytes()
                );
                cx.progress.warn(
                    &Error::invalid_input(message)
                        .remedy("name a file with longer data, or give more --bytes"),
                );
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |(cell, best): (&Cell, &Option<Best>)| Some(self.row(cell, best.as_ref()?));
        self.cells.iter().zip(&self.best).filter_map(row).collect()
    }

    fn row(&self, cell: &Cell, best: &Best) -> Row {
        let bytes = self.sample.bytes.len() as f64;
        let megabytes_per_second = |time: Duration| bytes / 1e6 / time.as_secs_f64().max(1e-9);
        let reference = megabytes_per_second(best.reference);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let speed = |time, rounds: &[f64], state_bytes| {
            let speed = megabytes_per_second(time);
            let (relative, relative_spread) = median_and_spread(rounds);
            Speed {
                megabytes_per_second: speed,
                megabytes_per_second_per_core: speed / cell.threads.min(cores) as f64,
                relative,
                relative_spread,
                state_bytes,
            }
        };
        Row {
            key: cell.key(),
            stored_bytes: best.stored_bytes,
            ratio: best.stored_bytes as f64 / bytes,
            reference_megabytes_per_second: reference,
            encode: speed(
                best.encode,
                &best.encode_relative,
                ChunkEncoder::scratch_bytes(cell.format, cell.level),
            ),
            decode: speed(best.decode, &best.decode_relative, ChunkDecoder::scratch_bytes(cell.format)),
        }
    }
}

/// The median of the rounds' relative speeds, and the width of their middle half as a part of it: 0 for a single one.
fn median_and_spread(rounds: &[f64]) -> (f64, f64) {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let count = sorted.len();
    let median = f64::midpoint(at(count.saturating_sub(1) / 2), at(count / 2));
    (median, (at(3 * count / 4) - at(count / 4)) / median.max(f64::MIN_POSITIVE))
}

/// One run of one cell: encoding, then decoding what was encoded, the reference workload before, between and behind.
fn measure(crew: &Crew<'_>, sample: &Sample, cut: &Cut, cell: &Cell, out: &mut [u8]) -> Result<Best> {
    let (reference_answer, before) = crew.probe(sample, cut)?;
    let (encoded, encode) = crew.encode(sample, cut, cell.format, cell.level)?;
    let (_, between) = crew.probe(sample, cut)?;
    let decode = crew.decode(sample, cut, cell.format, &encoded, out)?;
    let (_, behind) = crew.probe(sample, cut)?;
    let relative = |first: Duration, second: Duration, time: Duration| {
        f64::midpoint(first.as_secs_f64(), second.as_secs_f64()).max(1e-9) / time.as_secs_f64().max(1e-9)
    };
    Ok(Best {
        encode,
        decode,
        reference: before.min(between).min(behind),
        encode_relative: vec![relative(before, between, encode)],
        decode_relative: vec![relative(between, behind, decode)],
        stored_bytes: encoded.stored_bytes(),
        stored_digest: encoded.digest(),
        reference_answer,
    })
}

impl Best {
    /// The better times of two runs, whose answers must agree, and the relative speeds of both.
    fn joined(mut self, other: &Self) -> Result<Self> {
        if self.stored_digest != other.stored_digest {
            return Err(wrong_answer("two runs of an encoder gave different bytes"));
        }
        if self.reference_answer != other.reference_answer {
            return Err(wrong_answer("two runs of the reference workload disagree"));
        }
        self.encode_relative.extend(&other.encode_relative);
        self.decode_relative.extend(&other.decode_relative);
        Ok(Self {
            encode: self.encode.min(other.encode),
            decode: self.decode.min(other.decode),
            reference: self.reference.min(other.reference),
            ..self
        })
    }
}

#[cfg(test)]
mod tests;
