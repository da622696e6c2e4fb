//! Solid resources: packed, copied whole, appended to, and refused when the memory does not suffice.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use lz_kit::Level;
use proptest::prelude::*;
use wim_core::base::{
    Cancel, Context, Error, ErrorKind, PartNumber, Progress, ReadAt, Result, Sha1Digest, Silent, Stage,
    WriteAt,
};
use wim_core::formats::wim::{ChunkFormat, Compression, HeaderFlags, WimFile};
use wim_core::image::edit::Content;
use wim_core::image::{Inode, Streams, Tree};
use wim_core::transfer::read::{BlobInput, read_blobs};
use wim_core::transfer::verify::verify_written;
use wim_core::transfer::write::{
    Integrity, NewImage, NewMetadata, NewWim, Packing, PartFiles, PartGoal, Recompress, SolidOrder,
    SolidPacking, append, split_repacked, write,
};

use crate::container::{contents, format, new_wim, open, read_all, sample_blobs, write_with};
use crate::samples::{mixed_bytes, random_bytes};

const MEMORY: u64 = 64 << 20;

fn solid(format: ChunkFormat) -> Packing {
    Packing::Solid(SolidPacking { format, level: Level::FAST, order: SolidOrder::default() })
}

/// A solid WIM of `contents`, its other resources LZX.
fn solid_wim<'a>(solid_format: ChunkFormat, contents: &'a [(Sha1Digest, Content)]) -> NewWim<'a> {
    NewWim { packing: solid(solid_format), ..new_wim(format(Compression::Lzx, 32 << 10), contents) }
}

fn assert_holds(wim: &WimFile, blobs: &[Vec<u8>]) {
    let read = read_all(wim, 2);
    for blob in blobs {
        let found = read.get(&Sha1Digest::of(blob)).expect("the blob is in the file");
        assert!(found.as_ref().expect("the blob is whole") == blob, "{} bytes", blob.len());
    }
}

/// The image of `wim` as it is, but for its blobs being counted from `contents`.
fn image_of<'a>(wim: &'a WimFile, digests: impl Iterator<Item = Sha1Digest>) -> NewImage<'a> {
    let image = wim.images().next().unwrap();
    NewImage::new(
        NewMetadata::Copy(wim, image),
        wim.xml().images()[0].clone(),
        digests.map(|digest| (digest, 1)).collect(),
    )
}

fn add_file(tree: &mut Tree, name: &str, digest: Sha1Digest) {
    let inode = Inode { streams: Streams::data(digest), ..Inode::default() };
    tree.add(tree.root(), name.into(), inode).unwrap();
}

#[test]
fn every_form_reads_back_and_any_number_of_threads_writes_the_same_bytes() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    for (compression, chunk_bytes) in [
        (Compression::Xpress, 4 << 10),
        (Compression::Xpress, 64 << 10),
        (Compression::Lzx, 32 << 10),
        (Compression::Lzx, 2 << 20),
        (Compression::Lzms, 32 << 10),
        (Compression::Lzms, 1 << 20),
        (Compression::Lzms, 64 << 20),
    ] {
        let form = format(compression, chunk_bytes);
        // A chunk that could have 64 MiB takes no more memory than what there is for it.
        let (one, report) = write_with(1, 128 << 20, solid_wim(form, &contents)).unwrap();
        let (four, _) = write_with(4, 256 << 20, solid_wim(form, &contents)).unwrap();
        assert!(one == four, "{form:?}");
        assert_eq!((report.encoded_resources, report.copied_resources), (blobs.len() as u64 + 1, 0));
        let wim = open(&one);
        assert_eq!((wim.table().solid_resources(), wim.table().blobs().len()), (1, blobs.len()));
        assert_eq!(wim.solid_resources().next().unwrap().format(), form);
        assert!(wim.table().blobs().iter().all(|entry| entry.reference_count == 1));
        assert_holds(&wim, &blobs);
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(2).with_memory(8 << 20);
        verify_written(&cx, &wim, &report, &HashSet::new()).unwrap();
    }
}

#[test]
fn what_memory_does_not_hold_is_refused_with_the_number() {
    let blobs = vec![mixed_bytes(1, 3 << 20)];
    let contents = contents(&blobs);
    let form = format(Compression::Lzms, 4 << 20);
    let error = write_with(2, 16 << 20, solid_wim(form, &contents)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let text = error.to_string();
    let needed = text.split(" needs ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let needed: u64 = needed.parse().unwrap();
    assert!((24..48).contains(&needed), "about ten times the chunk: {text}");
    write_with(2, needed << 20, solid_wim(form, &contents)).unwrap();
    assert!(write_with(2, (needed - 1) << 20, solid_wim(form, &contents)).is_err());
    // Without a number, what one chunk needs is taken.
    let cancel = Cancel::new();
    write(&Context::new(&Silent, &cancel).with_threads(2), solid_wim(form, &contents), &mut Vec::new())
        .unwrap();
}

#[test]
fn blobs_with_similar_names_lie_side_by_side() {
    let names = ["b.dll", "readme", "a.txt", "B.DLL", "a.dll", "x.y.txt", "long-name-of.exe", "z.dl"];
    let blobs: Vec<Vec<u8>> = (0..names.len()).map(|i| mixed_bytes(i as u64, 500 - i)).collect();
    let contents = contents(&blobs);
    let mut order = SolidOrder::default();
    for (name, (digest, _)) in names.iter().zip(&contents) {
        let mut tree = Tree::new_empty();
        add_file(&mut tree, name, *digest);
        if *name == "long-name-of.exe" {
            // A shorter name counts, whatever comes first.
            add_file(&mut tree, "c.dll", *digest);
        }
        order.add_tree(&tree);
    }
    let packing = SolidPacking { format: format(Compression::Xpress, 4 << 10), level: Level::FAST, order };
    let wim =
        NewWim { packing: Packing::Solid(packing), ..new_wim(format(Compression::Lzx, 32 << 10), &contents) };
    let (file, _) = write_with(2, MEMORY, wim).unwrap();
    let wim = open(&file);
    let mut placed: Vec<_> = wim
        .table()
        .blobs()
        .iter()
        .map(|entry| {
            let name = contents.iter().zip(names).find(|((digest, _), _)| *digest == entry.digest).unwrap().1;
            (wim.solid_place(entry).unwrap().offset, name)
        })
        .collect();
    placed.sort_unstable();
    let placed: Vec<_> = placed.into_iter().map(|(_, name)| name).collect();
    // No extension first; equal names by size.
    assert_eq!(placed, ["readme", "z.dl", "a.dll", "B.DLL", "b.dll", "long-name-of.exe", "a.txt", "x.y.txt"]);
}

#[test]
fn a_solid_resource_is_copied_when_most_of_it_is_kept() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    let form = format(Compression::Lzx, 64 << 10);
    let (file, _) = write_with(2, MEMORY, solid_wim(form, &contents)).unwrap();
    let wim = open(&file);
    let digests: Vec<Sha1Digest> = contents.iter().map(|(digest, _)| *digest).collect();
    let small: Vec<Sha1Digest> = contents
        .iter()
        .filter(|(_, c)| c.size_bytes() < Some(1_000_000))
        .map(|(digest, _)| *digest)
        .collect();
    let copy = |kept: &[Sha1Digest], packing: Packing, recompress: Recompress| {
        let new = NewWim {
            images: vec![image_of(&wim, kept.iter().copied())],
            sources: vec![&wim],
            packing,
            recompress,
            ..new_wim(wim.format(), &[])
        };
        write_with(2, MEMORY, new).unwrap()
    };
    let (whole, report) = copy(&digests, Packing::as_in(&wim), Recompress::WhenNeeded);
    assert_eq!((report.copied_resources, report.encoded_resources), (2, 0));
    assert_holds(&open(&whole), &blobs);
    let (most, report) = copy(&digests[1..], Packing::as_in(&wim), Recompress::WhenNeeded);
    assert_eq!((report.copied_resources, report.encoded_resources), (2, 0));
    assert_eq!(open(&most).table().blobs().len(), blobs.len() - 1);
    assert_holds(&open(&most), &blobs[1..]);
    let (few, report) = copy(&small, Packing::as_in(&wim), Recompress::WhenNeeded);
    assert_eq!((report.copied_resources, report.encoded_resources), (1, small.len() as u64));
    assert!(few.len() < file.len() / 2, "what is not needed is gone");
    assert_eq!(open(&few).table().blobs().len(), small.len());
    let (_, report) = copy(&digests, Packing::as_in(&wim), Recompress::Always);
    assert_eq!(report.copied_resources, 0);
    let other = solid(format(Compression::Lzx, 32 << 10));
    let (again, report) = copy(&digests, other, Recompress::WhenNeeded);
    assert_eq!((report.copied_resources, report.encoded_resources), (1, blobs.len() as u64));
    assert_holds(&open(&again), &blobs);
    let (apart, report) = copy(&digests, Packing::Separate, Recompress::WhenNeeded);
    assert_eq!((report.copied_resources, open(&apart).table().solid_resources()), (1, 0));
    assert_holds(&open(&apart), &blobs);
}

#[test]
fn appended_solid_resources_count_through_with_those_before() {
    let blobs = sample_blobs();
    let (old, new) = blobs.split_at(blobs.len() / 2);
    let (old_contents, new_contents) = (contents(old), contents(new));
    let form = format(Compression::Xpress, 16 << 10);
    let (mut file, _) = write_with(2, MEMORY, solid_wim(form, &old_contents)).unwrap();
    let before = file.clone();
    for packing in [solid(form), solid(format(Compression::Lzms, 128 << 10)), Packing::Separate] {
        let is_packed = matches!(packing, Packing::Solid(_));
        let wim = open(&before);
        let digests = old_contents.iter().chain(&new_contents).map(|(digest, _)| *digest);
        let plan = NewWim {
            images: vec![image_of(&wim, digests)],
            sources: vec![&wim],
            packing,
            guid: Some(wim.header().guid),
            flags: HeaderFlags(wim.header().flags.0),
            ..new_wim(wim.format(), &new_contents)
        };
        file.clone_from(&before);
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(2).with_memory(MEMORY);
        let appended = append(&cx, plan, &wim, &mut file).unwrap();
        assert!(file.starts_with(&before[..usize::try_from(wim.header().lookup_table.offset).unwrap()]));
        file.write_all_at(&appended.header.to_bytes(), 0).unwrap();
        let after = open(&file);
        assert_eq!(after.table().solid_resources(), 1 + usize::from(is_packed));
        assert_eq!(after.table().solid_runs().len(), 1);
        assert_holds(&after, &blobs);
    }
}

/// Raises the flag at the first sign of progress.
struct StopAtOnce<'c>(&'c Cancel, Mutex<u64>);

impl Progress for StopAtOnce<'_> {
    fn start(&self, _: Stage, _: u64) {}

    fn advance(&self, amount: u64) {
        *self.1.lock().unwrap() += amount;
        self.0.raise();
    }

    fn warn(&self, warning: &Error) {
        panic!("{warning}");
    }
}

#[test]
fn a_job_stops_inside_a_chunk() {
    let blobs = vec![mixed_bytes(3, 6 << 20)];
    let contents = contents(&blobs);
    let cancel = Cancel::new();
    let progress = StopAtOnce(&cancel, Mutex::new(0));
    let cx = Context::new(&progress, &cancel).with_threads(2);
    let wim = solid_wim(format(Compression::Lzms, 8 << 20), &contents);
    let error = write(&cx, wim, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(*progress.1.lock().unwrap() < 1 << 20, "long before the end of the chunk");
}

/// Raises the flag when the stored bytes of a chunk are read.
struct StopWhenRead(Vec<u8>, Arc<Cancel>);

impl ReadAt for StopWhenRead {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        if buf.len() > 1 << 20 {
            self.1.raise();
        }
        self.0.read_exact_at(buf, offset)
    }
}

#[test]
fn reading_stops_inside_a_chunk() {
    let blobs = vec![mixed_bytes(3, 6 << 20)];
    let contents = contents(&blobs);
    let form = format(Compression::Lzms, 8 << 20);
    let (file, _) = write_with(1, 128 << 20, solid_wim(form, &contents)).unwrap();
    for threads in [1, 2] {
        let cancel = Arc::new(Cancel::new());
        let source = StopWhenRead(file.clone(), Arc::clone(&cancel));
        let wim = WimFile::open(Arc::new(source), "test.wim").unwrap();
        let entry = *wim.table().blobs().iter().find(|entry| entry.header.is_solid()).unwrap();
        let cx = Context::new(&Silent, &cancel).with_threads(threads);
        assert!(!cancel.is_raised());
        let read =
            read_blobs(&cx, &[BlobInput::resource(&wim, entry)], |_| panic!("half a chunk is no blob"));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn a_source_that_is_not_what_it_was_ends_the_job() {
    let blobs = sample_blobs();
    let mut contents = contents(&blobs);
    let last = contents.len() - 1;
    for wrong in [0, 5, last] {
        let right = std::mem::replace(&mut contents[wrong].1, Content::bytes(vec![9; blobs[wrong].len()]));
        for threads in [1, 4] {
            let wim = solid_wim(format(Compression::Xpress, 8 << 10), &contents);
            let error = write_with(threads, MEMORY, wim).unwrap_err();
            assert!(error.to_string().contains("changed while it was being read"), "{error}");
        }
        contents[wrong].1 = right;
    }
}

/// Splits in memory.
fn split(wim: &WimFile, goal: PartGoal, integrity: Integrity) -> Result<Vec<Vec<u8>>> {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl ReadAt for Shared {
        fn size(&self) -> u64 {
            self.0.lock().unwrap().len() as u64
        }

        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            self.0.lock().unwrap().read_exact_at(buf, offset)
        }
    }
    impl WriteAt for Shared {
        fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
            self.0.lock().unwrap().write_all_at(bytes, offset)
        }

        fn set_length(&mut self, bytes: u64) -> std::io::Result<()> {
            self.0.lock().unwrap().set_length(bytes)
        }
    }
    #[derive(Default)]
    struct InMemory(Vec<Shared>);
    impl PartFiles for InMemory {
        fn begin(&mut self, _: PartNumber) -> Result<Box<dyn WriteAt>> {
            self.0.push(Shared::default());
            Ok(Box::new(self.0[self.0.len() - 1].clone()))
        }

        fn end(&mut self, number: PartNumber) -> Result<()> {
            // The writer has let go of it.
            assert_eq!(Arc::strong_count(&self.0[usize::from(number.number()) - 1].0), 1);
            Ok(())
        }

        fn set_header(&mut self, number: PartNumber, header: &[u8]) -> Result<()> {
            let file = &mut self.0[usize::from(number.number()) - 1];
            file.write_all_at(header, 0).map_err(|e| Error::invalid_input(e.to_string()))
        }
    }
    let mut files = InMemory::default();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(2).with_memory(MEMORY);
    let parts = split_repacked(&cx, wim, goal, integrity, &mut files)?;
    assert_eq!(parts.len(), files.0.len());
    let bytes: Vec<Vec<u8>> = files.0.into_iter().map(|file| file.0.lock().unwrap().clone()).collect();
    for (part, bytes) in parts.iter().zip(&bytes) {
        assert_eq!(part.file_bytes, bytes.len() as u64);
    }
    Ok(bytes)
}

#[test]
fn a_solid_file_is_split_into_parts_of_the_wanted_size_or_number() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    let (file, _) = write_with(2, MEMORY, solid_wim(format(Compression::Lzx, 64 << 10), &contents)).unwrap();
    let wim = open(&file);
    let largest = blobs.iter().map(Vec::len).max().unwrap() as u64;
    for goal in [
        PartGoal::Bytes(1 << 40),
        PartGoal::Bytes(largest + 4096),
        PartGoal::Bytes(1_400_000),
        PartGoal::Bytes(1),
        PartGoal::Count(1),
        PartGoal::Count(2),
        PartGoal::Count(5),
    ] {
        let parts = split(&wim, goal, Integrity::Make).unwrap();
        match goal {
            PartGoal::Count(count) => assert!((1..=usize::from(count)).contains(&parts.len())),
            PartGoal::Bytes(1) => {
                assert_eq!(parts.len(), blobs.len(), "each by itself, the first with metadata");
            }
            PartGoal::Bytes(limit) => {
                assert!(parts.iter().all(|part| part.len() as u64 <= limit), "{goal:?}");
                assert_eq!(parts.len() == 1, limit == 1 << 40);
            }
        }
        let mut left: HashMap<Sha1Digest, &Vec<u8>> =
            blobs.iter().map(|blob| (Sha1Digest::of(blob), blob)).collect();
        for (number, bytes) in (1u16..).zip(&parts) {
            let part = open(bytes);
            let header = part.header();
            assert_eq!((header.part.number(), usize::from(header.total_parts)), (number, parts.len()));
            // A set says nothing of booting; a single part is the whole file.
            let boot_index = if parts.len() == 1 { wim.header().boot_index } else { 0 };
            assert_eq!((header.guid, header.boot_index), (wim.header().guid, boot_index));
            assert_eq!(part.table().solid_resources(), 0);
            assert_eq!(part.table().metadata().len(), usize::from(number == 1));
            assert!(part.read_integrity().unwrap().is_some());
            for (digest, bytes) in read_all(&part, 1) {
                assert!(left.remove(&digest).expect("each blob is in one part") == &bytes.unwrap());
            }
        }
        assert!(left.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the sizes, blobs come back; each alone and all together.
    #[test]
    fn any_blobs_come_back(
        sizes in proptest::collection::vec((1usize..20_000, any::<bool>()), 1..30),
        log2 in 12u32..17,
        threads in 1usize..4,
    ) {
        let blobs: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(i, &(size, is_noise))| {
                let seed = i as u64 * 7919 + size as u64;
                if is_noise { random_bytes(seed, size) } else { mixed_bytes(seed, size) }
            })
            .collect();
        let mut contents = contents(&blobs);
        contents.sort_by_key(|(digest, _)| *digest);
        contents.dedup_by_key(|(digest, _)| *digest);
        let form = format(Compression::Xpress, 1 << log2);
        let (file, _) = write_with(threads, MEMORY, solid_wim(form, &contents)).unwrap();
        let wim = open(&file);
        assert_holds(&wim, &blobs);
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(1);
        for entry in wim.table().blobs().iter().take(3) {
            read_blobs(&cx, &[BlobInput::resource(&wim, *entry)], |piece| piece.bytes.map(drop)).unwrap();
        }
    }
}
