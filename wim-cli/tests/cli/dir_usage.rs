//! `wim dir --du` and `--html`: what is big in an image.

use serde_json::Value;

use crate::{sample_tree, wim};

/// `hello\n` is shared by three names of two files, `shared.bin` by two images.
fn sample() -> tempfile::TempDir {
    let folder = sample_tree();
    let at = folder.path();
    std::fs::create_dir_all(at.join("other")).unwrap();
    std::fs::write(at.join("src/dir/sub/shared.bin"), [9; 5000]).unwrap();
    std::fs::write(at.join("other/shared.bin"), [9; 5000]).unwrap();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    wim(at, &["append", "other", "t.wim", "<Two> & \"more\""]).ends_with(0);
    folder
}

#[test]
fn folders_tell_what_they_hold_what_they_share_and_what_it_takes() {
    let folder = sample();
    let at = folder.path();
    let text = wim(at, &["dir", "t.wim", "1", "--du", "--json", "--depth=9"]).ends_with(0).text();
    let rows: Vec<Value> = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/", "/dir", "/dir/sub", "/empty"]);
    let of = |row: &Value, field: &str| row[field].as_u64().unwrap();
    let seq: u64 = (0..40_000).map(|n: u32| n.to_string().len() as u64 + 1).sum();
    let sub = &rows[2];
    assert_eq!(
        (of(sub, "bytes"), of(sub, "distinct_bytes"), of(sub, "own_bytes")),
        (105_000, 105_000, 100_000)
    );
    assert_eq!((of(sub, "own_stored_bytes"), of(sub, "files")), (100_000, 2));
    let dir = &rows[1];
    assert_eq!((of(dir, "bytes"), of(dir, "directories")), (105_006 + seq, 1));
    assert_eq!((of(dir, "own_bytes"), of(dir, "distinct_bytes")), (100_000 + seq, 105_006 + seq));
    let root = &rows[0];
    // The link's reparse data: 12 bytes and two names of five units with their ends.
    let reparse = if cfg!(unix) { 36 } else { 0 };
    assert_eq!(of(root, "bytes"), 105_018 + seq + reparse);
    // The three names of two files share six bytes; the other image has shared.bin too.
    assert_eq!(of(root, "distinct_bytes"), 105_006 + seq + reparse);
    assert_eq!(of(root, "own_bytes"), 100_006 + seq + reparse);
    assert!(of(root, "stored_bytes") < of(root, "distinct_bytes"));

    let by_name = wim(at, &["dir", "t.wim", "1", "--du", "--sort=name", "--path=/dir"]).ends_with(0).text();
    let shown: Vec<&str> = by_name.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(shown, ["path", "/dir", "/dir/sub"]);
    wim(at, &["dir", "t.wim", "1", "--du", "--path=/nope"]).ends_with(1);
    wim(at, &["dir", "t.wim", "1", "--du", "--path=/a.txt"]).ends_with(2);
}

#[test]
fn the_page_is_whole_and_its_names_are_escaped() {
    let folder = sample();
    let at = folder.path();
    std::fs::write(at.join("other/a & <b>.bin"), crate::noise(50_000)).unwrap();
    wim(at, &["append", "other", "t.wim", "Three <&>"]).ends_with(0);
    wim(at, &["dir", "t.wim", "3", "--html", "page.html", "--quiet"]).ends_with(0);
    let page = std::fs::read_to_string(at.join("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("Three &lt;&amp;&gt;") && page.contains("/a &amp; &lt;b&gt;.bin: 50000 bytes"));
    for forbidden in ["<script", "http:", "https:", "<b>", "Three <"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    wim(at, &["dir", "t.wim", "all", "--html", "page.html"]).ends_with(2);
}
