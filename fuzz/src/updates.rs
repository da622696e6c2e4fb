//! Oracles of the documents that update packages are made of: whatever the bytes, an answer and no panic.

use wim_core::formats::cbs::{ComponentManifest, PackageManifest};
use wim_core::servicing::package_files::MemoryFiles;
use wim_core::servicing::updates::names::{component_key_form, deployment_key_form, family_key_form};
use wim_core::servicing::updates::{Branch, UpdatePackage, installers_needed, kb_of};

/// A package is read or refused; what it says of itself can be asked for.
///
/// # Panics
/// When a package reaches more packages than there are.
pub fn mum_is_read_or_refused(bytes: &[u8]) {
    let Ok(manifest) = PackageManifest::parse("fuzz.mum", bytes) else { return };
    let _ = kb_of(&manifest);
    let files = MemoryFiles::new("fuzz.cab").with("update.mum", bytes.to_vec());
    if let Ok(package) = UpdatePackage::load(&files, Branch::Limited) {
        assert!(package.reachable().len() <= package.packages().len());
    }
}

/// A manifest is read or refused; its names are key forms of their length, and no file of it leads out of its folder.
///
/// # Panics
/// When a name breaks these promises.
pub fn manifest_is_read_or_refused(bytes: &[u8]) {
    let Ok(manifest) = ComponentManifest::parse("fuzz.manifest", bytes) else { return };
    let identity = &manifest.identity;
    if let (Ok(component), Ok(deployment)) = (component_key_form(identity), deployment_key_form(identity)) {
        // 16 digits end each of them; the family's differ, since it has no version.
        let hash = |form: &str| form.rsplit('_').next().map(str::len);
        assert_eq!((hash(&component), hash(&deployment)), (Some(16), Some(16)), "{component} {deployment}");
        assert_eq!(hash(&family_key_form(identity)), Some(16));
    }
    for file in &manifest.files {
        let parts = file.name.split('\\');
        assert!(parts.clone().count() > 0 && parts.into_iter().all(|part| !matches!(part, "" | "." | "..")));
        assert!(!file.name.contains(['/', ':', '\0']), "{}", file.name);
    }
    let _ = installers_needed(&manifest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_documents_in_all_their_neighbours() {
        let package = br#"<assembly><assemblyIdentity name="P" version="1.2.3.4" processorArchitecture="x86"/><package identifier="KB12345"><parent buildCompare="EQ"/><update name="u"><applicable><updateComponent elevate="install"/></applicable></update></package></assembly>"#;
        let component = br#"<assembly><assemblyIdentity name="C" version="1.2.3.4" processorArchitecture="x86"/><file name="a.b"><hash><DigestMethod Algorithm="x#sha1"/><DigestValue>qZk+NkcGgWq6PiVxeFDCbJzQ2J0=</DigestValue></hash></file></assembly>"#;
        for (bytes, oracle) in [
            (&package[..], mum_is_read_or_refused as fn(&[u8])),
            (&component[..], manifest_is_read_or_refused),
        ] {
            for at in 0..bytes.len() {
                oracle(&bytes[..at]);
                for byte in [b'<', b'>', b'/', b'"', b'&', b'=', b' ', b'.', b'\\', 0, 0xFF] {
                    let mut changed = bytes.to_vec();
                    changed[at] = byte;
                    oracle(&changed);
                }
            }
        }
    }
}
