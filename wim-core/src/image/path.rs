//! Paths inside an image.
//!
//! Components are names as Windows keeps them; the text form has backslashes and starts with one, and both slashes are
//! accepted when it is parsed. A path never holds `.`, `..` or an empty component, so it cannot leave the image.

use std::fmt;

use crate::base::{Error, Result, WimString};

/// An absolute path inside an image; the root is the path without components.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WimPath(Vec<WimString>);

impl WimPath {
    /// The root directory.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Parses text such as `\Windows\System32` or `/Windows/System32`; repeated and trailing slashes are ignored.
    ///
    /// # Errors
    /// `InvalidInput` for a component `.` or `..`, or one with a NUL or a colon (a drive or a stream).
    pub fn parse(text: &str) -> Result<Self> {
        let mut components = Vec::new();
        for name in text.split(['\\', '/']).filter(|name| !name.is_empty()) {
            if name == "." || name == ".." || name.contains(['\0', ':']) {
                return Err(Error::invalid_input(format!(
                    "{name:?} cannot be part of a path in an image: {text}"
                ))
                .remedy("write the path from the root of the image, as in \\Windows\\System32"));
            }
            components.push(WimString::from(name));
        }
        Ok(Self(components))
    }

    /// A path of these names, taken as they are.
    #[must_use]
    pub fn from_components(components: Vec<WimString>) -> Self {
        Self(components)
    }

    /// The names from the root down.
    #[must_use]
    pub fn components(&self) -> &[WimString] {
        &self.0
    }

    /// The last name; none for the root.
    #[must_use]
    pub fn name(&self) -> Option<&WimString> {
        self.0.last()
    }

    /// The directory that holds it; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }

    /// This path with one more name.
    #[must_use]
    pub fn child(&self, name: impl Into<WimString>) -> Self {
        let mut components = self.0.clone();
        components.push(name.into());
        Self(components)
    }

    /// This path continued by `text`, parsed as [`Self::parse`] does.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn join(&self, text: &str) -> Result<Self> {
        let mut components = self.0.clone();
        components.extend(Self::parse(text)?.0);
        Ok(Self(components))
    }

    /// Equal but for case.
    #[must_use]
    pub fn eq_ignore_case(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.eq_ignore_case(b))
    }
}

impl fmt::Display for WimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("\\");
        }
        self.0.iter().try_for_each(|name| write!(f, "\\{name}"))
    }
}

impl fmt::Debug for WimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_slashes_parse_and_backslashes_print() {
        let path = WimPath::parse("/Windows\\System32//config/").unwrap();
        assert_eq!(path.to_string(), "\\Windows\\System32\\config");
        assert_eq!(path.parent().unwrap().to_string(), "\\Windows\\System32");
        assert_eq!(WimPath::parse("\\").unwrap(), WimPath::root());
        assert_eq!(WimPath::root().to_string(), "\\");
        assert!(path.eq_ignore_case(&WimPath::parse("windows/SYSTEM32/Config").unwrap()));
    }

    #[test]
    fn nothing_leads_out_of_the_image() {
        for bad in ["..", "a/../b", "C:\\x", "a\\.\\b", "a:b", "a\0b"] {
            assert!(WimPath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
