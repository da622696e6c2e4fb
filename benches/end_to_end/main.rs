//! Whole commands beside each other: the release `wim`, and `wimlib-imagex`, `7z` and `cabextract` where they are installed.
//!
//! `cargo bench -p wim-benches --bench end_to_end [-- JOB...]`; README.md, "End to end", lists jobs and settings. Runs are
//! interleaved, answers are checked before a time counts, and nothing here judges the figures.

#![allow(clippy::print_stdout, reason = "the table is the answer")]

mod contestants;
mod drivers;
mod sets;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sha1::{Digest, Sha1};

type Result<T> = std::result::Result<T, String>;

const JOBS: [&str; 11] = [
    "verify",
    "apply",
    "extract",
    "export",
    "split",
    "join",
    "capture",
    "recompress",
    "cabinet",
    "cabinet-one",
    "drivers",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says so; a test run of all targets must not take minutes.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("skipped: end_to_end runs under cargo bench only");
        return ExitCode::SUCCESS;
    }
    let jobs: Vec<String> = arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect();
    match run(&jobs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(jobs: &[String]) -> Result<()> {
    if let Some(unknown) = jobs.iter().find(|job| !JOBS.contains(&job.as_str())) {
        return Err(format!("there is no job {unknown:?}; there are {}", JOBS.join(", ")));
    }
    let bench = Bench::prepare()?;
    let mut rows = Vec::new();
    for job in JOBS.iter().filter(|job| jobs.is_empty() || jobs.iter().any(|asked| asked == *job)) {
        rows.extend(bench.job(job)?);
    }
    println!("{}", bench.markdown(&rows));
    let csv = setting("WIM_BENCH_CSV").map_or_else(|| target_folder().join("end_to_end.csv"), PathBuf::from);
    fs::write(&csv, bench.csv(&rows)).map_err(|e| format!("cannot write {}: {e}", csv.display()))?;
    println!("CSV: {}", csv.display());
    Ok(())
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn target_folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    setting("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

/// One contestant of one job.
struct Contestant {
    name: &'static str,
    /// Program and arguments.
    words: Vec<String>,
    /// A file or folder that it makes, removed before each run.
    output: Option<PathBuf>,
    /// A file that is copied to `output` before each run.
    input_copy: Option<PathBuf>,
    check: Check,
}

/// How the answer of a contestant is checked, beyond its exit code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    ExitCode,
    /// The output has the files that the input's first image has.
    Tree,
    /// The output is a WIM that `wim verify` finds whole.
    Wim,
    /// The output is a folder of parts that `wim verify` finds whole.
    Set,
    /// The output is the input's bytes.
    SameSize,
    /// The output is a medium whose images have all drivers, and are whole.
    Drivers,
}

/// What was measured of one contestant.
struct Row {
    job: String,
    contestant: &'static str,
    seconds: Vec<f64>,
    /// Uncompressed bytes that it goes through.
    bytes: u64,
    /// Most memory that it had, in KiB; none without `/usr/bin/time`.
    peak_kib: Option<u64>,
    output_bytes: Option<u64>,
    /// What is wrong with its answer; its times do not count then.
    fault: Option<String>,
}

impl Row {
    fn min(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

struct Bench {
    wim: String,
    /// The WIM that is worked on.
    file: String,
    images: u64,
    /// Uncompressed bytes of its blobs.
    bytes: u64,
    /// The folder that is captured.
    tree: PathBuf,
    /// What `tree` or the first image must hold: paths of regular files and their digests.
    files: BTreeMap<String, [u8; 20]>,
    folder: PathBuf,
    runs: usize,
    threads: Option<String>,
    /// Keeps the folder until the end, unless the caller gave one.
    _temporary: Option<tempfile::TempDir>,
}

impl Bench {
    fn prepare() -> Result<Self> {
        let wim = release_command()?;
        let temporary = match setting("WIM_BENCH_DIR") {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|e| format!("cannot make a folder: {e}"))?),
        };
        let given = setting("WIM_BENCH_DIR").map(PathBuf::from);
        let folder = given.or_else(|| temporary.as_ref().map(|t| t.path().to_owned()));
        let folder = folder.ok_or("no folder to work in")?;
        let own_tree = setting("WIM_BENCH_TREE");
        let file = match (setting("WIM_BENCH_WIM"), &own_tree) {
            (Some(file), _) => file,
            (None, Some(tree)) => {
                let file = text_of(&folder.join("input.wim"));
                remove(Path::new(&file))?;
                must(&[&wim, "capture", tree, &file, "--compress=lzx:fast", "--quiet"])?;
                file
            }
            (None, None) => {
                let demo = folder.join("demo");
                must(&[&wim, "demo", "--dir", &text_of(&demo), "--force", "--quiet"])?;
                text_of(&demo.join("install.wim"))
            }
        };
        let answer = must(&[&wim, "verify", &file, "--json"])?;
        let answer: serde_json::Value =
            serde_json::from_str(&answer).map_err(|e| format!("wim verify: {e}"))?;
        let number = |field: &str| answer[field].as_u64().ok_or(format!("wim verify: no {field}"));
        // The first image is what every contestant must extract.
        let applied = folder.join("first-image");
        remove(&applied)?;
        must(&[&wim, "apply", &file, "1", &text_of(&applied), "--quiet"])?;
        let files = digests(&applied)?;
        let tree = own_tree.map_or(applied, PathBuf::from);
        let runs = setting("WIM_BENCH_RUNS").map_or(Ok(3), |text| {
            text.parse().ok().filter(|runs| *runs > 0).ok_or(format!("WIM_BENCH_RUNS is {text:?}"))
        })?;
        Ok(Self {
            wim,
            images: number("images")?,
            bytes: number("bytes")?,
            file,
            tree,
            files,
            folder,
            runs,
            threads: setting("WIM_BENCH_THREADS"),
            _temporary: temporary,
        })
    }

    /// Measures the contestants of a job in turn.
    fn job(&self, job: &str) -> Result<Vec<Row>> {
        if job == "join" {
            self.make_parts()?;
        }
        let bytes = match job {
            "drivers" => self.make_medium()?,
            _ => self.make_cabinet(job)?.unwrap_or(self.bytes),
        };
        let contestants: Vec<Contestant> = self.contestants(job)?.into_iter().filter(is_installed).collect();
        let mut rows: Vec<Row> =
            contestants.iter().map(|contestant| new_row(job, contestant, bytes)).collect();
        for run in 0..self.runs {
            for (contestant, row) in contestants.iter().zip(&mut rows) {
                if row.fault.is_none() {
                    row.fault = self.measure(contestant, row).err();
                }
                println!("{job}: {}, run {} of {}", contestant.name, run + 1, self.runs);
            }
        }
        contestants.iter().filter_map(|contestant| contestant.output.as_deref()).try_for_each(remove)?;
        Ok(rows)
    }

    /// The cabinet of a job about cabinets.
    fn cabinet(&self, job: &str) -> String {
        text_of(&self.folder.join(format!("{job}.cab")))
    }

    /// Makes the cabinet that a job needs, if it needs one; the bytes of its members.
    fn make_cabinet(&self, job: &str) -> Result<Option<u64>> {
        let folder_size = match job {
            "cabinet" => "--folder-size=4M",
            "cabinet-one" => "--folder-size=1G",
            _ => return Ok(None),
        };
        let tree = text_of(&self.folder.join("first-image"));
        let cabinet = self.cabinet(job);
        let words =
            [&self.wim, "cab", "create", &cabinet, &tree, folder_size, "--level=fast", "--force", "--json"];
        let answer: serde_json::Value =
            serde_json::from_str(&must(&words)?).map_err(|e| format!("wim cab create: {e}"))?;
        answer["member_bytes"].as_u64().map(Some).ok_or("wim cab create: no member_bytes".to_owned())
    }

    fn measure(&self, contestant: &Contestant, row: &mut Row) -> Result<()> {
        if let Some(output) = &contestant.output {
            remove(output)?;
            if let Some(input) = &contestant.input_copy {
                must(&["cp", "-r", &text_of(input), &text_of(output)])?;
                must(&["sync", "-f", &text_of(output)])?;
            }
        }
        let peak_file = self.folder.join("peak");
        let mut command = if Path::new("/usr/bin/time").exists() {
            let mut command = Command::new("/usr/bin/time");
            command.args(["-f", "%M", "-o"]).arg(&peak_file).args(&contestant.words);
            command
        } else {
            let mut command = Command::new(&contestant.words[0]);
            command.args(&contestant.words[1..]);
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let output = command.output().map_err(|e| format!("cannot run: {e}"))?;
        let seconds = started.elapsed().as_secs_f64();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}", output.status, said.lines().last().unwrap_or_default()));
        }
        let peak = fs::read_to_string(&peak_file).ok();
        let peak = peak.and_then(|text| text.lines().last()?.trim().parse().ok());
        row.peak_kib = row.peak_kib.max(peak);
        self.check(contestant, row)?;
        row.seconds.push(seconds);
        Ok(())
    }

    fn check(&self, contestant: &Contestant, row: &mut Row) -> Result<()> {
        let Some(output) = &contestant.output else { return Ok(()) };
        let size =
            || fs::metadata(output).map(|metadata| metadata.len()).map_err(|e| format!("no output: {e}"));
        match contestant.check {
            Check::ExitCode => {}
            Check::Tree => {
                let found = digests(output)?;
                if found != self.files {
                    let odd = self.files.iter().find(|(path, digest)| found.get(*path) != Some(digest));
                    let odd = odd.map_or("more files than the image has", |(path, _)| path.as_str());
                    return Err(format!("the extracted files differ: {odd}"));
                }
            }
            Check::Wim => {
                must(&[&self.wim, "verify", &text_of(output), "--quiet"])?;
                row.output_bytes = Some(size()?);
            }
            Check::Set => row.output_bytes = Some(self.check_set(output)?),
            Check::Drivers => row.output_bytes = Some(self.check_drivers(output)?),
            Check::SameSize => {
                let expected = fs::metadata(&self.file).map(|metadata| metadata.len()).ok();
                if Some(size()?) != expected {
                    return Err("the copy is not as long as the file".to_owned());
                }
                row.output_bytes = expected;
            }
        }
        Ok(())
    }

    fn markdown(&self, rows: &[Row]) -> String {
        let mut text = format!(
            "\n{}: {} images, {:.1} MB uncompressed; {}\n\n\
             | job | command | min s | median s | MB/s | time / wim | peak MB | output bytes |\n\
             |---|---|--:|--:|--:|--:|--:|--:|\n",
            self.file,
            self.images,
            self.bytes as f64 / 1e6,
            machine()
        );
        for row in rows {
            let Row { job, contestant, .. } = row;
            // Writing to a String cannot fail.
            if let Some(fault) = &row.fault {
                let _ = writeln!(text, "| {job} | {contestant} | {fault} | | | | | |");
                continue;
            }
            let _ = writeln!(
                text,
                "| {job} | {contestant} | {:.3} | {:.3} | {:.1} | {} | {} | {} |",
                row.min(),
                row.median(),
                row.bytes as f64 / 1e6 / row.min(),
                ratio(rows, row).map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
                row.peak_kib.map_or("-".to_owned(), |kib| format!("{:.1}", kib as f64 * 1024.0 / 1e6)),
                row.output_bytes.map_or("-".to_owned(), |bytes| bytes.to_string())
            );
        }
        text
    }

    fn csv(&self, rows: &[Row]) -> String {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let version = must(&[&self.wim, "--version"]).unwrap_or_default();
        let mut text =
            "unix_time,machine,version,threads,uncompressed_bytes,job,command,runs,min_s,median_s,\
             time_by_wim,peak_kib,output_bytes,fault\n"
                .to_owned();
        for row in rows {
            let or_empty = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
            let fields = [
                seconds.to_string(),
                machine(),
                version.trim().to_owned(),
                self.threads.clone().unwrap_or_default(),
                row.bytes.to_string(),
                row.job.clone(),
                row.contestant.to_owned(),
                row.seconds.len().to_string(),
                format!("{:.4}", row.min()),
                format!("{:.4}", row.median()),
                ratio(rows, row).map(|ratio| format!("{ratio:.4}")).unwrap_or_default(),
                or_empty(row.peak_kib),
                or_empty(row.output_bytes),
                row.fault.clone().unwrap_or_default(),
            ];
            text += &fields.map(|field| field.replace([',', '\n', '"'], " ")).join(",");
            text.push('\n');
        }
        text
    }
}

/// The least time of a row by that of `wim` in the same job.
fn ratio(rows: &[Row], row: &Row) -> Option<f64> {
    let ours = rows.iter().find(|other| other.job == row.job && other.contestant == "wim")?;
    (ours.fault.is_none() && row.fault.is_none()).then(|| row.min() / ours.min())
}

fn new_row(job: &str, contestant: &Contestant, bytes: u64) -> Row {
    Row {
        job: job.to_owned(),
        contestant: contestant.name,
        seconds: Vec::new(),
        bytes,
        peak_kib: None,
        output_bytes: None,
        fault: None,
    }
}

/// Processor, cores and load of this machine.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let cpu = cpu.map_or(std::env::consts::ARCH, |(_, name)| name);
    format!("{cpu}; {cores} cores; load {load}")
}

fn plain(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn is_installed(contestant: &Contestant) -> bool {
    // Some commands begin with a shell.
    let program = if contestant.name == "wimlib-imagex" { contestant.name } else { &contestant.words[0] };
    let ran = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_missing = ran.is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    if is_missing {
        println!("skipped: {} is not installed", contestant.name);
    }
    !is_missing
}

/// The release build of the command: the one of `WIM_BENCH_COMMAND`, else the workspace's, built when it is not there.
fn release_command() -> Result<String> {
    if let Some(command) = setting("WIM_BENCH_COMMAND") {
        return Ok(command);
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    must(&[&cargo, "build", "--release", "-p", "wim-cli", "--manifest-path", &text_of(&manifest)])?;
    let command = target_folder().join("release").join(format!("wim{}", std::env::consts::EXE_SUFFIX));
    Ok(text_of(&command))
}

/// Runs a command that must succeed; returns its standard output.
fn must(words: &[&str]) -> Result<String> {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("cannot run {}: {e}", words[0]))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} {}: {}\n{said}", words[0], words.get(1).unwrap_or(&""), output.status))
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Regular files below a folder with their digests; links are not followed.
fn digests(folder: &Path) -> Result<BTreeMap<String, [u8; 20]>> {
    let wrong = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).map_err(|e| wrong(&at, e))? {
            let path = entry.map_err(|e| wrong(&at, e))?.path();
            let kind = fs::symlink_metadata(&path).map_err(|e| wrong(&path, e))?.file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let mut hasher = Sha1::new();
                hasher.update(fs::read(&path).map_err(|e| wrong(&path, e))?);
                let name = path.strip_prefix(folder).unwrap_or(&path);
                found.insert(text_of(name), hasher.finalize().into());
            }
        }
    }
    Ok(found)
}
