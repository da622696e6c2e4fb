//! Random trees go into a WIM, onto the disk and into a WIM again, and must come out as they went in.
//!
//! `WIM_TREE_SEED` repeats a run whose seed was printed; `WIM_TREE_SECONDS` makes it longer, as `.ci/checks` does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{wim, wimlib};

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[usize::try_from(self.below(list.len() as u64)).unwrap()]
    }

    fn name(&mut self, number: usize) -> String {
        let parts =
            ["a", "B", "\u{e4}\u{20ac}", "with space", "\u{1F600}", "x.txt", "UPPER.DLL", "very-long-name-"];
        format!("{}{}{number}", self.pick(&parts), self.pick(&parts).repeat(1 + (number % 3)))
    }

    /// Bytes that compress well, badly or not at all, of sizes around those of chunks.
    fn content(&mut self) -> Vec<u8> {
        let sizes = [0, 1, 100, 4095, 32_767, 32_768, 32_769, 65_536, 200_000];
        let size = sizes[usize::try_from(self.below(sizes.len() as u64)).unwrap()];
        let alphabet = [1, 4, 256][usize::try_from(self.below(3)).unwrap()];
        (0..size).map(|_| u8::try_from(self.below(alphabet)).unwrap()).collect()
    }
}

/// Makes a random tree at `root`.
fn make_tree(random: &mut Random, root: &Path) {
    std::fs::create_dir_all(root).unwrap();
    let (mut folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) = (vec![root.to_owned()], Vec::new());
    for number in 0..usize::try_from(5 + random.below(30)).unwrap() {
        let folder = folders[usize::try_from(random.below(folders.len() as u64)).unwrap()].clone();
        let path = folder.join(random.name(number));
        match random.below(10) {
            0..3 => {
                std::fs::create_dir(&path).unwrap();
                folders.push(path);
            }
            3 if !files.is_empty() => {
                let old = &files[usize::try_from(random.below(files.len() as u64)).unwrap()];
                std::fs::hard_link(old, &path).unwrap();
            }
            #[cfg(unix)]
            4 => {
                std::os::unix::fs::symlink(random.pick(&["x", "../y/z", ".", "/etc/passwd"]), &path).unwrap();
            }
            5 if !files.is_empty() => {
                let old = files[usize::try_from(random.below(files.len() as u64)).unwrap()].clone();
                std::fs::copy(old, &path).unwrap();
                files.push(path);
            }
            _ => {
                std::fs::write(&path, random.content()).unwrap();
                let time =
                    Duration::new(random.below(2_000_000_000), 100 * (random.below(10_000_000) as u32));
                let file = std::fs::File::options().append(true).open(&path).unwrap();
                file.set_modified(std::time::UNIX_EPOCH + time).unwrap();
                files.push(path);
            }
        }
    }
}

/// An image's files with hashes, names, links and times; those of links, which applying does not set, left out.
fn listing(folder: &Path, file: &str) -> String {
    let text = wim(folder, &["dir", file, "1", "--detailed"]).ends_with(0).text();
    let entries = text.split("\n----").map(|entry| {
        let is_link = entry.contains("Reparse Tag");
        let place = ["Offset in WIM", "Compressed size", "Flags", "Part Number"];
        let kept = entry.lines().filter(|line| {
            let is_time = line.contains(" Time ");
            !(place.iter().any(|label| line.starts_with(label)) || is_link && is_time)
        });
        kept.map(|line| format!("{line}\n")).collect::<String>()
    });
    entries.collect()
}

fn round(random: &mut Random) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make_tree(random, &folder.join("src"));
    let compress = format!("--compress={}", random.pick(&["none", "XPRESS", "LZX", "LZX:20", "LZMS"]));
    let threads = format!("--threads={}", 1 + random.below(4));
    let table = random.pick(&["--check", "--nocheck"]);
    wim(folder, &["capture", "src", "one.wim", "--norpfix", &compress, &threads, table]).ends_with(0);
    // By a split set or another file, or as it is.
    let file = match random.below(4) {
        0 => {
            wim(folder, &["split", "one.wim", "part.swm", "--parts=3"]).ends_with(0);
            "part.swm"
        }
        1 => {
            wim(folder, &["export", "one.wim", "1", "more.wim", "--compress=XPRESS"]).ends_with(0);
            std::fs::create_dir(folder.join("nothing")).unwrap();
            wim(folder, &["append", "nothing", "more.wim"]).ends_with(0);
            wim(folder, &["delete", "more.wim", "2", random.pick(&["--soft", "--unsafe-compact"])])
                .ends_with(0);
            "more.wim"
        }
        2 => {
            wim(folder, &["append", "src", "one.wim", "again", "--norpfix"]).ends_with(0);
            wim(folder, &["delete", "one.wim", "1"]).ends_with(0);
            "one.wim"
        }
        _ => "one.wim",
    };
    wim(folder, &["verify", file]).ends_with(0);
    wim(folder, &["apply", file, "1", "out"]).ends_with(0);
    wim(folder, &["capture", "out", "two.wim", "--norpfix", &compress]).ends_with(0);
    let reference_counts = |text: String| {
        text.lines().filter(|line| !line.starts_with("Reference Count")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(reference_counts(listing(folder, file)), reference_counts(listing(folder, "two.wim")));
    if file == "one.wim"
        && let Some(theirs) = wimlib(folder, &["verify", "one.wim"])
    {
        theirs.ends_with(0);
    }
}

#[test]
fn random_trees_come_back_as_they_were() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("WIM_TREE_SECONDS").unwrap_or(3);
    let since = Instant::now();
    let first = number("WIM_TREE_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    let mut seed = first;
    loop {
        // Seen when the test fails: repeats this very round.
        println!("WIM_TREE_SEED={seed}");
        round(&mut Random(seed | 1));
        if since.elapsed() > Duration::from_secs(seconds) {
            return;
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    }
}
