//! A gate: instructions that the codecs take, counted by callgrind and compared with the record.
//!
//! Counts do not depend on how busy the machine is, but on the compiler, on the features of the processor and, for
//! decoding, on what our encoders make of the built-in corpus: run with `--save` to record anew when one of these
//! changes. No time is measured.

#![expect(clippy::print_stdout, reason = "the answer of the gate")]

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::{env, fs, thread};

use lz_kit::Level;
use lzx::WindowOrder;
use wim_benches::corpus::{Kind, generate};
use wim_benches::gate::judge;

/// Bytes of each kind of data.
const DATA_BYTES: usize = 128 << 10;
/// What callgrind counts: this function and what it calls.
const COUNTED: &str = "*counted_step*";
/// Heads the record; the bytes are those of the compressed chunks.
const COLUMNS: &str = "case,instructions,compressed_bytes\n";

/// One thing to count: decoding or encoding all chunks of a kind of data.
#[derive(Clone, Copy)]
struct Case {
    format: Format,
    /// The level to encode at; none when decoding is counted, of what the fast level makes.
    level: Option<(Level, &'static str)>,
    kind: (Kind, &'static str),
}

#[derive(Clone, Copy)]
enum Format {
    Xpress,
    Lzx,
    Lzms,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Xpress => "xpress",
            Self::Lzx => "lzx",
            Self::Lzms => "lzms",
        }
    }

    /// The chunk size that files of this format mostly have.
    const fn chunk_bytes(self) -> usize {
        match self {
            Self::Xpress | Self::Lzx => 32 << 10,
            Self::Lzms => DATA_BYTES,
        }
    }

    fn encoder(self, level: Level) -> Codec {
        match self {
            Self::Xpress => Codec::XpressEncoder(Box::new(xpress::Encoder::new(self.chunk_bytes(), level))),
            Self::Lzx => Codec::LzxEncoder(Box::new(lzx::Encoder::new(WindowOrder::MIN, level))),
            Self::Lzms => Codec::LzmsEncoder(Box::new(lzms::Encoder::new(self.chunk_bytes(), level))),
        }
    }

    fn decoder(self) -> Codec {
        match self {
            Self::Xpress => Codec::XpressDecoder(Box::default()),
            Self::Lzx => Codec::LzxDecoder(Box::new(lzx::Decoder::new(WindowOrder::MIN))),
            Self::Lzms => Codec::LzmsDecoder(Box::default()),
        }
    }
}

impl Case {
    /// As the record names it.
    fn name(self) -> String {
        let (format, kind) = (self.format.name(), self.kind.1);
        match self.level {
            None => format!("decode-{format}-{kind}"),
            Some((_, level)) => format!("encode-{format}-{level}-{kind}"),
        }
    }

    fn codec(self) -> Codec {
        self.level.map_or_else(|| self.format.decoder(), |(level, _)| self.format.encoder(level))
    }

    /// The chunks, each with its compressed form.
    fn pairs(self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut encoder = self.format.encoder(self.level.map_or(Level::FAST, |(level, _)| level));
        let mut out = vec![0; self.format.chunk_bytes()];
        let data = generate(self.kind.0, DATA_BYTES);
        let encoded = data.chunks(self.format.chunk_bytes()).map(|chunk| {
            let len = encoder.step(chunk, &[], &mut out).expect("compressible data");
            (chunk.to_vec(), out[..len].to_vec())
        });
        encoded.collect()
    }
}

/// What is counted.
enum Codec {
    XpressDecoder(Box<xpress::Decoder>),
    XpressEncoder(Box<xpress::Encoder>),
    LzxDecoder(Box<lzx::Decoder>),
    LzxEncoder(Box<lzx::Encoder>),
    LzmsDecoder(Box<lzms::Decoder>),
    LzmsEncoder(Box<lzms::Encoder>),
}

impl Codec {
    /// Encodes or decodes a chunk into `out`; returns the length of the result, none if there is none.
    fn step(&mut self, plain: &[u8], compressed: &[u8], out: &mut [u8]) -> Option<usize> {
        match self {
            Self::XpressDecoder(decoder) => {
                decoder.decode(compressed, &mut out[..plain.len()]).ok().map(|()| plain.len())
            }
            Self::LzxDecoder(decoder) => {
                decoder.decode(compressed, &mut out[..plain.len()]).ok().map(|()| plain.len())
            }
            Self::LzmsDecoder(decoder) => {
                decoder.decode(compressed, &mut out[..plain.len()]).ok().map(|()| plain.len())
            }
            Self::XpressEncoder(encoder) => encoder.encode(plain, out),
            Self::LzxEncoder(encoder) => encoder.encode(plain, out),
            Self::LzmsEncoder(encoder) => encoder.encode(plain, out),
        }
    }
}

/// All cases: decoding of each kind of data that compresses, encoding of programs at the three named levels.
fn cases() -> Vec<Case> {
    let levels = [(Level::FAST, "fast"), (Level::NORMAL, "normal"), (Level::MAX, "max")];
    let mut cases = Vec::new();
    for format in [Format::Xpress, Format::Lzx, Format::Lzms] {
        for kind in Kind::ALL.into_iter().filter(|(kind, _)| *kind != Kind::Noise) {
            if kind.0 != Kind::Runs {
                cases.push(Case { format, level: None, kind });
            }
            if matches!(kind.0, Kind::Code | Kind::Runs) {
                cases.extend(levels.map(|level| Case { format, level: Some(level), kind }));
            }
        }
    }
    cases
}

#[inline(never)]
fn counted_step(codec: &mut Codec, plain: &[u8], compressed: &[u8], out: &mut [u8]) -> Option<usize> {
    codec.step(plain, compressed, out)
}

/// Runs one case, checking its answers; this is what callgrind looks at.
fn run(name: &str) -> ExitCode {
    let Some(case) = cases().into_iter().find(|case| case.name() == name) else {
        return ExitCode::FAILURE;
    };
    let mut codec = case.codec();
    let mut out = vec![0; case.format.chunk_bytes()];
    for (plain, compressed) in &case.pairs() {
        let len = counted_step(&mut codec, plain, compressed, &mut out);
        let expected = if case.level.is_none() { plain } else { compressed };
        assert!(len.is_some_and(|len| out[..len] == **expected), "{name}: a wrong answer");
    }
    ExitCode::SUCCESS
}

/// Whether callgrind can be had.
fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Instructions of one case; 0 when callgrind did not meet [`COUNTED`].
fn count(name: &str) -> u64 {
    let program = env::current_exe().expect("a running program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(program)
        .args(["--count", name])
        .output()
        .expect("valgrind has just told its version");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = text.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    assert!(output.status.success(), "{name} failed:\n{text}");
    count.unwrap_or_else(|| panic!("callgrind says nothing that can be read of {name}:\n{text}"))
}

/// The instructions of each case, counted by as many processes at once as there are processors.
fn count_all(cases: &[Case]) -> Vec<u64> {
    let counts: Vec<AtomicU64> = cases.iter().map(|_| AtomicU64::new(0)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((case, place)) = cases.get(number).zip(counts.get(number)) else { return };
            place.store(count(&case.name()), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    counts.into_iter().map(AtomicU64::into_inner).collect()
}

fn record_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("record/instructions.csv")
}

/// Instructions and compressed bytes of a case in the record.
fn recorded(record: &str, name: &str) -> Option<(u64, usize)> {
    let mut fields = record.lines().find_map(|line| line.strip_prefix(&format!("{name},")))?.split(',');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, name] = arguments.as_slice()
        && first == "--count"
    {
        return run(name);
    }
    if !has_valgrind() {
        println!("skipped: valgrind is not there");
        return ExitCode::SUCCESS;
    }
    let record = fs::read_to_string(record_path()).unwrap_or_default();
    let save = arguments.iter().any(|argument| argument == "--save");
    let (mut lines, mut passed) = (String::from(COLUMNS), true);
    let starts: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let fits = |case: &Case| starts.is_empty() || starts.iter().any(|start| case.name().starts_with(*start));
    let cases: Vec<Case> = cases().into_iter().filter(fits).collect();
    if cases.is_empty() || save && !starts.is_empty() {
        println!("error: no case begins so, or a record of some cases only was asked for");
        return ExitCode::FAILURE;
    }
    for (case, instructions) in cases.iter().zip(count_all(&cases)) {
        let name = case.name();
        let bytes = case.pairs().iter().map(|(_, compressed)| compressed.len()).sum();
        let (verdict, fine) = judge(recorded(&record, &name), instructions, bytes);
        println!("{name}: {instructions} instructions, {verdict}");
        lines += &format!("{name},{instructions},{bytes}\n");
        passed &= fine;
        // A count that stops at nothing is no record either.
        assert!(instructions > 0, "{name}: callgrind did not meet {COUNTED}");
    }
    if save {
        fs::write(record_path(), lines).expect("the record can be written");
    }
    if passed || save { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
