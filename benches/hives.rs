//! Registry hives beside their rivals: nt-hive in process (feature `peer-nt-hive`), hivexml and hivexsh as processes.
//!
//! `cargo bench -p wim-benches --features peer-nt-hive --bench hives [-- JOB...]`; README.md, "Hives", has jobs and method. Every
//! answer is checked before a time counts; nothing here judges the figures.

#![allow(clippy::print_stdout, reason = "the table is the answer")]

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use wim_benches::rivals::Walked;
use wim_core::base::FileTime;
use wim_core::formats::hive::{CreateOptions, Hive, HiveVersion, KeyRef, RegValue};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const JOBS: [&str; 3] = ["read", "insert", "many"];
/// Size of the hive that is read.
const SOFTWARE_BYTES: usize = 100_000_000;
/// Rounds of each contestant, taken in turn; the fastest counts.
const ROUNDS: usize = 5;
const INSERTIONS: u32 = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says so; a test run of all targets must not take minutes.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("skipped: hives runs under cargo bench only");
        return ExitCode::SUCCESS;
    }
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    for job in JOBS.iter().filter(|job| asked.is_empty() || asked.iter().any(|name| name == *job)) {
        let result = match *job {
            "read" => read(),
            "insert" => insert(),
            _ => many(),
        };
        if let Err(error) = result {
            println!("error: {job}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// A hive like SOFTWARE: classes with their identifiers, components with long names, a few large values.
fn software(bytes: usize) -> Result<Vec<u8>> {
    let mut dice = Dice(0x5057_4652);
    let mut hive = Hive::create(HiveVersion::V1_5, &CreateOptions::default())?;
    let mut number = 0u64;
    while hive.bytes().len() < bytes {
        number += 1;
        let id =
            format!("{{{:08X}-{:04X}-4{:03X}}}", dice.below(1 << 32), dice.below(1 << 16), number % 4096);
        let key = match number % 3 {
            0 => format!("Classes\\CLSID\\{id}"),
            1 => format!(
                "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\{}\\{id}",
                number / 600
            ),
            _ => format!("Microsoft\\Vendor {}\\Product {}\\{id}", dice.below(40), dice.below(200)),
        };
        hive.set_value(&key, "", &RegValue::sz(&format!("A class of objects, number {number}")))?;
        for value in 0..dice.below(5) {
            let data = match dice.below(4) {
                0 => RegValue::dword(u32::try_from(number)?),
                1 => RegValue::expand_sz(&format!("%SystemRoot%\\System32\\library{number}.dll")),
                2 => RegValue::binary(vec![value as u8; usize::try_from(dice.below(120))?]),
                _ => RegValue::sz("Apartment"),
            };
            hive.set_value(&format!("{key}\\InprocServer32"), &format!("Value {value}"), &data)?;
        }
        if number.is_multiple_of(5000) {
            hive.set_value(&key, "Large", &RegValue::binary(vec![7; 40_000]))?;
        }
    }
    Ok(hive.finish()?)
}

fn walk_key(key: KeyRef<'_>, walked: &mut Walked) -> Result<()> {
    walked.keys += 1;
    walked.name_units += key.name().len() as u64;
    for value in key.values() {
        walked.values += 1;
        walked.data(&value?.data()?);
    }
    for subkey in key.subkeys() {
        walk_key(subkey?, walked)?;
    }
    Ok(())
}

fn walk(hive: &Hive) -> Result<Walked> {
    let mut walked = Walked::default();
    walk_key(hive.root()?, &mut walked)?;
    Ok(walked)
}

/// Runs the contestants in turn and gives the fastest time of each.
fn race(contestants: &mut [(&str, &mut dyn FnMut() -> Result<Duration>)]) -> Result<Vec<(String, Duration)>> {
    let mut best: Vec<(String, Duration)> =
        contestants.iter().map(|(name, _)| ((*name).to_owned(), Duration::MAX)).collect();
    for _ in 0..ROUNDS {
        for ((_, run), (_, least)) in contestants.iter_mut().zip(&mut best) {
            *least = run()?.min(*least);
        }
    }
    Ok(best)
}

fn print(title: &str, bytes: usize, times: &[(String, Duration)]) {
    println!("\n{title}\n\n| what | ms | MB/s |\n|---|---|---|");
    for (name, time) in times {
        let seconds = time.as_secs_f64();
        println!("| {name} | {:.1} | {:.0} |", seconds * 1e3, bytes as f64 / 1e6 / seconds);
    }
}

fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let answer = run()?;
    Ok((answer, start.elapsed()))
}

fn read() -> Result<()> {
    let bytes = software(SOFTWARE_BYTES)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("SOFTWARE");
    fs::write(&file, &bytes)?;
    let hive = Hive::open(bytes.clone())?;
    if !hive.check().findings.is_empty() {
        return Err("the built hive is not sound".into());
    }
    let expected = walk(&hive)?;
    println!("{} bytes, {} keys, {} values", bytes.len(), expected.keys, expected.values);
    let same = |walked: Walked| if walked == expected { Ok(()) } else { Err("a reader met something else") };
    // Reading the file is part of no contestant's time in process; a copy for each opening is not either.
    let mut open = || {
        let copy = bytes.clone();
        timed(|| Ok(Hive::open(copy)?)).map(|(_, time)| time)
    };
    let mut check = || {
        let (report, time) = timed(|| Ok(hive.check()))?;
        if report.is_sound() { Ok(time) } else { Err("not sound".into()) }
    };
    let mut ours = || {
        let (walked, time) = timed(|| walk(&hive))?;
        same(walked)?;
        Ok(time)
    };
    let mut whole = || {
        let (walked, time) = timed(|| walk(&Hive::open(fs::read(&file)?)?))?;
        same(walked)?;
        Ok(time)
    };
    let mut contestants: Vec<(&str, &mut dyn FnMut() -> Result<Duration>)> = vec![
        ("open, bins and cells validated", &mut open),
        ("check of every record", &mut check),
        ("walk", &mut ours),
        ("read file, open, walk", &mut whole),
    ];
    #[cfg(feature = "peer-nt-hive")]
    let mut rival = || {
        let (walked, time) = timed(|| Ok(wim_benches::rivals::nt_hive::walk(&bytes)?))?;
        same(walked)?;
        Ok(time)
    };
    #[cfg(feature = "peer-nt-hive")]
    contestants.push(("nt-hive: open, walk", &mut rival));
    print("Reading", bytes.len(), &race(&mut contestants)?);

    let hivexml = || -> Result<Duration> {
        let mut command = Command::new("hivexml");
        command.arg(&file).stdout(Stdio::null());
        let (status, time) = timed(|| Ok(command.status()?))?;
        if status.success() { Ok(time) } else { Err("hivexml failed".into()) }
    };
    if is_installed("hivexml") {
        let time = hivexml()?.min(hivexml()?);
        print("The same hive to a process", bytes.len(), &[("hivexml".to_owned(), time)]);
    }
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--help").stdin(Stdio::null()).output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// The real SYSTEM hive of the test data.
fn system() -> Option<Vec<u8>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let data =
        std::env::var_os("WIM_TEST_DATA").map_or_else(|| workspace.join("../shared/data"), PathBuf::from);
    let output = Command::new("xz").arg("-dc").arg(data.join("hives/win7-SYSTEM.xz")).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// Keys to insert: a hundred below each of a hundred new services.
fn insertions() -> impl Iterator<Item = (u32, u32)> {
    (0..INSERTIONS).map(|number| (number / 100, (number % 100).wrapping_mul(2_654_435_761)))
}

fn insert() -> Result<()> {
    let Some(bytes) = system() else {
        println!("skipped: insert needs the real SYSTEM hive (set WIM_TEST_DATA) and xz");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("SYSTEM"), folder.path().join("new"));
    fs::write(&source, &bytes)?;
    let mut ours = || {
        let ((), time) = timed(|| {
            let mut hive = Hive::open(fs::read(&source)?)?;
            hive.set_edit_time(FileTime(1));
            for (service, key) in insertions() {
                hive.create_key(&format!("ControlSet001\\services\\bench{service:03}\\{key:08x}"))?;
            }
            fs::write(&target, hive.finish()?)?;
            Ok(())
        })?;
        let written = Hive::open(fs::read(&target)?)?;
        let is_right =
            written.check().is_sound() && written.subkeys("ControlSet001\\services\\bench042")?.len() == 100;
        if is_right { Ok(time) } else { Err("the keys are not there".into()) }
    };
    let mut script = "cd \\ControlSet001\\services\n".to_owned();
    let mut last = None;
    for (service, key) in insertions() {
        if last != Some(service) {
            if last.is_some() {
                script += "cd ..\n";
            }
            script += &format!("add bench{service:03}\ncd bench{service:03}\n");
            last = Some(service);
        }
        script += &format!("add {key:08x}\n");
    }
    script += "commit\n";
    let hivexsh_target = folder.path().join("hivexsh");
    let mut hivexsh = || {
        fs::write(&hivexsh_target, &bytes)?;
        let start = Instant::now();
        let mut child = Command::new("hivexsh")
            .arg("-w")
            .arg(&hivexsh_target)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        child.stdin.take().ok_or("no standard input")?.write_all(script.as_bytes())?;
        let status = child.wait()?;
        let time = start.elapsed();
        let written = Hive::open(fs::read(&hivexsh_target)?)?;
        let is_right = status.success() && written.subkeys("ControlSet001\\services\\bench042")?.len() == 100;
        if is_right { Ok(time) } else { Err("hivexsh did not insert the keys".into()) }
    };
    let mut contestants: Vec<(&str, &mut dyn FnMut() -> Result<Duration>)> =
        vec![("read file, open, check, insert, write file", &mut ours)];
    if is_installed("hivexsh") {
        contestants.push(("hivexsh -w, one process", &mut hivexsh));
    }
    print("10,000 keys into the real SYSTEM hive", bytes.len(), &race(&mut contestants)?);
    Ok(())
}

fn many() -> Result<()> {
    println!("\nSubkeys under one key\n\n| subkeys | ms | µs each |\n|---|---|---|");
    for count in [25_000u32, 50_000, 100_000] {
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS {
            let mut hive = Hive::create(HiveVersion::V1_5, &CreateOptions::default())?;
            let ((), time) = timed(|| {
                for number in 0..count {
                    hive.create_key(&format!("Top\\{:08x}", number.wrapping_mul(2_654_435_761)))?;
                }
                Ok(())
            })?;
            if hive.subkeys("Top")?.len() != count as usize || !hive.check().is_sound() {
                return Err("the keys are not there".into());
            }
            least = least.min(time);
        }
        let seconds = least.as_secs_f64();
        println!("| {count} | {:.0} | {:.2} |", seconds * 1e3, seconds * 1e6 / f64::from(count));
    }
    Ok(())
}
