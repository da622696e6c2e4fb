//! Pipable files both ways beside `wimlib-imagex`: from files and from pipes, in every verb.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::apply::snapshot;
use crate::{Ran, command, sample_tree, wim, wimlib};

/// Runs a program with `input` on its standard input.
fn with_input(program: &str, folder: &Path, arguments: &[&str], input: Vec<u8>) -> Ran {
    let mut command = command(program, folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

/// Runs `wim apply -` with `input` on its standard input.
pub(crate) fn apply_ours(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    with_input(env!("CARGO_BIN_EXE_wim"), folder, &[&["apply", "-"], arguments].concat(), input.to_vec())
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// The first line of `info --header`.
fn is_pipable(folder: &Path, name: &str) -> bool {
    wim(folder, &["info", name, "--header"]).ends_with(0).text().contains("= WLPWM")
}

#[test]
fn what_we_write_wimlib_reads_from_files_and_from_pipes() {
    let folder = sample_tree();
    let folder = folder.path();
    let before = snapshot(&folder.join("src"));
    for compress in ["none", "XPRESS", "LZX:20", "LZMS:20"] {
        let option = format!("--compress={compress}");
        wim(folder, &["capture", "src", "t.wim", "--pipable", "--check", "--norpfix", &option]).ends_with(0);
        assert!(is_pipable(folder, "t.wim"));
        wim(folder, &["verify", "t.wim"]).ends_with(0);
        let streamed =
            wim(folder, &["capture", "src", "-", "--norpfix", "--compress", compress]).ends_with(0).stdout;
        apply_ours(folder, &["ours"], &streamed).ends_with(0);
        assert_eq!(snapshot(&folder.join("ours")), before, "{compress}");
        std::fs::remove_dir_all(folder.join("ours")).unwrap();
        let Some(verified) = wimlib(folder, &["verify", "t.wim"]) else { return };
        verified.ends_with(0);
        for (input, target) in [(read(folder, "t.wim"), "theirs1"), (streamed, "theirs2")] {
            with_input("wimlib-imagex", folder, &["apply", "-", "1", target], input).ends_with(0);
            assert_eq!(snapshot(&folder.join(target)), before, "{compress}");
            std::fs::remove_dir_all(folder.join(target)).unwrap();
        }
    }
}

#[test]
fn what_wimlib_writes_we_read_in_every_verb() {
    let folder = sample_tree();
    let folder = folder.path();
    let before = snapshot(&folder.join("src"));
    for compress in ["none", "XPRESS", "LZX", "LZMS"] {
        let option = format!("--compress={compress}");
        let line =
            ["capture", "src", "t.wim", "One", "--pipable", "--norpfix", "--check", "--quiet", &option];
        let Some(made) = wimlib(folder, &line) else { return };
        made.ends_with(0);
        wim(folder, &["verify", "t.wim"]).ends_with(0);
        wim(folder, &["apply", "t.wim", "file", "--check"]).ends_with(0);
        wim(folder, &["extract", "t.wim", "1", "dir/seq.txt", "--dest-dir=out"]).ends_with(0);
        assert!(read(folder, "out/seq.txt") == read(folder, "src/dir/seq.txt"));
        let attributes =
            |text: String| text.lines().find(|line| line.starts_with("Attributes:")).map(str::to_owned);
        let theirs = attributes(wimlib(folder, &["info", "t.wim"]).unwrap().text());
        assert_eq!(attributes(wim(folder, &["info", "t.wim"]).text()), theirs);
        assert_eq!(wim(folder, &["dir", "t.wim"]).text(), wimlib(folder, &["dir", "t.wim"]).unwrap().text());
        // Integrity tables of single files are no hindrance in a pipe.
        apply_ours(folder, &["1", "pipe", "--check"], &read(folder, "t.wim")).ends_with(0);
        for applied in ["file", "pipe"] {
            assert_eq!(snapshot(&folder.join(applied)), before, "{compress}");
            std::fs::remove_dir_all(folder.join(applied)).unwrap();
        }
        // To Windows' form and back, and into a pipe.
        wim(folder, &["export", "t.wim", "1", "n.wim"]).ends_with(0);
        assert!(!is_pipable(folder, "n.wim"));
        wimlib(folder, &["verify", "n.wim"]).unwrap().ends_with(0);
        let stream = wim(folder, &["export", "n.wim", "1", "-"]).ends_with(0).stdout;
        with_input("wimlib-imagex", folder, &["apply", "-", "1", "theirs"], stream).ends_with(0);
        assert_eq!(snapshot(&folder.join("theirs")), before, "{compress}");
        for name in ["theirs", "out"] {
            std::fs::remove_dir_all(folder.join(name)).unwrap();
        }
        std::fs::remove_file(folder.join("n.wim")).unwrap();
    }
}

/// Every verb that changes a file leaves it in its form unless asked, as wimlib does.
#[test]
fn pipable_files_stay_so_unless_asked() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "p.wim", "--pipable", "--include-integrity"]).ends_with(0);
    wim(folder, &["capture", "src", "n.wim", "Normal"]).ends_with(0);
    for (line, pipable) in [
        (vec!["append", "src", "p.wim", "Two"], true),
        (vec!["update", "p.wim", "2", "--command=delete a.txt"], true),
        (vec!["info", "p.wim", "2", "Renamed", "--boot"], true),
        (vec!["export", "n.wim", "1", "p.wim"], true),
        (vec!["delete", "p.wim", "1", "--soft"], true),
        (vec!["optimize", "p.wim"], true),
        (vec!["optimize", "p.wim", "--not-pipable"], false),
        (vec!["optimize", "p.wim", "--pipable", "--recompress"], true),
        (vec!["append", "src", "p.wim", "Three", "--not-pipable"], false),
        (vec!["append", "src", "p.wim", "Four", "--pipable"], true),
        (vec!["export", "n.wim", "1", "p.wim", "Five", "--not-pipable"], false),
        (vec!["export", "n.wim", "1", "p.wim", "Six", "--pipable"], true),
    ] {
        wim(folder, &line).ends_with(0);
        assert_eq!(is_pipable(folder, "p.wim"), pipable, "{line:?}");
        wim(folder, &["verify", "p.wim"]).ends_with(0);
        if let Some(verified) = wimlib(folder, &["verify", "p.wim"]) {
            verified.ends_with(0);
        }
    }
    let info = wim(folder, &["info", "p.wim"]).ends_with(0).text();
    assert!(info.contains("Boot Index:     1") && info.contains("Name:                   Renamed"), "{info}");
    let ran = wim(folder, &["optimize", "p.wim", "--unsafe-compact"]).ends_with(2);
    assert!(ran.stderr.contains("pipable"), "{}", ran.stderr);
    let ran = wim(folder, &["append", "src", "p.wim", "X", "--unsafe-compact"]).ends_with(2);
    assert!(ran.stderr.contains("pipable"), "{}", ran.stderr);
}

#[test]
fn split_pipable_files_go_through_a_pipe_part_by_part() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "--pipable", "--norpfix"]).ends_with(0);
    wim(folder, &["split", "t.wim", "s.swm", "0.06"]).ends_with(0);
    let parts_of = |first: &str| -> Vec<Vec<u8>> {
        let more = (2..).map(|number| format!("{first}{number}.swm"));
        let names = std::iter::once(format!("{first}.swm")).chain(more);
        names.map_while(|name| std::fs::read(folder.join(name)).ok()).collect()
    };
    let parts = parts_of("s");
    assert_eq!(parts.len(), 3);
    let before = snapshot(&folder.join("src"));
    apply_ours(folder, &["pipe"], &parts.concat()).ends_with(0);
    wim(folder, &["apply", "s.swm", "file"]).ends_with(0);
    wim(folder, &["join", "j.wim", "s2.swm", "s3.swm", "s.swm"]).ends_with(0);
    assert!(is_pipable(folder, "j.wim"));
    wim(folder, &["apply", "j.wim", "joined"]).ends_with(0);
    for applied in ["pipe", "file", "joined"] {
        assert_eq!(snapshot(&folder.join(applied)), before, "{applied}");
    }
    let ran = apply_ours(folder, &["half"], &parts[0]).ends_with(2);
    assert!(ran.stderr.contains("of its 3 parts these did not come: 2, 3"), "{}", ran.stderr);
    let ran = apply_ours(folder, &["none"], &parts[1]).ends_with(2);
    assert!(ran.stderr.contains("part 2 comes first") && !folder.join("none").exists(), "{}", ran.stderr);
    if wimlib(folder, &["join", "theirs.wim", "s.swm", "s2.swm", "s3.swm", "--quiet"]).is_some() {
        with_input("wimlib-imagex", folder, &["apply", "-", "1", "t"], parts.concat()).ends_with(0);
        assert_eq!(snapshot(&folder.join("t")), before);
        assert_eq!(is_pipable(folder, "theirs.wim"), is_pipable(folder, "j.wim"));
        wimlib(folder, &["split", "t.wim", "w.swm", "0.06"]).unwrap().ends_with(0);
        apply_ours(folder, &["w"], &parts_of("w").concat()).ends_with(0);
        assert_eq!(snapshot(&folder.join("w")), before);
    }
}

#[test]
fn several_images_and_deltas_come_through_one_pipe() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "One", "--pipable", "--norpfix"]).ends_with(0);
    let first = snapshot(&folder.join("src"));
    std::fs::write(folder.join("src/new"), "only in the second").unwrap();
    wim(folder, &["capture", "src", "d.wim", "--delta-from=t.wim", "--pipable", "--norpfix"]).ends_with(0);
    wim(folder, &["append", "src", "t.wim", "Two", "--norpfix"]).ends_with(0);
    let second = snapshot(&folder.join("src"));
    let json = apply_ours(folder, &["all", "both", "--json"], &read(folder, "t.wim")).ends_with(0).json();
    assert_eq!(json["applied"].as_array().unwrap().len(), 2);
    assert_eq!(snapshot(&folder.join("both/One")), first);
    assert_eq!(snapshot(&folder.join("both/Two")), second);
    apply_ours(folder, &["two", "named"], &read(folder, "t.wim")).ends_with(0);
    assert_eq!(snapshot(&folder.join("named")), second);
    let stream = [read(folder, "d.wim"), read(folder, "t.wim")].concat();
    apply_ours(folder, &["delta"], &stream).ends_with(0);
    assert_eq!(snapshot(&folder.join("delta")), second);
    let ran = apply_ours(folder, &["alone"], &read(folder, "d.wim")).ends_with(2);
    assert!(ran.stderr.contains("is not in the stream") && ran.stderr.contains("base"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_piped_is_told() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "n.wim"]).ends_with(0);
    wim(folder, &["capture", "src", "p.wim", "--pipable"]).ends_with(0);
    for (line, word) in [
        (vec!["capture", "src", "-", "--check"], "cannot have an integrity table"),
        (vec!["capture", "src", "-", "--not-pipable"], "always pipable"),
        (vec!["capture", "src", "-", "--json"], "--json"),
        (vec!["export", "n.wim", "1", "-", "--include-integrity"], "cannot have an integrity table"),
        (vec!["append", "src", "-"], "appended"),
        (vec!["append", "src", "-", "--create"], "appended"),
        (vec!["info", "-"], "standard input"),
        (vec!["extract", "-", "1", "a.txt"], "standard input"),
    ] {
        let ran = wim(folder, &line).ends_with(2);
        assert!(ran.stderr.contains(word), "{line:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty() || line.contains(&"--json"), "{line:?}");
    }
    let whole = read(folder, "p.wim");
    for (input, word) in [
        (read(folder, "n.wim"), "not pipable"),
        (whole[..whole.len() / 2].to_vec(), "the stream ends here"),
        (whole[..whole.len() - 100].to_vec(), "the stream ends here"),
        (b"nothing of the kind".to_vec(), "the stream ends here"),
        (vec![7; 5000], "not a WIM"),
    ] {
        let ran = apply_ours(folder, &["out"], &input).ends_with(2);
        assert!(
            ran.stderr.contains("standard input: ") && ran.stderr.contains(word),
            "{word}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    }
    // A reader that has gone away has not got the file.
    let script = format!("{} capture src - | head -c 10 >/dev/null", env!("CARGO_BIN_EXE_wim"));
    let script = format!("set -o pipefail; {script}");
    let ran = command("bash", folder, &["-c", &script]).output();
    if let Ok(output) = ran {
        // The whole file may fit into the pipe before it is closed.
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(code == Some(0) || code == Some(2) && stderr.contains("has closed it"), "{code:?} {stderr}");
    }
}
