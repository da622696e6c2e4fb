//! Oracles of the container and of an image's metadata.

use std::collections::HashSet;
use std::sync::Arc;

use wim_core::base::{Cancel, Context, ReadAt, Silent};
use wim_core::formats::metadata_file::{MetadataFile, StoredBlob};
use wim_core::formats::security_descriptor::to_sddl;
use wim_core::formats::wim::{BlobHeader, WimFile, WimXml};
use wim_core::image::{load, store};
use wim_core::transfer::read::{PipedWim, Tolerance};
use wim_core::transfer::verify::verify;

/// A WIM is verified to its end or refused; nothing panics and memory stays within a small budget.
///
/// # Panics
/// When anything below does.
pub fn wim_is_verified_or_refused(bytes: &[u8]) {
    let Ok(wim) = WimFile::open(Arc::new(bytes.to_vec()), "fuzz.wim") else { return };
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(1).with_memory(4 << 20);
    let _ = verify(&cx, &wim);
}

/// A pipable WIM is read from a pipe to its end or refused; nothing panics, and what comes out was asked for.
///
/// # Panics
/// When anything below does, or another blob comes out.
pub fn pipe_is_read_or_refused(bytes: &[u8]) {
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(1).with_memory(4 << 20);
    // The digests of all blobs, in the order of their headers: where nothing is damaged they are what is read.
    let magic = BlobHeader::MAGIC.to_le_bytes();
    let headers = bytes.windows(BlobHeader::BYTES).filter(|window| window.starts_with(&magic));
    let wanted: HashSet<_> =
        headers.filter_map(|window| BlobHeader::parse(window, 0).ok()).map(|blob| blob.digest).collect();
    for tolerance in [Tolerance::Whole, Tolerance::Damaged] {
        let mut input = bytes;
        let Ok(pipe) = PipedWim::open(&mut input, "pipe", &cx) else { return };
        for image in pipe.start().images().take(4) {
            let _ = pipe.start().read_metadata(image, 1 << 20);
        }
        let _ = pipe.read_blobs(&cx, (wanted.clone(), tolerance), |piece| {
            assert!(wanted.contains(&piece.digest), "a blob that nobody wanted");
            assert!(tolerance == Tolerance::Damaged || piece.damage.is_none(), "damage was tolerated");
            Ok(())
        });
    }
}

/// Metadata that loads is stored and loads again as the same tree.
///
/// # Panics
/// When it does not.
pub fn metadata_survives_a_round_trip(bytes: &[u8]) {
    let Ok(tree) = load::load(bytes, &mut |_| ()) else { return };
    let stored = store::store(&tree);
    let again = load::load(&stored, &mut |warning| panic!("what we stored is odd: {warning}"));
    let again = again.unwrap_or_else(|error| panic!("what we stored does not load: {error}"));
    assert!(store::store(&again) == stored, "storing is not stable");
}

/// A side file of metadata is read or refused, whatever it says, and its blobs can be read to their ends.
///
/// # Panics
/// When one cannot.
pub fn metadata_file_is_read_or_refused(bytes: &[u8]) {
    let source = Arc::new(bytes.to_vec());
    let Ok(file) = MetadataFile::read(&*source) else { return };
    for place in file.blobs.values().filter(|place| place.size_bytes < 1 << 20) {
        let blob = StoredBlob::new(source.clone(), *place);
        let mut content = vec![0; usize::try_from(place.size_bytes).unwrap_or(0)];
        blob.read_exact_at(&mut content, 0).unwrap_or_else(|e| panic!("a blob that was checked: {e}"));
    }
}

/// A security descriptor has a text or none.
pub fn descriptor_has_a_text_or_none(bytes: &[u8]) {
    if let Some(text) = to_sddl(bytes) {
        assert!(text.is_empty() || text.contains(':'), "{text}");
    }
}

/// XML that is read is written and read again as the same document.
///
/// # Panics
/// When it is not.
pub fn xml_survives_a_round_trip(bytes: &[u8]) {
    for images in 0..4 {
        let Ok(xml) = WimXml::parse(bytes, 0, images) else { continue };
        let written = xml.to_bytes(1);
        let again = WimXml::parse(&written, 0, images);
        let again = again.unwrap_or_else(|error| panic!("what we wrote cannot be read: {error}"));
        assert!(again.to_bytes(1) == written, "writing is not stable");
    }
}
