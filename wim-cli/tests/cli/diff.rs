//! `wim diff`: what differs between two images, and the exit code that says whether.

use serde_json::Value;

use crate::{sample_tree, wim, wimlib};

#[test]
fn two_captures_differ_in_what_was_changed_between_them() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    std::fs::write(at.join("src/dir/b.txt"), "hello again\n").unwrap();
    std::fs::rename(at.join("src/dir/seq.txt"), at.join("src/moved.txt")).unwrap();
    std::fs::remove_file(at.join("src/zero")).unwrap();
    std::fs::write(at.join("src/empty/new"), "new").unwrap();
    wim(at, &["append", "src", "t.wim", "Two"]).ends_with(0);

    let same = wim(at, &["diff", "t.wim:1", "t.wim:One"]).ends_with(0);
    assert_eq!(same.text(), "");
    let text = wim(at, &["diff", "t.wim:1", "t.wim:2", "--ignore=times"]).ends_with(1).text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        lines,
        [
            "changed   /dir/b.txt",
            "added     /empty/new (3 bytes)",
            "renamed   /dir/seq.txt -> /moved.txt",
            "removed   /zero (0 bytes)",
            "1 added, 1 removed, 1 changed, 1 renamed",
        ]
    );
    assert!(text.contains("    content: 6 bytes, "), "{text}");
    wim(at, &["diff", "t.wim:1", "t.wim:2", "--path=/dir/sub"]).ends_with(0);
    wim(at, &["diff", "t.wim:1", "t.wim:2", "--path=/nope"]).ends_with(2);

    let ran = wim(at, &["diff", "t.wim:1", "t.wim:2", "--json", "--properties"]).ends_with(1);
    let lines: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], serde_json::json!({ "schema_version": 1, "verb": "diff" }));
    let name = lines.iter().find(|line| line["path"] == "NAME").unwrap();
    assert_eq!((&name["change"], &name["changes"][0]["new"]), (&"property".into(), &"Two".into()));
    let content = lines.iter().find(|line| line["path"] == "/dir/b.txt").unwrap();
    assert_eq!(content["changes"][0]["what"], "content");
    assert_eq!(content["changes"][0]["new"]["size"], 12);
    assert_eq!(lines.last().unwrap()["totals"]["added"], 1);
}

#[test]
fn misuse_is_told() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim"]).ends_with(0);
    let unknown = wim(at, &["diff", "t.wim", "t.wim", "--ignore=time"]).ends_with(2);
    assert!(unknown.stderr.contains("write-time"), "{}", unknown.stderr);
    let missing = wim(at, &["diff", "t.wim:2", "t.wim"]).ends_with(2);
    assert!(missing.stderr.contains("t.wim"), "{}", missing.stderr);
}

#[test]
fn split_sets_and_deltas_are_compared_as_they_are() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "base.wim"]).ends_with(0);
    wim(at, &["split", "base.wim", "part.swm", "--parts=2"]).ends_with(0);
    wim(at, &["diff", "base.wim", "part.swm"]).ends_with(0);
    std::fs::write(at.join("src/a.txt"), "changed\n").unwrap();
    wim(at, &["capture", "src", "delta.wim", "--delta-from=base.wim"]).ends_with(0);
    let ran = wim(at, &["diff", "base.wim", "delta.wim", "--ref=base.wim", "--ignore=times"]).ends_with(1);
    assert!(ran.text().contains("/a.txt\n    content: 6 bytes") && ran.text().contains("-> 8 bytes"));
}

#[test]
fn what_wimlib_captures_is_what_we_capture() {
    let folder = sample_tree();
    let at = folder.path();
    let Some(theirs) = wimlib(at, &["capture", "src", "theirs.wim"]) else { return };
    theirs.ends_with(0);
    wim(at, &["capture", "src", "ours.wim"]).ends_with(0);
    wim(at, &["diff", "ours.wim", "theirs.wim", "--ignore=access-time"]).ends_with(0);
}

#[test]
fn two_sets_with_parts_elsewhere_are_compared_and_a_third_is_refused() {
    let folder = sample_tree();
    let at = folder.path();
    for (name, more) in [("a", "one"), ("b", "two"), ("c", "three")] {
        std::fs::write(at.join("src/dir/b.txt"), more).unwrap();
        wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
        wim(at, &["split", "t.wim", &format!("{name}.swm"), "--parts=2"]).ends_with(0);
        std::fs::create_dir(at.join(name)).unwrap();
        std::fs::rename(at.join(format!("{name}2.swm")), at.join(format!("{name}/{name}2.swm"))).unwrap();
    }
    for verb in [&["diff"][..], &["reg", "diff"]] {
        let line = |refs: &[&'static str]| [verb, &["a.swm", "b.swm"], refs].concat();
        let ran = wim(at, &line(&["--ref=a/*", "--ref=b/*"]));
        // The images have no hives, so that these do not differ.
        assert_eq!(ran.code, Some(i32::from(verb == ["diff"])), "{verb:?}: {}", ran.stderr);
        assert_eq!(ran.stderr, "", "{verb:?}");
        let ran = wim(at, &line(&["--ref=a/*", "--ref=c/*"])).ends_with(2);
        assert!(ran.stderr.contains("another set"), "{verb:?}: {}", ran.stderr);
    }
    let text =
        wim(at, &["diff", "a.swm", "b.swm", "--ref=a/*", "--ref=b/*", "--ignore=times"]).ends_with(1).text();
    assert!(text.starts_with("changed   /dir/b.txt"), "{text}");
    // One set has two images: its parts are taken for both sides.
    wim(at, &["diff", "a.swm:1", "a.swm:One", "--ref=a/*"]).ends_with(0);
}
