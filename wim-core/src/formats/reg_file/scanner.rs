//! Characters of a registry text file with the number of their line.
//!
//! Lines end in CR LF or LF; both are kept inside quotes. What statements look like is known to `parser.rs`.

/// A cursor over text.
pub(super) struct Scanner<'a> {
    rest: &'a str,
    line: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// Line of the cursor, counted from 1.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The next character, without moving.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// The next character.
    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(next)
    }

    /// Skips `text` in any ASCII case; false when something else is there.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        match self.rest.get(..text.len()) {
            Some(found) if found.eq_ignore_ascii_case(text) => {
                self.rest = self.rest.get(text.len()..).unwrap_or("");
                true
            }
            _ => false,
        }
    }

    /// Skips spaces and tabs.
    pub(super) fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips blanks and line ends.
    pub(super) fn skip_empty_lines(&mut self) {
        while self.peek().is_some_and(|c| c.is_whitespace() || c == '\u{FEFF}' || c == '\0') {
            self.next();
        }
    }

    /// The rest of the line without its end; the cursor goes to the next line.
    pub(super) fn take_line(&mut self) -> &'a str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        if line.len() < self.rest.len() {
            self.line = self.line.saturating_add(1);
        }
        self.rest = rest;
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// Whether only blanks or a comment are left on the line; if so, the cursor goes to the next one.
    pub(super) fn ends_line(&mut self) -> bool {
        self.skip_blanks();
        let is_end = matches!(self.peek(), None | Some('\r' | '\n' | ';'));
        if is_end {
            self.take_line();
        }
        is_end
    }
}
