//! Oracles of the documents that update packages are made of: whatever the bytes, an answer and no panic.

use wim_core::formats::cbs::cix::ContainerIndex;
use wim_core::formats::cbs::{ComponentManifest, PackageManifest};
use wim_core::formats::delta::apply::{Claim, apply};
use wim_core::formats::delta::psf;
use wim_core::jobs::packages::TopPackage;
use wim_core::servicing::package_files::MemoryFiles;
use wim_core::servicing::updates::names::{component_key_form, deployment_key_form, family_key_form};
use wim_core::servicing::updates::{Branch, UpdatePackage, installers_needed, kb_of};

use crate::delta_writer::{Options, write_delta};

/// The most bytes that the index of a PSF file may have here.
const MAX_PSF_INDEX_BYTES: u64 = 1 << 18;

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

/// The place of the index in a PSF file lies inside it, or is refused; what a delta makes of it is an index or refused.
///
/// # Panics
/// When the index is longer than the file.
pub fn psf_is_read_or_refused(bytes: &[u8]) {
    let source = bytes.to_vec();
    let Ok(Some(packed)) = psf::embedded_index(&source) else { return };
    assert!(packed.len() <= bytes.len());
    let claim = Claim { max_bytes: MAX_PSF_INDEX_BYTES, ..Claim::default() };
    if let Ok(index) = apply(&[], &packed, &claim) {
        assert!(index.len() as u64 <= MAX_PSF_INDEX_BYTES);
        let _ = ContainerIndex::parse("fuzz.psf", &index);
    }
}

/// The answer file of an `.msu` names a package, none, or is refused.
///
/// # Panics
/// When the name of the cabinet has a separator.
pub fn msu_answer_is_read_or_refused(bytes: &[u8]) {
    if let Ok(Some(top)) = TopPackage::parse("fuzz.xml", bytes) {
        assert!(!top.cabinet.contains(['/', '\\']), "{top:?}");
    }
}

/// The answer file of a package as Windows 7 has them, in both encodings.
#[must_use]
pub fn msu_answer_seeds() -> Vec<Vec<u8>> {
    let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?><unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><servicing>\
        <package action=\"install\"><assemblyIdentity name=\"Package_for_KB1\" version=\"6.1.1.0\" language=\"neutral\" \
        processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\"/>\
        <source location=\"%configsetroot%\\Windows6.1-KB1-x64.CAB\"/></package></servicing></unattend>";
    let wide = [0xFEFF].into_iter().chain(text.replace("utf-8", "utf-16").encode_utf16().collect::<Vec<_>>());
    vec![text.as_bytes().to_vec(), wide.flat_map(u16::to_le_bytes).collect()]
}

/// A PSF file with its index in it, and one without.
#[must_use]
pub fn psf_seeds() -> Vec<Vec<u8>> {
    let index = crate::deltas::index_seeds().remove(0);
    let packed = write_delta(&[], &index, &Options { has_digest: false, ..Options::default() });
    let mut file = b"PSTREAM".to_vec();
    file.resize(48, 0);
    let without = file.clone();
    file[40..44].copy_from_slice(&48_u32.to_le_bytes());
    file[44..48].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    file.extend(packed);
    vec![file, without]
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
