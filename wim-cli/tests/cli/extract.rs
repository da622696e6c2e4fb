//! `wim extract` beside `wimlib-imagex extract`.

use std::path::Path;

use crate::apply::snapshot;
use crate::{data_folder, sample_tree, wim, wimlib};

fn made() -> tempfile::TempDir {
    let folder = sample_tree();
    wim(folder.path(), &["capture", "src", "t.wim", "One"]).ends_with(0);
    std::fs::write(
        folder.path().join("list"),
        "; comment\n# another\n\n  \\dir\\sub  \n/a.txt\r\ndir/b.t?t\n",
    )
    .unwrap();
    folder
}

/// Files below a folder without their times, which directories made on the way have of now.
fn files(folder: &Path, name: &str) -> Vec<(String, String)> {
    let cut = |what: String| what.split(", of ").next().unwrap_or_default().replace(" of ", "").to_owned();
    let kind = |what: String| if what.starts_with("directory") { "directory".to_owned() } else { cut(what) };
    let found = snapshot(&folder.join(name));
    found.into_iter().map(|(path, what)| (path, kind(what))).collect()
}

#[test]
fn paths_and_wildcards_are_wimlibs() {
    let folder = made();
    let folder = folder.path();
    for (number, operands) in [
        vec![],
        vec!["/a.txt"],
        vec!["dir"],
        vec!["\\dir\\sub\\noise.bin", "zero"],
        vec!["*.txt"],
        vec!["dir/*"],
        vec!["d?r/s*", "link"],
        vec!["dir/sub", "a.txt", "--preserve-dir-structure"],
        vec!["@list"],
        vec!["hard.txt", "a.txt", "@list"],
        vec!["dir/*", "nope*", "--nullglob"],
        vec!["--no-globs", "a.txt"],
        vec!["/"],
    ]
    .into_iter()
    .enumerate()
    {
        let (ours, theirs) = (format!("ours{number}"), format!("theirs{number}"));
        let line = |to: &str| -> Vec<String> {
            let fixed =
                ["extract".to_owned(), "t.wim".to_owned(), "1".to_owned(), format!("--dest-dir={to}")];
            fixed.into_iter().chain(operands.iter().map(|&operand| operand.to_owned())).collect()
        };
        let ran = wim(folder, &line(&ours)).ends_with(0);
        assert_eq!(ran.text(), "Done extracting files.\n", "{operands:?}");
        let Some(reference) = wimlib(folder, &line(&theirs)) else { return };
        reference.ends_with(0);
        assert_eq!(files(folder, &ours), files(folder, &theirs), "{operands:?}");
        assert!(!files(folder, &ours).is_empty(), "{operands:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_means_several_files_is_refused_and_an_exact_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (path, text) in [("src/Foo/x", "one"), ("src/foo/x", "two"), ("src/foo/only", "here")] {
        std::fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        std::fs::write(at.join(path), text).unwrap();
    }
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    for more in [&[][..], &["--no-globs"]] {
        let extract = |path: &str| wim(at, &[&["extract", "t.wim", "1", path, "--to-stdout"], more].concat());
        let ran = extract("/FOO/x").ends_with(2);
        assert!(ran.stderr.contains("\\Foo\\x, \\foo\\x"), "{}", ran.stderr);
        assert_eq!(extract("/foo/X").ends_with(0).text(), "two");
        assert_eq!(extract("/Foo/x").ends_with(0).text(), "one");
        // Only one of both has it.
        assert_eq!(extract("/FOO/ONLY").ends_with(0).text(), "here");
    }
    let ran = wim(at, &["extract", "t.wim", "1", "/F?O/only", "--to-stdout"]).ends_with(0);
    assert_eq!(ran.text(), "here");
}

#[cfg(unix)]
#[test]
fn whoever_takes_one_of_several_files_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (path, text) in [("src/Foo/x", "one"), ("src/foo/x", "two")] {
        std::fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        std::fs::write(at.join(path), text).unwrap();
    }
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    let run = |line: &[&str], ignores_case: bool| {
        let mut command = crate::command(env!("CARGO_BIN_EXE_wim"), at, line);
        if ignores_case {
            command.env("WIMLIB_IMAGEX_IGNORE_CASE", "1");
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(output.status.code(), Some(0), "{line:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let says = |stderr: &str| stderr.contains("warning: ") && stderr.contains("\\Foo, \\foo");
    for line in [
        &["dir", "t.wim", "--path=/FOO"][..],
        &["dir", "t.wim", "--du", "--path=/FOO"],
        &["diff", "t.wim", "t.wim", "--path=/FOO"],
    ] {
        let (_, stderr) = run(line, false);
        assert!(says(&stderr) && stderr.contains("t.wim: image 1: "), "{line:?}: {stderr}");
    }
    std::fs::copy(at.join("t.wim"), at.join("other.wim")).unwrap();
    let (_, stderr) = run(&["diff", "t.wim", "other.wim", "--path=/FOO"], false);
    let places: Vec<&str> = stderr.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(places, ["t.wim", "other.wim"], "{stderr}");
    assert_eq!(run(&["dir", "t.wim", "--path=/foo"], false).1, "", "an exact name is what was meant");
    let (text, stderr) = run(&["extract", "t.wim", "1", "/FOO/x", "--to-stdout"], true);
    assert!(text == "one" && says(&stderr), "{text:?} {stderr}");
    for command in ["add src/Foo/x /FOO", "rename /FOO /bar", "delete --recursive /FOO"] {
        std::fs::copy(at.join("t.wim"), at.join("u.wim")).unwrap();
        let command = format!("--command={command}");
        let mut line = crate::command(env!("CARGO_BIN_EXE_wim"), at, &["update", "u.wim", &command]);
        let output = line.env("WIMLIB_IMAGEX_IGNORE_CASE", "1").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(says(&stderr), "{command}: {stderr}");
        // A file cannot take the place of a directory; the other two are done.
        let is_refused = command.contains("=add");
        assert_eq!(output.status.code(), Some(if is_refused { 2 } else { 0 }), "{command}: {stderr}");
        let listed = wim(at, &["dir", "u.wim"]).ends_with(0).text();
        assert!(listed.contains("/foo/x") && listed.contains("/Foo/x") == is_refused, "{command}: {listed}");
    }
    // Where case matters nothing is taken.
    let ran = wim(at, &["update", "t.wim", "--command=delete --recursive /FOO"]).ends_with(1);
    assert!(!says(&ran.stderr), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn where_case_is_ignored_all_verbs_take_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for path in ["src/Foo/x", "src/foo/A"] {
        std::fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        std::fs::write(at.join(path), path).unwrap();
    }
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    let run = |line: &[&str]| {
        let mut command = crate::command(env!("CARGO_BIN_EXE_wim"), at, line);
        let output = command.env("WIMLIB_IMAGEX_IGNORE_CASE", "1").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("warning: ") && stderr.contains("\\Foo, \\foo"), "{line:?}: {stderr}");
        output.status.code()
    };
    // The first, \Foo, has no such file; the other one is not looked into.
    assert_eq!(run(&["dir", "t.wim", "--path=/FOO/a"]), Some(1));
    assert_eq!(run(&["update", "t.wim", "--command=delete /FOO/a"]), Some(1));
    assert_eq!(run(&["extract", "t.wim", "1", "/FOO/a", "--to-stdout"]), Some(1));
    assert_eq!(run(&["extract", "t.wim", "1", "/FOO/a", "--to-stdout", "--no-globs"]), Some(1));
    assert_eq!(run(&["diff", "t.wim", "t.wim", "--path=/FOO/x"]), Some(0));
    // A new path fits nothing yet, and still goes into the first of two.
    assert_eq!(run(&["update", "t.wim", "--command=add src/Foo/x /FOO/new"]), Some(0));
    assert!(wim(at, &["dir", "t.wim"]).ends_with(0).text().contains("/Foo/new\n"));
}

#[test]
fn what_does_not_fit_extracts_nothing() {
    let folder = made();
    let folder = folder.path();
    for (operands, code) in [
        (vec!["nope"], 1),
        (vec!["dir/*", "nope*"], 1),
        (vec!["*.t?t", "--no-globs"], 1),
        (vec!["../a.txt"], 2),
        (vec!["@nolist"], 2),
        (vec!["a.txt", "--solid"], 2),
    ] {
        let line: Vec<&str> =
            ["extract", "t.wim", "1", "--dest-dir=out"].into_iter().chain(operands.clone()).collect();
        let ran = wim(folder, &line).ends_with(code);
        assert!(ran.stderr.starts_with("error: "), "{operands:?}: {}", ran.stderr);
        assert!(!folder.join("out").exists(), "{operands:?}");
    }
    let json = wim(folder, &["extract", "t.wim", "1", "nope", "--json"]).ends_with(1).json();
    assert_eq!(json["error"]["place"]["path"], "nope");
    let upper = wim(folder, &["extract", "t.wim", "one", "DIR/*.TXT", "--dest-dir=out", "--json"])
        .ends_with(0)
        .json();
    assert_eq!(upper["files"], 2, "case is ignored when nothing is spelt so");
}

#[test]
fn files_go_to_standard_output() {
    let folder = made();
    let folder = folder.path();
    let noise = std::fs::read(folder.join("src/dir/sub/noise.bin")).unwrap();
    let ran = wim(folder, &["extract", "t.wim", "1", "dir/sub/noise.bin", "--to-stdout"]).ends_with(0);
    assert!(ran.stdout == noise);
    let ran =
        wim(folder, &["extract", "t.wim", "1", "--to-stdout", "a.txt", "zero", "dir/b.txt"]).ends_with(0);
    assert_eq!(ran.text(), "hello\nhello\n");
    for refused in ["dir", "link", "/"] {
        let ran = wim(folder, &["extract", "t.wim", "1", "a.txt", refused, "--to-stdout"]).ends_with(2);
        assert!(ran.stderr.contains("not a regular file"), "{}", ran.stderr);
        assert_eq!(ran.text(), "");
    }
    wim(folder, &["extract", "t.wim", "1", "a.txt", "--to-stdout", "--json"]).ends_with(2);
    let Some(theirs) = wimlib(folder, &["extract", "t.wim", "1", "dir/seq.txt", "--to-stdout"]) else {
        return;
    };
    let ours = wim(folder, &["extract", "t.wim", "1", "dir/seq.txt", "--to-stdout"]).ends_with(0);
    assert!(ours.stdout == theirs.stdout);
}

#[test]
#[cfg(unix)]
fn a_reader_that_has_seen_enough_is_no_error() {
    use std::io::Read;
    let folder = made();
    let folder = folder.path();
    let arguments = ["extract", "t.wim", "1", "dir/seq.txt", "--to-stdout"];
    let mut child = crate::command(env!("CARGO_BIN_EXE_wim"), folder, &arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 2];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    assert_eq!(&first, b"0\n");
}

#[test]
fn damage_is_no_file() {
    let Some(data) = data_folder("wim") else { return };
    let folder = tempfile::tempdir().unwrap();
    let wimfile = data.join("wimlib-corrupted_file_1.wim").display().to_string();
    let ran = wim(folder.path(), &["extract", &wimfile, "1", "file"]).ends_with(2);
    assert!(ran.stderr.contains("SHA-1"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let ran = wim(folder.path(), &["extract", &wimfile, "1", "file", "--to-stdout", "--quiet"]).ends_with(2);
    assert!(ran.stderr.contains("SHA-1"), "{}", ran.stderr);
}
