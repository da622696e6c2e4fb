//! Where the command writes: answers to standard output, talk to standard error.
//!
//! Colour appears on terminals only, and not when `NO_COLOR` is set (no-color.org). With `--json` the answer is one JSON
//! object; `--quiet` drops talk and every answer that only says that the work is done.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::Value;
use wim_core::base::Error;

/// Version of the JSON shapes; it grows when a field changes its meaning or goes, not when one is added.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// How loud the command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// Says what it does.
    Normal,
    /// Answers, warnings and errors only.
    Quiet,
}

/// What the answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text for people.
    Text,
    /// One JSON object.
    Json,
}

/// The two output streams and how to use them.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    volume: Volume,
    form: Form,
    has_colour: bool,
    is_terminal: bool,
}

impl Shell {
    /// A shell on the process's own streams.
    pub(crate) fn new(volume: Volume, form: Form) -> Self {
        let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let has_colour = wants_colour && io::stderr().is_terminal();
        Self { volume, form, has_colour, is_terminal: io::stdout().is_terminal() }
    }

    /// True when the answer is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Standard output, buffered; to be flushed by the caller.
    pub(crate) fn stdout(&self) -> impl Write {
        io::BufWriter::new(io::stdout().lock())
    }

    /// Standard output for a file that is written to it; a terminal, and `--json`, are refused.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub(crate) fn stdout_for_file(&self) -> Result<io::Stdout, Error> {
        if self.is_terminal {
            return Err(Error::invalid_input("a WIM is no text for a terminal")
                .remedy("send standard output to a file or into a pipe"));
        }
        if self.is_json() {
            return Err(Error::invalid_input("--json and a WIM on standard output cannot go together"));
        }
        Ok(io::stdout())
    }

    /// Prints an answer that the user asked for; `--quiet` does not drop it. A terminal gets no control characters.
    pub(crate) fn answer(&self, text: &str) -> io::Result<()> {
        let mut out = self.stdout();
        out.write_all(self.visible(text).as_bytes())?;
        out.flush()
    }

    /// Text for standard output: without control characters on a terminal, as it is for programs.
    pub(crate) fn visible<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_terminal { Cow::Owned(printable(text)) } else { Cow::Borrowed(text) }
    }

    /// Prints what another process of ours has said to each stream.
    pub(crate) fn relay(&self, said: &str, complained: &str) -> io::Result<()> {
        let _ = io::stderr().write_all(complained.as_bytes());
        self.answer(said)
    }

    /// Prints a line that only says what is being done or that it is done.
    pub(crate) fn say(&self, line: &str) -> io::Result<()> {
        if self.volume == Volume::Quiet || self.is_json() {
            return Ok(());
        }
        self.answer(&format!("{line}\n"))
    }

    /// Prints the answer of `verb` as one JSON object: the fields of `answer` after `schema_version` and `verb`.
    pub(crate) fn json(&self, verb: &str, answer: &impl Serialize) -> io::Result<()> {
        #[derive(Serialize)]
        struct Envelope<'a, T> {
            schema_version: u32,
            verb: &'a str,
            #[serde(flatten)]
            answer: &'a T,
        }
        let envelope = Envelope { schema_version: SCHEMA_VERSION, verb, answer };
        let text = serde_json::to_string_pretty(&envelope).map_err(io::Error::other)?;
        self.answer(&format!("{text}\n"))
    }

    /// Prints a JSON value on one line, so that it can end a list of lines.
    pub(crate) fn json_value(&self, value: &Value) -> io::Result<()> {
        self.answer(&format!("{value}\n"))
    }

    /// Prints `error: …` or `warning: …` to standard error. A standard error that cannot be written is ignored: there is
    /// nobody left to tell.
    pub(crate) fn complain(&self, label: &str, message: &str) {
        let colour = if label == "error" { "\x1b[1;31m" } else { "\x1b[1;33m" };
        self.label(colour, label, message);
    }

    /// Prints `hint: …` to standard error.
    pub(crate) fn hint(&self, message: &str) {
        self.label("\x1b[1;36m", "hint", message);
    }

    fn label(&self, colour: &str, label: &str, message: &str) {
        let (on, off) = if self.has_colour { (colour, "\x1b[0m") } else { ("", "") };
        let _ = writeln!(io::stderr(), "{on}{label}:{off} {}", printable(message));
    }
}

/// The text without control characters, which a hostile image may carry in its names to fool a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_an_image_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\tc\n"), "a\u{FFFD}[2Jb\tc\n");
    }
}
