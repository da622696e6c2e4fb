//! `[Strings]` and the expansion of `%tokens%`.
//!
//! Source: drivers.md 1.2. Expansion happens once, after fields are split, so a string never makes new fields; directory
//! ids are answered by the caller, who knows where directories are.

use std::borrow::Cow;
use std::collections::HashMap;

use super::section::Section;

/// Most characters a field may expand to; Windows stops there as well (4096 with its NUL).
pub const MAX_EXPANDED: usize = 4095;

/// The LANGID of English (United States), where no other language is wanted.
pub const ENGLISH_US: u16 = 0x0409;

/// The strings of one INF in all its languages.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    plain: HashMap<String, String>,
    localised: Vec<(u16, HashMap<String, String>)>,
}

impl Strings {
    /// Collects the `[Strings]` sections among `sections`.
    pub(super) fn collect<'a>(sections: impl Iterator<Item = &'a Section>) -> Self {
        let mut strings = Self::default();
        for section in sections {
            let name = section.name.to_ascii_lowercase();
            if name == "strings" {
                fill(&mut strings.plain, section);
            } else if let Some(language) = name.strip_prefix("strings.").and_then(langid) {
                let mut map = HashMap::new();
                fill(&mut map, section);
                strings.localised.push((language, map));
            }
        }
        strings
    }

    /// The text of a token (without percent signs) for a LANGID: exactly that language, the same primary language without
    /// a sublanguage, the same primary language, then plain `[Strings]`; so also for a token that one of them lacks.
    #[must_use]
    pub fn get(&self, token: &str, language: u16) -> Option<&str> {
        let token = token.to_lowercase();
        let primary = language & 0x3FF;
        let by = |matches: &dyn Fn(u16) -> bool| {
            self.localised.iter().find_map(|(id, map)| matches(*id).then(|| map.get(&token)).flatten())
        };
        by(&|id| id == language)
            .or_else(|| by(&|id| id == primary))
            .or_else(|| by(&|id| id & 0x3FF == primary))
            .or_else(|| self.plain.get(&token))
            .map(String::as_str)
    }

    /// The LANGIDs that have a section of their own.
    pub fn languages(&self) -> impl Iterator<Item = u16> + '_ {
        self.localised.iter().map(|(id, _)| *id)
    }

    /// Expands `text`: `%%` is a percent sign, `%token%` its string, `%number%` what `dirid` says. What is unknown stays as
    /// it is and is reported through `unknown`. The result is cut at [`MAX_EXPANDED`] characters.
    pub fn expand<'t>(
        &self,
        text: &'t str,
        language: u16,
        dirid: &dyn Fn(u32) -> Option<String>,
        unknown: &mut dyn FnMut(&str),
    ) -> Cow<'t, str> {
        if !text.contains('%') {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let Some((token, next)) = after.split_once('%') else {
                out.push('%');
                rest = after;
                continue;
            };
            rest = next;
            if token.is_empty() {
                out.push('%');
            } else if let Some(text) = self.get(token, language) {
                out.push_str(text);
            } else if let Some(path) = number(token).and_then(dirid) {
                out.push_str(&path);
            } else {
                if number(token).is_none() {
                    unknown(token);
                }
                out.push('%');
                out.push_str(token);
                out.push('%');
            }
            if out.len() > 4 * MAX_EXPANDED {
                break;
            }
        }
        out.push_str(rest);
        // No text has more characters than bytes: most need no counting.
        if out.len() > MAX_EXPANDED
            && let Some((end, _)) = out.char_indices().nth(MAX_EXPANDED)
        {
            out.truncate(end);
        }
        Cow::Owned(out)
    }
}

fn fill(map: &mut HashMap<String, String>, section: &Section) {
    for entry in &section.entries {
        if let Some(key) = &entry.key {
            let token = key.text.trim_matches('%').to_lowercase();
            let text = entry.values.first().map(|field| field.text.clone()).unwrap_or_default();
            // The first definition wins, as it does for SetupAPI's line look-up.
            map.entry(token).or_insert(text);
        }
    }
}

fn langid(text: &str) -> Option<u16> {
    (text.len() == 4).then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

fn number(token: &str) -> Option<u32> {
    match token {
        "-1" => Some(65535),
        _ => token.bytes().all(|b| b.is_ascii_digit()).then(|| token.parse().ok()).flatten(),
    }
}
