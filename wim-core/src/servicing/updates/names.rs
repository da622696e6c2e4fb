//! Names of the component store: the hash of an identity, key forms, names of registry values.
//!
//! Source: updates.md 3, whose table of real names the tests recompute; `tests/it/updates_real.rs` does the same for every
//! manifest of the real packages. Nothing here looks into a store.

use crate::base::{Error, Result};
use crate::formats::cbs::{AssemblyIdentity, AssemblyVersion, PackageId};

/// 2^33 - 9: what identities are multiplied by, and whose powers mix the lanes of a text.
const K: u64 = 0x1_FFFF_FFF7;
/// What each lane is multiplied by, per character.
const LANE_FACTOR: u32 = 0x1003F;
/// Longest name of an assembly in a key form of a component or a family.
const MAX_COMPONENT_NAME: usize = 40;
/// Longest name of an assembly in the key form of a deployment.
const MAX_DEPLOYMENT_NAME: usize = 24;
/// Longest language in a key form.
const MAX_CULTURE: usize = 8;
/// Longest version that is known to be written whole: sources disagree on how longer ones are shortened.
const MAX_VERSION: usize = 16;
/// Characters of a file name that the name of an `f!` value keeps.
const FILE_VALUE_NAME: usize = 25;
/// Characters of a package that the name of a `p!`, `s!` or `i!` value keeps.
const PACKAGE_VALUE_NAME: usize = 60;

/// The 64-bit hash of a text, regardless of ASCII case: four interleaved 32-bit sums, mixed with powers of 2^33 - 9.
#[must_use]
pub fn text_hash(text: &str) -> u64 {
    let mut lanes = [0_u32; 4];
    for (at, byte) in text.bytes().enumerate() {
        if let Some(lane) = lanes.get_mut(at % 4) {
            *lane = lane.wrapping_mul(LANE_FACTOR).wrapping_add(u32::from(byte.to_ascii_lowercase()));
        }
    }
    lanes.iter().fold(0, |hash: u64, &lane| hash.wrapping_mul(K).wrapping_add(u64::from(lane)))
}

/// Which hash of an identity is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// One version: components and deployments.
    Version,
    /// All versions: families, in `Winners`.
    Family,
}

/// The hash over the attributes of an identity, in Windows' own order; absent ones count for nothing.
fn identity_hash(identity: &AssemblyIdentity, scope: Scope) -> u64 {
    let version = (scope == Scope::Version).then(|| identity.version.to_string());
    let architecture =
        Some(identity.architecture.as_str()).filter(|text| !matches!(*text, "" | "neutral" | "none"));
    let attributes = [
        ("name", Some(identity.name.as_str())),
        ("culture", identity.language.as_deref()),
        ("type", identity.kind.as_deref()),
        ("version", version.as_deref()),
        ("publicKeyToken", identity.public_key_token.as_deref()),
        ("processorArchitecture", architecture),
        ("versionScope", identity.version_scope.as_deref()),
    ];
    attributes.iter().filter_map(|(name, value)| Some((name, (*value)?))).fold(
        0,
        |key: u64, (name, value)| {
            key.wrapping_mul(K).wrapping_add(text_hash(name).wrapping_mul(K)).wrapping_add(text_hash(value))
        },
    )
}

/// The key form of a component: its directory in `WinSxS`, the name of its manifest, its key in `DerivedData\Components`.
///
/// # Errors
/// `Unsupported` for a version of more than 16 characters, whose short form is not known.
pub fn component_key_form(identity: &AssemblyIdentity) -> Result<String> {
    Ok(format!(
        "{}_{}_{}_{}_{}_{:016x}",
        lower(&identity.architecture),
        shorten(&identity.name, MAX_COMPONENT_NAME),
        token(identity),
        version(identity.version)?,
        culture(identity),
        identity_hash(identity, Scope::Version)
    ))
}

/// The key form of all versions of a component: its key in `SideBySide\Winners`.
#[must_use]
pub fn family_key_form(identity: &AssemblyIdentity) -> String {
    format!(
        "{}_{}_{}_{}_{:016x}",
        lower(&identity.architecture),
        shorten(&identity.name, MAX_COMPONENT_NAME),
        token(identity),
        culture(identity),
        identity_hash(identity, Scope::Family)
    )
}

/// The key form of a deployment: its key in `CanonicalData\Deployments`, and what `c!` values are named by.
///
/// # Errors
/// As [`component_key_form`].
pub fn deployment_key_form(identity: &AssemblyIdentity) -> Result<String> {
    Ok(format!(
        "{}_{}_{}_{:016x}",
        shorten(&identity.name, MAX_DEPLOYMENT_NAME),
        token(identity),
        version(identity.version)?,
        identity_hash(identity, Scope::Version)
    ))
}

/// Name of the value of `DerivedData\Components` that stands for a file: `f!` and the name, shortened with its hash.
#[must_use]
pub fn file_value_name(file: &str) -> String {
    match file.char_indices().nth(FILE_VALUE_NAME) {
        None => format!("f!{file}"),
        Some((end, _)) => {
            let start = file.get(..end).unwrap_or(file);
            format!("f!{}_{:016x}", lower(start), text_hash(file))
        }
    }
}

/// Name of the value of `CanonicalData\Deployments` that refers to an update of a package: `mark` (`p`, `s` or `i`),
/// `!CBS_` and the package with the name of its update, shortened with the hash of all of it.
#[must_use]
pub fn package_value_name(mark: char, package: &PackageId, update: &str) -> String {
    let reference = install_reference(package, update);
    let name = lower(&reference);
    match name.char_indices().nth(PACKAGE_VALUE_NAME) {
        None => format!("{mark}!CBS_{name}"),
        Some((end, _)) => {
            let start = name.get(..end).unwrap_or(&name);
            format!("{mark}!CBS_{start}_{:016x}", text_hash(&reference))
        }
    }
}

/// How the store refers to an update of a package: the package's name, a full stop, the update's name.
#[must_use]
pub fn install_reference(package: &PackageId, update: &str) -> String {
    format!("{package}.{update}")
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

fn token(identity: &AssemblyIdentity) -> String {
    // UNVERIFIED for assemblies without a token; all that servicing knows have one.
    identity.public_key_token.as_deref().map_or_else(|| "none".to_owned(), lower)
}

fn culture(identity: &AssemblyIdentity) -> String {
    identity.language.as_deref().map_or_else(|| "none".to_owned(), |language| shorten(language, MAX_CULTURE))
}

fn version(version: AssemblyVersion) -> Result<String> {
    let text = version.to_string();
    if text.len() > MAX_VERSION {
        let message = format!("the version {text} has more than {MAX_VERSION} characters");
        return Err(Error::unsupported(message + ", and how the store shortens such ones is not known")
            .remedy("install this package in the running Windows, or with DISM"));
    }
    Ok(text)
}

/// Lower case, without characters that key forms leave out; a text longer than `limit` keeps both ends and two dots.
fn shorten(text: &str, limit: usize) -> String {
    let clean: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    let clean = lower(&clean);
    let end = limit / 2 - 1;
    match (clean.get(..end), clean.len().checked_sub(end).and_then(|start| clean.get(start..))) {
        (Some(first), Some(last)) if clean.len() > limit => format!("{first}..{last}"),
        _ => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: &str = "31bf3856ad364e35";

    fn identity(name: &str, version: &str, architecture: &str, language: &str) -> AssemblyIdentity {
        AssemblyIdentity {
            name: name.to_owned(),
            version: AssemblyVersion::parse(version).unwrap(),
            architecture: architecture.to_owned(),
            language: Some(language.to_owned()).filter(|language| !language.is_empty()),
            public_key_token: Some(WINDOWS.to_owned()),
            kind: None,
            version_scope: Some("nonSxS".to_owned()),
        }
    }

    /// Names of real stores, published by others.
    #[test]
    fn hashes_of_the_golden_table() {
        let sp1 = "6.1.7601.17514";
        for (name, version, architecture, language, hash) in [
            ("Microsoft-Windows-CommandPrompt", sp1, "amd64", "", "e932cc2c30fc13b0"),
            ("Microsoft-Windows-Findstr", sp1, "amd64", "", "855590d1705431c5"),
            ("Microsoft-Windows-Findstr", sp1, "x86", "", "2936f54db7f6c08f"),
            ("Microsoft-Windows-crypt32-dll", sp1, "amd64", "", "b995c74af473511b"),
            ("Microsoft-Windows-OcspSvc", "6.1.7601.22807", "amd64", "", "3bfeae7293092e4b"),
            ("Microsoft-Windows-OfflineFiles-D-LanguagePack", sp1, "amd64", "en-US", "21df27d5020f95d8"),
            ("Microsoft-Windows-OfflineFiles-D-LanguagePack", sp1, "amd64", "ru-RU", "6b003f895314917f"),
            (
                "Security-Malware-Windows-Defender.Resources",
                "6.1.7600.16385",
                "amd64",
                "zh-CN",
                "4cd17fc991c0de27",
            ),
            ("Windows Foundation", sp1, "amd64", "", "615fdfe2a739474c"),
            ("Windows Foundation", sp1, "x86", "", "0541445eeedbd616"),
            ("kdnic.inf.Resources", "10.0.19041.1", "amd64", "en-US", "6a39b593cd0620bd"),
            ("Microsoft-Windows-ServicingStack", "10.0.19041.1", "amd64", "", "bf506ecc66a800df"),
        ] {
            let form = component_key_form(&identity(name, version, architecture, language)).unwrap();
            assert_eq!(form.rsplit('_').next(), Some(hash), "{form}");
        }
    }

    #[test]
    fn key_forms_of_real_stores() {
        let long = "Microsoft-Windows-TerminalServices-LocalSessionManager";
        let form = component_key_form(&identity(long, "6.1.7601.17514", "amd64", "")).unwrap();
        assert_eq!(
            form,
            "amd64_microsoft-windows-t..localsessionmanager_31bf3856ad364e35_6.1.7601.17514_none_036ad230212a39ce"
        );
        let stack = identity("Microsoft-Windows-ServicingStack", "10.0.19041.1", "amd64", "");
        assert!(family_key_form(&stack).ends_with("_none_4a207b402ad93a1c"), "{}", family_key_form(&stack));
        let foundation = identity("Windows Foundation", "6.1.7601.17514", "amd64", "");
        assert_eq!(
            deployment_key_form(&foundation).unwrap(),
            "windowsfoundation_31bf3856ad364e35_6.1.7601.17514_615fdfe2a739474c"
        );
        let controls = AssemblyIdentity {
            public_key_token: Some("6595b64144ccf1df".into()),
            kind: Some("win32".into()),
            version_scope: None,
            ..identity("Microsoft.Windows.Common-Controls", "5.82.26100.8037", "amd64", "")
        };
        assert!(component_key_form(&controls).unwrap().ends_with("_87ebc5097a2f9e52"));
        assert!(family_key_form(&controls).ends_with("_62fe57338acfab7a"));
        let dual = AssemblyIdentity {
            kind: Some("dualModeDriver".into()),
            ..identity("dual_kdnic.inf", "10.0.19041.1", "amd64", "")
        };
        assert!(component_key_form(&dual).unwrap().ends_with("_272c88640323e7fc"));
        let serbian = component_key_form(&identity("A", "6.1.7601.1", "amd64", "sr-Latn-RS")).unwrap();
        assert!(serbian.contains("_sr-..-rs_"), "{serbian}");
        assert!(component_key_form(&identity("A", "65535.65535.65535.1", "x86", "")).is_err());
    }

    #[test]
    fn names_of_values() {
        assert_eq!(text_hash("windows.speech.pal.desktop.dll"), 0xac8e_c17b_da61_895c);
        assert_eq!(
            file_value_name("Windows.Speech.Pal.Desktop.dll"),
            "f!windows.speech.pal.deskto_ac8ec17bda61895c"
        );
        assert_eq!(file_value_name("Exactly25Characters.1.dll"), "f!Exactly25Characters.1.dll");
        let package = PackageId::parse("Package_4_for_KB948610~31bf3856ad364e35~x86~~6.0.6001.2123").unwrap();
        assert_eq!(
            package_value_name('i', &package, "948610-236_neutral_GDR"),
            "i!CBS_package_4_for_kb948610~31bf3856ad364e35~x86~~6.0.6001.2123.9_ea595459ef79236f"
        );
        assert!(package_value_name('p', &package, "948610-238_neutral_GDR").ends_with("_9239eb5df3a843a1"));
        let short = PackageId::parse("P~t~x86~~1.0.0.0").unwrap();
        assert_eq!(package_value_name('s', &short, "U"), "s!CBS_p~t~x86~~1.0.0.0.u");
    }

    #[test]
    fn texts_outside_ascii_are_shortened_without_a_panic() {
        for text in ["", "é", &"é".repeat(100), &"a".repeat(1000), "aé\u{1F600}"] {
            assert!(shorten(text, 40).len() <= 40);
            assert!(file_value_name(text).chars().count() <= 2 + 25 + 17);
        }
    }
}
