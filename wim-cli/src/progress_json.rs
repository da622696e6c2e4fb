//! Progress for programs: one JSON object a line on standard error.
//!
//! `{"progress": {"stage", "unit", "done", "total", "ended"}}`, total null when unknown, and `{"warning": {…}}` with the
//! fields of an error object.

use std::io::{self, Write};

use serde_json::{Value, json};
use wim_core::base::Error;

use crate::error_report;
use crate::meter::{Painter, Snapshot, stage_name_and_unit};

/// JSON lines on standard error.
pub(crate) struct JsonLines;

fn line(now: Snapshot, ended: &str) -> Value {
    let (stage, unit) = stage_name_and_unit(now.stage);
    let total = if now.total == 0 { Value::Null } else { now.total.into() };
    json!({ "progress": { "stage": stage, "unit": unit, "done": now.done, "total": total, "ended": ended == "ended" } })
}

/// A standard error that cannot be written is ignored: there is nobody left to tell.
fn print(value: &Value) {
    let _ = writeln!(io::stderr(), "{value}");
}

impl Painter for JsonLines {
    fn paint(&mut self, now: Snapshot) {
        print(&line(now, "running"));
    }

    fn end(&mut self, last: Snapshot) {
        print(&line(last, "ended"));
    }

    fn warn(&mut self, warning: &Error) {
        print(&json!({ "warning": error_report::object(warning)["error"] }));
    }
}

/// Shows warnings only.
pub(crate) struct WarningsOnly(pub(crate) crate::shell::Shell);

impl Painter for WarningsOnly {
    fn paint(&mut self, _: Snapshot) {}
    fn end(&mut self, _: Snapshot) {}
    fn warn(&mut self, warning: &Error) {
        self.0.complain("warning", &warning.text_with_remedy());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wim_core::base::Stage;

    use super::*;

    #[test]
    fn a_line_has_stage_unit_and_numbers() {
        let now = Snapshot { stage: Stage::Hashing, done: 3, total: 0, elapsed: Duration::ZERO };
        assert_eq!(
            line(now, "ended").to_string(),
            r#"{"progress":{"done":3,"ended":true,"stage":"hashing","total":null,"unit":"bytes"}}"#
        );
    }
}
