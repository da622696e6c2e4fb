//! The commands that each job compares.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Bench, Check, Contestant, Result, plain, text_of};

impl Contestant {
    /// A command that makes `output`.
    pub(super) fn new(name: &'static str, words: Vec<String>, check: Check, output: &Path) -> Self {
        Self { name, words, output: Some(output.to_owned()), input_copy: None, check }
    }

    /// The same for a command that changes a copy of `input`.
    pub(super) fn on_copy_of(self, input: PathBuf) -> Self {
        Self { input_copy: Some(input), ..self }
    }
}

impl Bench {
    /// The contestants of a job.
    pub(super) fn contestants(&self, job: &str) -> Result<Vec<Contestant>> {
        let out = |name: &str| self.folder.join(format!("out-{job}-{name}"));
        let (ours, theirs) = (out("wim"), out("wimlib"));
        let (our, their) = (text_of(&ours), text_of(&theirs));
        let both = |words: &dyn Fn(&str) -> Vec<String>| {
            vec![
                Contestant::new("wim", self.wim_words(&words(&our)), Check::Wim, &ours),
                Contestant::new("wimlib-imagex", self.wimlib_words(&words(&their)), Check::Wim, &theirs),
            ]
        };
        let (file, tree) = (self.file.as_str(), text_of(&self.tree));
        Ok(match job {
            "split" => self.split_contestants(out)?,
            "join" => self.join_contestants(out)?,
            "verify" => self.verify_contestants(),
            "apply" | "extract" => self.tree_contestants(job, out),
            "export" => {
                let mut all = both(&|output| plain(&["export", file, "all", output]));
                all.push(self.copier(&out("cp")));
                all
            }
            "capture" => both(&|output| plain(&["capture", &tree, output, "--compress=LZX"])),
            "cabinet" | "cabinet-one" => self.cabinet_contestants(job, out),
            "drivers" => self.driver_contestants(out),
            _ => {
                let all = both(&|output| plain(&["optimize", output, "--recompress"]));
                all.into_iter().map(|one| one.on_copy_of(file.into())).collect()
            }
        })
    }

    fn verify_contestants(&self) -> Vec<Contestant> {
        let file = self.file.as_str();
        let one =
            |name, words| Contestant { name, words, output: None, input_copy: None, check: Check::ExitCode };
        vec![
            one("wim", self.wim_words(&plain(&["verify", file]))),
            // wimlib-imagex verify has no --threads; it decodes on one.
            one("wimlib-imagex", plain(&["wimlib-imagex", "verify", file, "--quiet"])),
            one("7z", self.seven_words(&["t", file])),
        ]
    }

    /// Makes the files of the first image.
    fn tree_contestants(&self, job: &str, out: impl Fn(&str) -> PathBuf) -> Vec<Contestant> {
        let (file, ours, theirs, sevens) = (self.file.as_str(), out("wim"), out("wimlib"), out("7z"));
        let to = |folder: &Path| match job {
            "apply" => plain(&["apply", file, "1", &text_of(folder)]),
            _ => plain(&["extract", file, "1", "--dest-dir", &text_of(folder)]),
        };
        // wimlib-imagex has no --threads here; it decodes on one.
        let their_words = [plain(&["wimlib-imagex"]), to(&theirs), plain(&["--quiet"])].concat();
        let mut all = vec![
            Contestant::new("wim", self.wim_words(&to(&ours)), Check::Tree, &ours),
            Contestant::new("wimlib-imagex", their_words, Check::Tree, &theirs),
        ];
        if self.images == 1 {
            let words = self.seven_words(&["x", file, &format!("-o{}", text_of(&sevens))]);
            all.push(Contestant::new("7z", words, Check::Tree, &sevens));
        } else {
            println!("skipped: 7z extracts all images of a file, the others one");
        }
        all
    }

    /// Takes the files out of a cabinet.
    fn cabinet_contestants(&self, job: &str, out: impl Fn(&str) -> PathBuf) -> Vec<Contestant> {
        let (cabinet, ours, theirs, sevens) = (self.cabinet(job), out("wim"), out("wimlib"), out("7z"));
        let words = self.wim_words(&plain(&["cab", "extract", &cabinet, "--dest-dir", &text_of(&ours)]));
        let their_words = plain(&["cabextract", "-q", "-d", &text_of(&theirs), &cabinet]);
        let seven_words = self.seven_words(&["x", &cabinet, &format!("-o{}", text_of(&sevens))]);
        vec![
            Contestant::new("wim", words, Check::Tree, &ours),
            Contestant::new("cabextract", their_words, Check::Tree, &theirs),
            Contestant::new("7z", seven_words, Check::Tree, &sevens),
        ]
    }

    /// A line of `wim`, with the number of threads that was asked for.
    pub(super) fn wim_words(&self, words: &[String]) -> Vec<String> {
        self.with_threads([&plain(&[&self.wim])[..], words, &plain(&["--quiet"])].concat(), "--threads=")
    }

    /// A line of `wimlib-imagex`, likewise.
    fn wimlib_words(&self, words: &[String]) -> Vec<String> {
        self.with_threads(
            [&plain(&["wimlib-imagex"])[..], words, &plain(&["--quiet"])].concat(),
            "--threads=",
        )
    }

    /// A line of `7z`, likewise.
    fn seven_words(&self, words: &[&str]) -> Vec<String> {
        self.with_threads(plain(&[&[seven_zip()], words, &["-bd", "-y"]].concat()), "-mmt=")
    }

    fn with_threads(&self, mut words: Vec<String>, option: &str) -> Vec<String> {
        words.extend(self.threads.as_ref().map(|number| format!("{option}{number}")));
        words
    }
}

/// 7-Zip's command: Debian 12 has it as `7zz` alone, others have both names or `7z`.
fn seven_zip() -> &'static str {
    let is_there =
        Command::new("7zz").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if is_there.is_ok() { "7zz" } else { "7z" }
}
