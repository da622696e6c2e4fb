//! Pipable files: written to what can only grow, read from what can only be read once, and refused when they lie.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use lz_kit::Level;
use proptest::prelude::*;
use wim_core::base::sequential_output::SequentialOutput;
use wim_core::base::{Cancel, ChunkSize, Context, Error, ErrorKind, ImageIndex, Result, Sha1Digest, Silent};
use wim_core::formats::wim::{
    BlobHeader, ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimHeader, WimLayout, WimXml,
};
use wim_core::image::edit::Content;
use wim_core::image::{Tree, store};
use wim_core::transfer::read::{PipedWim, Tolerance};
use wim_core::transfer::verify::verify;
use wim_core::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, append, plan_parts,
    replace_xml, write, write_part,
};

use crate::samples::{mixed_bytes, random_bytes};

fn blobs() -> Vec<Vec<u8>> {
    let mut blobs: Vec<Vec<u8>> =
        [1, 300, 4096, 32767, 32768, 32769, 100_000].iter().map(|&n| mixed_bytes(n as u64, n)).collect();
    blobs.extend([mixed_bytes(77, 2_300_000), random_bytes(1, 1_200_000), random_bytes(2, 40_000)]);
    blobs
}

fn small_blobs() -> Vec<Vec<u8>> {
    vec![mixed_bytes(1, 700), random_bytes(2, 300), mixed_bytes(3, 40_000)]
}

fn contents(blobs: &[Vec<u8>]) -> Vec<(Sha1Digest, Content)> {
    blobs.iter().map(|bytes| (Sha1Digest::of(bytes), Content::bytes(bytes.clone()))).collect()
}

fn new_wim<'a>(
    format: ChunkFormat,
    contents: &'a [(Sha1Digest, Content)],
    sources: Vec<&'a WimFile>,
) -> NewWim<'a> {
    let digests = contents.iter().map(|(digest, _)| *digest);
    let more = sources.iter().flat_map(|wim| wim.table().blobs().iter().map(|entry| entry.digest));
    NewWim {
        format,
        level: Level::FAST,
        guid: None,
        flags: HeaderFlags(HeaderFlags::RP_FIX),
        xml: WimXml::empty(0),
        images: vec![NewImage::new(
            NewMetadata::new(store::store(&Tree::new_empty())),
            ImageXml::default(),
            digests.chain(more).map(|digest| (digest, 1)).collect(),
        )],
        sources,
        contents,
        boot: ImageIndex::new(1),
        integrity: Integrity::Omit,
        packing: Packing::Separate,
        recompress: Recompress::WhenNeeded,
        copy_checksums: CopyChecksums::Drop,
    }
}

fn with_context<T>(threads: usize, work: impl FnOnce(&Context<'_>) -> T) -> T {
    let cancel = Cancel::new();
    work(&Context::new(&Silent, &cancel).with_threads(threads).with_memory(16 << 20))
}

fn written(threads: usize, wim: NewWim<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut output = SequentialOutput::new(&mut bytes);
    with_context(threads, |cx| write(cx, wim, &mut output)).unwrap();
    output.finish().unwrap();
    bytes
}

fn pipable(compression: Compression, chunk_bytes: u32) -> ChunkFormat {
    let format = ChunkFormat::new(compression, ChunkSize::from_bytes(chunk_bytes).unwrap()).unwrap();
    format.in_layout(WimLayout::Pipable)
}

fn open(bytes: &[u8]) -> WimFile {
    let wim = WimFile::open(Arc::new(bytes.to_vec()), "test.wim").unwrap();
    assert!(wim.warnings().is_empty(), "{:?}", wim.warnings());
    wim
}

/// A reader that gives few bytes at a time, as pipes do.
struct Trickle<'b>(&'b [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = out.len().min(self.1);
        self.0.read(&mut out[..length])
    }
}

type Blobs = HashMap<Sha1Digest, Vec<u8>>;

/// All wanted blobs of a stream; what is wrong with one is an error of all.
fn read_stream(threads: usize, stream: &[u8], step: usize, wanted: HashSet<Sha1Digest>) -> Result<Blobs> {
    with_context(threads, |cx| {
        let (mut reader, mut blobs) = (Trickle(stream, step), Blobs::new());
        let pipe = PipedWim::open(&mut reader, "pipe", cx)?;
        for image in pipe.start().images() {
            pipe.start().read_metadata(image, 1 << 20)?;
        }
        let mut complete = HashSet::new();
        pipe.read_blobs(cx, (wanted, Tolerance::Whole), |piece| {
            let blob = blobs.entry(piece.digest).or_default();
            assert_eq!(blob.len() as u64, piece.start);
            blob.extend_from_slice(piece.bytes?);
            assert_eq!(piece.is_last, blob.len() as u64 == piece.size);
            if piece.is_last {
                assert!(complete.insert(piece.digest), "it came twice");
            }
            Ok(())
        })?;
        Ok(blobs)
    })
}

fn read_all(threads: usize, stream: &[u8], step: usize) -> Result<Blobs> {
    let wanted = open(stream).table().blobs().iter().map(|entry| entry.digest).collect();
    read_stream(threads, stream, step, wanted)
}

#[test]
fn every_format_comes_back_from_a_file_and_from_a_pipe() {
    let blobs = blobs();
    let contents = contents(&blobs);
    let wanted: Blobs = blobs.iter().map(|bytes| (Sha1Digest::of(bytes), bytes.clone())).collect();
    for format in [
        pipable(Compression::None, 32768),
        pipable(Compression::Xpress, 4096),
        pipable(Compression::Lzx, 32768),
        pipable(Compression::Lzms, 128 << 10),
    ] {
        let bytes = written(4, new_wim(format, &contents, Vec::new()));
        assert!(bytes == written(1, new_wim(format, &contents, Vec::new())), "{format:?}");
        let wim = open(&bytes);
        assert_eq!((wim.format(), wim.header().boot_index), (format, 1));
        let report = with_context(4, |cx| verify(cx, &wim)).unwrap();
        assert!(!report.is_damaged(), "{format:?}: {:?}", report.findings);
        for (threads, step) in [(1, usize::MAX), (4, 1 << 16), (2, 999)] {
            assert!(read_all(threads, &bytes, step).unwrap() == wanted, "{format:?} {threads} {step}");
        }
        // To the other layout and back: nothing is lost, and the second pipable file is the first.
        let standard = format.in_layout(WimLayout::Standard);
        let mut other = Vec::new();
        with_context(2, |cx| write(cx, new_wim(standard, &[], vec![&wim]), &mut other)).unwrap();
        let other = open(&other);
        assert_eq!(other.layout(), WimLayout::Standard);
        let copied = written(3, new_wim(format, &[], vec![&wim]));
        assert!(read_all(2, &copied, usize::MAX).unwrap() == wanted);
        let back = written(2, new_wim(format, &[], vec![&other]));
        assert!(read_all(2, &back, usize::MAX).unwrap() == wanted);
    }
}

#[test]
fn parts_and_deltas_follow_each_other_in_any_order_behind_the_first() {
    let small = small_blobs();
    let contents = contents(&small);
    let format = pipable(Compression::Xpress, 4096);
    let whole = open(&written(2, new_wim(format, &contents, Vec::new())));
    let plan = plan_parts(&whole, 2000, Integrity::Make).unwrap();
    assert_eq!(plan.len(), 3);
    let mut parts = Vec::new();
    for (part, number) in plan.iter().zip(1u16..) {
        let mut bytes = Vec::new();
        let number = wim_core::base::PartNumber::new(number).unwrap();
        with_context(2, |cx| write_part(cx, &whole, part, (number, 3), Integrity::Make, &mut bytes)).unwrap();
        assert_eq!(bytes.len() as u64, part.file_bytes);
        parts.push(bytes);
    }
    let wanted: HashSet<Sha1Digest> = contents.iter().map(|(digest, _)| *digest).collect();
    let read = |order: &[usize]| {
        let stream: Vec<u8> = order.iter().flat_map(|&part| parts[part].clone()).collect();
        read_stream(2, &stream, 500, wanted.clone())
    };
    assert_eq!(read(&[0, 1, 2]).unwrap().len(), 3);
    assert_eq!(read(&[0, 2, 1]).unwrap().len(), 3);
    let missing = read(&[0, 2]).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(missing.remedy_text(), Some("of its 3 parts these did not come: 2"));
    assert!(read(&[1, 0, 2]).unwrap_err().to_string().contains("part 2 comes first"));
    // A base in another compression, behind its delta.
    let base = written(2, new_wim(pipable(Compression::Lzx, 32768), &contents, Vec::new()));
    let delta = written(2, new_wim(format, &[], Vec::new()));
    assert_eq!(read_stream(2, &[delta.clone(), base].concat(), 500, wanted.clone()).unwrap().len(), 3);
    let alone = read_stream(2, &delta, 500, wanted).unwrap_err();
    assert!(alone.remedy_text().unwrap().contains("base"), "{alone}");
}

#[test]
fn nothing_is_changed_in_place() {
    let bytes =
        written(1, new_wim(pipable(Compression::Xpress, 4096), &contents(&small_blobs()), Vec::new()));
    let wim = open(&bytes);
    let mut file = bytes.clone();
    let refused = |error: Error| assert!(error.to_string().contains("pipable"), "{error}");
    with_context(1, |cx| {
        refused(append(cx, new_wim(wim.format(), &[], vec![&wim]), &wim, &mut file).unwrap_err());
        refused(replace_xml(cx, &wim, wim.xml(), None, Integrity::Omit, &mut file).unwrap_err());
    });
    assert!(file == bytes);
}

/// Where each blob header of a file stands, the tables' among them.
fn blob_headers(bytes: &[u8]) -> Vec<usize> {
    let magic = BlobHeader::MAGIC.to_le_bytes();
    (0..bytes.len() - 8).filter(|&at| bytes[at..at + 8] == magic).collect()
}

#[test]
fn what_is_cut_short_or_out_of_order_is_named_by_its_place() {
    let small = small_blobs();
    let bytes = written(1, new_wim(pipable(Compression::Xpress, 4096), &contents(&small), Vec::new()));
    let wanted: HashSet<Sha1Digest> = small.iter().map(|blob| Sha1Digest::of(blob)).collect();
    let read = |stream: &[u8]| read_stream(2, stream, usize::MAX, wanted.clone());
    for length in (0..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
        let error = read(&bytes[..length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{length}: {error}");
        assert!(error.to_string().contains(&format!("at {length:#x}")), "{length}: {error}");
    }
    let headers = blob_headers(&bytes);
    let [xml, metadata, first, second, third, ..] = headers[..] else { panic!("{headers:?}") };
    let altered = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    for (stream, place) in [
        (altered(0, b"MSWIM"), "not pipable".to_owned()),
        (altered(0, b"MSCF"), "not a WIM".to_owned()),
        (altered(40, &[2, 0, 2, 0]), "part 2 comes first".to_owned()),
        // XML data that claims to be huge, and that is no XML data.
        (altered(xml + 8, &[0xFF; 7]), "XML data must follow the header".to_owned()),
        (altered(xml + 36, &[0]), "XML data must follow the header".to_owned()),
        ([&bytes[..metadata], &bytes[first..]].concat(), "comes before all metadata".to_owned()),
        (altered(metadata + 36, &[0]), "comes before all metadata".to_owned()),
        (altered(first, &[0]), format!("at {first:#x}")),
        (altered(second, &[0]), format!("at {second:#x}")),
        // A chunk of no bytes, of too many, and a blob of more than there is.
        (altered(third + 40, &[0; 4]), format!("at {:#x}: 0 bytes cannot be a chunk", third + 44)),
        (altered(third + 40, &[0xFF; 4]), format!("at {:#x}: 4294967295 bytes", third + 44)),
        (altered(second + 8, &[0xFF; 7]), "the stream ends here".to_owned()),
        // A digest under which nobody looks for the blob.
        (altered(first + 16, &[0; 4]), "is not in the stream".to_owned()),
        // Two files without an end between them.
        ([&bytes[..second], &bytes[..]].concat(), format!("field \"magic\", at {second:#x}")),
    ] {
        let error = read(&stream).unwrap_err().to_string();
        assert!(error.contains(&place), "{place}: {error}");
    }
    let mut damaged = bytes.clone();
    damaged[second - 1] ^= 1;
    let error = read(&damaged).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format), "{error}");
    // Of a file, the header at the end is missed.
    let cut = WimFile::open(Arc::new(bytes[..bytes.len() - 1].to_vec()), "cut.wim").map(drop).unwrap_err();
    let message =
        format!("at {:#x}: a pipable WIM ends with a second header", bytes.len() - 1 - WimHeader::BYTES);
    assert!(cut.to_string().contains(&message), "{cut}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn damaged_streams_give_what_was_written_or_an_error(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let small = small_blobs();
        let mut bytes =
            written(1, new_wim(pipable(Compression::Lzx, 32768), &contents(&small), Vec::new()));
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let wanted = small.iter().map(|blob| Sha1Digest::of(blob)).collect();
        if let Ok(read) = read_stream(1, &bytes, usize::MAX, wanted) {
            for blob in &small {
                prop_assert_eq!(read.get(&Sha1Digest::of(blob)), Some(blob));
            }
        }
    }
}
