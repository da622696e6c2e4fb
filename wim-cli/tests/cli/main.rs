//! The command as users meet it: one module per verb, one test binary, so one link.
//!
//! Files of real tools are found through `WIM_TEST_DATA`, else in `../shared/data` beside the workspace; tests that need
//! them, or `wimlib-imagex`, say `skipped: …` and pass when they are absent.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed step is a failed test; skipped tests say so"
)]

mod apply;
mod bench;
mod cab;
mod capture;
mod delete;
mod delta;
#[path = "../../../wim-core/tests/it/delta_writer.rs"]
#[allow(dead_code, reason = "the tests of wim-core use the rest")]
mod delta_writer;
mod diff;
mod dir;
mod dir_usage;
#[path = "../../../wim-core/tests/it/disc_writer.rs"]
#[allow(dead_code, reason = "the tests of wim-core use the rest")]
mod disc_writer;
mod driver;
mod export;
mod extract;
mod hostile;
#[cfg(feature = "http")]
mod http;
mod in_place;
mod info;
#[cfg(unix)]
mod interrupted;
mod media;
mod metadata;
mod misuse;
mod mount;
mod optimize;
mod package;
mod package_expand;
#[path = "../../../wim-core/tests/it/pe_image.rs"]
#[allow(dead_code, reason = "the tests of wim-core use the rest")]
mod pe_image;
mod pipable;
mod random_trees;
mod reg;
mod restore;
mod shell;
mod slipstream;
mod solid;
mod split;
mod update;
mod verify;
mod wimlib_names;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a program ended.
pub(crate) struct Ran {
    /// Exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error as text.
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", self.text(), self.stderr))
    }

    /// Panics with everything that was said unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.text(), self.stderr);
        self
    }
}

/// A command that runs `program` in `folder` with a known environment.
pub(crate) fn command<S: AsRef<OsStr>>(program: &str, folder: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env_remove("SOURCE_DATE_EPOCH").env_remove("WIMLIB_IMAGEX_IGNORE_CASE").env("NO_COLOR", "1");
    command
}

fn finish(mut command: Command) -> std::io::Result<Ran> {
    let output = command.output()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Ran { code: output.status.code(), stdout: output.stdout, stderr })
}

/// Runs `wim` in `folder`.
pub(crate) fn wim<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Ran {
    finish(command(env!("CARGO_BIN_EXE_wim"), folder, arguments)).expect("the binary under test runs")
}

/// Runs `wimlib-imagex` in `folder`; none, with a word, when it is not installed.
pub(crate) fn wimlib<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Option<Ran> {
    let ran = finish(command("wimlib-imagex", folder, arguments)).ok();
    if ran.is_none() {
        println!("skipped: wimlib-imagex is not installed");
    }
    ran
}

/// The folder of a part of the real test data; none, with a word, when it is absent.
pub(crate) fn data_folder(part: &str) -> Option<PathBuf> {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    let root = std::env::var_os("WIM_TEST_DATA")
        .map_or_else(|| workspace.parent().unwrap_or(workspace).join("shared/data"), PathBuf::from);
    let folder = root.join(part);
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("skipped: no test data at {}", folder.display());
        None
    }
}

/// A folder with a small tree `src`: files, an empty one, two equal ones, directories, a hard link, a symbolic link.
pub(crate) fn sample_tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let src = folder.path().join("src");
    std::fs::create_dir_all(src.join("dir/sub")).unwrap();
    std::fs::create_dir_all(src.join("empty")).unwrap();
    std::fs::write(src.join("a.txt"), "hello\n").unwrap();
    std::fs::write(src.join("dir/b.txt"), "hello\n").unwrap();
    std::fs::write(src.join("zero"), "").unwrap();
    let counted: String = (0..40_000).map(|n| format!("{n}\n")).collect();
    std::fs::write(src.join("dir/seq.txt"), counted).unwrap();
    std::fs::write(src.join("dir/sub/noise.bin"), noise(100_000)).unwrap();
    std::fs::hard_link(src.join("a.txt"), src.join("hard.txt")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("a.txt", src.join("link")).unwrap();
    folder
}

/// Bytes that no codec shrinks, the same every time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}
