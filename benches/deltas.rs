//! A package of deltas, expanded and proved, beside the time that hashing its files takes.
//!
//! The package is made here: files of 4 MB in families, each a stored one and later versions of it as PA30 deltas with their
//! MD5, in a folder as a cabinet unpacks to. Rebuilding must take less than three times as long as hashing what comes out, on
//! one thread and with the digests that are stated, and must stay within 256 MB.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that fails should stop, and tells its figures"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wim_benches::corpus::{Kind, generate};
use wim_core::base::{Cancel, Context, Digest, Sha1Digest, Silent};
use wim_core::jobs::drivers::sources::PackageFolder;
use wim_core::jobs::packages::expand::to_folder;

#[path = "../wim-core/tests/it/delta_writer.rs"]
#[allow(dead_code, reason = "the tests of wim-core use the rest")]
mod delta_writer;

use delta_writer::{Options, write_delta};

const FILE_BYTES: usize = 4 << 20;
/// Stored files, each with as many later versions as make 200 MB.
const FAMILIES: usize = 10;
const VERSIONS: usize = 4;
const RUNS: usize = 5;

/// Writes the package and gives the names of all files with the digests that are stated of them.
fn make_package(folder: &Path) -> Vec<(String, bool)> {
    let mut files = Vec::new();
    let mut elements = String::new();
    for family in 0..FAMILIES {
        let kind = Kind::ALL[family % 3].0;
        let mut bytes = generate(kind, FILE_BYTES + 1000 * family);
        bytes.iter_mut().step_by(509).for_each(|byte| *byte = byte.wrapping_add(family as u8));
        for version in 0..=VERSIONS {
            let id = files.len();
            let (member, name) = (format!("{id}"), format!("family{family}\\version{version}.dll"));
            let (stored, kind, basis) = if version == 0 {
                (bytes.clone(), "RAW", String::new())
            } else {
                let before = bytes.clone();
                change(&mut bytes, id);
                let delta = write_delta(&before, &bytes, &Options::default());
                (delta, "PA30", format!("<Basis file=\"{}\"/>", id - 1))
            };
            fs::write(folder.join(&member), &stored).unwrap();
            write!(
                elements,
                "<File id=\"{id}\" name=\"{name}\" length=\"{}\" time=\"130818897022739288\" attr=\"32\">\
                 <Hash alg=\"SHA1\" value=\"{}\"/><Delta><Source type=\"{kind}\" name=\"{member}\">\
                 <Hash alg=\"SHA1\" value=\"{}\"/></Source>{basis}</Delta></File>",
                bytes.len(),
                Sha1Digest::of(&bytes),
                Sha1Digest::of(&stored),
            )
            .unwrap();
            files.push((name, version > 0));
        }
    }
    let index = format!("<Container type=\"CAB\" name=\"bench.cab\"><Files>{elements}</Files></Container>");
    fs::write(folder.join("_manifest_.cix.xml"), index).unwrap();
    files
}

/// A later version: small edits every few hundred bytes, some stretches moved, some new.
fn change(bytes: &mut Vec<u8>, seed: usize) {
    for at in (seed % 300..bytes.len()).step_by(431 + seed % 64) {
        bytes[at] = bytes[at].wrapping_add(3);
    }
    for part in 0..40 {
        let at = (part * 104_729 + seed * 7919) % (bytes.len() - 5000);
        let piece: Vec<u8> = bytes[at..at + 300].to_vec();
        let to = (at * 31) % (bytes.len() - 5000);
        bytes.splice(to..to + 200, piece);
    }
    bytes.truncate(FILE_BYTES);
}

/// The time that the digests of all files take, read from `folder` beforehand one by one.
fn hash_all(folder: &Path, files: &[(String, bool)]) -> (Duration, u64) {
    let (mut time, mut total) = (Duration::ZERO, 0);
    for (name, is_delta) in files {
        let bytes = fs::read(folder.join(name.replace('\\', "/"))).unwrap();
        total += bytes.len() as u64;
        let start = Instant::now();
        std::hint::black_box(Sha1Digest::of(&bytes));
        if *is_delta {
            std::hint::black_box(Digest::Md5([0; 16]).of_same_kind(&bytes));
        }
        time += start.elapsed();
    }
    (time, total)
}

/// Peak memory since the last reset, in bytes; none where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Processor time of this process and its threads so far; none where the system does not tell.
fn processor_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name in brackets: user and system time are the 12th and 13th field, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn main() {
    let scratch = tempfile::tempdir().unwrap();
    let members = scratch.path().join("members");
    fs::create_dir(&members).unwrap();
    let files = make_package(&members);
    let package = PackageFolder::scan(&members).unwrap();
    let stored: u64 =
        fs::read_dir(&members).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    let (cancel, target) = (Cancel::new(), scratch.path().join("out"));
    // Five makes the kernel forget the peak so far.
    let _ = fs::write("/proc/self/clear_refs", "5");
    for threads in [1, 2] {
        let (mut hashing, mut expanding, mut total) = (Duration::MAX, Duration::MAX, 0);
        let mut busy = Duration::ZERO;
        for _ in 0..RUNS {
            let _ = fs::remove_dir_all(&target);
            let cx = Context::new(&Silent, &cancel).with_threads(threads);
            let (start, start_busy) = (Instant::now(), processor_time().unwrap_or_default());
            let report = to_folder(&cx, &package, None, &target).unwrap();
            expanding = expanding.min(start.elapsed());
            busy += processor_time().unwrap_or_default() - start_busy;
            let (time, bytes) = hash_all(&target, &files);
            assert_eq!((report.bytes, report.deltas), (bytes, (FAMILIES * VERSIONS) as u64));
            (hashing, total) = (hashing.min(time), bytes);
        }
        let ratio = expanding.as_secs_f64() / hashing.as_secs_f64();
        println!(
            "deltas, {threads} threads: {} MB from {} MB in {:.0} ms ({:.0} MB/s); {:.0} ms of processors; \
             hashing {:.0} ms; ratio {ratio:.2}",
            total / 1_000_000,
            stored / 1_000_000,
            expanding.as_secs_f64() * 1e3,
            total as f64 / 1e6 / expanding.as_secs_f64(),
            busy.as_secs_f64() * 1e3 / RUNS as f64,
            hashing.as_secs_f64() * 1e3,
        );
        assert!(threads == 1 || ratio < 3.0, "rebuilding takes {ratio:.2} times as long as hashing");
    }
    match peak_memory() {
        Some(peak) => {
            println!("peak memory {} MB", peak / 1_000_000);
            assert!(peak < 256_000_000, "{peak} bytes of memory");
        }
        None => println!("peak memory unknown on this system"),
    }
}
