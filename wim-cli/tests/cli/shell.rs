//! What all verbs share: help, streams, colour, the shapes of JSON answers, verbs that are not there yet.

use crate::{command, sample_tree, wim};

const VERBS: [&str; 14] = [
    "info", "dir", "extract", "apply", "verify", "export", "delete", "capture", "optimize", "append",
    "update", "split", "join", "diff",
];

#[test]
fn every_verb_has_help_that_documents_its_json() {
    let folder = tempfile::tempdir().unwrap();
    let overview = wim(folder.path(), &["--help"]).ends_with(0).text();
    for verb in VERBS {
        assert!(overview.contains(&format!("  {verb}")), "{verb} is not in the overview");
        let help = wim(folder.path(), &[verb, "--help"]).ends_with(0).text();
        assert!(help.contains("With --json:"), "{verb}: {help}");
        assert!(help.contains("--threads <N>") && help.contains("--memory <SIZE>"), "{verb}: {help}");
    }
    assert!(wim(folder.path(), &["--version"]).ends_with(0).text().starts_with("wim "));
}

/// The keys of an object, sorted.
fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The fields of `extract`, and of each image of `apply`.
const APPLIED: [&str; 19] = [
    "bytes",
    "damaged_blobs",
    "directories",
    "files",
    "hard_links",
    "image",
    "left_out_attributes",
    "left_out_descriptors",
    "left_out_encrypted",
    "left_out_extended_attributes",
    "left_out_named_streams",
    "left_out_names",
    "left_out_object_ids",
    "left_out_reparse_points",
    "left_out_short_names",
    "left_out_unix_data",
    "special_files",
    "symbolic_links",
    "target",
];

/// The fields of verbs that write a WIM.
const WRITTEN: [&str; 8] = [
    "copied_bytes",
    "copied_resources",
    "encoded_bytes",
    "encoded_resources",
    "file_bytes",
    "image_count",
    "path",
    "replaced_bytes",
];

/// Asserts that `answer` has the envelope's fields and `fields`, and no others.
#[track_caller]
fn has_shape(answer: &serde_json::Value, fields: &[&str]) {
    let mut all: Vec<&str> = fields.iter().copied().chain(["schema_version", "verb"]).collect();
    all.sort_unstable();
    assert_eq!(keys(answer), all);
    assert_eq!(answer["schema_version"], 1);
}

#[test]
fn json_answers_keep_their_shape() {
    let folder = sample_tree();
    let folder = folder.path();
    let run = |arguments: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        wim(folder, &arguments).json()
    };
    let captured = [&WRITTEN[..], &["bytes", "directories", "excluded", "files"]].concat();
    has_shape(&run(&["capture", "src", "t.wim"]), &captured);
    has_shape(&run(&["export", "t.wim", "1", "e.wim"]), &WRITTEN);
    has_shape(&run(&["optimize", "e.wim"]), &WRITTEN);
    has_shape(&run(&["delete", "e.wim", "1"]), &WRITTEN);
    let verified = ["blobs", "bytes", "damaged", "findings", "images", "integrity", "path"];
    has_shape(&run(&["verify", "t.wim"]), &verified);
    let apply = run(&["apply", "t.wim", "out"]);
    has_shape(&apply, &["applied"]);
    assert_eq!(keys(&apply["applied"][0]), APPLIED);
    has_shape(&run(&["extract", "t.wim", "1", "a.txt", "--dest-dir=out2"]), &APPLIED);
    let error = run(&["info", "nofile"]);
    assert_eq!(keys(&error), ["error", "schema_version"]);
    assert_eq!(keys(&error["error"]), ["file", "hint", "kind", "message", "place"]);
}

#[test]
fn the_json_of_info_keeps_its_shape() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim"]).ends_with(0);
    let info = wim(folder, &["info", "t.wim", "--json"]).ends_with(0).json();
    let mut fields = vec!["attributes", "boot_index", "chunk_size", "compression", "file_bytes", "guid"];
    fields.extend(["image_count", "images", "part_number", "path", "total_bytes", "total_parts", "version"]);
    has_shape(&info, &fields);
    let mut fields = vec!["creation_time", "description", "directory_count", "display_description"];
    fields.extend([
        "display_name",
        "file_count",
        "flags",
        "hard_link_bytes",
        "index",
        "last_modification_time",
    ]);
    fields.extend(["name", "total_bytes", "wimboot_compatible", "windows"]);
    assert_eq!(keys(&info["images"][0]), fields);
}

#[test]
fn quiet_keeps_answers_and_errors_only() {
    let folder = sample_tree();
    let folder = folder.path();
    let ran = wim(folder, &["capture", "src", "t.wim", "--quiet"]).ends_with(0);
    assert_eq!((ran.text(), ran.stderr), (String::new(), String::new()));
    assert_eq!(wim(folder, &["verify", "t.wim", "--quiet"]).ends_with(0).text(), "");
    assert_eq!(wim(folder, &["--quiet", "apply", "t.wim", "out"]).ends_with(0).text(), "");
    assert!(wim(folder, &["info", "t.wim", "--quiet"]).ends_with(0).text().starts_with("WIM Information:"));
    assert!(wim(folder, &["dir", "t.wim", "--quiet"]).ends_with(0).text().contains("/dir/b.txt\n"));
    assert!(wim(folder, &["info", "nofile", "--quiet"]).ends_with(2).stderr.starts_with("error: "));
}

#[test]
fn no_escape_sequences_outside_terminals() {
    let folder = sample_tree();
    let folder = folder.path();
    for arguments in [
        vec!["capture", "src", "t.wim", "--progress=bar"],
        vec!["verify", "t.wim"],
        vec!["info", "nofile"],
        vec![],
    ] {
        let mut command = command(env!("CARGO_BIN_EXE_wim"), folder, &arguments);
        let output = command.env_remove("NO_COLOR").output().unwrap();
        assert!(!output.stderr.contains(&0x1B) && !output.stdout.contains(&0x1B), "{arguments:?}");
    }
}

#[test]
fn bad_values_are_refused_before_anything_is_done() {
    let folder = sample_tree();
    let folder = folder.path();
    for option in [
        "--threads=-1",
        "--threads=many",
        "--threads=99999",
        "--memory=1K",
        "--memory=lots",
        "--progress=pictures",
        "--chunk-size=5",
        "--compress=",
    ] {
        let ran = wim(folder, &["capture", "src", "t.wim", option]).ends_with(2);
        assert!(ran.stderr.starts_with("error: "), "{option}: {}", ran.stderr);
        assert!(!folder.join("t.wim").exists(), "{option}");
    }
    wim(folder, &["capture", "src", "t.wim", "--threads=0", "--memory", "64MiB"]).ends_with(0);
}

#[test]
fn the_last_of_an_option_given_twice_wins() {
    let folder = sample_tree();
    let folder = folder.path();
    let arguments = [
        "capture",
        "--compress=LZX",
        "src",
        "--check",
        "t.wim",
        "--compress",
        "fast",
        "--check",
        "--",
        "-Name",
    ];
    wim(folder, &arguments).ends_with(0);
    let json = wim(folder, &["info", "t.wim", "--json", "--json"]).ends_with(0).json();
    assert_eq!((&json["compression"], &json["images"][0]["name"]), (&"XPRESS".into(), &"-Name".into()));
    for (options, has_table) in [
        (["--check", "--nocheck"], false),
        (["--nocheck", "--check"], true),
        (["--nocheck", "--include-i"], true),
    ] {
        let line: Vec<&str> = ["optimize", "t.wim"].into_iter().chain(options).collect();
        wim(folder, &line).ends_with(0);
        let json = wim(folder, &["info", "t.wim", "--json"]).ends_with(0).json();
        assert_eq!(json["attributes"][0] == "Integrity info", has_table, "{options:?}");
    }
}

#[test]
fn verbs_that_do_not_exist_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let ran = wim(folder.path(), &["frobnicate"]).ends_with(2);
    assert!(ran.stderr.contains("frobnicate"), "{}", ran.stderr);
    let json = wim(folder.path(), &["frobnicate", "--json"]).ends_with(2).json();
    assert_eq!(json["error"]["kind"], "invalid_input");
}
