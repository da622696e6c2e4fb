//! A gate: instructions that decoding takes, counted by callgrind and compared with the record.
//!
//! Counts do not depend on how busy the machine is, but on the compiler and on what our encoders make of the built-in
//! corpus: run with `--save` to record anew when either changes. No time is measured.

#![expect(clippy::print_stdout, reason = "the answer of the gate")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use lz_kit::Level;
use lzx::WindowOrder;
use wim_benches::corpus::{Kind, generate};

/// Chunk size of the data.
const CHUNK_BYTES: usize = 32768;
/// Chunks per kind of data.
const CHUNKS: usize = 4;
/// More instructions than recorded, in percent, that fail the gate.
const TOLERANCE_PERCENT: f64 = 3.0;
/// What callgrind counts: this function and what it calls.
const COUNTED: &str = "*counted_decode*";

/// A chunk and its compressed form.
type Pair = (Vec<u8>, Vec<u8>);

/// All cases: their name, and a decoder with its pairs.
fn cases() -> Vec<(String, Decoder, Vec<Pair>)> {
    let mut cases = Vec::new();
    for (kind, kind_name) in Kind::ALL {
        if kind == Kind::Noise {
            continue;
        }
        let data = generate(kind, CHUNKS * CHUNK_BYTES);
        let mut encoder = xpress::Encoder::new(CHUNK_BYTES, Level::FAST);
        let made = pairs(&data, |chunk, out| encoder.encode(chunk, out));
        cases.push((format!("xpress-{kind_name}"), Decoder::Xpress(Box::default()), made));
        let mut encoder = lzx::Encoder::new(WindowOrder::MIN, Level::FAST);
        let made = pairs(&data, |chunk, out| encoder.encode(chunk, out));
        let decoder = Decoder::Lzx(Box::new(lzx::Decoder::new(WindowOrder::MIN)));
        cases.push((format!("lzx-{kind_name}"), decoder, made));
    }
    cases
}

/// The chunks of `data`, each with what `encode` makes of it.
fn pairs(data: &[u8], mut encode: impl FnMut(&[u8], &mut [u8]) -> Option<usize>) -> Vec<Pair> {
    let mut out = vec![0; CHUNK_BYTES];
    let encoded = data.chunks(CHUNK_BYTES).map(|chunk| {
        let len = encode(chunk, &mut out).expect("compressible data");
        (chunk.to_vec(), out[..len].to_vec())
    });
    encoded.collect()
}

enum Decoder {
    Xpress(Box<xpress::Decoder>),
    Lzx(Box<lzx::Decoder>),
}

#[inline(never)]
fn counted_decode(decoder: &mut Decoder, compressed: &[u8], out: &mut [u8]) -> bool {
    match decoder {
        Decoder::Xpress(decoder) => decoder.decode(compressed, out).is_ok(),
        Decoder::Lzx(decoder) => decoder.decode(compressed, out).is_ok(),
    }
}

/// Runs one case, checking its answers; this is what callgrind looks at.
fn run(name: &str) -> ExitCode {
    let Some((_, mut decoder, pairs)) = cases().into_iter().find(|(found, ..)| found == name) else {
        return ExitCode::FAILURE;
    };
    let mut out = vec![0; CHUNK_BYTES];
    for (plain, compressed) in &pairs {
        let fine = counted_decode(&mut decoder, compressed, &mut out[..plain.len()]);
        assert!(fine && out[..plain.len()] == **plain, "{name}: a wrong answer");
    }
    ExitCode::SUCCESS
}

/// Instructions of one case, if valgrind can be had.
fn count(name: &str) -> Option<u64> {
    let program = env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(program)
        .args(["--count", name])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = text.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    assert!(output.status.success(), "{name} failed:\n{text}");
    count
}

fn record_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("record/decode_instructions.csv")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, name] = arguments.as_slice()
        && first == "--count"
    {
        return run(name);
    }
    let mut recorded = fs::read_to_string(record_path()).unwrap_or_default();
    let save = arguments.iter().any(|argument| argument == "--save");
    let (mut lines, mut failed) = (String::from("case,instructions,bytes\n"), false);
    for (name, _, pairs) in cases() {
        let Some(instructions) = count(&name) else {
            println!("skipped: valgrind is not there");
            return ExitCode::SUCCESS;
        };
        let bytes: usize = pairs.iter().map(|(plain, _)| plain.len()).sum();
        lines += &format!("{name},{instructions},{bytes}\n");
        let before =
            recorded.lines().find_map(|line| line.strip_prefix(&format!("{name},"))?.split(',').next());
        let Some(before) = before.and_then(|before| before.parse::<u64>().ok()) else {
            println!("{name}: {instructions} instructions, none recorded");
            failed |= !save;
            continue;
        };
        let change = 100.0 * (instructions as f64 / before as f64 - 1.0);
        let worse = change > TOLERANCE_PERCENT;
        println!(
            "{name}: {instructions} instructions, {change:+.2} %{}",
            if worse { ": too many" } else { "" }
        );
        failed |= worse && !save;
    }
    if save {
        recorded = lines;
        fs::write(record_path(), recorded).expect("the record can be written");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
