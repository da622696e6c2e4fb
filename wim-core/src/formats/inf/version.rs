//! The `[Version]` section: what a package is, who made it, when.
//!
//! Source: drivers.md 1.3. It does not resolve a class name without a GUID: the image knows those.

use std::fmt;

use super::lexer::Position;
use super::section::{Inf, parse_number};
use crate::base::{Architecture, Error, FileTime, calendar};

/// A day and a four-part version, as `DriverVer` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriverVer {
    /// Year.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
    /// The version, most significant part first; zeros when the INF gives none.
    pub version: [u16; 4],
}

impl DriverVer {
    /// Parses `mm/dd/yyyy[,w.x.y.z]` given as its two fields.
    #[must_use]
    pub fn parse(date: &str, version: Option<&str>) -> Option<Self> {
        let mut parts = date.split(['/', '-']).map(|part| part.trim().parse::<u16>().ok());
        let (month, day, year) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let mut numbers = [0; 4];
        if let Some(text) = version.map(str::trim).filter(|text| !text.is_empty()) {
            let mut slots = numbers.iter_mut();
            for part in text.split('.') {
                *slots.next()? = part.trim().parse().ok()?;
            }
        }
        let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
        Some(Self { year, month, day, version: numbers })
    }

    /// Midnight UTC of its day.
    #[must_use]
    pub fn file_time(&self) -> FileTime {
        let days = calendar::days_from_date(i64::from(self.year), self.month, self.day);
        FileTime::from_unix(days * 86_400, 0)
    }

    /// `2017-05-11`.
    #[must_use]
    pub fn date_text(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// `5.0.4.43`.
    #[must_use]
    pub fn version_text(&self) -> String {
        let [a, b, c, d] = self.version;
        format!("{a}.{b}.{c}.{d}")
    }
}

impl fmt::Display for DriverVer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version_text(), self.date_text())
    }
}

/// `Class=Extension`'s GUID.
pub const EXTENSION_CLASS: &str = "{E2F84CE7-8EFA-411C-AA69-97454CA4CB57}";

/// What `[Version]` says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Version {
    /// Class name, as written.
    pub class: Option<String>,
    /// Class GUID in upper case with braces.
    pub class_guid: Option<String>,
    /// Who made it.
    pub provider: Option<String>,
    /// Date and version.
    pub driver_ver: Option<DriverVer>,
    /// Catalogs: the architecture suffix (`""`, `nt`, `ntamd64` …, lower case) and the file name.
    pub catalogs: Vec<(String, String)>,
    /// `PnpLockdown=1`.
    pub pnp_lockdown: bool,
    /// GUID of an extension INF.
    pub extension_id: Option<String>,
    /// Files come from the operating system: an inbox INF.
    pub layout_file: Option<String>,
    /// Where the section is.
    pub position: Position,
}

/// What to do about a file that is called `.inf` and is something else.
const NOT_FOR_WINDOWS: &str = "leave this file out: it installs nothing on Windows";

impl Version {
    /// Reads the section.
    ///
    /// # Errors
    /// `Format` when it is absent or its signature is not one of an INF for Windows.
    pub fn read(inf: &Inf) -> Result<Self, Error> {
        let section = inf.section("Version").ok_or_else(|| {
            inf.error(Position::default(), "no [Version] section, so this is no INF of Windows")
                .remedy(NOT_FOR_WINDOWS)
        })?;
        let text = |key: &str| section.value(key).map(|field| inf.expand(field).into_owned());
        let signature = text("Signature").unwrap_or_default();
        if !["$windows nt$", "$chicago$"].contains(&signature.trim().to_ascii_lowercase().as_str()) {
            let at = section.value("Signature").map_or(section.position, |field| field.position);
            let message = format!("signature {signature:?} is neither \"$Windows NT$\" nor \"$Chicago$\"");
            return Err(inf.error(at, message).remedy(NOT_FOR_WINDOWS));
        }
        let driver_ver = section
            .with_key("DriverVer")
            .next()
            .and_then(|entry| DriverVer::parse(&inf.field(entry, 0)?, inf.field(entry, 1).as_deref()));
        let mut catalogs = Vec::new();
        for entry in &section.entries {
            let Some(key) = entry.key.as_ref().map(|key| key.text.to_ascii_lowercase()) else { continue };
            if let Some(suffix) = key.strip_prefix("catalogfile")
                && let Some(name) = inf.field(entry, 0)
            {
                catalogs.push((suffix.trim_start_matches('.').to_owned(), name.into_owned()));
            }
        }
        Ok(Self {
            class: text("Class"),
            class_guid: text("ClassGuid").map(|guid| guid.trim().to_ascii_uppercase()),
            provider: text("Provider"),
            driver_ver,
            catalogs,
            pnp_lockdown: text("PnpLockdown").and_then(|t| parse_number(&t)).unwrap_or(0) == 1,
            extension_id: text("ExtensionId"),
            layout_file: text("LayoutFile"),
            position: section.position,
        })
    }

    /// The catalog for an architecture: `CatalogFile.nt<arch>`, else `.nt`, else undecorated.
    #[must_use]
    pub fn catalog(&self, arch: Architecture) -> Option<&str> {
        let by =
            |suffix: &str| self.catalogs.iter().find(|(s, _)| s == suffix).map(|(_, name)| name.as_str());
        by(&format!("nt{arch}")).or_else(|| by("nt")).or_else(|| by(""))
    }

    /// True for an extension INF, which adds to a driver and is none itself.
    #[must_use]
    pub fn is_extension(&self) -> bool {
        self.class_guid.as_deref() == Some(EXTENSION_CLASS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::inf::ParseOptions;

    #[test]
    fn driver_ver_forms() {
        let parse = |d, v| DriverVer::parse(d, v).map(|d| d.to_string());
        assert_eq!(parse("05/11/2017", Some("5.0.4.43")).unwrap(), "5.0.4.43 2017-05-11");
        assert_eq!(parse("6-1-2019", Some(" 1.16.58.1")).unwrap(), "1.16.58.1 2019-06-01");
        assert_eq!(parse("04/26/2017", Some("1.40.042.0")).unwrap(), "1.40.42.0 2017-04-26");
        assert_eq!(parse("04/26/2017", None).unwrap(), "0.0.0.0 2017-04-26");
        assert_eq!(parse("04/26/2017", Some("7.1")).unwrap(), "7.1.0.0 2017-04-26");
        for (d, v) in [("13/01/2000", None), ("1/2", None), ("01/01/2000", Some("70000")), ("x", None)] {
            assert_eq!(parse(d, v), None, "{d} {v:?}");
        }
        assert_eq!(parse("01/01/2000", Some("1.2.3.4.5")), None);
    }

    #[test]
    fn days_are_file_times_as_windows_keeps_them() {
        let bytes = |date| DriverVer::parse(date, None).unwrap().file_time().0.to_le_bytes();
        assert_eq!(bytes("06/04/2014"), [0x00, 0x40, 0x90, 0xED, 0x87, 0x7F, 0xCF, 0x01]);
        assert_eq!(bytes("08/30/2021"), [0x00, 0x40, 0xC3, 0xF9, 0x31, 0x9D, 0xD7, 0x01]);
        assert_eq!(bytes("12/02/2021"), [0x00, 0xC0, 0x97, 0x8C, 0x0F, 0xE7, 0xD7, 0x01]);
        assert_eq!(bytes("01/02/2020"), [0x00, 0xC0, 0x6E, 0x93, 0xFF, 0xC0, 0xD5, 0x01]);
        assert_eq!(bytes("05/05/2017"), [0x00, 0xC0, 0xE9, 0x89, 0x32, 0xC5, 0xD2, 0x01]);
        assert_eq!(DriverVer::parse("1/1/1601", None).unwrap().file_time(), FileTime(0));
        assert_eq!(DriverVer::parse("1/1/0", None).unwrap().file_time(), FileTime(0));
    }

    #[test]
    fn the_nearest_catalog_is_taken() {
        let text = "[Version]\nSignature=\"$WINDOWS NT$\"\nCatalogFile=a.cat\nCatalogFile.NT=b.cat\nCatalogFile.NTAMD64=c.cat\n";
        let inf = Inf::parse("x.inf", text.as_bytes(), ParseOptions::default()).unwrap();
        let version = Version::read(&inf).unwrap();
        assert_eq!(version.catalog(Architecture::Amd64), Some("c.cat"));
        assert_eq!(version.catalog(Architecture::X86), Some("b.cat"));
    }

    #[test]
    fn another_signature_is_named_with_its_place() {
        let inf = Inf::parse("x.inf", b"[Version]\nSignature=\"$Foo$\"\n", ParseOptions::default()).unwrap();
        let text = Version::read(&inf).unwrap_err().to_string();
        assert!(text.starts_with("x.inf: line 2, column 11: signature \"$Foo$\""), "{text}");
    }
}
