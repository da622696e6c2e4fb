//! Oracles of disc images: whatever the bytes, a tree of files or an error, within bounds.

use std::sync::Arc;

use wim_core::base::ReadAt;
use wim_core::media::{EntryKind, IsoImage};

use crate::disc_writer::{Descriptors, Iso, IsoNames, Udf, files};

/// Discs as inputs of the oracle: UDF in blocks of 512 bytes without CRCs, so that changes get behind the tags.
#[must_use]
pub fn udf_seeds() -> Vec<Vec<u8>> {
    let plain = Udf { block: 512, crc: false, extent: 1024, in_entry: 3, ..Udf::PLAIN };
    let metadata = Udf { metadata: true, descriptors: Descriptors::Long, extended_entries: true, ..plain };
    let embedded = Udf { embed: 300, holes: true, descriptors: Descriptors::Extended, ..plain };
    [plain, metadata, embedded].into_iter().map(|form| without_system_area(form.disc(&sample()))).collect()
}

/// Discs as inputs of the oracle: ISO 9660 with every kind of names.
#[must_use]
pub fn iso9660_seeds() -> Vec<Vec<u8>> {
    [IsoNames::Plain, IsoNames::Joliet, IsoNames::RockRidge]
        .into_iter()
        .map(|names| without_system_area(Iso { names, extent: 2048, boots: true }.disc(&sample())))
        .collect()
}

fn without_system_area(mut disc: Vec<u8>) -> Vec<u8> {
    disc.split_off(SYSTEM_AREA_BYTES.min(disc.len()))
}

fn sample() -> Vec<(String, Vec<u8>)> {
    files(&[
        ("SETUP.EXE", b"MZ"),
        ("SOURCES/INSTALL.WIM", &[7; 5000]),
        ("SOURCES/ZEROS", &[0; 3000]),
        ("BOOT/", b""),
    ])
}

/// Entries that a walk may give before the oracle has seen enough.
const MAX_ENTRIES: usize = 2000;

/// Bytes before the first descriptor of a disc, which mean nothing; inputs leave them out.
pub const SYSTEM_AREA_BYTES: usize = 32 << 10;

/// A disc of either format is walked, and files are read, or it is refused.
///
/// # Panics
/// When a name leads out of its folder, a file has more bytes than it says, or anything below panics.
pub fn disc_is_read_or_refused(bytes: &[u8]) {
    let source: Arc<dyn ReadAt> = Arc::new([&[0; SYSTEM_AREA_BYTES], bytes].concat());
    let Ok(disc) = IsoImage::open(source, "fuzz.iso") else { return };
    let _ = disc.boot_catalogue();
    let Ok(root) = disc.root() else { return };
    let mut left = MAX_ENTRIES;
    let _ = disc.walk(("", &root), &mut |path, entry| {
        left = left.checked_sub(1).ok_or_else(wim_core::base::Error::cancelled)?;
        let name = entry.name.to_text();
        assert!(!name.is_empty() && name != "." && name != "..", "{path:?}");
        assert!(!name.contains(['/', '\\', '\0']), "{path:?}");
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let Ok(content) = disc.content(entry) else { return Ok(()) };
        assert_eq!(content.size(), entry.size, "{path:?}");
        assert_eq!(content.pieces().map(|piece| piece.length).sum::<u64>(), entry.size, "{path:?}");
        // The ends are enough: every piece was checked to lie in the disc.
        let mut ends = [0; 64];
        let length = ends.len().min(usize::try_from(entry.size).unwrap_or(usize::MAX));
        content.read_exact_at(&mut ends[..length], 0).expect("its first bytes are there");
        let last = entry.size - length as u64;
        content.read_exact_at(&mut ends[..length], last).expect("its last bytes are there");
        Ok(())
    });
}
