//! `wim bench`: tables, saved figures, the gate, pictures.

use std::path::Path;

use serde_json::{Value, json};

use crate::{command, noise, sample_tree, wim};

/// Runs a bench of one codec at one level on a small sample, unless `more` asks for another.
fn bench(folder: &Path, more: &[&str]) -> crate::Ran {
    let short = ["--codec=xpress:fast", "--threads=1", "--bytes=256K", "--runs=1"];
    let name = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
    let is_asked_for = |argument: &str| more.iter().any(|other| name(other) == name(argument));
    let short = short.into_iter().filter(|argument| !is_asked_for(argument));
    let arguments: Vec<&str> = ["bench"].into_iter().chain(short).chain(more.iter().copied()).collect();
    wim(folder, &arguments)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_codec_level_and_thread_count_has_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "bench",
        "--level=fast,30",
        "--threads=1,2",
        "--chunk-size=32K,64K",
        "--bytes=128K",
        "--runs=1",
        "--json",
    ];
    let json = wim(folder.path(), &arguments).ends_with(0).json();
    assert_eq!((&json["schema_version"], &json["verb"]), (&1.into(), &"bench".into()));
    assert_eq!((&json["sample"]["name"], &json["sample"]["bytes"]), (&"built-in".into(), &131_072.into()));
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3 * 2 * 2 * 2);
    for row in rows {
        for field in [
            "/ratio",
            "/encode/megabytes_per_second",
            "/encode/relative",
            "/encode/state_bytes",
            "/decode/megabytes_per_second_per_core",
            "/decode/relative",
            "/reference_megabytes_per_second",
        ] {
            assert!(row.pointer(field).and_then(Value::as_f64).is_some_and(|n| n > 0.0), "{field}: {row}");
        }
    }
    assert_eq!(json["comparison"], Value::Null);
    let text = bench(folder.path(), &[]).ends_with(0).text();
    assert!(text.contains("XPRESS:20 32K x1"), "{text}");
}

#[test]
fn the_global_number_of_threads_is_understood_before_the_verb() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--threads=2", "bench", "--codec=xpress:fast", "--bytes=64K", "--runs=1", "--json"];
    let json = wim(folder.path(), &arguments).ends_with(0).json();
    let threads: Vec<_> = json["rows"].as_array().unwrap().iter().map(|row| row["threads"].clone()).collect();
    assert_eq!(threads, [json!(2)]);
}

#[test]
fn a_wim_is_measured_by_its_blobs_and_a_file_by_its_bytes() {
    let folder = sample_tree();
    wim(folder.path(), &["capture", "src", "t.wim", "--quiet"]).ends_with(0);
    let of_wim = bench(folder.path(), &["t.wim", "--json"]).ends_with(0).json();
    assert!(
        of_wim["sample"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0 && bytes <= 256 << 10),
        "{of_wim}"
    );
    let all = bench(folder.path(), &["t.wim", "--bytes=1M", "--json"]).ends_with(0).json();
    let verified = wim(folder.path(), &["verify", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!((&all["sample"]["bytes"], &all["sample"]["pieces"]), (&verified["bytes"], &verified["blobs"]));

    std::fs::write(folder.path().join("noise"), noise(70_000)).unwrap();
    let of_noise = bench(folder.path(), &["noise", "--json"]).ends_with(0).json();
    assert_eq!(of_noise["sample"]["bytes"], 70_000);
    assert_eq!(of_noise["rows"][0]["ratio"], 1.0);
}

#[test]
fn the_gate_passes_the_same_codec_and_fails_a_slower_and_a_larger_one() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.json");
    bench(folder.path(), &["--runs=3", "--save=base.json"]).ends_with(0);
    // The limit is wide because other tests run beside this one.
    let gate = ["bench", "--compare=base.json", "--fail-below=80%"];
    let passed = wim(folder.path(), &gate).ends_with(0).text();
    assert!(passed.contains("not worse"), "{passed}");

    let good = read(&base);
    let mut faster = good.clone();
    let speed = good["rows"][0]["decode"]["relative"].as_f64().unwrap();
    faster["rows"][0]["decode"]["relative"] = json!(speed * 100.0);
    std::fs::write(&base, faster.to_string()).unwrap();
    let slower_now = wim(folder.path(), &gate).ends_with(1).text();
    assert!(slower_now.contains("WORSE: decode\n"), "{slower_now}");

    let mut shorter = good.clone();
    shorter["rows"][0]["stored_bytes"] = json!(good["rows"][0]["stored_bytes"].as_u64().unwrap() - 1);
    std::fs::write(&base, shorter.to_string()).unwrap();
    let ran = wim(folder.path(), &[&gate[..], &["--json"]].concat()).ends_with(1).json();
    assert_eq!(ran["comparison"]["is_worse"], true);
    assert_eq!(ran["comparison"]["rows"][0]["worse"], json!(["ratio"]));
    // Without a limit the comparison is shown and fails nothing.
    wim(folder.path(), &gate[..2]).ends_with(0);
}

#[test]
fn pictures_are_written_whole_and_history_has_every_saved_bench() {
    let folder = tempfile::tempdir().unwrap();
    bench(folder.path(), &["--save=v1.json"]).ends_with(0);
    bench(folder.path(), &["--save=v2.json"]).ends_with(0);
    bench(folder.path(), &["--history=v1.json,v2.json", "--svg=p.svg", "--html=p.html"]).ends_with(0);
    let svg = std::fs::read_to_string(folder.path().join("p.svg")).unwrap();
    for part in
        ["<svg ", "Compressing: MB/s", "History of compressed size", ">v1<", ">v2<", ">now<", "</svg>"]
    {
        assert!(svg.contains(part), "{part}: {svg}");
    }
    let html = std::fs::read_to_string(folder.path().join("p.html")).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("</svg>") && html.ends_with("</html>\n"));
}

#[test]
fn misuse_is_told_and_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    std::fs::write(folder.path().join("bad.json"), "{\"format_version\": 1, \"rows\": 7}").unwrap();
    let mut broken = b"MSWIM\0\0\0".to_vec();
    broken.resize(300, 0xFF);
    std::fs::write(folder.path().join("broken.wim"), broken).unwrap();
    bench(folder.path(), &["--codec=xpress", "--level=fast,normal,max", "--save=good.json"]).ends_with(0);
    for (arguments, says) in [
        (&["empty", "--save=out"][..], "nothing to measure"),
        (&["missing", "--save=out"], "missing"),
        (&["broken.wim", "--save=out"], "broken.wim"),
        (&["--compare=bad.json", "--save=out"], "no saved bench"),
        (&["--history=nowhere.json", "--svg=out"], "nowhere.json"),
        (&["--history=good.json", "--save=out"], "--svg"),
        (&["--compare=good.json", "--fail-below=5%", "--threads=7", "--save=out"], "would not be measured"),
        (&["--compare=good.json", "--fail-below=5%", "--threads=1", "--save=out"], "busy machine"),
        (&["--fail-below=5%"], "--compare"),
        (&["--codec=none"], "nothing to measure"),
        (&["--codec=zip"], "zip"),
        (&["--bytes=1G", "--save=out"], "--memory"),
        (&["--chunk-size=2M", "--save=out"], "chunk size"),
    ] {
        let ran =
            wim(folder.path(), &[&["bench", "--codec=xpress", "--runs=1"], arguments].concat()).ends_with(2);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
fn a_closed_pipe_is_success() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(
        env!("CARGO_BIN_EXE_wim"),
        folder.path(),
        &["bench", "--codec=xpress:1", "--bytes=4K", "--runs=1"],
    )
    .stdout(std::process::Stdio::piped())
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
