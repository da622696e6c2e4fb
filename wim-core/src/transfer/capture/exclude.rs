//! What a capture leaves out: a configuration in the format of imagex and wimlib.
//!
//! Sections `[ExclusionList]`, `[ExclusionException]` and `[PrepopulateList]` (accepted, without meaning here), one glob a
//! line; absolute globs begin with a separator and count from the captured root, others match a name in any directory
//! (wimcapture(1)). Compression lists of old configurations are accepted and ignored.

use crate::base::{Error, ErrorKind, Place, Result, WimString};
use crate::image::glob::{Case, Glob, PathGlob};

/// The configuration that is used when none is given; the same as wimlib's.
const DEFAULT: &str = "[ExclusionList]
\\$ntfs.log
\\hiberfil.sys
\\pagefile.sys
\\swapfile.sys
\\System Volume Information
\\RECYCLER
\\$RECYCLE.BIN
\\$Recycle.Bin
\\Windows\\CSC
";

/// A capture configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusions {
    excluded: Vec<Pattern>,
    kept: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Name(Glob),
    Path(PathGlob),
}

impl Pattern {
    fn matches(&self, path: &[WimString]) -> bool {
        match self {
            Self::Name(glob) => path.last().is_some_and(|name| glob.matches(name)),
            Self::Path(glob) => glob.matches(path),
        }
    }
}

/// What becomes of one file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Captured.
    Keep,
    /// Left out with all below it.
    Exclude,
    /// Left out but for what lies below it and is kept by an exception.
    Descend,
}

impl Exclusions {
    /// Nothing is left out.
    #[must_use]
    pub fn none() -> Self {
        Self { excluded: Vec::new(), kept: Vec::new() }
    }

    /// What wimlib leaves out when nothing else is said: paging files, recycle bins, volume bookkeeping.
    #[must_use]
    pub fn default_config(case: Case) -> Self {
        Self::parse(DEFAULT, case, &mut drop)
            .expect("the default configuration is well-formed, as a test shows")
    }

    /// Parses the text of a configuration file. Unknown sections and lines before the first section are passed over as wimlib
    /// does; they go to `warn` with their line.
    ///
    /// # Errors
    /// `Format`, with the line, for a relative pattern with a separator in it.
    pub fn parse(text: &str, case: Case, warn: &mut dyn FnMut(Error)) -> Result<Self> {
        #[derive(Clone, Copy)]
        enum Section {
            Outside,
            Excluded,
            Kept,
            Ignored,
        }
        let mut out = Self::none();
        let mut section = Section::Outside;
        for (line, number) in text.trim_start_matches('\u{FEFF}').lines().zip(1u32..) {
            let wrong = |message: String| {
                Error::new(ErrorKind::Format, message).at(Place::Line { line: number, column: 0 })
            };
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = match name.to_ascii_lowercase().as_str() {
                    "exclusionlist" => Section::Excluded,
                    "exclusionexception" => Section::Kept,
                    "prepopulatelist"
                    | "compressionexclusionlist"
                    | "compressionfolderlist"
                    | "alignmentlist" => Section::Ignored,
                    _ => {
                        let remedy = "its lines mean nothing here; sections are [ExclusionList] and [ExclusionException]";
                        warn(wrong(format!("unknown section [{name}]")).remedy(remedy));
                        Section::Ignored
                    }
                };
                continue;
            }
            let list = match section {
                Section::Outside => {
                    let remedy = "it means nothing; put [ExclusionList] before it to leave out what it fits";
                    warn(wrong("a line before the first section".to_owned()).remedy(remedy));
                    continue;
                }
                Section::Ignored => continue,
                Section::Excluded => &mut out.excluded,
                Section::Kept => &mut out.kept,
            };
            match pattern(unquote(line), case) {
                Some(pattern) => list.push(pattern),
                None if is_absolute(unquote(line)) => warn(wrong(format!("{line:?} fits nothing"))),
                None => {
                    return Err(wrong(format!(
                        "{line:?} is neither a name nor a path: begin it with a separator to count from the root"
                    )));
                }
            }
        }
        Ok(out)
    }

    /// What becomes of the file or directory at `path`, names from the captured root on.
    #[must_use]
    pub fn verdict(&self, path: &[WimString]) -> Verdict {
        if !self.excluded.iter().any(|pattern| pattern.matches(path)) {
            return Verdict::Keep;
        }
        // A directory that an exception keeps is kept whole.
        if self.kept.iter().any(|pattern| pattern.matches(path)) {
            return Verdict::Keep;
        }
        let leads_on = |pattern: &Pattern| match pattern {
            Pattern::Path(glob) => {
                glob.names().len() > path.len()
                    && glob.names().iter().zip(path).all(|(glob, name)| glob.matches(name))
            }
            Pattern::Name(_) => false,
        };
        if self.kept.iter().any(leads_on) { Verdict::Descend } else { Verdict::Exclude }
    }

    /// What becomes of something in a directory whose own verdict was [`Verdict::Descend`]: only exceptions are kept.
    #[must_use]
    pub fn verdict_inside_excluded(&self, path: &[WimString]) -> Verdict {
        let inside =
            Self { excluded: vec![Pattern::Name(Glob::new("*", Case::Matters))], kept: self.kept.clone() };
        inside.verdict(path)
    }
}

/// A line of a list without the quotes around it, if both are there.
#[must_use]
pub fn unquote(line: &str) -> &str {
    let quoted = |quote| line.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(line)
}

/// The text without a drive letter, which is accepted and means nothing.
fn without_drive(text: &str) -> &str {
    match text.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => text.get(2..).unwrap_or(text),
        _ => text,
    }
}

fn is_absolute(text: &str) -> bool {
    without_drive(text).starts_with(['\\', '/'])
}

fn pattern(text: &str, case: Case) -> Option<Pattern> {
    let text = without_drive(text);
    if is_absolute(text) {
        let glob = PathGlob::parse(text, case).ok()?;
        return (!glob.names().is_empty()).then_some(Pattern::Path(glob));
    }
    let is_name = !text.is_empty() && !text.contains(['\\', '/', '\0']);
    is_name.then(|| Pattern::Name(Glob::new(text, case)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::WimPath;

    fn verdict(config: &Exclusions, path: &str) -> Verdict {
        config.verdict(WimPath::parse(path).unwrap().components())
    }

    #[test]
    fn the_default_leaves_out_what_belongs_to_a_volume() {
        let config = Exclusions::default_config(Case::Matters);
        for path in ["\\pagefile.sys", "\\System Volume Information", "\\Windows\\CSC", "\\$RECYCLE.BIN"] {
            assert_eq!(verdict(&config, path), Verdict::Exclude, "{path}");
        }
        for path in ["\\Windows", "\\a\\pagefile.sys", "\\PAGEFILE.SYS"] {
            assert_eq!(verdict(&config, path), Verdict::Keep, "{path}");
        }
        let config = Exclusions::default_config(Case::Ignored);
        assert_eq!(verdict(&config, "\\PAGEFILE.SYS"), Verdict::Exclude);
    }

    #[test]
    fn exceptions_win_and_are_looked_for_below_what_is_left_out() {
        let text = "; comment\n[exclusionlist]\n*.tmp\n\"\\dir with space\"\nC:\\dir\n\n[ExclusionException]\nkeep.tmp\n\\dir\\sub\\file\n";
        let config = Exclusions::parse(text, Case::Ignored, &mut drop).unwrap();
        for (path, wanted) in [
            ("\\a\\x.TMP", Verdict::Exclude),
            ("\\a\\keep.tmp", Verdict::Keep),
            ("\\dir with space", Verdict::Exclude),
            ("\\dir", Verdict::Descend),
            ("\\other", Verdict::Keep),
        ] {
            assert_eq!(verdict(&config, path), wanted, "{path}");
        }
        let inside = |path: &str| config.verdict_inside_excluded(WimPath::parse(path).unwrap().components());
        assert_eq!(inside("\\dir\\sub"), Verdict::Descend);
        assert_eq!(inside("\\dir\\sub\\file"), Verdict::Keep);
        assert_eq!(inside("\\dir\\sub\\other"), Verdict::Exclude);
        assert_eq!(inside("\\dir\\x"), Verdict::Exclude);
    }

    #[test]
    fn mistakes_are_refused_with_their_line() {
        let error = Exclusions::parse("[ExclusionList]\na/b\n", Case::Matters, &mut drop).unwrap_err();
        assert_eq!(error.place(), &Place::Line { line: 2, column: 0 });
        let mut warnings = Vec::new();
        let text = "[ExclusionList]\n\\\n\\..\\x\nC:/\n\\y\n";
        let config = Exclusions::parse(text, Case::Matters, &mut |warning| warnings.push(warning)).unwrap();
        assert_eq!((warnings.len(), verdict(&config, "\\x")), (3, Verdict::Keep), "{warnings:?}");
        assert_eq!(verdict(&config, "\\y"), Verdict::Exclude);
        warnings.clear();
        let text = "\\x\n[CompressionExclusionList]\n*.mp3\n[Nonsense]\na/b\n[ExclusionList]\n\\y\n";
        let config = Exclusions::parse(text, Case::Matters, &mut |warning| warnings.push(warning)).unwrap();
        let lines: Vec<_> = warnings.iter().map(Error::place).collect();
        assert_eq!(lines, [1, 4].map(|line| Place::Line { line, column: 0 }).iter().collect::<Vec<_>>());
        assert_eq!(verdict(&config, "\\x"), Verdict::Keep);
        assert_eq!(verdict(&config, "\\y"), Verdict::Exclude);
    }
}
