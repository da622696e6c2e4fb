//! Looking for cabinets inside other files: what it reads is bounded, and it stops when asked to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wim_core::base::{Cancel, Context, ErrorKind, ReadAt, Silent};
use wim_core::formats::cab::{FolderCompression, find_cabinets};
use wim_core::jobs::archive::Scratch;
use wim_core::jobs::cab::{OpenOptions, list};
use wim_core::jobs::packages;

use crate::cab_write::make;

/// A file that counts what is read of it, and raises a flag when it comes to so many bytes.
struct Metered {
    bytes: Vec<u8>,
    read: AtomicU64,
    raises: Option<(Arc<Cancel>, u64)>,
}

impl Metered {
    fn new(bytes: Vec<u8>, raises: Option<(Arc<Cancel>, u64)>) -> Arc<Self> {
        Arc::new(Self { bytes, read: AtomicU64::new(0), raises })
    }

    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl ReadAt for Metered {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        if let Some((cancel, _)) = self.raises.as_ref().filter(|(_, after)| self.read() >= *after) {
            cancel.raise();
        }
        self.bytes.read_exact_at(buf, offset)
    }
}

/// A program with so many headers that all share one table, whose last member is bad.
fn headers_with_one_table(headers: usize, members: u16) -> Vec<u8> {
    let table = 2 + headers * 36;
    let end = table + 18 * usize::from(members);
    let mut bytes = b"MZ".to_vec();
    for _ in 0..headers {
        let at = bytes.len();
        bytes.extend(b"MSCF\0\0\0\0");
        bytes.extend(((end - at) as u32).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(((table - at) as u32).to_le_bytes());
        bytes.extend([0, 0, 0, 0, 3, 1, 1, 0]);
        bytes.extend(members.to_le_bytes());
        bytes.extend([0; 6]);
    }
    for number in 0..members {
        // Size and offset 0, the first folder, no time; the last one's folder does not exist.
        bytes.extend([0; 8]);
        bytes.extend(if number + 1 == members { [9, 0] } else { [0, 0] });
        bytes.extend([0; 6]);
        bytes.extend(b"a\0");
    }
    bytes
}

#[test]
fn what_only_looks_like_cabinets_is_read_a_few_times_at_most() {
    let hostile = headers_with_one_table(1500, 5000);
    let size = hostile.len() as u64;
    let metered = Metered::new(hostile, None);
    let source: Arc<dyn ReadAt> = metered.clone();
    let error = find_cabinets(&source, &Cancel::new()).unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.remedy_text().is_some(), "{error}");
    assert!(metered.read() < (20 << 20) + 8 * size, "{} bytes of {size}", metered.read());
    // A few of them are what any program may have.
    let few: Arc<dyn ReadAt> = Arc::new(headers_with_one_table(20, 100));
    assert!(find_cabinets(&few, &Cancel::new()).unwrap().is_empty());
}

#[test]
fn many_small_cabinets_are_not_read_anew_each() {
    let small = make(&[("a".to_owned(), b"x".to_vec())], FolderCompression::Stored, 1, 1);
    let bytes = [b"MZ".to_vec(), small.repeat(3000)].concat();
    let size = bytes.len() as u64;
    let metered = Metered::new(bytes, None);
    let source: Arc<dyn ReadAt> = metered.clone();
    let found = find_cabinets(&source, &Cancel::new()).unwrap();
    assert_eq!(found.len(), 3000);
    assert!(found.iter().zip(0..).all(|(f, n)| f.offset == 2 + n * small.len() as u64));
    assert!(metered.read() < 8 * size, "{} bytes of {size}", metered.read());
}

#[test]
fn the_search_stops_when_asked_to() {
    for after in [1, 1 << 20] {
        let cancel = Arc::new(Cancel::new());
        let metered = Metered::new(headers_with_one_table(1500, 5000), Some((Arc::clone(&cancel), after)));
        let source: Arc<dyn ReadAt> = metered.clone();
        let error = find_cabinets(&source, &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
        assert!(metered.read() < after + (512 << 10), "{}", metered.read());
    }
    // So do the jobs that search.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("setup.exe");
    std::fs::write(&path, headers_with_one_table(2, 10)).unwrap();
    let cancel = Cancel::new();
    cancel.raise();
    let cx = Context::new(&Silent, &cancel);
    let listed = list(&cx, &path, OpenOptions::default()).unwrap_err();
    assert_eq!(listed.kind(), ErrorKind::Cancelled, "{listed}");
    let opened = packages::open(&cx, &path, &Scratch::new(&cx, folder.path())).err().unwrap();
    assert_eq!(opened.kind(), ErrorKind::Cancelled, "{opened}");
}
