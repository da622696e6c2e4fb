//! Versions, identities of assemblies, and the names of packages.
//!
//! Sources: Microsoft's assembly manifest reference and updates.md 3.6 and 4.1. Whether one version may take the place of
//! another is not decided here.

use std::fmt;

use roxmltree::Node;

use super::document::{attribute, bad, required};
use crate::base::Result;

/// A version of four numbers, compared number by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AssemblyVersion(pub [u16; 4]);

impl AssemblyVersion {
    /// Reads `6.1.7601.17514`; none for anything but four plain numbers below 65,536.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut numbers = [0; 4];
        for number in &mut numbers {
            let part = parts.next()?;
            let is_plain =
                part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            *number = part.parse().ok().filter(|_| is_plain)?;
        }
        parts.next().is_none().then_some(Self(numbers))
    }

    /// The first two numbers, as `Winners` keys are grouped by: `6.1`.
    #[must_use]
    pub fn major_minor(self) -> String {
        let [major, minor, _, _] = self.0;
        format!("{major}.{minor}")
    }
}

impl fmt::Display for AssemblyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

/// What names an assembly: a package, a deployment or a component.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AssemblyIdentity {
    /// Its name, as written.
    pub name: String,
    /// Its version.
    pub version: AssemblyVersion,
    /// `amd64`, `x86`, `wow64`, `msil`, `ia64`, `arm64` …, as written.
    pub architecture: String,
    /// Its language; none when neutral. `*` in a dependency means all languages of the image.
    pub language: Option<String>,
    /// Token of the public key: 16 hexadecimal digits.
    pub public_key_token: Option<String>,
    /// `win32`, `dualModeDriver` …: the attribute `type`.
    pub kind: Option<String>,
    /// `nonSxS`, the scope of all components of Windows itself.
    pub version_scope: Option<String>,
}

impl AssemblyIdentity {
    /// Reads an `assemblyIdentity` element, or any element with its attributes.
    pub(super) fn read(node: Node<'_, '_>) -> Result<Self> {
        let version = required(node, "version")?;
        let version = AssemblyVersion::parse(&version)
            .ok_or_else(|| bad(node, format!("{version:?} is not a version of four numbers")))?;
        let name = required(node, "name")?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(bad(node, format!("{name:?} cannot be the name of an assembly")));
        }
        let neutral = |text: &String| is_neutral(text);
        Ok(Self {
            name,
            version,
            architecture: required(node, "processorArchitecture")?,
            // `culture` is how side-by-side assemblies before Vista spell it.
            language: attribute(node, "language")
                .or_else(|| attribute(node, "culture"))
                .filter(|text| !neutral(text)),
            public_key_token: attribute(node, "publicKeyToken").filter(|text| !neutral(text)),
            kind: attribute(node, "type").filter(|text| !neutral(text)),
            version_scope: attribute(node, "versionScope").filter(|text| !neutral(text)),
        })
    }

    /// The package of this identity.
    #[must_use]
    pub fn package_id(&self) -> PackageId {
        PackageId {
            name: self.name.clone(),
            token: self.public_key_token.clone().unwrap_or_default(),
            architecture: self.architecture.clone(),
            language: self.language.clone().unwrap_or_default(),
            version: self.version,
        }
    }

    /// The same assembly, whatever its version: all attributes but the version are equal without regard to case.
    #[must_use]
    pub fn is_same_family(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        self.name.eq_ignore_ascii_case(&other.name)
            && self.architecture.eq_ignore_ascii_case(&other.architecture)
            && same(&self.language, &other.language)
            && same(&self.public_key_token, &other.public_key_token)
            && same(&self.kind, &other.kind)
            && same(&self.version_scope, &other.version_scope)
    }
}

/// True for the values that stand for no value.
fn is_neutral(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("neutral") || text.eq_ignore_ascii_case("none")
}

impl fmt::Display for AssemblyIdentity {
    /// The canonical form that the COMPONENTS hive keeps (updates.md 3.6).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Culture={}", self.name, self.language.as_deref().unwrap_or("neutral"))?;
        if let Some(kind) = &self.kind {
            write!(f, ", Type={kind}")?;
        }
        let token = self.public_key_token.as_deref().unwrap_or("none");
        write!(f, ", Version={}, PublicKeyToken={token}", self.version)?;
        write!(f, ", ProcessorArchitecture={}", self.architecture)?;
        if self.version_scope.is_some() {
            f.write_str(", versionScope=NonSxS")?;
        }
        Ok(())
    }
}

/// The name of a package: `name~token~architecture~language~version`, the language empty when neutral.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PackageId {
    /// Its name.
    pub name: String,
    /// Token of the public key.
    pub token: String,
    /// Architecture.
    pub architecture: String,
    /// Language; empty when neutral.
    pub language: String,
    /// Version.
    pub version: AssemblyVersion,
}

impl PackageId {
    /// Reads the name of a package; none for text of another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('~').map(str::to_owned);
        let (name, token, architecture, language) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = AssemblyVersion::parse(&parts.next()?)?;
        (parts.next().is_none() && !name.is_empty()).then_some(Self {
            name,
            token,
            architecture,
            language,
            version,
        })
    }

    /// The same package, whatever its version.
    #[must_use]
    pub fn is_same_family(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.token.eq_ignore_ascii_case(&other.token)
            && self.architecture.eq_ignore_ascii_case(&other.architecture)
            && self.language.eq_ignore_ascii_case(&other.language)
    }

    /// The same package of the same version.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.is_same_family(other) && self.version == other.version
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}~{}~{}~{}", self.name, self.token, self.architecture, self.language, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_four_plain_numbers() {
        assert_eq!(AssemblyVersion::parse("6.1.7601.17514"), Some(AssemblyVersion([6, 1, 7601, 17514])));
        for bad in
            ["", "6.1.7601", "6.1.7601.1.2", "6.1.7601.65536", "6.1..1", "06.1.1.1", "+6.1.1.1", "6.1.1.*"]
        {
            assert_eq!(AssemblyVersion::parse(bad), None, "{bad}");
        }
        assert!(AssemblyVersion::parse("6.1.7601.9") < AssemblyVersion::parse("6.1.7601.10"));
    }

    #[test]
    fn names_of_packages_lead_back() {
        let text = "Package_for_KB2999226~31bf3856ad364e35~amd64~~6.1.1.6";
        let id = PackageId::parse(text).unwrap();
        assert_eq!((id.to_string().as_str(), id.language.as_str()), (text, ""));
        for bad in ["", "a", "a~b~c~d", "a~b~c~~1.2.3", "a~b~c~~1.2.3.4~x", "~b~c~~1.2.3.4"] {
            assert_eq!(PackageId::parse(bad), None, "{bad}");
        }
    }
}
