//! The job `drivers`: a medium and driver packages to add to it, and whether all images have them afterwards.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Bench, Check, Contestant, Result, must, plain, remove, setting, text_of};

/// MB of the medium's install.wim: the disc of Windows 7 x64 with its five editions has 3,182 MB, nearly all of it this file.
const MEDIUM_MB: usize = 2800;
/// Packages of the job about drivers, and bytes of the program in each.
const PACKAGES: usize = 20;
const PROGRAM_BYTES: usize = 5 << 20;
/// Copies a medium, and has the disk take it.
const COPY: &str = "cp -r --reflink=never \"$0\" \"$1\" && sync \"$1\"/sources/*";

impl Bench {
    /// The medium of the job about drivers.
    pub(super) fn medium(&self) -> PathBuf {
        self.folder.join("drivers").join("medium")
    }

    /// Its driver packages.
    pub(super) fn packages(&self) -> PathBuf {
        self.folder.join("drivers").join("packages")
    }

    /// Makes a medium of five editions and two boot images, as large as `WIM_BENCH_MEDIUM_MB` says, and driver packages that
    /// nobody signed; gives the bytes of the packages.
    pub(super) fn make_medium(&self) -> Result<u64> {
        let folder = self.folder.join("drivers");
        remove(&folder)?;
        must(&[&self.wim, "demo", "--media", "--dir", &text_of(&folder), "--quiet"])?;
        let megabytes: usize = setting("WIM_BENCH_MEDIUM_MB").map_or(Ok(MEDIUM_MB), |text| {
            text.parse().map_err(|_| format!("WIM_BENCH_MEDIUM_MB is {text:?}"))
        })?;
        // What cannot be compressed is read and written at the speed of a real medium's compressed data.
        let failed = |e: io::Error| format!("cannot make the medium: {e}");
        let (filling, mut dice) = (folder.join("filling"), 0x9E37_79B9_7F4A_7C15_u64);
        let mut file = io::BufWriter::new(fs::File::create(&filling).map_err(failed)?);
        for _ in 0..megabytes << 17 {
            file.write_all(&next(&mut dice).to_le_bytes()).map_err(failed)?;
        }
        file.flush().map_err(failed)?;
        let install = text_of(&self.medium().join("sources").join("install.wim"));
        let command = format!("add '{}' /filling.bin", text_of(&filling));
        must(&[&self.wim, "update", &install, "1", "--command", &command, "--quiet"])?;
        remove(&filling)?;
        let read = |name: &str| fs::read(folder.join("driver").join(name)).map_err(failed);
        let inf = String::from_utf8_lossy(&read("demonvme.inf")?).into_owned();
        let program = read("x64/demonvme.sys")?;
        for number in 0..PACKAGES {
            let name = format!("bench{number:02}");
            let own = self.packages().join(&name);
            fs::create_dir_all(own.join("x64")).map_err(failed)?;
            let text = inf
                .replace("demonvme", &name)
                .replace("PCI\\CC_010802", &format!("PCI\\VEN_1B36&DEV_1{number:03}&CC_010802"))
                .replace("DEV_0010", &format!("DEV_2{number:03}"));
            fs::write(own.join(format!("{name}.inf")), text).map_err(failed)?;
            // Half of it like code, which shrinks to a third, half of it like pictures, which does not.
            let mut bytes = program.clone();
            while bytes.len() < PROGRAM_BYTES {
                let word = next(&mut dice);
                let is_code = bytes.len() >> 16 & 1 == 0;
                let word = if is_code { word & 0x0000_3F00_0007_00FF } else { word };
                bytes.extend(word.to_le_bytes());
            }
            fs::write(own.join("x64").join(format!("{name}.sys")), bytes).map_err(failed)?;
        }
        Ok((PACKAGES * PROGRAM_BYTES) as u64)
    }

    /// Adds the packages to a copy of the medium, beside copying it.
    pub(super) fn driver_contestants(&self, out: impl Fn(&str) -> PathBuf) -> Vec<Contestant> {
        let (ours, copy) = (out("wim"), out("cp"));
        let (our, packages) = (text_of(&ours), text_of(&self.packages()));
        let words =
            self.wim_words(&plain(&["driver", "add", "--media", &our, "-d", &packages, "--force-unsigned"]));
        let copying = plain(&["sh", "-c", COPY, &text_of(&self.medium()), &text_of(&copy)]);
        vec![
            Contestant::new("wim", words, Check::Drivers, &ours).on_copy_of(self.medium()),
            Contestant::new("cp and sync", copying, Check::ExitCode, &copy),
        ]
    }

    /// That all images of a medium have all drivers, and its files are whole; their bytes.
    pub(super) fn check_drivers(&self, medium: &Path) -> Result<u64> {
        let mut bytes = 0;
        for (name, images) in [("boot.wim", 2), ("install.wim", 6)] {
            let file = medium.join("sources").join(name);
            must(&[&self.wim, "verify", &text_of(&file), "--quiet"])?;
            let answer = must(&[&self.wim, "driver", "list", &text_of(&file), "--json"])?;
            let answer: serde_json::Value =
                serde_json::from_str(&answer).map_err(|e| format!("wim driver list: {e}"))?;
            let lists: Vec<usize> = answer["images"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|image| image["drivers"].as_array().map_or(0, Vec::len))
                .collect();
            if lists != vec![PACKAGES; images] {
                return Err(format!("the images of {name} have {lists:?} drivers"));
            }
            bytes += fs::metadata(&file).map_err(|e| format!("no output: {e}"))?.len();
        }
        Ok(bytes)
    }
}

/// The next number of a generator that needs no more than eight bytes of state (xorshift64).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
