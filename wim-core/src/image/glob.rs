//! Wildcards: `*` for any run of characters and `?` for one, within one name.
//!
//! A [`Glob`] matches a name, a [`PathGlob`] a path name by name, as wimlib's path globs do; neither lets `*` cross a
//! separator. Brackets, braces and `**` have no meaning here.

use super::node::NodeId;
use super::tree::Tree;
use crate::base::{Error, Result, WimString, upcase};

const STAR: u16 = b'*' as u16;
const QUESTION: u16 = b'?' as u16;

/// Whether letters that differ only in case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They differ, as on Unix.
    Matters,
    /// They are the same, by the table of NTFS.
    Ignored,
}

/// A pattern for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: WimString,
    case: Case,
}

impl Glob {
    /// The pattern `text`.
    #[must_use]
    pub fn new(text: &str, case: Case) -> Self {
        Self { pattern: text.into(), case }
    }

    /// True when it has a wildcard.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.pattern.iter().any(|unit| matches!(*unit, STAR | QUESTION))
    }

    /// True when `name` fits the pattern.
    ///
    /// Takes at most `name × pattern` steps: after a mismatch only the last `*` takes one unit more.
    #[must_use]
    pub fn matches(&self, name: &[u16]) -> bool {
        let pattern = self.pattern.units();
        let (mut p, mut n) = (0, 0);
        // Where to go on after a mismatch: behind the last star, and the name from which it shall take one more.
        let mut retry: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(&STAR) => {
                    retry = Some((p + 1, n));
                    p += 1;
                    continue;
                }
                Some(&unit) if unit == QUESTION || self.equal(unit, name[n]) => {
                    (p, n) = (p + 1, n + 1);
                    continue;
                }
                _ => {}
            }
            let Some((after_star, taken)) = retry else { return false };
            retry = Some((after_star, taken + 1));
            (p, n) = (after_star, taken + 1);
        }
        pattern[p..].iter().all(|&unit| unit == STAR)
    }

    fn equal(&self, a: u16, b: u16) -> bool {
        a == b || self.case == Case::Ignored && upcase::upcase(a) == upcase::upcase(b)
    }
}

/// A pattern for a path from the root of an image, one [`Glob`] for each name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathGlob {
    names: Vec<Glob>,
}

impl PathGlob {
    /// Parses `\Windows\*.exe`; both separators are accepted, repeated ones count once, and the first may be missing.
    ///
    /// # Errors
    /// `InvalidInput` for `.`, `..` and NUL.
    pub fn parse(text: &str, case: Case) -> Result<Self> {
        let names = text.split(['\\', '/']).filter(|name| !name.is_empty());
        let names = names.map(|name| match name {
            "." | ".." => {
                Err(Error::invalid_input(format!("{name:?} cannot be part of a path in an image: {text}")))
            }
            name if name.contains('\0') => Err(Error::invalid_input(format!("a NUL in a path: {text:?}"))),
            name => Ok(Glob::new(name, case)),
        });
        Ok(Self { names: names.collect::<Result<_>>()? })
    }

    /// The patterns of the names.
    #[must_use]
    pub fn names(&self) -> &[Glob] {
        &self.names
    }

    /// True when a name has a wildcard.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.names.iter().any(Glob::has_wildcard)
    }

    /// True when the path of these names fits.
    #[must_use]
    pub fn matches(&self, names: &[WimString]) -> bool {
        names.len() == self.names.len() && self.names.iter().zip(names).all(|(glob, name)| glob.matches(name))
    }

    /// The nodes of `tree` that fit, in the order of a walk.
    ///
    /// A name without wildcards is looked up as [`Tree::find_all`] does: its exact spelling first.
    #[must_use]
    pub fn select(&self, tree: &Tree) -> Vec<NodeId> {
        let mut nodes = vec![tree.root()];
        for glob in &self.names {
            let next = |&node: &NodeId| -> Vec<NodeId> {
                if !glob.has_wildcard() && glob.case == Case::Ignored {
                    return tree.children_named(node, &glob.pattern).to_vec();
                }
                let children = tree.children(node).iter().copied();
                children.filter(|&child| glob.matches(&tree.node(child).name)).collect()
            };
            nodes = nodes.iter().flat_map(next).collect();
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::node::Inode;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::new(pattern, Case::Ignored).matches(&WimString::from(name))
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, wanted) in [
            ("*", "", true),
            ("*", "anything", true),
            ("*.EXE", "a.exe", true),
            ("*.exe", "a.exe.bak", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("", "", true),
            ("", "a", false),
            ("abc", "ABC", true),
            ("a*", "b", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
        assert!(!Glob::new("A", Case::Matters).matches(&WimString::from("a")));
        // Exponential in naive matchers.
        assert!(!matches(&"a*".repeat(40), &"a".repeat(60).replace("aaaaaaaaaa", "b")));
    }

    #[test]
    fn paths_are_matched_name_by_name() {
        let mut tree = Tree::new_empty();
        let directory = || Inode { attributes: 0x10, ..Inode::default() };
        let windows = tree.add(tree.root(), "Windows".into(), directory()).unwrap();
        let system = tree.add(windows, "System32".into(), directory()).unwrap();
        for name in ["a.exe", "b.exe", "c.dll"] {
            tree.add(system, name.into(), Inode::default()).unwrap();
        }
        tree.add(windows, "x.exe".into(), Inode::default()).unwrap();
        let select = |text: &str| -> Vec<String> {
            let glob = PathGlob::parse(text, Case::Ignored).unwrap();
            let nodes = glob.select(&tree);
            for &node in &nodes {
                assert!(glob.matches(tree.path_of(node).components()));
            }
            nodes.into_iter().map(|node| tree.path_of(node).to_string()).collect()
        };
        assert_eq!(select("/windows/*/*.exe"), ["\\Windows\\System32\\a.exe", "\\Windows\\System32\\b.exe"]);
        assert_eq!(select("windows\\SYSTEM32"), ["\\Windows\\System32"]);
        assert_eq!(select("\\"), ["\\"]);
        assert!(select("\\Windows\\*.exe\\x").is_empty());
        assert!(PathGlob::parse("\\..\\x", Case::Ignored).is_err());
    }

    fn slow(pattern: &[u16], name: &[u16]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((&STAR, rest)) => (0..=name.len()).any(|n| slow(rest, &name[n..])),
            Some((&unit, rest)) => name
                .split_first()
                .is_some_and(|(&first, name)| (unit == QUESTION || unit == first) && slow(rest, name)),
        }
    }

    proptest! {
        #[test]
        fn the_quick_matcher_agrees_with_the_plain_one(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            let units = WimString::from(name.as_str());
            let wanted = slow(&WimString::from(pattern.as_str()), &units);
            prop_assert_eq!(Glob::new(&pattern, Case::Matters).matches(&units), wanted);
        }
    }
}
