//! What the gate on instructions says of a count beside its record.
//!
//! A count that is far below the record fails as one above does: the record would hide a later loss up to what it says, and a
//! count of nothing would pass for ever. It neither counts nor reads records.

/// More or fewer instructions than recorded, in percent, that fail the gate.
pub const TOLERANCE_PERCENT: f64 = 3.0;

/// The verdict in words, and whether it passes; `before` is instructions and compressed bytes in the record.
#[must_use]
pub fn judge(before: Option<(u64, usize)>, instructions: u64, bytes: usize) -> (String, bool) {
    if instructions == 0 {
        return ("nothing was counted".into(), false);
    }
    match before {
        None => ("not recorded: run with --save".into(), false),
        Some((_, before)) if before != bytes => (
            format!("{bytes} bytes compressed, {before} in the record: other streams, run with --save"),
            false,
        ),
        Some((before, _)) => {
            let change = 100.0 * (instructions as f64 / before as f64 - 1.0);
            let verdict = match change {
                _ if change > TOLERANCE_PERCENT => ": too many",
                _ if change < -TOLERANCE_PERCENT => {
                    ": so much fewer that the record is stale, run with --save"
                }
                _ => "",
            };
            (format!("{change:+.2} %{verdict}"), verdict.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_count_near_the_record_passes() {
        let passes = |instructions| judge(Some((1000, 70)), instructions, 70).1;
        assert!(passes(1000) && passes(1029) && passes(971));
        for count in [1031, 969, 600, 1, 0] {
            assert!(!passes(count), "{count}");
        }
        assert!(judge(Some((1000, 70)), 1031, 70).0.ends_with("too many"));
        assert!(judge(Some((1000, 70)), 600, 70).0.contains("stale"));
    }

    #[test]
    fn other_streams_and_new_cases_are_recorded_first() {
        assert!(!judge(None, 1000, 70).1);
        assert!(!judge(Some((1000, 71)), 1000, 70).1);
        assert!(!judge(Some((1000, 71)), 1000, 70).0.contains("too many"));
    }
}
