//! A measurement beside a saved one: what became larger, what became slower.
//!
//! Sizes are compared exactly, speeds by what they are relative to the reference workload, so that a slower machine is not
//! a slower codec. Only measurements of the same sample, build and reference workload can be compared.

use serde::Serialize;

use super::record::{Record, Row, RowKey, Speed};
use crate::base::{Error, Result};

/// However much the rounds of a bench differ, half the speed is slower.
const WIDEST: f64 = 0.45;

/// The outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// When the saved one was measured.
    pub base_measured: String,
    /// Part of a speed that may be lost, as 0.05; none when nothing fails the comparison.
    pub fail_below: Option<f64>,
    /// Rows of both.
    pub rows: Vec<RowComparison>,
    /// Rows of the saved one that were not measured now.
    pub not_measured: Vec<RowKey>,
    /// True when a row is worse.
    pub is_worse: bool,
    /// True when a row may be slower than asked for, but its rounds differ by as much.
    pub is_undecided: bool,
}

/// One row beside its saved self; changes are parts, so that 0.01 is one per cent more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowComparison {
    /// Which.
    #[serde(flatten)]
    pub key: RowKey,
    /// Change of the stored bytes; more is worse.
    pub stored_change: f64,
    /// Change of the relative speed of compressing; less is worse.
    pub encode_change: f64,
    /// Change of the relative speed of decompressing; less is worse.
    pub decode_change: f64,
    /// Part of the relative speed of compressing that may be lost: what was asked for, or the spread of both benches where that
    /// is wider; none when nothing fails the comparison.
    pub encode_allowed: Option<f64>,
    /// The same of decompressing.
    pub decode_allowed: Option<f64>,
    /// What is worse than allowed: `ratio`, `encode`, `decode`.
    pub worse: Vec<&'static str>,
    /// What fell by more than was asked for and by less than is allowed, so that nobody can tell: `encode`, `decode`.
    pub undecided: Vec<&'static str>,
}

/// Fails unless measurements like `now` can be compared with `base`.
///
/// # Errors
/// `InvalidInput` that says what differs.
pub(super) fn check_comparable(base: &Record, now: &Record) -> Result<()> {
    let differs = |what: String| {
        Err(Error::invalid_input(format!("the saved bench cannot be compared: {what}"))
            .remedy("measure the base anew with: wim bench --save FILE"))
    };
    if base.sample.sha1 != now.sample.sha1 || base.sample.bytes != now.sample.bytes {
        return differs(format!(
            "it is of other data ({}, {} bytes) than this one ({}, {} bytes)",
            base.sample.name, base.sample.bytes, now.sample.name, now.sample.bytes
        ));
    }
    if base.machine.architecture != now.machine.architecture {
        return differs(format!(
            "it is of a machine with {}, this is one with {}",
            base.machine.architecture, now.machine.architecture
        ));
    }
    if base.build != now.build {
        return differs(format!("it is of a {} build, this is a {} build", base.build, now.build));
    }
    if base.reference_version != now.reference_version {
        return differs(format!(
            "its speeds are relative to reference workload {}, here it is {}",
            base.reference_version, now.reference_version
        ));
    }
    Ok(())
}

/// Compares; `fail_below` is the part of a speed that may be lost, none to fail nothing.
pub(super) fn compare(base: &Record, now: &Record, fail_below: Option<f64>) -> Comparison {
    let find = |record: &Record, key: &RowKey| record.rows.iter().find(|row| row.key == *key).cloned();
    let rows: Vec<RowComparison> = now
        .rows
        .iter()
        .filter_map(|row| Some(compare_row(&find(base, &row.key)?, row, fail_below)))
        .collect();
    let not_measured =
        base.rows.iter().map(|row| row.key.clone()).filter(|key| find(now, key).is_none()).collect();
    let is_worse = rows.iter().any(|row| !row.worse.is_empty());
    let is_undecided = rows.iter().any(|row| !row.undecided.is_empty());
    Comparison {
        base_measured: base.measured.clone(),
        fail_below,
        rows,
        not_measured,
        is_worse,
        is_undecided,
    }
}

fn compare_row(base: &Row, now: &Row, fail_below: Option<f64>) -> RowComparison {
    let change = |before: f64, after: f64| after / before.max(f64::MIN_POSITIVE) - 1.0;
    let encode_change = change(base.encode.relative, now.encode.relative);
    let decode_change = change(base.decode.relative, now.decode.relative);
    let (mut worse, mut undecided) = (Vec::new(), Vec::new());
    let encode_allowed = fail_below.map(|asked| allowed(asked, &base.encode, &now.encode));
    let decode_allowed = fail_below.map(|asked| allowed(asked, &base.decode, &now.decode));
    if fail_below.is_some() && now.stored_bytes > base.stored_bytes {
        worse.push("ratio");
    }
    let speeds = [("encode", encode_change, encode_allowed), ("decode", decode_change, decode_allowed)];
    for (what, change, allowed) in speeds {
        let Some((asked, allowed)) = fail_below.zip(allowed) else { continue };
        if change < -allowed {
            worse.push(what);
        } else if change < -asked {
            undecided.push(what);
        }
    }
    RowComparison {
        key: now.key.clone(),
        stored_change: change(base.stored_bytes as f64, now.stored_bytes as f64),
        encode_change,
        decode_change,
        encode_allowed,
        decode_allowed,
        worse,
        undecided,
    }
}

/// What may be lost: `asked`, or as much as the two benches' own rounds differ by, up to [`WIDEST`].
fn allowed(asked: f64, base: &Speed, now: &Speed) -> f64 {
    asked.max((base.relative_spread + now.relative_spread).min(WIDEST))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn one_byte_more_is_worse_and_a_speed_only_past_the_limit() {
        let base = record(&[(20, 500, 1.0), (50, 400, 1.0), (80, 300, 1.0), (100, 200, 1.0)]);
        let now = record(&[(20, 501, 1.0), (50, 399, 0.96), (80, 300, 0.94)]);
        let seen = compare(&base, &now, Some(0.05));
        let worse: Vec<_> = seen.rows.iter().map(|row| row.worse.clone()).collect();
        assert_eq!(worse, [vec!["ratio"], vec![], vec!["encode", "decode"]]);
        assert!(seen.is_worse);
        assert_eq!(seen.not_measured.len(), 1);
        assert!(!compare(&base, &now, None).is_worse);
        assert!(!compare(&base, &base, Some(0.0)).is_worse);
    }

    #[test]
    fn a_spread_widens_what_may_be_lost_but_half_the_speed_is_slower() {
        let base = record(&[(20, 500, 1.0)]);
        let mut now = record(&[(20, 500, 0.8)]);
        let worse = |now: &Record| compare(&base, now, Some(0.05)).rows[0].worse.clone();
        assert_eq!(worse(&now), ["encode", "decode"]);
        now.rows[0].decode.relative_spread = 0.25;
        assert_eq!(worse(&now), ["encode"]);
        let seen = compare(&base, &now, Some(0.05));
        assert_eq!((seen.rows[0].decode_allowed, seen.is_undecided), (Some(0.25), true));
        assert_eq!(seen.rows[0].undecided, ["decode"]);
        assert!(!compare(&base, &now, Some(0.25)).is_undecided && !compare(&base, &now, None).is_undecided);
        now.rows[0].decode.relative = 0.5;
        now.rows[0].decode.relative_spread = 7.0;
        assert_eq!(worse(&now), ["encode", "decode"]);
    }

    #[test]
    fn a_machine_of_another_speed_is_no_change() {
        let base = record(&[(20, 500, 1.0)]);
        let mut now = base.clone();
        now.rows[0].encode.megabytes_per_second /= 3.0;
        now.rows[0].reference_megabytes_per_second /= 3.0;
        assert!(!compare(&base, &now, Some(0.05)).is_worse);
    }

    #[test]
    fn other_data_and_other_builds_are_refused() {
        let base = record(&[(20, 500, 1.0)]);
        assert!(check_comparable(&base, &base).is_ok());
        let changes: [fn(&mut Record); 4] = [
            |r| r.sample.sha1.push('1'),
            |r| r.build.push('x'),
            |r| r.reference_version += 1,
            |r| r.machine.architecture.push('x'),
        ];
        for change in changes {
            let mut now = base.clone();
            change(&mut now);
            let error = check_comparable(&base, &now).unwrap_err();
            assert!(error.to_string().contains("cannot be compared"), "{error}");
        }
    }
}
