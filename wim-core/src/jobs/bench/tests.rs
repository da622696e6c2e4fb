//! The job as a whole; its parts have their own tests.

use super::*;
use crate::base::{Cancel, ErrorKind, Recording, Silent};

fn run(options: &BenchOptions) -> Result<BenchReport> {
    let (progress, cancel) = (Silent, Cancel::new());
    bench(&Context::new(&progress, &cancel).with_threads(2), options)
}

fn small() -> BenchOptions {
    BenchOptions {
        codecs: vec![(Compression::Xpress, Some(Level::FAST)), (Compression::Lzx, None)],
        levels: vec![Level::FAST],
        sample_bytes: Some(200_000),
        runs: Some(3),
        ..BenchOptions::default()
    }
}

#[test]
fn every_cell_has_a_row_with_the_same_size_at_every_thread_count() {
    let report = run(&BenchOptions {
        threads: vec![1, 2, 2],
        chunk_sizes: [32 << 10, 64 << 10].iter().filter_map(|&n| ChunkSize::from_bytes(n)).collect(),
        ..small()
    })
    .unwrap();
    let rows = &report.record.rows;
    assert_eq!(rows.len(), 2 * 2 * 2);
    for pair in rows.chunks(2) {
        assert_eq!((pair[0].key.threads, pair[1].key.threads), (1, 2));
        assert_eq!(pair[0].stored_bytes, pair[1].stored_bytes);
        assert!(pair[0].ratio > 0.05 && pair[0].ratio < 0.9, "{pair:?}");
        for speed in [pair[0].encode, pair[0].decode, pair[1].encode, pair[1].decode] {
            assert!(speed.megabytes_per_second > 0.0 && speed.relative > 0.0 && speed.state_bytes > 0);
        }
    }
}

#[test]
fn a_plan_without_rows_and_one_too_large_are_refused() {
    let only_large = BenchOptions {
        codecs: vec![(Compression::Xpress, None)],
        chunk_sizes: vec![ChunkSize::from_bytes(1 << 20).unwrap()],
        ..small()
    };
    assert_eq!(run(&only_large).unwrap_err().kind(), ErrorKind::InvalidInput);
    let large = BenchOptions { sample_bytes: Some(1 << 40), ..small() };
    assert_eq!(run(&large).unwrap_err().kind(), ErrorKind::Limit);
    let crowded = BenchOptions { sample_bytes: None, threads: vec![1 << 30], ..small() };
    assert_eq!(run(&crowded).unwrap_err().kind(), ErrorKind::Limit);
    let nothing = BenchOptions { sample_bytes: Some(0), ..small() };
    assert_eq!(run(&nothing).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_codec_without_the_chunk_size_is_left_out_with_a_word() {
    let (progress, cancel) = (Recording::default(), Cancel::new());
    let options = BenchOptions { chunk_sizes: vec![ChunkSize::from_bytes(4096).unwrap()], ..small() };
    let cells = plan(&Context::new(&progress, &cancel), &options, None).unwrap();
    assert!(cells.iter().all(|cell| cell.format.compression() == Compression::Xpress));
    assert!(progress.warnings().iter().any(|warning| warning.contains("LZX has none")));
}

#[test]
fn a_saved_bench_is_repeated_and_a_slower_codec_fails_it() {
    let folder = tempfile::tempdir().unwrap();
    let (base, svg, html) =
        (folder.path().join("b.json"), folder.path().join("b.svg"), folder.path().join("b.html"));
    let first = run(&BenchOptions { save: Some(base.clone()), ..small() }).unwrap();
    let again = BenchOptions {
        compare: Some(base.clone()),
        fail_below: Some(0.9),
        history: vec![base.clone()],
        svg: Some(svg.clone()),
        html: Some(html.clone()),
        ..BenchOptions::default()
    };
    let report = run(&again).unwrap();
    let comparison = report.comparison.unwrap();
    assert_eq!(comparison.rows.len(), first.record.rows.len());
    assert!(!comparison.is_worse && comparison.not_measured.is_empty(), "{comparison:?}");
    assert!(comparison.rows.iter().all(|row| row.stored_change == 0.0));
    assert!(std::fs::read_to_string(&svg).unwrap().contains("History"));
    assert!(std::fs::read_to_string(&html).unwrap().contains("</html>"));

    // As if the codec had been twenty times as fast, or its output one byte shorter, when the base was saved.
    let mut faster = first.record.clone();
    faster.rows[0].decode.relative *= 20.0;
    faster.write(&base).unwrap();
    let report = run(&again).unwrap().comparison.unwrap();
    assert!(report.is_worse);
    assert_eq!(report.rows[0].worse, ["decode"]);
    let mut shorter = first.record.clone();
    shorter.rows[1].stored_bytes -= 1;
    shorter.write(&base).unwrap();
    let report = run(&again).unwrap().comparison.unwrap();
    assert_eq!(report.rows[1].worse, ["ratio"]);

    let other = BenchOptions { sample_bytes: Some(100_000), ..again };
    assert_eq!(run(&other).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn cancelling_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("b.json");
    let (progress, cancel) = (Silent, Cancel::new());
    cancel.raise();
    let options = BenchOptions { save: Some(save.clone()), ..small() };
    let error = bench(&Context::new(&progress, &cancel), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What a gate does not measure it cannot fail; it says so instead of passing.
#[test]
fn a_limit_holds_for_every_saved_row_and_needs_runs_enough() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("b.json");
    run(&BenchOptions { save: Some(base.clone()), ..small() }).unwrap();
    let gate = BenchOptions { compare: Some(base), fail_below: Some(0.05), ..small() };
    for narrower in [
        BenchOptions { codecs: vec![(Compression::Lzms, Some(Level::FAST))], ..gate.clone() },
        BenchOptions { codecs: vec![(Compression::Lzx, Some(Level::FAST))], ..gate.clone() },
        BenchOptions { threads: vec![1], ..gate.clone() },
        BenchOptions { threads: vec![3], ..gate.clone() },
    ] {
        let error = run(&narrower).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("would not be measured"), "{error}");
        assert!(run(&BenchOptions { fail_below: None, runs: Some(1), ..narrower }).is_ok());
    }
    let once = BenchOptions { runs: Some(1), ..gate };
    assert!(run(&once).unwrap_err().to_string().contains("busy machine"));
}

#[test]
fn a_failing_bench_does_not_become_the_next_base() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("b.json");
    let mut shorter = run(&small()).unwrap().record;
    shorter.rows[0].stored_bytes -= 1;
    shorter.write(&base).unwrap();
    let written = std::fs::read(&base).unwrap();
    let same = folder.path().join(".").join("b.json");
    let gate =
        BenchOptions { compare: Some(base.clone()), fail_below: Some(0.9), save: Some(same), ..small() };
    for _ in 0..2 {
        assert!(run(&gate).unwrap().comparison.unwrap().is_worse);
        assert!(std::fs::read(&base).unwrap() == written);
    }
    shorter.rows[0].stored_bytes += 1;
    shorter.write(&base).unwrap();
    assert!(!run(&gate).unwrap().comparison.unwrap().is_worse);
    assert_ne!(Record::read(&base).unwrap().rows, shorter.rows);
}

#[test]
fn a_history_of_other_data_is_told_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (other, svg) = (folder.path().join("other.json"), folder.path().join("h.svg"));
    let one = || BenchOptions { runs: Some(1), threads: vec![1], ..small() };
    run(&BenchOptions { save: Some(other.clone()), sample_bytes: Some(100_000), ..one() }).unwrap();
    let undrawn = BenchOptions { history: vec![other.clone()], ..one() };
    assert!(run(&undrawn).unwrap_err().to_string().contains("nothing to draw it in"));
    let (progress, cancel) = (Recording::default(), Cancel::new());
    let drawn = BenchOptions { history: vec![other], svg: Some(svg.clone()), ..one() };
    bench(&Context::new(&progress, &cancel), &drawn).unwrap();
    assert!(
        progress.warnings().iter().any(|warning| warning.contains("other data")),
        "{:?}",
        progress.warnings()
    );
    assert!(!std::fs::read_to_string(&svg).unwrap().contains(">other<"));
}

#[test]
fn a_sample_without_a_full_chunk_is_told() {
    let (progress, cancel) = (Recording::default(), Cancel::new());
    let sizes = [32 << 10, 4 << 20].iter().filter_map(|&n| ChunkSize::from_bytes(n)).collect();
    let options = BenchOptions {
        codecs: vec![(Compression::Lzms, Some(Level::FAST))],
        chunk_sizes: sizes,
        runs: Some(1),
        threads: vec![1],
        ..small()
    };
    bench(&Context::new(&progress, &cancel), &options).unwrap();
    let warnings = progress.warnings();
    assert!(
        matches!(&warnings[..], [one] if one.contains("no chunk of 4194304 bytes is full")),
        "{warnings:?}"
    );
}

#[test]
fn the_median_of_the_rounds_counts_and_the_middle_half_is_the_spread() {
    assert_eq!(median_and_spread(&[2.0]), (2.0, 0.0));
    assert_eq!(median_and_spread(&[4.0, 1.0, 2.0]), (2.0, 1.5));
    assert_eq!(median_and_spread(&[9.0, 1.0, 2.0, 2.0]), (2.0, 3.5));
    // One bad moment in many changes nothing.
    assert_eq!(median_and_spread(&[2.0, 2.0, 0.1, 2.0, 2.0, 2.0]), (2.0, 0.0));
}
