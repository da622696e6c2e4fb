//! Every INF at hand is read to the end: real driver packages, and a corpus of 735 more files. None may panic, whatever is done
//! to its bytes, and what is wrong with one is said with line and column.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use crate::samples::real_data;
use wim_core::base::{Architecture, Place};
use wim_core::formats::inf::install::{actual_section, install};
use wim_core::formats::inf::models::{manufacturers, models_for};
use wim_core::formats::inf::{Inf, NoIncludes, ParseOptions, TargetWindows, Version, files};

const TARGETS: [TargetWindows; 5] = [
    windows(Architecture::X86, 6, 1, 7601),
    windows(Architecture::Amd64, 6, 1, 7601),
    windows(Architecture::Amd64, 6, 3, 9600),
    windows(Architecture::Amd64, 10, 0, 19045),
    windows(Architecture::Arm64, 10, 0, 22631),
];

const fn windows(arch: Architecture, major: u32, minor: u32, build: u32) -> TargetWindows {
    TargetWindows { arch, major, minor, build, product_type: 1, suite_mask: 0x100 }
}

#[derive(Debug, Default)]
struct Totals {
    files: usize,
    with_version: usize,
    templates: usize,
    findings: usize,
    models: usize,
    installs: usize,
    copies: usize,
    services: usize,
    exhausted: usize,
}

/// Reads everything there is to read in an INF.
fn explore(name: &str, bytes: &[u8], totals: &mut Totals) {
    totals.files += 1;
    let inf = match Inf::parse(name, bytes, ParseOptions::default()) {
        Ok(inf) => Arc::new(inf),
        Err(e) => panic!("{name}: {e}"),
    };
    totals.findings += inf.findings().len();
    for e in inf.findings() {
        assert!(matches!(e.place(), Place::Line { line: 1.., column: 1.. }), "{e}");
    }
    totals.with_version += usize::from(Version::read(&inf).is_ok());
    let is_template = manufacturers(&inf).iter().any(|m| m.decorations.iter().any(|d| d.contains('$')));
    totals.templates += usize::from(is_template);
    for target in &TARGETS {
        let Ok(models) = models_for(&inf, target) else { continue };
        totals.models += models.models.len();
        let mut names: Vec<_> = models.models.iter().map(|m| m.install_section.to_lowercase()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let Some(found) = install(&inf, &name, target, &NoIncludes) else { continue };
            assert_eq!(actual_section(&inf, &name, target.arch).as_ref(), Some(&found.section));
            totals.installs += 1;
            totals.services += found.services.len();
            totals.copies += found.copies.len();
            for copy in &found.copies {
                let _ = files::source_path(&inf, &copy.source_name, target.arch);
                let _ = copy.directory(target.arch);
            }
        }
    }
    // The budget of work is far from what real INFs need, even for five Windows one after another.
    totals.exhausted += usize::from(inf.is_exhausted());
}

/// All files below a directory, in a fixed order.
pub(crate) fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn is_inf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("inf") || e.eq_ignore_ascii_case("inx"))
}

/// Name and bytes of each INF of the corpus archive, unpacked to a temporary directory by `tar`.
pub(crate) fn corpus() -> Option<Vec<(String, Vec<u8>)>> {
    let archive = real_data("drivers/inf-corpus.tar.xz")?;
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(folder.path()).status();
    if !unpacked.is_ok_and(|status| status.success()) {
        println!("skipped: tar cannot unpack {}", archive.display());
        return None;
    }
    let infs = files_below(folder.path()).into_iter().filter(|p| is_inf(p));
    Some(infs.map(|p| (p.display().to_string(), std::fs::read(p).unwrap())).collect())
}

#[test]
fn the_corpus_is_read_whole_and_fast() {
    let Some(infs) = corpus() else { return };
    assert_eq!(infs.len(), 735);
    let mut totals = Totals::default();
    let started = Instant::now();
    for (name, bytes) in &infs {
        explore(name, bytes, &mut totals);
    }
    println!("{totals:?} in {:?}", started.elapsed());
    assert!(totals.with_version > 700 && totals.exhausted == 0, "{totals:?}");
    assert!(totals.templates > 50, "{totals:?}");
    assert!(totals.models > 20_000 && totals.services > 1_000, "{totals:?}");
}

#[test]
fn parsing_the_corpus_keeps_to_its_budget() {
    let Some(infs) = corpus() else { return };
    let started = Instant::now();
    let mut sections = 0;
    for (name, bytes) in &infs {
        sections += Inf::parse(name, bytes, ParseOptions::default()).unwrap().sections().len();
    }
    let elapsed = started.elapsed();
    println!("{sections} sections in {elapsed:?}");
    // 2 s is the budget of an optimised build; a slow one gets more.
    assert!(elapsed.as_secs() < if cfg!(debug_assertions) { 30 } else { 2 }, "{elapsed:?}");
}

#[test]
fn real_packages_are_read_whole() {
    let Some(folder) = real_data("drivers") else { return };
    let mut totals = Totals::default();
    for path in files_below(&folder).into_iter().filter(|p| is_inf(p)) {
        let before = totals.with_version;
        explore(&path.display().to_string(), &std::fs::read(&path).unwrap(), &mut totals);
        assert_eq!(totals.with_version, before + 1, "{}", path.display());
    }
    println!("{totals:?}");
    assert_eq!((totals.files, totals.exhausted), (32, 0));
}

/// A linear congruential generator: the same mutations on every machine.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

#[test]
fn mutated_infs_never_panic() {
    let Some(folder) = real_data("drivers") else { return };
    let mut random = Lcg(7);
    let mut totals = Totals::default();
    for path in files_below(&folder).into_iter().filter(|p| is_inf(p)) {
        let original = std::fs::read(&path).unwrap();
        if original.len() > 200_000 {
            continue;
        }
        for _ in 0..8 {
            let mut bytes = original.clone();
            for _ in 0..1 + random.below(30) {
                let at = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes[at] = b"[]=,\"%\\;\n\0@."[random.below(12)],
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => bytes.truncate(bytes.len() - random.below(bytes.len() / 8 + 1)),
                    _ => {
                        let end = (at + random.below(400)).min(bytes.len());
                        let piece = bytes[at..end].to_vec();
                        let to = random.below(bytes.len());
                        bytes.splice(to..to, piece);
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            explore("mutated.inf", &bytes, &mut totals);
        }
    }
    println!("{totals:?}");
}

/// A token of four thousand characters, named a thousand times in one value, must not become megabytes.
#[test]
fn a_list_of_strings_is_bounded_like_any_value() {
    use wim_core::formats::inf::registry::add_line;
    let text = format!(
        "[Version]\nSignature=\"$Windows NT$\"\n[Add]\nHKR,,Many,0x00010000,{}\n[Strings]\na=\"{}\"\n",
        vec!["%a%"; 1000].join(","),
        "x".repeat(4000)
    );
    let inf = Inf::parse("bomb.inf", text.as_bytes(), ParseOptions::default()).unwrap();
    let entry = inf.section("Add").unwrap().entries.first().unwrap().clone();
    let error = add_line(&inf, &entry).unwrap_err();
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
}
