//! What stands beside the package cabinet in an `.msu`: the XML file that names it, and its properties.
//!
//! Described in updates.md 1.1: the XML is an answer file whose `servicing/package` says what to install and where it lies. The
//! package is taken from there, not guessed from file names; only an `.msu` without such a file may have exactly one cabinet.

use super::has_suffix;
use crate::base::xml::{self, XmlLimits};
use crate::base::{Error, ErrorKind, Place, Result};
use crate::jobs::archive::UnpackedFiles;
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// Largest text that is read; real ones have a few hundred bytes.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Real files have six levels and a dozen nodes.
const LIMITS: XmlLimits = XmlLimits { depth: 50, nodes: 100_000, attributes: 100 };
/// End of the name of the file with properties.
const PROPERTIES_SUFFIX: &str = "pkgProperties.txt";

/// The package that an `.msu` says to install; texts as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopPackage {
    /// Name of the assembly: `Package_for_KB2999226`.
    pub name: String,
    /// Version: `6.1.1.6`.
    pub version: String,
    /// Architecture: `amd64`.
    pub architecture: String,
    /// Language: `neutral`.
    pub language: String,
    /// Token of the public key.
    pub public_key_token: String,
    /// File name of the package cabinet.
    pub cabinet: String,
}

/// How the names of packages end: cabinets, and the forms of WIM files.
const PACKAGE_SUFFIXES: [&str; 3] = [".cab", ".wim", ".esd"];

/// True for members of an `.msu` that are there for Windows Update or hold another servicing stack.
pub(super) fn is_metadata(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "wsusscan.cab"
        || name.starts_with("desktopdeployment")
        || (name.contains("aggregatedmetadata") && name.ends_with(".cab"))
}

/// True for a member of an `.msu` that may be a package.
pub(super) fn is_package(name: &str) -> bool {
    PACKAGE_SUFFIXES.iter().any(|suffix| has_suffix(name, suffix)) && !is_metadata(name)
}

/// A name without the end that says what kind of package it is.
pub(super) fn stem(name: &str) -> &str {
    let suffix = PACKAGE_SUFFIXES.iter().find(|suffix| has_suffix(name, suffix));
    let end = name.len() - suffix.map_or(0, |suffix| suffix.len());
    name.get(..end).unwrap_or(name)
}

/// The package that the XML files name; none when there is no such file.
pub(super) fn top_package(files: &UnpackedFiles) -> Result<Option<TopPackage>> {
    for file in files.list().iter().filter(|file| is_root_file(file, ".xml")) {
        let bytes = files.read(file, MAX_TEXT_BYTES)?;
        let parsed = TopPackage::parse(&file.path, &bytes);
        if let Some(top) = parsed.map_err(|e| e.in_file(files.name()))? {
            return Ok(Some(top));
        }
    }
    Ok(None)
}

impl TopPackage {
    /// Reads the answer file beside a package; none when it installs no package. `name` is what errors call it.
    ///
    /// # Errors
    /// `Format` and `Limit` for what is no sane XML, or names a package without identity or place.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Option<Self>> {
        let at = |e: Error| e.or_at(Place::Path(name.to_owned()));
        let remedy = "the package is damaged; get it again from its source";
        if bytes.len() as u64 > MAX_TEXT_BYTES {
            let message =
                format!("{} bytes are more than the {MAX_TEXT_BYTES} of an answer file", bytes.len());
            return Err(at(Error::limit(message).remedy(remedy)));
        }
        let text = xml::decode(bytes).map_err(at)?;
        let document = xml::parse(&text, LIMITS, name)?;
        let is_install = |node: &roxmltree::Node<'_, '_>| {
            node.tag_name().name() == "package" && node.attribute("action") == Some("install")
        };
        let Some(package) = document.descendants().find(is_install) else { return Ok(None) };
        let child = |name: &str| package.children().find(|node| node.tag_name().name() == name);
        let (Some(identity), Some(source)) = (child("assemblyIdentity"), child("source")) else {
            let message = "the package to install has no assemblyIdentity or no source";
            return Err(at(Error::new(ErrorKind::Format, message).remedy(remedy)));
        };
        let text_of = |name: &str| identity.attribute(name).unwrap_or_default().to_owned();
        let location = source.attribute("location").unwrap_or_default();
        Ok(Some(Self {
            name: text_of("name"),
            version: text_of("version"),
            architecture: text_of("processorArchitecture"),
            language: text_of("language"),
            public_key_token: text_of("publicKeyToken"),
            // %configsetroot%\NAME.cab
            cabinet: location.rsplit(['\\', '/']).next().unwrap_or_default().to_owned(),
        }))
    }
}

fn is_root_file(file: &PackageFile, suffix: &str) -> bool {
    has_suffix(&file.path, suffix) && !file.path.contains('\\')
}

/// The package to open: the one that is named, in whatever form it lies there, else the only one. A servicing stack
/// (`SSU-….cab`) beside an update goes in first by itself and is not the one that is meant.
pub(super) fn package_archive<'f>(
    files: &'f UnpackedFiles,
    top: Option<&TopPackage>,
) -> Result<&'f PackageFile> {
    let is_root = |file: &&PackageFile| is_package(&file.path) && !file.path.contains('\\');
    let packages: Vec<&PackageFile> = files.list().iter().filter(is_root).collect();
    if let Some(top) = top {
        let named = packages.iter().find(|file| file.path.eq_ignore_ascii_case(&top.cabinet));
        let other_form =
            || packages.iter().find(|file| stem(&file.path).eq_ignore_ascii_case(stem(&top.cabinet)));
        return named.or_else(other_form).copied().ok_or_else(|| {
            Error::new(
                ErrorKind::Format,
                format!("{:?}, which is to be installed, is not in it", top.cabinet),
            )
            .remedy("the package is incomplete; get it again from its source")
        });
    }
    let is_stack = |name: &str| name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("ssu-"));
    let mut others = packages.iter().filter(|file| packages.len() == 1 || !is_stack(&file.path));
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only),
        _ => {
            Err(Error::new(ErrorKind::Format, "several packages, and no XML file that says which to install")
                .remedy("extract it with wim cab extract or wim extract and give the package that is meant"))
        }
    }
}

/// Keys and values of `*-pkgProperties.txt`: lines `Key="Value"`.
pub(super) fn properties(files: &UnpackedFiles) -> Result<Vec<(String, String)>> {
    let Some(file) = files.list().iter().find(|file| is_root_file(file, PROPERTIES_SUFFIX)) else {
        return Ok(Vec::new());
    };
    let bytes = files.read(file, MAX_TEXT_BYTES)?;
    let text = xml::decode(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes));
    Ok(parse_properties(&text))
}

fn parse_properties(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        Some((key.trim().to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_keys_and_quoted_values() {
        let text =
            "ApplicabilityInfo=\"Windows 7 SP1;\"\r\nBuild Date=\"2015/08/11\"\r\nx = y\r\n\r\nnothing\r\n";
        let expected = [("ApplicabilityInfo", "Windows 7 SP1;"), ("Build Date", "2015/08/11"), ("x", "y")];
        assert_eq!(parse_properties(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn cabinets_for_windows_update_are_told() {
        assert!(is_metadata("WSUSSCAN.cab") && is_metadata("DesktopDeployment_x86.cab"));
        assert!(is_metadata("onepackage.AggregatedMetadata.cab"));
        assert!(!is_metadata("Windows6.1-KB2999226-x64.cab"));
        assert!(
            is_package("Windows11.0-KB5043080-x64.WIM")
                && !is_package("WSUSSCAN.cab")
                && !is_package("x.psf")
        );
        assert_eq!((stem("a.b.CAB"), stem("a.psf"), stem(".cab")), ("a.b", "a.psf", ""));
    }

    #[test]
    fn the_answer_file_names_the_package() {
        let text = |inner: &str| format!("<unattend xmlns=\"u\"><servicing>{inner}</servicing></unattend>");
        let identity = "<assemblyIdentity name=\"P\" version=\"6.1.1.0\" language=\"neutral\"/>";
        let good = text(&format!(
            "<package action=\"install\">{identity}<source location=\"%configsetroot%\\x.cab\"/></package>"
        ));
        let top = TopPackage::parse("a.xml", good.as_bytes()).unwrap().unwrap();
        assert_eq!((top.name.as_str(), top.cabinet.as_str(), top.architecture.as_str()), ("P", "x.cab", ""));
        assert_eq!(TopPackage::parse("a.xml", text("<package action=\"stage\"/>").as_bytes()).unwrap(), None);
        let bad = text(&format!("<package action=\"install\">{identity}</package>"));
        let error = TopPackage::parse("a.xml", bad.as_bytes()).unwrap_err();
        assert!(error.kind() == ErrorKind::Format && error.remedy_text().is_some(), "{error}");
        assert!(TopPackage::parse("a.xml", &vec![b' '; 2 << 20]).unwrap_err().kind() == ErrorKind::Limit);
    }
}
