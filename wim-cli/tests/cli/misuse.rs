//! Options that mean nothing together are refused, and those that do are obeyed together: none is passed over in silence.

use crate::{sample_tree, wim, wimlib};

#[test]
fn options_that_exclude_each_other_are_refused() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    for line in [
        &["capture", "src", "n.wim", "--norpfix", "--rpfix"][..],
        &["capture", "src", "n.wim", "--no-acls", "--strict-acls"],
        &["append", "src", "t.wim", "Two", "--rpfix", "--norpfix"],
        &["apply", "t.wim", "1", "out", "--rpfix", "--norpfix"],
        &["apply", "t.wim", "1", "out", "--no-acls", "--strict-acls"],
        &["extract", "t.wim", "1", "a.txt", "--to-stdout", "--metadata"],
        &["extract", "t.wim", "1", "a.txt", "--to-stdout", "--unix-data"],
        &["extract", "t.wim", "1", "a.txt", "--to-stdout", "--strict-acls"],
        &["dir", "t.wim", "--du", "--detailed"],
        &["dir", "t.wim", "--du", "--one-file-only"],
    ] {
        let ran = wim(at, line).ends_with(2);
        assert!(ran.stderr.contains("cannot be used with"), "{line:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty() && !at.join("out").exists() && !at.join("n.wim").exists(), "{line:?}");
    }
}

#[test]
fn a_rebuilt_file_has_no_holes_to_fill() {
    let folder = sample_tree();
    let at = folder.path();
    for verb in
        [&["append", "src/dir", "t.wim", "Two"][..], &["update", "t.wim", "1", "--command=delete /zero"]]
    {
        wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
        std::fs::copy(at.join("t.wim"), at.join("u.wim")).unwrap();
        let both = ["--rebuild", "--unsafe-compact"];
        wim(at, &[verb, &both].concat()).ends_with(0);
        wim(at, &["verify", "t.wim"]).ends_with(0);
        let theirs: Vec<&str> =
            verb.iter().map(|word| if *word == "t.wim" { "u.wim" } else { *word }).chain(both).collect();
        if let Some(ran) = wimlib(at, &theirs) {
            ran.ends_with(0);
        }
    }
}

#[test]
fn what_a_file_was_is_shown_before_it_is_changed() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    let before = wim(at, &["info", "t.wim", "--xml"]).ends_with(0).stdout;
    wim(at, &["info", "t.wim", "1", "New", "--boot", "--extract-xml=x"]).ends_with(0);
    assert_eq!(std::fs::read(at.join("x")).unwrap(), before);
    let info = wim(at, &["info", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!((&info["images"][0]["name"], &info["boot_index"]), (&"New".into(), &1.into()), "{info}");
    let header = wim(at, &["info", "t.wim", "1", "Newer", "--header"]).ends_with(0);
    assert!(header.text().contains("Image Count                 = 1"), "{}", header.text());
    let refused = wim(at, &["info", "t.wim", "1", "Newest", "--header", "--json"]).ends_with(2);
    assert!(refused.text().contains("one answer"), "{}", refused.text());
    let info = wim(at, &["info", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!(info["images"][0]["name"], "Newer");
}
