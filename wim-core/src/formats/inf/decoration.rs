//! Decorations of Models sections (`NTamd64.6.1`): what they say, whom they fit, which one is taken.
//!
//! Source: drivers.md 1.4 (Microsoft's "INF Manufacturer section"), whose table of golden selections is a test here. It
//! never falls back to a section made for another architecture or a newer Windows.

use std::cmp::Reverse;
use std::fmt;

use super::section::parse_number;
use crate::base::Architecture;

/// The Windows that a driver shall fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetWindows {
    /// Its architecture.
    pub arch: Architecture,
    /// Major version: 6 for Vista to 8.1, 10 after.
    pub major: u32,
    /// Minor version: 1 for Windows 7.
    pub minor: u32,
    /// Build number.
    pub build: u32,
    /// 1 workstation, 2 domain controller, 3 server.
    pub product_type: u32,
    /// `VER_SUITE_*` bits.
    pub suite_mask: u32,
}

impl TargetWindows {
    /// The version as INFs compare it.
    #[must_use]
    pub const fn version(&self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

impl fmt::Display for TargetWindows {
    /// `amd64 6.1.7601`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}.{}", self.arch, self.major, self.minor, self.build)
    }
}

/// Whether sections that name no architecture are for x86 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Undecorated {
    /// They are, as Windows has it since Server 2003.
    #[default]
    Refuse,
    /// They are taken for any architecture where nothing else fits, for packages that were labelled carelessly.
    Accept,
}

/// A parsed decoration; fields that are absent fit everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Decoration {
    /// Architecture.
    pub arch: Option<Architecture>,
    /// Lowest major version.
    pub major: Option<u32>,
    /// Lowest minor version of that major version.
    pub minor: Option<u32>,
    /// Product type.
    pub product_type: Option<u32>,
    /// Suite bits that must all be there.
    pub suite_mask: Option<u32>,
    /// Lowest build of exactly that version.
    pub build: Option<u32>,
}

/// First build of Windows that understands a build number in a decoration (10.0, 1607).
const FIRST_BUILD_WITH_BUILDS: (u32, u32, u32) = (10, 0, 14310);

/// Why a decoration does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It names another architecture.
    Architecture(Architecture),
    /// It names none, which only x86 accepts.
    NoArchitecture,
    /// It needs a newer Windows.
    Version(u32, u32),
    /// It needs a newer build.
    Build(u32),
    /// It has a build number, which this Windows does not understand.
    BuildUnknown,
    /// It is for another product type.
    ProductType(u32),
    /// It needs suites that are not there.
    Suite(u32),
    /// It cannot be parsed.
    Malformed,
    /// It holds `$ARCH$`: the INF is a template that was never stamped.
    Template,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Architecture(arch) => write!(f, "it is for {arch}"),
            Self::NoArchitecture => f.write_str("it names no architecture, which only x86 Windows accepts"),
            Self::Version(major, minor) => write!(f, "it needs Windows {major}.{minor} or later"),
            Self::Build(build) => write!(f, "it needs build {build} or later"),
            Self::BuildUnknown => {
                f.write_str("this Windows does not understand build numbers in decorations")
            }
            Self::ProductType(1) => f.write_str("it is for workstations"),
            Self::ProductType(_) => f.write_str("it is for servers"),
            Self::Suite(bits) => write!(f, "it needs the product suites {bits:#x}"),
            Self::Malformed => f.write_str("it cannot be parsed"),
            Self::Template => f.write_str("it is a template whose $ARCH$ was never filled in"),
        }
    }
}

impl Decoration {
    /// Parses `NT[arch][.[major][.[minor][.[producttype][.[suitemask][.[build]]]]]]`.
    ///
    /// # Errors
    /// [`Mismatch::Template`] or [`Mismatch::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Mismatch> {
        if text.contains('$') {
            return Err(Mismatch::Template);
        }
        let mut parts = text.split('.').map(str::trim);
        let arch = match parts.next().and_then(|first| first.split_at_checked(2)) {
            Some((nt, arch)) if nt.eq_ignore_ascii_case("nt") => arch,
            _ => return Err(Mismatch::Malformed),
        };
        let arch = match arch {
            "" => None,
            name => Some(Architecture::from_name(name).ok_or(Mismatch::Malformed)?),
        };
        let mut number = || match parts.next() {
            None | Some("") => Ok(None),
            Some(text) => parse_number(text).map(Some).ok_or(Mismatch::Malformed),
        };
        let decoration = Self {
            arch,
            major: number()?,
            minor: number()?,
            product_type: number()?,
            suite_mask: number()?,
            build: number()?,
        };
        if parts.next().is_some() { Err(Mismatch::Malformed) } else { Ok(decoration) }
    }

    /// Whether it fits `target`.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn fits(&self, target: &TargetWindows) -> Result<(), Mismatch> {
        match self.arch {
            Some(arch) if arch != target.arch => Err(Mismatch::Architecture(arch)),
            None if target.arch != Architecture::X86 => Err(Mismatch::NoArchitecture),
            _ => self.fits_version(target),
        }
    }

    /// Whether it fits `target` but for the architecture.
    fn fits_version(&self, target: &TargetWindows) -> Result<(), Mismatch> {
        let version = (self.major.unwrap_or(0), self.minor.unwrap_or(0));
        if version > target.version() {
            return Err(Mismatch::Version(version.0, version.1));
        }
        if let Some(build) = self.build {
            if (target.major, target.minor, target.build) < FIRST_BUILD_WITH_BUILDS {
                return Err(Mismatch::BuildUnknown);
            }
            if version == target.version() && build > target.build {
                return Err(Mismatch::Build(build));
            }
        }
        if let Some(product_type) = self.product_type
            && product_type != target.product_type
        {
            return Err(Mismatch::ProductType(product_type));
        }
        if let Some(bits) = self.suite_mask
            && bits & !target.suite_mask != 0
        {
            return Err(Mismatch::Suite(bits));
        }
        Ok(())
    }

    /// Greater is preferred among those that fit.
    fn preference(&self) -> impl Ord + use<> {
        (
            self.major.unwrap_or(0),
            self.minor.unwrap_or(0),
            self.build.unwrap_or(0),
            self.product_type.is_some(),
            self.suite_mask.unwrap_or(0).count_ones(),
            self.arch.is_some(),
        )
    }
}

/// The outcome of one line of `[Manufacturer]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Selection {
    /// The Models section to read; it may be absent or empty, which says "nothing for this Windows".
    pub section: Option<String>,
    /// Each decoration of the line that does not fit, with the reason.
    pub rejected: Vec<(String, Mismatch)>,
    /// The section names no architecture, and is taken on another than x86 because that was asked for.
    pub is_undecorated: bool,
}

/// Chooses the Models section of a line `models_section, decorations…` for `target`.
///
/// `exists` says whether a section is there: on x86 the undecorated section stands in when no decoration fits.
#[must_use]
pub fn select(
    models_section: &str,
    decorations: &[String],
    target: &TargetWindows,
    undecorated: Undecorated,
    exists: &dyn Fn(&str) -> bool,
) -> Selection {
    let mut selection = Selection::default();
    if decorations.is_empty() {
        selection.is_undecorated = target.arch != Architecture::X86;
        if selection.is_undecorated && undecorated == Undecorated::Refuse {
            selection.is_undecorated = false;
            selection.rejected.push((String::new(), Mismatch::NoArchitecture));
        } else {
            selection.section = Some(models_section.to_owned());
        }
        return selection;
    }
    let mut fitting = Vec::new();
    for text in decorations {
        match Decoration::parse(text).and_then(|d| d.fits(target).map(|()| d)) {
            Ok(decoration) => fitting.push((decoration, text)),
            Err(reason) => selection.rejected.push((text.clone(), reason)),
        }
    }
    // A stable sort: of two equal decorations the first on the line wins.
    fitting.sort_by_key(|(decoration, _)| Reverse(decoration.preference()));
    selection.section = match fitting.first() {
        Some((_, text)) => Some(format!("{models_section}.{text}")),
        None if target.arch == Architecture::X86 && exists(models_section) => Some(models_section.to_owned()),
        None => None,
    };
    if selection.section.is_none() && undecorated == Undecorated::Accept {
        selection.section = without_architecture(models_section, decorations, target, exists);
        selection.is_undecorated = selection.section.is_some();
    }
    selection
}

/// The section that would be taken if an architecture did not have to be named.
fn without_architecture(
    models_section: &str,
    decorations: &[String],
    target: &TargetWindows,
    exists: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let fitting = decorations.iter().filter_map(|text| {
        let decoration = Decoration::parse(text).ok()?;
        let fits = decoration.arch.is_none() && decoration.fits_version(target).is_ok();
        fits.then_some((decoration, text))
    });
    let best = fitting.max_by_key(|(decoration, _)| decoration.preference());
    let decorated = best.map(|(_, text)| format!("{models_section}.{text}"));
    decorated.or_else(|| exists(models_section).then(|| models_section.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Architecture::{Amd64, Arm64, X86};

    fn windows(arch: Architecture, major: u32, minor: u32, build: u32) -> TargetWindows {
        TargetWindows { arch, major, minor, build, product_type: 1, suite_mask: 0x100 }
    }

    /// `line` is the value of a `[Manufacturer]` entry; the undecorated section exists only if it is alone on the line.
    fn chosen(line: &str, target: TargetWindows) -> Option<String> {
        let mut parts = line.split(',').map(str::to_owned);
        let models = parts.next().unwrap();
        select(&models, &parts.collect::<Vec<_>>(), &target, Undecorated::Refuse, &|_| false).section
    }

    #[test]
    fn golden_selections() {
        let seven = windows(Amd64, 6, 1, 7601);
        let server = TargetWindows { product_type: 3, ..seven };
        let c = |line, target| chosen(line, target);
        let some = |s: &str| Some(s.to_owned());

        assert_eq!(c("M,NTx86.5.1.1,NTamd64.5.1.1", seven), some("M.NTamd64.5.1.1"));
        assert_eq!(c("M,NTx86.5.1.1,NTamd64.5.1.1", server), None);

        let three = "M,NTamd64.6.1,NTamd64.6.2,NTamd64.10.0";
        assert_eq!(c(three, seven), some("M.NTamd64.6.1"));
        assert_eq!(c(three, windows(Amd64, 6, 3, 9600)), some("M.NTamd64.6.2"));
        assert_eq!(c(three, windows(Amd64, 10, 0, 19041)), some("M.NTamd64.10.0"));

        let build = "M,NTamd64.10.0...16299,NTamd64.6.1";
        assert_eq!(c(build, windows(Amd64, 10, 0, 14393)), some("M.NTamd64.6.1"));
        assert_eq!(c(build, windows(Amd64, 10, 0, 19041)), some("M.NTamd64.10.0...16299"));
        assert_eq!(c(build, seven), some("M.NTamd64.6.1"));

        assert_eq!(c("M,NTamd64.10.0...17134", windows(Amd64, 10, 0, 10240)), None);
        assert_eq!(c("M,NTamd64,NTx86", windows(X86, 6, 1, 7601)), some("M.NTx86"));
        assert_eq!(c("M", windows(X86, 6, 1, 7601)), some("M"));
        assert_eq!(c("M", seven), None);
        assert_eq!(c("M,NTx86....0x80,NTamd64", windows(X86, 6, 1, 7601)), None);
        assert_eq!(c("M,NTarm64.10.0...16299", windows(Arm64, 10, 0, 22000)), some("M.NTarm64.10.0...16299"));
    }

    #[test]
    fn more_exact_decorations_win_and_builds_need_a_windows_that_knows_them() {
        let seven = windows(X86, 6, 1, 7601);
        assert_eq!(chosen("M,NT.6.1,NTx86.6.1,NTx86.6.1.1", seven).unwrap(), "M.NTx86.6.1.1");
        assert_eq!(chosen("M,NT.6.1,NTx86.6.1", seven).unwrap(), "M.NTx86.6.1");
        assert_eq!(chosen("M,NTx86.6.1...100", seven), None);
        assert_eq!(chosen("M,ntX86.0x6.0x1", seven).unwrap(), "M.ntX86.0x6.0x1");
        assert_eq!(
            select("M", &["NTx86.10.0".into()], &seven, Undecorated::Refuse, &|_| true).section.unwrap(),
            "M"
        );
    }

    #[test]
    fn sections_without_an_architecture_are_taken_only_on_request_and_last() {
        let seven = windows(Amd64, 6, 1, 7601);
        let chosen = |decorations: &[&str], undecorated| {
            let decorations: Vec<String> = decorations.iter().map(|&text| text.to_owned()).collect();
            let selection = select("M", &decorations, &seven, undecorated, &|name| name == "M");
            (selection.section, selection.is_undecorated)
        };
        let some = |text: &str, undecorated| (Some(text.to_owned()), undecorated);
        assert_eq!(chosen(&[], Undecorated::Refuse), (None, false));
        assert_eq!(chosen(&[], Undecorated::Accept), some("M", true));
        assert_eq!(chosen(&["NT.5.1", "NT.6.0", "NT.6.2"], Undecorated::Refuse), (None, false));
        assert_eq!(chosen(&["NT.5.1", "NT.6.0", "NT.6.2"], Undecorated::Accept), some("M.NT.6.0", true));
        assert_eq!(chosen(&["NTx86"], Undecorated::Accept), some("M", true));
        assert_eq!(chosen(&["NT.6.1", "NTamd64.6.0"], Undecorated::Accept), some("M.NTamd64.6.0", false));
    }

    #[test]
    fn what_cannot_be_parsed_is_named() {
        assert_eq!(Decoration::parse("NT$ARCH$"), Err(Mismatch::Template));
        for bad in ["", "N", "x86", "NTmips", "NTx86.a", "NTx86.6.1.1.0.0.0"] {
            assert_eq!(Decoration::parse(bad), Err(Mismatch::Malformed), "{bad}");
        }
    }
}
