//! `wim optimize` beside `wimlib-imagex optimize`.

use crate::{sample_tree, wim, wimlib};

#[test]
fn holes_go_and_the_text_is_wimlibs() {
    let folder = sample_tree();
    let folder = folder.path();
    let Some(made) = wimlib(folder, &["capture", "src", "t.wim", "One", "--check", "--quiet"]) else {
        return;
    };
    made.ends_with(0);
    for name in ["Two", "Three", "Four"] {
        wimlib(folder, &["append", "src", "t.wim", name, "--quiet"]).unwrap().ends_with(0);
    }
    for arguments in [vec![], vec!["--nocheck"], vec!["--check"], vec!["--compress=none"]] {
        for file in ["ours.wim", "theirs.wim"] {
            std::fs::copy(folder.join("t.wim"), folder.join(file)).unwrap();
        }
        let line = |file| -> Vec<&str> { ["optimize", file].into_iter().chain(arguments.clone()).collect() };
        let ours = wim(folder, &line("ours.wim")).ends_with(0).text();
        let theirs = wimlib(folder, &line("theirs.wim")).unwrap().ends_with(0).text();
        for part in [" original size: ", " optimized size: ", "Space saved: "] {
            let figure = |text: &str| {
                let line = text.lines().find(|line| line.contains(part)).map(str::to_owned);
                let line = line.unwrap_or_else(|| panic!("no {part:?} in {text}")).replace("ours", "theirs");
                let (words, kib) = line.strip_suffix(" KiB").and_then(|line| line.rsplit_once(' ')).unwrap();
                (words.to_owned(), kib.parse::<i64>().unwrap())
            };
            let ((our_words, our_kib), (their_words, their_kib)) = (figure(&ours), figure(&theirs));
            assert_eq!(our_words, their_words, "{arguments:?}");
            // The files differ by a few bytes of compressed metadata, which may lie at the border of a KiB.
            assert!((our_kib - their_kib).abs() <= 1, "{arguments:?}: {our_kib} and {their_kib}");
        }
        wim(folder, &["verify", "ours.wim"]).ends_with(0);
        wimlib(folder, &["verify", "ours.wim"]).unwrap().ends_with(0);
        let attributes =
            |file| wim(folder, &["info", file, "--json"]).ends_with(0).json()["attributes"].clone();
        assert_eq!(attributes("ours.wim"), attributes("theirs.wim"), "{arguments:?}");
    }
}

#[test]
fn data_is_compressed_again_when_asked() {
    let folder = sample_tree();
    let folder = folder.path();
    let Some(made) = wimlib(folder, &["capture", "src", "t.wim", "--compress=none", "--quiet"]) else {
        return;
    };
    made.ends_with(0);
    let size = || std::fs::metadata(folder.join("t.wim")).unwrap().len();
    let plain = size();
    let json = wim(folder, &["optimize", "t.wim", "--compress=LZX:fast", "--json"]).ends_with(0).json();
    assert_eq!((&json["replaced_bytes"], &json["file_bytes"]), (&plain.into(), &size().into()));
    assert!(size() < plain / 2, "{} of {plain}", size());
    let json = wim(folder, &["optimize", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!(json["encoded_resources"], 0);
    let json = wim(folder, &["optimize", "t.wim", "--recompress", "--json"]).ends_with(0).json();
    assert_eq!(json["copied_resources"], 0);
    wim(folder, &["optimize", "t.wim", "--compress=XPRESS", "--chunk-size=64K"]).ends_with(0);
    let info = wim(folder, &["info", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!((&info["compression"], &info["chunk_size"]), (&"XPRESS".into(), &65_536.into()));
    wimlib(folder, &["verify", "t.wim"]).unwrap().ends_with(0);

    let before = std::fs::read(folder.join("t.wim")).unwrap();
    for refused in ["--chunk-size=1M", "--chunk-size=33000", "--compress=bad", "--compress=lzx:0"] {
        wim(folder, &["optimize", "t.wim", refused]).ends_with(2);
        assert_eq!(std::fs::read(folder.join("t.wim")).unwrap(), before, "{refused}");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2, "no temporary file stays");
}
