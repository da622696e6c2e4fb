//! WIM files written by the writer and read back, in every form and at any number of threads.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lz_kit::Level;
use wim_core::base::{
    Cancel, ChunkSize, Context, Error, ErrorKind, FileSource, ImageIndex, ReadAt, Result, Sha1Digest, Silent,
    WriteAt,
};
use wim_core::formats::wim::{
    ChunkFormat, Compression, HeaderFlags, ImageXml, ResourceHeader, WimFile, WimXml,
};
use wim_core::image::edit::Content;
use wim_core::transfer::integrity::damaged_slices;
use wim_core::transfer::read::{BlobInput, BlobPiece, Taken, read_blobs, read_blobs_taken, sort_by_offset};
use wim_core::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, WriteReport, write,
};

use crate::samples::{mixed_bytes, random_bytes};

/// The metadata resource of wim-format 23.4: an empty root.
pub(crate) fn empty_metadata() -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[0] = 8;
    bytes[8] = 0x68;
    bytes[16] = 0x10;
    bytes[20..24].fill(0xFF);
    bytes[24] = 0x78;
    bytes
}

/// Sizes around every border that matters: nothing special, one chunk, several, more than a batch.
pub(crate) fn sample_blobs() -> Vec<Vec<u8>> {
    let mut blobs: Vec<Vec<u8>> = [1, 2, 300, 4095, 4096, 4097, 32767, 32768, 32769, 65536, 100_000]
        .iter()
        .map(|&n| mixed_bytes(n as u64, n))
        .collect();
    blobs.push(mixed_bytes(77, 2_300_000));
    blobs.push(random_bytes(1, 1_200_000));
    blobs.push(random_bytes(2, 40_000));
    blobs.push(vec![0; 1_500_000]);
    blobs
}

pub(crate) fn contents(blobs: &[Vec<u8>]) -> Vec<(Sha1Digest, Content)> {
    blobs.iter().map(|bytes| (Sha1Digest::of(bytes), Content::bytes(bytes.clone()))).collect()
}

pub(crate) fn format(compression: Compression, bytes: u32) -> ChunkFormat {
    ChunkFormat::new(compression, ChunkSize::from_bytes(bytes).unwrap()).unwrap()
}

pub(crate) fn new_wim<'a>(format: ChunkFormat, contents: &'a [(Sha1Digest, Content)]) -> NewWim<'a> {
    NewWim {
        format,
        level: Level::FAST,
        packing: Packing::Separate,
        guid: None,
        flags: HeaderFlags(HeaderFlags::RP_FIX),
        xml: WimXml::empty(0),
        images: vec![NewImage::new(
            NewMetadata::new(empty_metadata()),
            ImageXml::default(),
            contents.iter().map(|(digest, _)| (*digest, 1)).collect(),
        )],
        sources: Vec::new(),
        contents,
        boot: ImageIndex::new(1),
        integrity: Integrity::Make,
        recompress: Recompress::WhenNeeded,
        copy_checksums: CopyChecksums::Keep,
    }
}

pub(crate) fn write_with(threads: usize, memory: u64, wim: NewWim<'_>) -> Result<(Vec<u8>, WriteReport)> {
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(threads).with_memory(memory);
    let mut file = Vec::new();
    let report = write(&cx, wim, &mut file)?;
    assert_eq!(report.file_bytes, file.len() as u64);
    Ok((file, report))
}

pub(crate) fn open(bytes: &[u8]) -> WimFile {
    let wim = WimFile::open(Arc::new(bytes.to_vec()), "test.wim").unwrap();
    assert!(wim.warnings().is_empty(), "{:?}", wim.warnings());
    wim
}

/// All blobs by digest, and what is wrong with damaged ones.
pub(crate) fn read_all(wim: &WimFile, threads: usize) -> HashMap<Sha1Digest, Result<Vec<u8>>> {
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(threads).with_memory(8 << 20);
    let mut inputs: Vec<_> =
        wim.table().blobs().iter().map(|entry| BlobInput::resource(wim, *entry)).collect();
    sort_by_offset(&mut inputs);
    let mut read: HashMap<Sha1Digest, Result<Vec<u8>>> = HashMap::new();
    let mut finished = 0;
    read_blobs(&cx, &inputs, |piece| {
        let blob = read.entry(inputs[piece.position].digest).or_insert_with(|| Ok(Vec::new()));
        match piece.bytes {
            Ok(bytes) => {
                let so_far = blob.as_mut().expect("no piece follows an error");
                assert_eq!(so_far.len() as u64, piece.start);
                so_far.extend_from_slice(bytes);
            }
            Err(error) => *blob = Err(error),
        }
        finished += usize::from(piece.is_last);
        Ok(())
    })
    .unwrap();
    assert_eq!(finished, inputs.len());
    read
}

#[test]
fn every_format_reads_back_what_was_written_and_any_number_of_threads_writes_the_same_bytes() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    for format in [
        ChunkFormat::UNCOMPRESSED,
        format(Compression::Xpress, 4096),
        format(Compression::Xpress, 32768),
        format(Compression::Xpress, 65536),
        format(Compression::Lzx, 32768),
        format(Compression::Lzx, 1 << 21),
        format(Compression::Lzms, 32768),
        format(Compression::Lzms, 1 << 20),
    ] {
        let (one, _) = write_with(1, 64 << 20, new_wim(format, &contents)).unwrap();
        for (threads, memory) in [(2, 64 << 20), (8, 1 << 20)] {
            let (many, _) = write_with(threads, memory, new_wim(format, &contents)).unwrap();
            assert!(one == many, "{format:?} with {threads} threads differs");
        }
        let wim = open(&one);
        assert_eq!(wim.format(), format);
        // 7-Zip refuses the flag, which neither DISM nor wimlib sets for other chunk sizes than 32 KiB.
        assert_eq!(wim.header().flags.0 & HeaderFlags::COMPRESS_XPRESS_2, 0);
        assert_eq!(wim.read_metadata(ImageIndex::new(1).unwrap(), 1 << 30).unwrap(), empty_metadata());
        assert_eq!(wim.boot_index(), ImageIndex::new(1));
        assert_eq!(wim.header().boot_metadata, wim.table().metadata()[0].header);
        for threads in [1, 3] {
            let read = read_all(&wim, threads);
            assert_eq!(read.len(), blobs.len());
            for blob in &blobs {
                assert!(
                    read[&Sha1Digest::of(blob)].as_ref().unwrap() == blob,
                    "{format:?}: {} bytes",
                    blob.len()
                );
            }
        }
        for entry in wim.table().blobs() {
            assert!(entry.header.stored_size <= entry.header.size, "{entry:?} must be stored raw");
        }
    }
}

#[test]
fn the_integrity_table_covers_all_up_to_the_lookup_table() {
    let blobs = [random_bytes(9, 25 << 20)];
    let contents = contents(&blobs);
    let (mut file, _) = write_with(2, 64 << 20, new_wim(ChunkFormat::UNCOMPRESSED, &contents)).unwrap();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel);
    let check = |file: &[u8]| {
        let wim = open(file);
        let table = wim.read_integrity().unwrap().unwrap();
        assert_eq!(table.digests.len(), 3);
        damaged_slices(&cx, &**wim.source(), wim.integrity_span(), &table).unwrap()
    };
    assert_eq!(check(&file), []);
    file[208 + (15 << 20)] ^= 1;
    assert_eq!(check(&file), [(208 + (10 << 20), 10 << 20)]);
}

#[test]
fn resources_in_the_wanted_form_are_copied_and_others_are_encoded_anew() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    let lzx = ChunkFormat::usual(Compression::Lzx);
    let (file, _) = write_with(2, 64 << 20, new_wim(lzx, &contents)).unwrap();
    let source = open(&file);
    let export = |format, recompress| {
        let mut wim = new_wim(format, &[]);
        wim.sources = vec![&source];
        wim.recompress = recompress;
        wim.images[0].metadata = NewMetadata::Copy(&source, ImageIndex::new(1).unwrap());
        wim.images[0].references = source.table().blobs().iter().map(|entry| (entry.digest, 7)).collect();
        write_with(2, 64 << 20, wim).unwrap()
    };
    let (copy, report) = export(lzx, Recompress::WhenNeeded);
    assert_eq!((report.copied_resources, report.encoded_resources), (blobs.len() as u64 + 1, 0));
    for entry in open(&copy).table().blobs() {
        assert_eq!(entry.reference_count, 7);
        let old = source.table().find(&entry.digest).unwrap();
        let bytes =
            |file: &[u8], at: u64| file[at as usize..(at + entry.header.stored_size) as usize].to_vec();
        assert!(bytes(&copy, entry.header.offset) == bytes(&file, old.header.offset));
    }
    for block in &report.copied {
        let bytes = &copy[block.offset as usize..(block.offset + block.length) as usize];
        assert_eq!(crc32fast::hash(bytes), block.checksum);
    }
    for (format, recompress) in [
        (lzx, Recompress::Always),
        (ChunkFormat::usual(Compression::Xpress), Recompress::WhenNeeded),
        (format(Compression::Lzx, 65536), Recompress::WhenNeeded),
        (ChunkFormat::UNCOMPRESSED, Recompress::WhenNeeded),
    ] {
        let (file, report) = export(format, recompress);
        assert_eq!((report.copied_resources, report.encoded_resources), (0, blobs.len() as u64 + 1));
        let read = read_all(&open(&file), 2);
        assert!(blobs.iter().all(|blob| read[&Sha1Digest::of(blob)].as_ref().unwrap() == blob), "{format:?}");
    }
}

/// Output into which the system copies files, some bytes at a time, until it cannot.
struct BySystem {
    bytes: Vec<u8>,
    at_once: u64,
    left: u64,
}

impl ReadAt for BySystem {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.bytes.read_exact_at(buf, offset)
    }
}

impl WriteAt for BySystem {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        self.bytes.write_all_at(bytes, offset)
    }

    fn copy_from(&mut self, source: &File, from: u64, length: u64, to: u64) -> std::io::Result<u64> {
        if self.left == 0 {
            return Err(std::io::ErrorKind::Unsupported.into());
        }
        let length = length.min(self.at_once).min(self.left);
        self.left -= length;
        let mut bytes = vec![0; length as usize];
        FileSource::of_open_file(source.try_clone()?, Path::new("source"))
            .map_err(std::io::Error::other)?
            .read_exact_at(&mut bytes, from)?;
        self.write_all_at(&bytes, to).map(|()| length)
    }

    fn set_length(&mut self, bytes: u64) -> std::io::Result<()> {
        self.bytes.set_length(bytes)
    }
}

#[test]
fn who_copies_and_what_is_encoded_meanwhile_does_not_show_in_the_file() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    let xpress = ChunkFormat::usual(Compression::Xpress);
    let (file, _) = write_with(2, 64 << 20, new_wim(xpress, &contents[3..])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.wim");
    std::fs::write(&path, &file).unwrap();
    let source = WimFile::open(Arc::new(FileSource::open(&path).unwrap()), "source.wim").unwrap();
    let written = |memory, output: &mut dyn WriteAt| {
        let mut wim = new_wim(xpress, &contents[..3]);
        wim.copy_checksums = CopyChecksums::Drop;
        wim.sources = vec![&source];
        // Others, and in another order, than lie in the source.
        let kept = contents.iter().enumerate().filter(|(at, _)| at % 5 != 4).rev();
        wim.images[0].references = kept.map(|(_, (digest, _))| (*digest, 1)).collect();
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(2).with_memory(memory);
        write(&cx, wim, output).unwrap()
    };
    let (mut one_after_the_other, mut at_once) = (Vec::new(), Vec::new());
    let report = written(600, &mut one_after_the_other);
    assert_eq!(report.encoded_resources, 3 + 1);
    written(64 << 20, &mut at_once);
    assert!(at_once == one_after_the_other);
    let most = report.copied_bytes;
    for (at_once, left) in [(u64::MAX, u64::MAX), (1000, most), (77_777, most - 1), (65_536, 100_001), (1, 1)]
    {
        let mut by_system = BySystem { bytes: Vec::new(), at_once, left };
        let again = written(64 << 20, &mut by_system);
        assert!(by_system.bytes == one_after_the_other, "{at_once} {left}");
        assert_eq!((again.copied_bytes, again.encoded), (most, report.encoded.clone()));
        assert!(by_system.left == 0 || left > most);
    }
}

#[test]
fn a_copy_of_a_copy_is_the_same_file_even_when_one_image_was_new() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    let lzx = ChunkFormat::usual(Compression::Lzx);
    let (file, _) = write_with(2, 64 << 20, new_wim(lzx, &contents[..5])).unwrap();
    let source = open(&file);
    let first_image = ImageIndex::new(1).unwrap();
    let mut wim = new_wim(lzx, &contents[5..7]);
    wim.sources = vec![&source];
    wim.images.push(NewImage::new(
        NewMetadata::Copy(&source, first_image),
        ImageXml::default(),
        contents[..7].iter().map(|(digest, _)| (*digest, 1)).collect(),
    ));
    let (first, _) = write_with(2, 64 << 20, wim).unwrap();
    let copied = open(&first);
    let again = |copied: &WimFile| {
        let mut wim = new_wim(lzx, &[]);
        wim.sources = vec![copied];
        wim.images = [1, 2]
            .into_iter()
            .map(|number| {
                NewImage::new(
                    NewMetadata::Copy(copied, ImageIndex::new(number).unwrap()),
                    ImageXml::default(),
                    contents[..7].iter().filter(|_| number == 2).map(|(digest, _)| (*digest, 2)).collect(),
                )
            })
            .collect();
        write_with(2, 64 << 20, wim).unwrap().0
    };
    let second = again(&copied);
    let third = again(&open(&second));
    assert!(second == third);
    assert_eq!(second.len(), first.len());
}

#[test]
fn a_damaged_blob_is_reported_by_name_and_the_others_are_read() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    let (file, _) =
        write_with(2, 64 << 20, new_wim(ChunkFormat::usual(Compression::Lzx), &contents)).unwrap();
    let table: Vec<_> = open(&file).table().blobs().to_vec();
    for victim in &table {
        let mut damaged = file.clone();
        damaged[(victim.header.offset + victim.header.stored_size / 2) as usize] ^= 0x10;
        let wim = open(&damaged);
        for (digest, result) in read_all(&wim, 3) {
            if digest == victim.digest {
                let error = result.unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format), "{error}");
                assert!(error.to_string().starts_with(&format!("test.wim: blob {digest}: ")), "{error}");
            } else {
                assert!(result.is_ok(), "{digest}");
            }
        }
    }
}

/// Takers see every piece once, in any order; the sink all of them in order, with what takers said; the first error wins.
#[test]
fn pieces_are_taken_where_they_are_decoded() {
    let blobs = sample_blobs();
    let contents = contents(&blobs);
    let (file, _) =
        write_with(2, 64 << 20, new_wim(ChunkFormat::usual(Compression::Xpress), &contents)).unwrap();
    let wim = open(&file);
    let mut inputs: Vec<_> =
        wim.table().blobs().iter().map(|entry| BlobInput::resource(&wim, *entry)).collect();
    sort_by_offset(&mut inputs);
    let is_odd = |position: usize| position % 2 == 1;
    for threads in [1, 2, 8] {
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(threads).with_memory(8 << 20);
        let taken = Mutex::new(HashMap::new());
        let taker = || {
            |piece: BlobPiece<'_>| {
                if !is_odd(piece.position) {
                    return Ok(Taken::No);
                }
                let bytes = piece.bytes?.to_vec();
                let before = taken.lock().unwrap().insert((piece.position, piece.start), bytes);
                assert!(before.is_none());
                Ok(Taken::Yes)
            }
        };
        let (mut seen, mut next) = (0, (0, 0));
        read_blobs_taken(&cx, &inputs, taker, |piece, was_taken| {
            assert_eq!((piece.position, piece.start), next);
            assert_eq!(was_taken == Taken::Yes, is_odd(piece.position));
            let bytes = piece.bytes?;
            if was_taken == Taken::Yes {
                assert!(taken.lock().unwrap()[&next] == bytes);
            }
            next = if piece.is_last { (next.0 + 1, 0) } else { (next.0, next.1 + bytes.len() as u64) };
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert!(next == (inputs.len(), 0) && seen > inputs.len());
        let mut last = None;
        let refuse = || {
            |piece: BlobPiece<'_>| match piece.position {
                5.. => Err(Error::invalid_input(format!("no room for {}", piece.position))),
                _ => Ok(Taken::Yes),
            }
        };
        let failed = read_blobs_taken(&cx, &inputs, refuse, |piece, _| {
            last = Some(piece.position);
            Ok(())
        });
        assert_eq!((failed.unwrap_err().message(), last), ("no room for 5", Some(4)));
    }
}

#[test]
fn a_truncated_or_flipped_file_is_an_error_and_never_a_panic() {
    let blobs = [mixed_bytes(5, 70_000), mixed_bytes(6, 10)];
    let contents = contents(&blobs);
    let (file, _) =
        write_with(1, 64 << 20, new_wim(ChunkFormat::usual(Compression::Lzx), &contents)).unwrap();
    let try_all = |bytes: Vec<u8>| -> Result<()> {
        let wim = WimFile::open(Arc::new(bytes), "test.wim")?;
        for image in wim.images() {
            wim.read_metadata(image, 1 << 30)?;
        }
        let _ = wim.read_integrity()?;
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(1);
        let inputs: Vec<_> =
            wim.table().blobs().iter().map(|entry| BlobInput::resource(&wim, *entry)).collect();
        read_blobs(&cx, &inputs, |piece| piece.bytes.map(|_| ()))
    };
    assert!(try_all(file.clone()).is_ok());
    for length in (0..file.len()).step_by(61) {
        assert!(try_all(file[..length].to_vec()).is_err(), "cut to {length} bytes");
    }
    for at in (0..file.len()).step_by(17).chain(0..208).chain(file.len() - 2000..file.len()) {
        for bit in [0, 7] {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            let _ = try_all(flipped);
        }
    }
}

#[test]
fn overlapping_resources_do_not_multiply() {
    let blobs = [random_bytes(3, 50_000), random_bytes(4, 50_000), random_bytes(5, 50_000)];
    let contents = contents(&blobs);
    let (mut file, _) = write_with(1, 64 << 20, new_wim(ChunkFormat::UNCOMPRESSED, &contents)).unwrap();
    let at = open(&file).header().lookup_table.offset as usize;
    for entry in 1..4 {
        let start = at + 50 * entry;
        let (offset, length) = (208u64, file.len() as u64 - 208);
        file[start..start + 7].copy_from_slice(&length.to_le_bytes()[..7]);
        file[start + 8..start + 16].copy_from_slice(&offset.to_le_bytes());
        file[start + 16..start + 24].copy_from_slice(&length.to_le_bytes());
    }
    let source = open(&file);
    let mut wim = new_wim(ChunkFormat::UNCOMPRESSED, &[]);
    wim.sources = vec![&source];
    wim.images[0].references = source.table().blobs().iter().map(|entry| (entry.digest, 1)).collect();
    let error = write_with(1, 64 << 20, wim).unwrap_err();
    assert!(error.to_string().contains("overlap"), "{error}");
}

/// A source that says it is huge and counts what is read of it.
struct Huge {
    start: Vec<u8>,
    size: u64,
    most_read: std::sync::atomic::AtomicUsize,
}

impl ReadAt for Huge {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.most_read.fetch_max(buf.len(), std::sync::atomic::Ordering::Relaxed);
        let from = self.start.get(offset as usize..).unwrap_or(&[]);
        let known = from.len().min(buf.len());
        buf[..known].copy_from_slice(&from[..known]);
        buf[known..].fill(0);
        Ok(())
    }
}

/// Bytes of which some cannot be read, as on a disk that fails.
struct Failing(Vec<u8>, std::ops::Range<u64>);

impl ReadAt for Failing {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        if offset < self.1.end && offset + buf.len() as u64 > self.1.start {
            return Err(std::io::Error::other("the disk fails here"));
        }
        self.0.read_exact_at(buf, offset)
    }
}

/// Blobs that lie close together are read at once; what fails is told of the one that it happens to, with the cause.
#[test]
fn a_place_that_cannot_be_read_takes_one_blob_with_it() {
    let blobs: Vec<Vec<u8>> = (0..30).map(|number| random_bytes(number, 20_000)).collect();
    let contents = contents(&blobs);
    for format in [ChunkFormat::UNCOMPRESSED, ChunkFormat::usual(Compression::Lzx)] {
        let (file, _) = write_with(2, 64 << 20, new_wim(format, &contents)).unwrap();
        let victim = *open(&file).table().find(&contents[12].0).unwrap();
        let at = victim.header.offset + 5_000;
        let wim = WimFile::open(Arc::new(Failing(file, at..at + 1)), "test.wim").unwrap();
        for (digest, result) in read_all(&wim, 2) {
            match result {
                Ok(_) => assert_ne!(digest, victim.digest),
                Err(error) => {
                    assert_eq!((digest, error.kind()), (victim.digest, ErrorKind::Io), "{error}");
                    assert!(error.to_string().contains("the disk fails here"), "{error}");
                }
            }
        }
    }
}

#[test]
fn an_entry_that_lies_about_its_stored_size_is_refused_before_it_is_read() {
    let blobs = [mixed_bytes(5, 100_000), mixed_bytes(6, 10)];
    let contents = contents(&blobs);
    let (mut file, _) =
        write_with(1, 64 << 20, new_wim(ChunkFormat::usual(Compression::Lzx), &contents)).unwrap();
    let table = open(&file).header().lookup_table.offset as usize;
    for entry in [1, 2] {
        let at = table + 50 * entry;
        let (stored, flags) = ((200u64 << 20) + 4, u64::from(ResourceHeader::COMPRESSED));
        file[at..at + 8].copy_from_slice(&(stored | flags << 56).to_le_bytes());
    }
    let huge =
        Arc::new(Huge { start: file, size: 1 << 30, most_read: std::sync::atomic::AtomicUsize::new(0) });
    let wim = WimFile::open(Arc::clone(&huge) as Arc<dyn ReadAt>, "huge.wim").unwrap();
    huge.most_read.store(0, std::sync::atomic::Ordering::Relaxed);
    let read = read_all(&wim, 2);
    assert!(
        read.values().all(|blob| blob.as_ref().is_err_and(|e| e.to_string().contains("compressed chunks")))
    );
    assert!(huge.most_read.load(std::sync::atomic::Ordering::Relaxed) < 4 << 20);
}

#[test]
fn many_images_on_one_metadata_resource_do_not_multiply() {
    let blobs = [mixed_bytes(7, 100)];
    let contents = contents(&blobs);
    let (mut file, _) = write_with(1, 64 << 20, new_wim(ChunkFormat::UNCOMPRESSED, &contents)).unwrap();
    let table = open(&file).header().lookup_table;
    let entry = file[table.offset as usize..table.offset as usize + 50].to_vec();
    let new_table: Vec<u8> = entry.repeat(500);
    let header = ResourceHeader {
        stored_size: new_table.len() as u64,
        flags: ResourceHeader::METADATA,
        offset: file.len() as u64,
        size: new_table.len() as u64,
    };
    file.extend_from_slice(&new_table);
    file[0x2C..0x30].copy_from_slice(&500u32.to_le_bytes());
    file[0x30..0x48].copy_from_slice(&header.to_bytes());
    let wim = WimFile::open(Arc::new(file), "many.wim").unwrap();
    assert_eq!(wim.image_count(), 500);
    let mut new = new_wim(ChunkFormat::UNCOMPRESSED, &[]);
    new.sources = vec![&wim];
    new.images = wim
        .images()
        .map(|image| NewImage::new(NewMetadata::Copy(&wim, image), ImageXml::default(), HashMap::new()))
        .collect();
    let error = write_with(1, 64 << 20, new).unwrap_err();
    assert!(error.to_string().contains("overlap"), "{error}");
}

#[test]
fn metadata_larger_than_allowed_is_refused_by_name() {
    let (file, _) = write_with(1, 64 << 20, new_wim(ChunkFormat::UNCOMPRESSED, &[])).unwrap();
    let error = open(&file).read_metadata(ImageIndex::new(1).unwrap(), 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.remedy_text().is_some_and(|text| text.contains("--memory")), "{error}");
}

#[test]
fn a_blob_that_no_source_has_is_named() {
    let missing = Sha1Digest::of(b"missing");
    let mut wim = new_wim(ChunkFormat::UNCOMPRESSED, &[]);
    wim.images[0].references.insert(missing, 1);
    let error = write_with(1, 64 << 20, wim).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&missing.to_string()));
}
