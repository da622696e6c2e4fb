//! How an error is told: on a terminal as a message and a hint, with `--json` as an object on standard output.

use serde_json::{Value, json};
use wim_core::base::{Error, ErrorKind, Place};

use crate::shell::{SCHEMA_VERSION, Shell};

/// Tells the user about an error. With `--json` the object goes to standard output as well, for programs.
pub(crate) fn report(shell: &Shell, error: &Error) {
    shell.complain("error", &error.to_string());
    if let Some(remedy) = error.remedy_text() {
        shell.hint(remedy);
    }
    if shell.is_json() {
        // Standard output may be what failed; the text on standard error has been told already.
        let _ = shell.json_value(&object(error));
    }
}

/// The error object: `{"schema_version": 1, "error": {"kind", "message", "file", "place", "hint"}}`.
pub(crate) fn object(error: &Error) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "error": {
            "kind": kind_name(error.kind()),
            "message": error.message(),
            "file": error.file(),
            "place": place_value(error.place()),
            "hint": error.remedy_text(),
        },
    })
}

/// The stable name of a kind in JSON.
pub(crate) fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Format => "format",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::NotFound => "not_found",
        ErrorKind::InvalidInput => "invalid_input",
        ErrorKind::Limit => "limit",
        ErrorKind::Io => "io",
        ErrorKind::Cancelled => "cancelled",
        _ => "other",
    }
}

/// A place as an object of its own fields; null when there is none.
pub(crate) fn place_value(place: &Place) -> Value {
    match place {
        Place::Field { structure, field, offset } => {
            json!({ "structure": structure, "field": field, "offset": offset })
        }
        Place::Blob(digest) => json!({ "blob": digest.to_string() }),
        Place::Path(path) => json!({ "path": path }),
        Place::Line { line, column } => json!({ "line": line, "column": column }),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_kind_place_and_hint() {
        let error =
            Error::format("lookup table", "size", 0x1a40, "too large").in_file("a.wim").remedy("try b");
        assert_eq!(
            object(&error).to_string(),
            r#"{"error":{"file":"a.wim","hint":"try b","kind":"format","message":"too large","place":{"field":"size","offset":6720,"structure":"lookup table"}},"schema_version":1}"#
        );
    }
}
