//! What a bench measured, and the JSON file that keeps it for a later comparison.
//!
//! docs/bench.md describes the fields. Speeds are in 10^6 uncompressed bytes a second, of the best round; a relative speed is
//! the median over the rounds of what it is beside the reference workload, on the same data and threads right before and after.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::crew::REFERENCE_VERSION;
use crate::base::{Error, ErrorKind, Result};
use crate::jobs::text_file::{read_text, write_text};

/// Version of the file's shape.
const FORMAT_VERSION: u32 = 1;
/// Most rows a file may have; a plan of every codec, level and thread count has a few hundred.
const MAX_ROWS: usize = 100_000;

/// One bench.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this shape.
    pub format_version: u32,
    /// Version of the command.
    pub wim_version: String,
    /// `release`, or `debug` for a build that is not optimised.
    pub build: String,
    /// When, in RFC 3339.
    pub measured: String,
    /// Where.
    pub machine: Machine,
    /// Number of the reference workload that relative speeds are relative to.
    pub reference_version: u32,
    /// On what.
    pub sample: SampleInfo,
    /// Runs of which the best counts.
    pub runs: u32,
    /// One row for each codec, level, chunk size and number of threads.
    pub rows: Vec<Row>,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// What the processor calls itself, where the system tells.
    pub cpu: Option<String>,
    /// Logical processors that the process may use.
    pub cores: usize,
    /// Architecture, as Rust names it.
    pub architecture: String,
    /// Operating system, as Rust names it.
    pub system: String,
}

/// The data that was worked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleInfo {
    /// Path of the input, or `built-in`.
    pub name: String,
    /// Bytes of the sample.
    pub bytes: u64,
    /// Bytes that it was allowed to have.
    pub limit_bytes: u64,
    /// Pieces, each compressed on its own.
    pub pieces: usize,
    /// SHA-1 over the pieces and their ends.
    pub sha1: String,
}

/// What identifies a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// Name of the codec: `XPRESS`, `LZX`.
    pub codec: String,
    /// Level on wimlib's scale.
    pub level: u32,
    /// Uncompressed bytes of a chunk.
    pub chunk_bytes: u32,
    /// Threads.
    pub threads: usize,
}

/// Figures of one codec, level, chunk size and number of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    #[serde(flatten)]
    pub key: RowKey,
    /// Bytes of all compressed chunks.
    pub stored_bytes: u64,
    /// `stored_bytes` by the bytes of the sample.
    pub ratio: f64,
    /// Speed of the reference workload.
    pub reference_megabytes_per_second: f64,
    /// Compressing.
    pub encode: Speed,
    /// Decompressing.
    pub decode: Speed,
}

/// Figures of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// 10^6 uncompressed bytes a second.
    pub megabytes_per_second: f64,
    /// The same by the number of logical processors at work: the threads, or all that there are when those are fewer.
    pub megabytes_per_second_per_core: f64,
    /// The speed by that of the reference workload right before and after it: the median of the rounds.
    pub relative: f64,
    /// The width of the middle half of the rounds' relative speeds, as a part of the median; 0 for a single round.
    #[serde(default)]
    pub relative_spread: f64,
    /// Memory of the codec's state for one thread, as the budget counts it, in bytes.
    pub state_bytes: u64,
}

impl Record {
    /// A record of the present build and machine, without rows.
    pub(super) fn new(measured: String, sample: SampleInfo, runs: u32) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            wim_version: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            measured,
            machine: Machine::present(),
            reference_version: REFERENCE_VERSION,
            sample,
            runs,
            rows: Vec::new(),
        }
    }

    /// Reads a saved file.
    ///
    /// # Errors
    /// `Io`; `Format` for a file that is no record; `Unsupported` for one of a later version.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |message: String| {
            Error::new(ErrorKind::Format, message)
                .in_file(path.display())
                .remedy("make the file with: wim bench --save FILE")
        };
        let text = read_text(path)?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| wrong(format!("it is no JSON: {e}")))?;
        match value.get("format_version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(FORMAT_VERSION) => {}
            Some(version) => {
                return Err(Error::unsupported(format!("a bench file of version {version}"))
                    .in_file(path.display())
                    .remedy("measure it anew with this version, or use the version that made it"));
            }
            None => return Err(wrong("it is no saved bench: format_version is missing".to_owned())),
        }
        let record: Self =
            serde_json::from_value(value).map_err(|e| wrong(format!("it is no saved bench: {e}")))?;
        if record.rows.is_empty() || record.rows.len() > MAX_ROWS {
            return Err(wrong(format!("it has {} rows, not 1 to {MAX_ROWS}", record.rows.len())));
        }
        let is_sound = |speed: &Speed| {
            [speed.megabytes_per_second, speed.relative].iter().all(|x| x.is_finite() && *x > 0.0)
                && speed.relative_spread.is_finite()
                && speed.relative_spread >= 0.0
        };
        match record.rows.iter().position(|row| !is_sound(&row.encode) || !is_sound(&row.decode)) {
            Some(row) => Err(wrong(format!("row {} has a speed that is not above 0", row + 1))),
            None => Ok(record),
        }
    }

    /// Saves the record, whole or not at all; an existing file is replaced.
    ///
    /// # Errors
    /// `Io`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| {
            Error::new(ErrorKind::Io, format!("cannot make JSON: {e}")).in_file(path.display())
        })?;
        text.push('\n');
        write_text(path, &text)
    }
}

impl Machine {
    fn present() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            architecture: std::env::consts::ARCH.to_owned(),
            system: std::env::consts::OS.to_owned(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record with rows of these (level, stored bytes, relative speed both ways).
    pub(in crate::jobs::bench) fn record(rows: &[(u32, u64, f64)]) -> Record {
        let sample = SampleInfo {
            name: "built-in".to_owned(),
            bytes: 1000,
            limit_bytes: 1000,
            pieces: 1,
            sha1: "00".to_owned(),
        };
        let mut record = Record::new("2026-01-01T00:00:00Z".to_owned(), sample, 3);
        record.machine =
            Machine { cpu: None, cores: 2, architecture: "x".to_owned(), system: "y".to_owned() };
        record.rows = rows
            .iter()
            .map(|&(level, stored_bytes, relative)| {
                let speed = Speed {
                    megabytes_per_second: relative * 100.0,
                    megabytes_per_second_per_core: relative * 100.0,
                    relative,
                    relative_spread: 0.0,
                    state_bytes: 1 << 20,
                };
                Row {
                    key: RowKey { codec: "LZX".to_owned(), level, chunk_bytes: 32_768, threads: 1 },
                    stored_bytes,
                    ratio: stored_bytes as f64 / 1000.0,
                    reference_megabytes_per_second: 100.0,
                    encode: speed,
                    decode: speed,
                }
            })
            .collect();
        record
    }

    #[test]
    fn a_record_comes_back_as_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.json");
        let saved = record(&[(20, 500, 1.5), (50, 400, 0.25)]);
        saved.write(&path).unwrap();
        saved.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), saved);
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.json");
        let good = serde_json::to_string(&record(&[(20, 500, 1.5)])).unwrap();
        for (text, kind, says) in [
            ("", ErrorKind::Format, "no JSON"),
            ("{}", ErrorKind::Format, "format_version is missing"),
            ("{\"format_version\":1}", ErrorKind::Format, "no saved bench"),
            ("{\"format_version\":7}", ErrorKind::Unsupported, "version 7"),
            (&good.replace("1.5", "0.0"), ErrorKind::Format, "row 1"),
            (&good.replace("1.5", "-1"), ErrorKind::Format, "row 1"),
            (&good.replace("\"level\":20", "\"level\":-20"), ErrorKind::Format, "no saved bench"),
            (&"[".repeat(100_000), ErrorKind::Format, "no JSON"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Record::read(&path).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(says) && error.to_string().contains("base.json"), "{error}");
        }
    }
}
