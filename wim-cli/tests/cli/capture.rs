//! `wim capture` beside `wimlib-imagex capture`, and what becomes of the target when it fails or is stopped.

use std::path::Path;

use crate::{command, noise, sample_tree, wim, wimlib};

/// Times of the sample tree: any that are not now, with 100 ns digits.
fn set_times(folder: &Path) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_500_000_000, 123_456_700);
    for path in ["src/a.txt", "src/dir/b.txt", "src/dir/seq.txt", "src/dir/sub/noise.bin", "src/zero"] {
        let file = std::fs::File::options().append(true).open(folder.join(path)).unwrap();
        let times = std::fs::FileTimes::new().set_accessed(time).set_modified(time);
        file.set_times(times).unwrap();
    }
}

/// A listing without what depends on the codec and on reading times.
fn listing(folder: &Path, file: &str) -> String {
    let text = wim(folder, &["dir", file, "--detailed"]).ends_with(0).text();
    let differs = ["Offset in WIM", "Compressed size", "Creation Time", "Last Access Time"];
    let kept = text.lines().filter(|line| !differs.iter().any(|label| line.starts_with(label)));
    kept.map(|line| format!("{line}\n")).collect()
}

fn information(folder: &Path, file: &str) -> String {
    let text = wim(folder, &["info", file]).ends_with(0).text();
    let differs = ["Path:", "GUID:", "Size:", "Creation Time:", "Last Modification Time:"];
    let kept = text.lines().filter(|line| !differs.iter().any(|label| line.starts_with(label)));
    kept.map(|line| format!("{line}\n")).collect()
}

#[test]
fn captures_are_what_wimlib_captures() {
    let folder = sample_tree();
    let folder = folder.path();
    set_times(folder);
    for arguments in [
        vec!["capture", "src"],
        vec!["capture", "src/"],
        vec!["capture", "src", "Name", "Description", "--boot", "--check"],
        vec!["capture", "src", "", "--compress=none"],
        vec!["capture", "src", "--compress=fast", "--chunk-size=16K", "--norpfix"],
        vec!["capture", "src", "--compress", "maximum:20", "--include-integrity", "--dereference"],
        vec![
            "capture",
            "src",
            "W",
            "--flags=Professional",
            "--image-property",
            "WINDOWS/ARCH=9",
            "--image-property=WINDOWS/LANGUAGES/LANGUAGE[1]=en-US",
            "--image-property=WINDOWS/LANGUAGES/LANGUAGE[2]=de-DE",
            "--image-property=DISPLAYNAME=A & B <C>",
        ],
    ] {
        let line = |file: &'static str| -> Vec<&str> {
            arguments[..2].iter().copied().chain([file]).chain(arguments[2..].iter().copied()).collect()
        };
        assert_eq!(wim(folder, &line("ours.wim")).ends_with(0).text(), "");
        let Some(theirs) = wimlib(folder, &line("theirs.wim")) else { return };
        theirs.ends_with(0);
        assert_eq!(information(folder, "ours.wim"), information(folder, "theirs.wim"), "{arguments:?}");
        assert_eq!(listing(folder, "ours.wim"), listing(folder, "theirs.wim"), "{arguments:?}");
        let verified = wim(folder, &["verify", "ours.wim"]).ends_with(0);
        assert!(!verified.text().contains("remark"), "{}", verified.text());
        wimlib(folder, &["verify", "ours.wim"]).unwrap().ends_with(0);
    }
}

#[test]
fn wimlib_applies_what_is_captured() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "--json"]).ends_with(0);
    let Some(applied) = wimlib(folder, &["apply", "t.wim", "out"]) else { return };
    applied.ends_with(0);
    for file in ["a.txt", "dir/b.txt", "dir/seq.txt", "dir/sub/noise.bin", "zero", "hard.txt"] {
        let read = |root: &str| std::fs::read(folder.join(root).join(file)).unwrap();
        assert!(read("src") == read("out"), "{file}");
    }
    assert!(folder.join("out/empty").is_dir());
}

#[test]
fn the_answer_counts_what_was_captured() {
    let folder = sample_tree();
    let folder = folder.path();
    std::fs::write(folder.join("src/hiberfil.sys"), "left out by default").unwrap();
    std::fs::write(folder.join("c.ini"), "[ExclusionList]\r\n*.txt\r\n/dir\r\n").unwrap();
    let json = wim(folder, &["capture", "src", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!(
        (&json["verb"], &json["directories"], &json["excluded"]),
        (&"capture".into(), &4.into(), &1.into())
    );
    assert_eq!(json["file_bytes"], std::fs::metadata(folder.join("t.wim")).unwrap().len());
    wim(folder, &["capture", "src", "c.wim", "--config=c.ini"]).ends_with(0);
    let listed = wim(folder, &["dir", "c.wim"]).ends_with(0).text();
    assert!(!listed.contains(".txt") && !listed.contains("/dir") && listed.contains("/zero"), "{listed}");
    std::fs::write(folder.join("c.ini"), "no section").unwrap();
    let ran = wim(folder, &["capture", "src", "c.wim", "--config=c.ini"]).ends_with(0);
    assert!(ran.stderr.contains("c.ini: line 1"), "{}", ran.stderr);
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let folder = sample_tree();
    let folder = folder.path();
    let mut made = Vec::new();
    for (threads, memory) in [("1", "32M"), ("2", "64M"), ("8", "192M")] {
        let arguments = ["capture", "src", "t.wim", "--threads", threads, "--memory", memory, "--check"];
        let mut command = command(env!("CARGO_BIN_EXE_wim"), folder, &arguments);
        assert!(command.env("SOURCE_DATE_EPOCH", "1500000000").status().unwrap().success());
        made.push(std::fs::read(folder.join("t.wim")).unwrap());
    }
    assert!(made.windows(2).all(|pair| pair[0] == pair[1]));
    let json = wim(folder, &["info", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!(json["images"][0]["creation_time"], "2017-07-14T02:40:00.0000000Z");
    let mut command = command(env!("CARGO_BIN_EXE_wim"), folder, &["capture", "src", "t.wim"]);
    assert_eq!(command.env("SOURCE_DATE_EPOCH", "soon").output().unwrap().status.code(), Some(2));
}

#[test]
fn a_target_is_replaced_whole_or_not_at_all() {
    let folder = sample_tree();
    let folder = folder.path();
    std::fs::write(folder.join("t.wim"), "precious").unwrap();
    for refused in [
        vec!["capture", "nope", "t.wim"],
        vec!["capture", "src/a.txt", "t.wim"],
        vec!["capture", "src", "t.wim", "--image-property", "NOVALUE"],
        vec!["capture", "src", "t.wim", "--image-property", "A[7]=x"],
        vec!["capture", "src", "t.wim", "--image-property", "A=\u{1}"],
        vec!["capture", "src", "t.wim", "a\u{1B}[2Jb"],
        vec!["capture", "src", "t.wim", "--flags=\u{7}"],
        vec!["capture", "src", "t.wim", "--compress=lzma"],
        vec!["capture", "src", "t.wim", "--solid", "--solid-compress=none"],
        vec!["capture", "src", "t.wim", "--solid", "--solid-chunk-size=128M"],
        vec!["capture", "src", "t.wim", "--threads=-1"],
        vec!["capture", "src", "nofolder/t.wim"],
        vec!["capture", "src", "-", "--check"],
    ] {
        let ran = wim(folder, &refused).ends_with(2);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        assert_eq!(std::fs::read(folder.join("t.wim")).unwrap(), b"precious", "{refused:?}");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2, "{refused:?}");
    }
    wim(folder, &["capture", "src", "t.wim"]).ends_with(0);
    wim(folder, &["verify", "t.wim"]).ends_with(0);
}

/// Starts a long capture, sends it a signal when `is_time` says so, and returns its exit code.
#[cfg(unix)]
fn interrupted(folder: &Path, signal: &str, is_time: impl Fn() -> bool) -> Option<i32> {
    use std::time::{Duration, Instant};
    let arguments = ["capture", "big", "t.wim", "--compress=LZX:100", "--threads=1"];
    let mut child = command(env!("CARGO_BIN_EXE_wim"), folder, &arguments)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !is_time() && since.elapsed() < Duration::from_secs(60) {
        assert_eq!(child.try_wait().unwrap(), None, "it was done before the signal");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let asked = Instant::now();
    let status = child.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?} to stop", asked.elapsed());
    status.code()
}

#[test]
#[cfg(unix)]
fn a_signal_leaves_the_target_untouched_and_no_litter() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("big")).unwrap();
    for number in 0..8 {
        // Hundreds of megabytes that cost no disk, and some that take an encoder its time.
        let file = std::fs::File::create(folder.join(format!("big/hole{number}"))).unwrap();
        file.set_len((48 << 20) + number).unwrap();
    }
    std::fs::write(folder.join("big/noise"), noise(24 << 20)).unwrap();
    std::fs::write(folder.join("t.wim"), "precious").unwrap();
    let files = || std::fs::read_dir(folder).unwrap().count();
    let is_writing = || files() > 2;
    assert_eq!(interrupted(folder, "-INT", is_writing), Some(130));
    assert_eq!((std::fs::read(folder.join("t.wim")).unwrap().as_slice(), files()), (&b"precious"[..], 2));
    let since = std::time::Instant::now();
    assert_eq!(interrupted(folder, "-TERM", move || since.elapsed().as_millis() > 150), Some(130));
    assert_eq!((std::fs::read(folder.join("t.wim")).unwrap().as_slice(), files()), (&b"precious"[..], 2));
}

#[cfg(unix)]
#[test]
fn a_target_that_cannot_be_written_is_refused_before_anything_is_read() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim"]).ends_with(0);
    // A file that cannot be captured would be met on the way.
    let unreadable = at.join("src/name\\with a backslash");
    std::fs::write(&unreadable, "").unwrap();
    let ran = wim(at, &["capture", "src", "n.wim"]).ends_with(2);
    assert!(ran.stderr.contains("backslash"), "{}", ran.stderr);
    let lock = std::fs::File::open(at.join("t.wim")).unwrap();
    lock.lock().unwrap();
    for (target, word) in [("t.wim", "another program"), ("nowhere/n.wim", "nowhere"), ("src", "directory")] {
        let ran = wim(at, &["capture", "src", target]).ends_with(2);
        assert!(ran.stderr.contains(word) && !ran.stderr.contains("backslash"), "{target}: {}", ran.stderr);
    }
    drop(lock);
    std::fs::remove_file(unreadable).unwrap();
    wim(at, &["capture", "src", "t.wim"]).ends_with(0);
}

#[test]
fn links_are_said_to_be_fixed_only_where_a_source_is_the_root() {
    let folder = sample_tree();
    let at = folder.path();
    for (list, is_fixed) in
        [("src /\n", true), ("src /x\n", false), ("src /x\nsrc/dir /\n", true), ("", false)]
    {
        std::fs::write(at.join("list"), list).unwrap();
        wim(at, &["capture", "list", "ours.wim", "--source-list"]).ends_with(0);
        let header = wim(at, &["info", "ours.wim", "--header"]).ends_with(0).text();
        assert_eq!(header.contains("RP_FIX"), is_fixed, "{list:?}: {header}");
        if let Some(theirs) = wimlib(at, &["capture", "list", "theirs.wim", "--source-list"]) {
            theirs.ends_with(0);
            let header = wim(at, &["info", "theirs.wim", "--header"]).ends_with(0).text();
            assert_eq!(header.contains("RP_FIX"), is_fixed, "{list:?}: {header}");
        }
    }
}
