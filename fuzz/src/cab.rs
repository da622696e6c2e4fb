//! Oracle of cabinets: whatever the bytes, members or an error, within bounds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wim_core::base::{Cancel, Context, ReadAt, Result, Silent};
use wim_core::formats::cab::{Cabinet, find_cabinets};
use wim_core::jobs::archive::member_path;
use wim_core::transfer::unpack::{MemberSink, Reach, unpack};

/// Counts what is read of it.
struct Metered {
    bytes: Vec<u8>,
    read: AtomicU64,
}

impl ReadAt for Metered {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.bytes.read_exact_at(buf, offset)
    }
}

/// Counts what it is given.
struct Bounded<'c>(&'c Cabinet);

impl MemberSink for Bounded<'_> {
    type Open = (usize, u64);

    fn begin(&self, member: usize) -> Result<Self::Open> {
        Ok((member, 0))
    }

    fn write(&self, open: &mut Self::Open, bytes: &[u8]) -> Result<()> {
        open.1 += bytes.len() as u64;
        assert!(open.1 <= self.0.members()[open.0].size, "more bytes than the member has");
        Ok(())
    }

    fn finish(&self, open: Self::Open) -> Result<()> {
        assert_eq!(open.1, self.0.members()[open.0].size, "fewer bytes than the member has");
        Ok(())
    }

    fn repeat(&self, _: usize, _: usize) -> Result<()> {
        Ok(())
    }
}

/// A cabinet, alone or inside other bytes, is unpacked whole or refused; names that pass stay below their folder, and the search
/// reads a few times the file and 16 MiB at most.
///
/// # Panics
/// When the search reads more, a member gets more or fewer bytes than it has, a name leads out, or anything below panics.
pub fn cabinet_is_unpacked_or_refused(bytes: &[u8]) {
    let cancel = Cancel::new();
    let metered = Arc::new(Metered { bytes: bytes.to_vec(), read: AtomicU64::new(0) });
    let source: Arc<dyn ReadAt> = metered.clone();
    for found in find_cabinets(&source, &cancel).into_iter().flatten() {
        assert!(found.offset + found.size <= bytes.len() as u64, "{found:?}");
    }
    let read = metered.read.load(Ordering::Relaxed);
    assert!(read <= (16 << 20) + 10 * bytes.len() as u64, "{read} bytes read of {}", bytes.len());
    let Ok(cabinet) = Cabinet::open(source, "fuzz.cab") else { return };
    for member in cabinet.members() {
        if let Ok(path) = member_path(&member.name) {
            assert!(path.split('\\').all(|part| !part.is_empty() && part != ".."), "{path:?}");
            assert!(!path.contains([':', '/']), "{path:?}");
        }
    }
    let cx = Context::new(&Silent, &cancel).with_threads(1).with_memory(4 << 20);
    let all: Vec<usize> = (0..cabinet.members().len()).collect();
    let _ = unpack(&cx, &cabinet, &all, Reach::WholeFolders, &Bounded(&cabinet));
}
