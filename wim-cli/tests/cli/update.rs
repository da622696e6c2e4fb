//! `wim append` and `wim update` beside wimlib's.

use std::io::Write as _;
use std::path::Path;

use crate::{Ran, command, noise, sample_tree, wim, wimlib};

/// What an image holds: paths, hashes, counts, attributes and times of the last write.
fn listing(folder: &Path, file: &str, image: &str) -> String {
    let text = wim(folder, &["dir", file, image, "--detailed"]).ends_with(0).text();
    let differs =
        ["Offset in WIM", "Compressed size", "Creation Time", "Last Access Time", "Link Group", "Last Write"];
    let kept = text.lines().filter(|line| !differs.iter().any(|label| line.starts_with(label)));
    kept.map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn assert_good(folder: &Path, file: &str) {
    let ran = wim(folder, &["verify", file]).ends_with(0);
    assert!(!ran.text().contains("remark"), "{}", ran.text());
    if let Some(theirs) = wimlib(folder, &["verify", file]) {
        theirs.ends_with(0);
    }
}

/// Runs `update` of ours or of wimlib with `script` on standard input.
fn update(program: &str, folder: &Path, file: &str, script: &[u8], options: &[&str]) -> Ran {
    let line: Vec<&str> = ["update", file, "1"].into_iter().chain(options.iter().copied()).collect();
    let mut command = command(program, folder, &line);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    // A program that refuses its options does not read.
    let _ = child.stdin.take().unwrap().write_all(script);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

const OURS: &str = env!("CARGO_BIN_EXE_wim");

#[test]
fn images_are_appended_as_wimlib_appends_them() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "ours.wim", "One", "--check"]).ends_with(0);
    std::fs::copy(folder.join("ours.wim"), folder.join("theirs.wim")).unwrap();
    std::fs::write(folder.join("src/new"), noise(30_000)).unwrap();
    std::fs::create_dir(folder.join("over")).unwrap();
    std::fs::write(folder.join("over/a.txt"), "in place of another").unwrap();
    std::fs::write(
        folder.join("list"),
        "# both\nsrc /\nover \"/\"\nsrc/dir '/deep down/dir'\nover/a.txt x\n",
    )
    .unwrap();
    for (number, options) in [
        vec!["src"],
        vec!["src", "--boot", "--nocheck"],
        vec!["list", "--source-list", "--include-integrity", "--flags=Pro"],
        vec!["src", "--rebuild", "--unix-data"],
        vec!["src", "--update-of=-1"],
    ]
    .into_iter()
    .enumerate()
    {
        let line = |file: &'static str| -> Vec<&str> {
            let mut line = vec!["append", options[0], file];
            line.extend(&options[1..]);
            if options[1..].iter().any(|option| option.starts_with("--update-of")) {
                // wimlib wants the file.
                *line.last_mut().unwrap() =
                    if file == "ours.wim" { "--update-of=-1" } else { "--update-of=theirs.wim:-1" };
            }
            line
        };
        wim(folder, &line("ours.wim")).ends_with(0);
        assert_good(folder, "ours.wim");
        let image = (number + 2).to_string();
        if let Some(theirs) = wimlib(folder, &line("theirs.wim")) {
            theirs.ends_with(0);
            // A file captured twice becomes two names of one file with wimlib.
            let listing = |file| listing(folder, file, &image).replace("Link Count          = 2", "");
            let single = |text: String| text.replace("Link Count          = 1", "");
            assert_eq!(single(listing("ours.wim")), single(listing("theirs.wim")), "{options:?}");
            let names = |file| {
                let json = wim(folder, &["info", file, "--json"]).json();
                let names = json["images"].as_array().unwrap().iter().map(|image| image["name"].to_string());
                (names.collect::<Vec<_>>(), json["boot_index"].clone(), json["attributes"].clone())
            };
            assert_eq!(names("ours.wim"), names("theirs.wim"), "{options:?}");
        }
    }
    let before = std::fs::read(folder.join("ours.wim")).unwrap();
    for refused in [
        vec!["append", "src", "ours.wim", "One"],
        vec!["append", "src", "ours.wim", "X", "--compress=XPRESS"],
        vec!["append", "nope", "ours.wim"],
        vec!["append", "src", "ours.wim", "X", "--update-of=99"],
        vec!["append", "src", "none.wim", "X"],
    ] {
        wim(folder, &refused).ends_with(2);
        assert_eq!(std::fs::read(folder.join("ours.wim")).unwrap(), before, "{refused:?}");
    }
    wim(folder, &["append", "src", "none.wim", "X", "--create"]).ends_with(0);
    assert_good(folder, "none.wim");
}

#[test]
fn unchanged_files_are_not_read_again_and_a_delta_leaves_out_what_its_base_has() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "base.wim", "One"]).ends_with(0);
    std::fs::write(folder.join("src/new"), noise(30_000)).unwrap();
    let line = ["capture", "src", "delta.wim", "--delta-from=base.wim", "--update-of=1", "--json"];
    let json = wim(folder, &line).ends_with(0).json();
    assert_eq!(json["encoded_resources"], 2, "the new file and the metadata");
    if let Some(theirs) = wimlib(folder, &["apply", "delta.wim", "out", "--ref=base.wim"]) {
        theirs.ends_with(0);
        for file in ["new", "a.txt", "dir/sub/noise.bin"] {
            let read = |root: &str| std::fs::read(folder.join(root).join(file)).unwrap();
            assert_eq!(read("src"), read("out"), "{file}");
        }
    }
    // A file whose content changes under the same size and time is taken for the old one: so it was not read.
    let time = std::fs::metadata(folder.join("src/dir/b.txt")).unwrap().modified().unwrap();
    std::fs::write(folder.join("src/dir/b.txt"), "HELLO\n").unwrap();
    let file = std::fs::File::options().append(true).open(folder.join("src/dir/b.txt")).unwrap();
    file.set_modified(time).unwrap();
    wim(folder, &["append", "src", "base.wim", "Two", "--update-of=base.wim:1"]).ends_with(0);
    let ran = wim(folder, &["extract", "base.wim", "2", "dir/b.txt", "--to-stdout"]).ends_with(0);
    assert_eq!(ran.text(), "hello\n");
    assert_good(folder, "base.wim");
}

#[test]
fn updates_do_what_wimlib_does() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "ours.wim", "One", "--check"]).ends_with(0);
    std::fs::copy(folder.join("ours.wim"), folder.join("theirs.wim")).unwrap();
    std::fs::create_dir_all(folder.join("add me/dir")).unwrap();
    std::fs::write(folder.join("add me/dir/seq.txt"), "replaced").unwrap();
    std::fs::write(folder.join("add me/fresh"), noise(20_000)).unwrap();
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let scripts: [(&[u8], &[&str]); 7] = [
        (b"# nothing but a comment\n", &[]),
        (b"add 'add me' /\ndelete /zero\n", &[]),
        (b"rename /dir/b.txt /moved.txt\nadd a --no-replace /x/y/z\n", &["--no-replace"]),
        (b"delete --recursive --force /dir\ndelete --force /nothing\n", &["--check"]),
        (&utf16("\u{FEFF}add 'add me/fresh' /\u{e4}\u{1F600}\nrename hard.txt '/a b'\n"), &["--rebuild"]),
        (b"rename \"/a b\" /x/y/z\nadd src \\x\\src\n", &["--include-integrity"]),
        (b"delete /x\n", &["--recursive"]),
    ];
    std::fs::write(folder.join("a"), "a").unwrap();
    for (script, options) in scripts {
        update(OURS, folder, "ours.wim", script, options).ends_with(0);
        assert_good(folder, "ours.wim");
        if wimlib(folder, &["--version"]).is_some() {
            // wimlib 1.13 reads UTF-8 only.
            let units = script.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).skip(1);
            let text = match script.starts_with(&[0xFF, 0xFE]) {
                true => char::decode_utf16(units).map(Result::unwrap).collect::<String>().into_bytes(),
                false => script.to_vec(),
            };
            update("wimlib-imagex", folder, "theirs.wim", &text, options).ends_with(0);
            assert_eq!(listing(folder, "ours.wim", "1"), listing(folder, "theirs.wim", "1"));
        }
    }
    let json =
        wim(folder, &["update", "ours.wim", "--command", "add a '/the a'", "--json"]).ends_with(0).json();
    assert_eq!((&json["added_files"], &json["commands"], &json["image"]), (&1.into(), &1.into(), &1.into()));
    wim(folder, &["update", "ours.wim", "1", "--wimboot-config=a"]).ends_with(0);
    assert!(wim(folder, &["dir", "ours.wim"]).text().contains("/Windows/System32/WimBootCompress.ini\n"));
}

#[test]
fn a_failing_command_undoes_all_of_them() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "One", "--check"]).ends_with(0);
    let before = std::fs::read(folder.join("t.wim")).unwrap();
    for (script, code) in [
        ("delete /a.txt\ndelete /nope\n", 1),
        ("delete /a.txt\ndelete /A.TXT\n", 1),
        ("delete /dir\n", 2),
        ("add src/a.txt /new\nadd nope /x\n", 2),
        ("add src/a.txt /dir\n", 2),
        ("add src /a.txt\n", 2),
        ("add --no-replace src/a.txt /hard.txt\n", 2),
        ("rename /nope /x\n", 2),
        ("rename /dir /dir/sub/x\n", 2),
        ("delete /a.txt\nfrobnicate\n", 2),
    ] {
        update(OURS, folder, "t.wim", script.as_bytes(), &[]).ends_with(code);
        assert!(std::fs::read(folder.join("t.wim")).unwrap() == before, "{script}");
    }
    let line = ["update", "t.wim", "1", "--command=delete /DIR --recursive"];
    let mut ignoring = command(OURS, folder, &line);
    assert!(ignoring.env("WIMLIB_IMAGEX_IGNORE_CASE", "1").status().unwrap().success());
    assert!(!wim(folder, &["dir", "t.wim"]).text().contains("/dir"));
}

#[cfg(unix)]
#[test]
fn names_that_may_mean_several_are_told_inside_a_directory_that_is_added_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for path in ["src/d/Foo/x", "src/d/foo/x", "more/d/FOO/y", "more/d/foo/z"] {
        std::fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        std::fs::write(at.join(path), path).unwrap();
    }
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    let mut command = command(OURS, at, &["update", "t.wim", "--command=add more /"]);
    let output = command.env("WIMLIB_IMAGEX_IGNORE_CASE", "1").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("\\d\\FOO: ") && stderr.contains("\\d\\Foo, \\d\\foo"), "{stderr}");
    assert_eq!(stderr.matches("\\d\\Foo, ").count(), 1, "an exact name is what was meant: {stderr}");
    let listed = wim(at, &["dir", "t.wim"]).ends_with(0).text();
    assert!(listed.contains("/d/Foo/y\n") && listed.contains("/d/foo/z\n"), "{listed}");
}

#[cfg(unix)]
#[test]
fn a_link_that_is_added_is_a_link_unless_links_are_followed() {
    let folder = sample_tree();
    let at = folder.path();
    std::os::unix::fs::symlink("src", at.join("sl")).unwrap();
    std::os::unix::fs::symlink("nowhere", at.join("dangling")).unwrap();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    std::fs::copy(at.join("t.wim"), at.join("theirs.wim")).unwrap();
    let script = b"add src/link /file\nadd sl /directory\nadd dangling /x/dangling\nadd --dereference src/link /copy\n";
    update(OURS, at, "t.wim", script, &[]).ends_with(0);
    assert_good(at, "t.wim");
    let detail = |path: &str| wim(at, &["dir", "t.wim", "--detailed", "--path", path]).ends_with(0).text();
    for (path, is_link) in [("/file", true), ("/directory", true), ("/x/dangling", true), ("/copy", false)] {
        assert_eq!(
            detail(path).contains("FILE_ATTRIBUTE_REPARSE_POINT"),
            is_link,
            "{path}: {}",
            detail(path)
        );
    }
    if wimlib(at, &["--version"]).is_some() {
        update("wimlib-imagex", at, "theirs.wim", script, &[]).ends_with(0);
        wim(at, &["diff", "t.wim", "theirs.wim", "--ignore=times"]).ends_with(0);
    }
    // What becomes the root is what the link leads to.
    wim(at, &["capture", "sl", "root.wim"]).ends_with(0);
    update(OURS, at, "t.wim", b"delete / --recursive\nadd sl /\n", &[]).ends_with(0);
    wim(at, &["diff", "t.wim", "root.wim", "--ignore=times"]).ends_with(0);
}

#[test]
fn several_commands_may_stand_in_options() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    let line = ["update", "t.wim", "--command=delete /zero\nrename /a.txt /b", "--command", "rename /b /c"];
    wim(at, &line).ends_with(0);
    let listed = wim(at, &["dir", "t.wim"]).ends_with(0).text();
    assert!(listed.contains("/c\n") && !listed.contains("/zero") && !listed.contains("/a.txt"), "{listed}");
}
