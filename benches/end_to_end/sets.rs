//! The jobs `split` and `join`: the WIM cut into some four parts, and put together again, beside copying it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Bench, Check, Contestant, Result, must, plain, remove, text_of};

/// Parts that the WIM is cut into, more or less: a resource is never cut.
const PARTS: u64 = 4;
/// Copies a file, and has the disk take it.
const COPY: &str = "cp --reflink=never \"$0\" \"$1\" && sync \"$1\"";
/// Makes a folder, then runs a command.
const INTO_FOLDER: &str = "mkdir \"$0\" && exec \"$@\"";

impl Bench {
    /// Where the set lies that is joined.
    fn parts(&self) -> PathBuf {
        self.folder.join("parts")
    }

    /// Size of a part in MiB.
    fn part_mebibytes(&self) -> Result<String> {
        let bytes = fs::metadata(&self.file).map_err(|e| format!("{}: {e}", self.file))?.len();
        Ok(format!("{:.2}", (bytes / PARTS) as f64 / f64::from(1 << 20)))
    }

    /// Makes the set that is joined.
    pub(super) fn make_parts(&self) -> Result<()> {
        let (folder, size) = (self.parts(), self.part_mebibytes()?);
        remove(&folder)?;
        fs::create_dir(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        must(&[&self.wim, "split", &self.file, &text_of(&folder.join("part.swm")), &size, "--quiet"])
            .map(|_| ())
    }

    /// Both commands cut the WIM into parts in a folder of their own.
    pub(super) fn split_contestants(&self, out: impl Fn(&str) -> PathBuf) -> Result<Vec<Contestant>> {
        let size = self.part_mebibytes()?;
        let splitter = |name, program: &str, folder: PathBuf| {
            let part = text_of(&folder.join("part.swm"));
            let words = ["sh", "-c", INTO_FOLDER, &text_of(&folder), program, "split", &self.file];
            let words = plain(&[&words[..], &[&part, &size, "--quiet"]].concat());
            Contestant::new(name, words, Check::Set, &folder)
        };
        Ok(vec![
            splitter("wim", &self.wim, out("wim")),
            splitter("wimlib-imagex", "wimlib-imagex", out("wimlib")),
            self.copier(&out("cp")),
        ])
    }

    /// Both commands put the set together.
    pub(super) fn join_contestants(&self, out: impl Fn(&str) -> PathBuf) -> Result<Vec<Contestant>> {
        let folder = self.parts();
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let parts: Vec<String> = entries.filter_map(|entry| Some(text_of(&entry.ok()?.path()))).collect();
        let joiner = |name, program: &str, output: PathBuf| {
            let mut words = plain(&[program, "join", &text_of(&output)]);
            words.extend(parts.iter().cloned());
            words.push("--quiet".to_owned());
            Contestant::new(name, words, Check::Wim, &output)
        };
        Ok(vec![
            joiner("wim", &self.wim, out("wim")),
            joiner("wimlib-imagex", "wimlib-imagex", out("wimlib")),
            self.copier(&out("cp")),
        ])
    }

    /// What takes the least that writing so many bytes to the disk can take.
    pub(super) fn copier(&self, copy: &Path) -> Contestant {
        let words = plain(&["sh", "-c", COPY, &self.file, &text_of(copy)]);
        Contestant::new("cp and sync", words, Check::SameSize, copy)
    }

    /// That the parts in `folder` are whole; their bytes.
    pub(super) fn check_set(&self, folder: &Path) -> Result<u64> {
        let first = text_of(&folder.join("part.swm"));
        let references = format!("--ref={}", text_of(&folder.join("part*.swm")));
        must(&[&self.wim, "verify", &first, &references, "--quiet"])?;
        let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let size = |entry: std::io::Result<fs::DirEntry>| Some(entry.ok()?.metadata().ok()?.len());
        Ok(entries.filter_map(size).sum())
    }
}
