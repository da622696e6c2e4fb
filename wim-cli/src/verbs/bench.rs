//! `wim bench`: how fast and how small every codec is on the user's own data.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use wim_core::base::{ChunkSize, Error};
use wim_core::formats::wim::Compression;
use wim_core::jobs::Level;
use wim_core::jobs::bench::{BenchOptions, BenchReport, Comparison, Record, RowComparison, RowKey, bench};

use crate::arguments::{CompressionChoice, parse_bytes, parse_chunk_size, parse_compression, parse_level};
use crate::exit::{Outcome, Verdict};
use crate::session::{Session, parse_threads};

/// Measure the codecs: speed both ways and ratio, for each level and number of threads
///
/// Works on a sample of FILE, of the blobs of FILE when it is a WIM, or of a built-in corpus. MB are 10^6 uncompressed
/// bytes; every answer is checked before its time counts, and the best of several interleaved runs is shown. With
/// --compare and --fail-below the exit code is 1 when a ratio got worse at all or a speed by more than allowed; speeds are
/// then compared by what they are relative to a reference workload measured right before and after, so that a slower machine
/// is no slower codec. It is 2 when a speed fell by more than allowed and the rounds differ by as much, so that nobody can tell.
///
/// With --json: the fields of a file of --save (docs/bench.md), and comparison.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A file, perhaps a WIM [default: a built-in corpus]
    file: Option<PathBuf>,
    /// Codecs, as in xpress,lzx:80 [default: all]
    #[arg(long, value_name = "TYPE[:LEVEL],...", value_delimiter = ',', value_parser = parse_codec)]
    codec: Vec<CompressionChoice>,
    /// Levels: numbers, fast, normal or max [default: these three]
    #[arg(long, value_name = "LEVEL,...", value_delimiter = ',', value_parser = parse_level)]
    level: Vec<Level>,
    /// Chunk sizes, as in 32K,64K [default: 32K, and 128K for LZMS]
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',', value_parser = parse_chunk_size)]
    chunk_size: Vec<ChunkSize>,
    /// Numbers of threads [default: 1 and one per logical processor]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = parse_threads)]
    threads: Vec<usize>,
    /// Bytes to sample from the data [default: 8M]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    bytes: Option<u64>,
    /// Runs of which the best counts [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: Option<u32>,
    /// Save the figures
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Compare with saved figures; repeats their rows and sample unless others are asked for
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Exit with 1 when a ratio got worse or a speed fell by more than this, as in 5%
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, requires = "compare")]
    fail_below: Option<f64>,
    /// Draw speed against ratio, and history when --history is given
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write tables and pictures as one page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Saved figures to draw the history from, the oldest first; may be given again
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    history: Vec<PathBuf>,
}

fn parse_codec(text: &str) -> Result<CompressionChoice, String> {
    match parse_compression(text)? {
        CompressionChoice { compression: Compression::None, .. } => {
            Err("there is nothing to measure without compression".to_owned())
        }
        choice => Ok(choice),
    }
}

/// `5%` or `5` as 0.05.
fn parse_percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(percent) if (0.0..100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is not a percentage from 0 to below 100, as in 5%")),
    }
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let options = BenchOptions {
            input: self.file,
            codecs: self.codec.iter().map(|choice| (choice.compression, choice.level)).collect(),
            levels: self.level,
            chunk_sizes: self.chunk_size,
            threads: self.threads,
            sample_bytes: self.bytes,
            runs: self.runs,
            save: self.save,
            compare: self.compare,
            fail_below: self.fail_below,
            history: self.history,
            svg: self.svg,
            html: self.html,
        };
        let report = session.run(|cx| bench(cx, &options))?;
        if session.shell.is_json() {
            session.shell.json("bench", &report)?;
        } else {
            session.shell.answer(&text_of(&report))?;
        }
        match report.comparison {
            Some(comparison) if comparison.is_worse => Ok(Outcome::No),
            Some(comparison) if comparison.is_undecided => {
                let message =
                    "speeds fell by more than is allowed, and the rounds differ by as much: nobody can tell";
                let error = Error::limit(message);
                Err(error
                    .remedy("measure on a quieter machine, base and head with more --runs, or allow more")
                    .into())
            }
            _ => Ok(Outcome::Done),
        }
    }
}

// Writing to a String cannot fail.
fn text_of(report: &BenchReport) -> String {
    let Record { sample, machine, runs, build, .. } = &report.record;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {:.1} MB in {} pieces; best of {runs} runs, {build} build, {} cores",
        sample.name,
        sample.bytes as f64 / 1e6,
        sample.pieces,
        machine.cores
    );
    let _ = writeln!(
        text,
        "\n{:<24} {:>8}   {:>27}   {:>27}   {:>16}",
        "", "ratio", "compress MB/s, per core", "decompress MB/s, per core", "state KiB"
    );
    for row in &report.record.rows {
        let _ = writeln!(
            text,
            "{:<24} {:>7.2}%   {:>13.1} {:>13.1}   {:>13.1} {:>13.1}   {:>8} {:>7}",
            name_of(&row.key),
            row.ratio * 100.0,
            row.encode.megabytes_per_second,
            row.encode.megabytes_per_second_per_core,
            row.decode.megabytes_per_second,
            row.decode.megabytes_per_second_per_core,
            row.encode.state_bytes >> 10,
            row.decode.state_bytes >> 10
        );
    }
    if let Some(comparison) = &report.comparison {
        text += &comparison_text(comparison);
    }
    text
}

fn name_of(key: &RowKey) -> String {
    format!("{}:{} {}K x{}", key.codec, key.level, key.chunk_bytes >> 10, key.threads)
}

fn comparison_text(comparison: &Comparison) -> String {
    let mut text =
        format!("\nBeside {}; speeds relative to the reference workload\n\n", comparison.base_measured);
    for row in &comparison.rows {
        let verdict =
            if row.worse.is_empty() { String::new() } else { format!("   WORSE: {}", row.worse.join(", ")) };
        let verdict = match row.undecided.as_slice() {
            [] => verdict,
            what => format!("{verdict}   perhaps slower: {}", what.join(", ")),
        };
        let _ = writeln!(
            text,
            "{:<24} size {:>+8.3}%   compress {:>+6.1}%   decompress {:>+6.1}%{verdict}",
            name_of(&row.key),
            row.stored_change * 100.0,
            row.encode_change * 100.0,
            row.decode_change * 100.0
        );
    }
    for key in &comparison.not_measured {
        let _ = writeln!(text, "{:<24} not measured", name_of(key));
    }
    if let Some(allowed) = comparison.fail_below {
        let verdict = match (comparison.is_worse, comparison.is_undecided) {
            (true, _) => "worse",
            (false, true) => "undecided",
            (false, false) => "not worse",
        };
        let _ = writeln!(
            text,
            "\n{verdict}: no larger output and at most {:.1}% of a speed may be lost",
            allowed * 100.0
        );
        let of_both = |row: &RowComparison| [row.encode_allowed, row.decode_allowed];
        let widest = comparison.rows.iter().flat_map(of_both).flatten().fold(allowed, f64::max);
        if widest > allowed {
            let _ = writeln!(
                text,
                "the rounds differ by up to {:.1}%: more --runs or a quieter machine say more",
                widest * 100.0
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_parts() {
        assert_eq!(parse_percent("5%"), Ok(0.05));
        assert_eq!(parse_percent("12.5"), Ok(0.125));
        assert_eq!(parse_percent("0"), Ok(0.0));
        for bad in ["", "%", "-1%", "100%", "NaN", "inf", "5 %"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn storing_is_no_codec() {
        assert!(parse_codec("lzx:80").is_ok());
        assert!(parse_codec("none").is_err());
    }
}
