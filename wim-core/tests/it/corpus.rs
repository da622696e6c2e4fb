//! Tiny odd files, kept in `tests/corpus`, with one sentence each and the generator here.
//!
//! `good-` files verify without damage, `bad-` files are refused or reported as damaged, `unsupported-` files are refused
//! by name. `UPDATE_CORPUS=1 cargo test -p wim-core --test it corpus` writes the files and their README anew.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use lz_kit::Level;
use wim_core::base::{Cancel, Context, ErrorKind, ImageIndex, PartNumber, Sha1Digest, Silent};
use wim_core::formats::wim::reparse::{LinkTarget, MOUNT_POINT, SYMLINK};
use wim_core::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimLayout, WimXml};
use wim_core::image::edit::Content;
use wim_core::image::{Inode, Stream, StreamKind, Streams, Tree, store};
use wim_core::media::IsoImage;
use wim_core::transfer::verify::{IntegrityCheck, verify_set};
use wim_core::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, SolidOrder, SolidPacking,
    plan_parts, write, write_part,
};

use crate::disc_writer::{Iso, IsoNames, SECTOR, Udf, files, retag};
use crate::discs::{everything, sharing};
use crate::rich_tree::RichTree;
use crate::samples::mixed_bytes;

/// A WIM of one image made of `tree`.
pub(crate) fn wim_of(
    tree: &Tree,
    contents: &[(Sha1Digest, Content)],
    format: ChunkFormat,
    integrity: Integrity,
) -> Vec<u8> {
    let mut xml = ImageXml::default();
    xml.set("NAME", "corpus");
    wim_with_xml(tree, contents, xml, format, integrity)
}

/// A WIM of one image made of `tree`, of which `xml` tells.
pub(crate) fn wim_with_xml(
    tree: &Tree,
    contents: &[(Sha1Digest, Content)],
    xml: ImageXml,
    format: ChunkFormat,
    integrity: Integrity,
) -> Vec<u8> {
    bytes_of(new_wim(tree, contents, xml, format, integrity))
}

/// A WIM of one image made of `tree`, packed as `packing` says.
pub(crate) fn wim_packed(
    tree: &Tree,
    contents: &[(Sha1Digest, Content)],
    format: ChunkFormat,
    packing: Packing,
) -> Vec<u8> {
    let mut xml = ImageXml::default();
    xml.set("NAME", "corpus");
    bytes_of(NewWim { packing, ..new_wim(tree, contents, xml, format, Integrity::Omit) })
}

fn new_wim<'a>(
    tree: &Tree,
    contents: &'a [(Sha1Digest, Content)],
    xml: ImageXml,
    format: ChunkFormat,
    integrity: Integrity,
) -> NewWim<'a> {
    NewWim {
        format,
        level: Level::FAST,
        packing: Packing::Separate,
        guid: None,
        flags: HeaderFlags(0),
        xml: WimXml::empty(0),
        images: vec![NewImage::new(NewMetadata::new(store::store(tree)), xml, tree.blob_references())],
        sources: Vec::new(),
        contents,
        boot: None,
        integrity,
        recompress: Recompress::WhenNeeded,
        copy_checksums: CopyChecksums::Drop,
    }
}

fn bytes_of(wim: NewWim<'_>) -> Vec<u8> {
    let cancel = Cancel::new();
    let mut file = Vec::new();
    write(&Context::new(&Silent, &cancel).with_threads(1), wim, &mut file).unwrap();
    file
}

/// A directory, a file with two names, a file with a named stream, an empty file.
pub(crate) fn sample() -> (Tree, Vec<(Sha1Digest, Content)>) {
    let (text, extra) = (mixed_bytes(3, 700), b"stream".to_vec());
    let (digest, stream) = (Sha1Digest::of(&text), Sha1Digest::of(&extra));
    let mut tree = Tree::new_empty();
    let root = tree.root();
    let folder = tree.add(root, "folder".into(), Inode { attributes: 0x10, ..Inode::default() }).unwrap();
    let file = |streams| Inode { attributes: 0x20, streams, ..Inode::default() };
    let first = tree.add(root, "first".into(), file(Streams::data(digest))).unwrap();
    let inode = tree.node(first).inode;
    tree.add_name(folder, "second".into(), inode).unwrap();
    let named = vec![
        Stream { kind: StreamKind::Data, digest },
        Stream { kind: StreamKind::Named("note".into()), digest: stream },
    ];
    tree.add(folder, "streams".into(), file(Streams::from_list(named))).unwrap();
    tree.add(root, "empty".into(), file(Streams::default())).unwrap();
    (tree, vec![(digest, Content::bytes(text)), (stream, Content::bytes(extra))])
}

/// Name, sentence, bytes.
fn corpus() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (tree, contents) = sample();
    let make = |compression, integrity| wim_of(&tree, &contents, ChunkFormat::usual(compression), integrity);
    let in_pipable = ChunkFormat::usual(Compression::Lzx).in_layout(WimLayout::Pipable);
    let pipable = wim_of(&tree, &contents, in_pipable, Integrity::Omit);
    let plain = make(Compression::None, Integrity::Omit);
    let lzx = make(Compression::Lzx, Integrity::Make);
    let table =
        WimFile::open(Arc::new(plain.clone()), "plain").unwrap().header().lookup_table.offset as usize;
    let altered = |bytes: &[u8], at: usize, new: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    // The names lie in the metadata, which a plain file stores raw; a changed name needs a new digest to be seen.
    let wim = WimFile::open(Arc::new(plain.clone()), "plain").unwrap();
    let metadata = wim.table().metadata()[0].header;
    let (start, size) = (metadata.offset as usize, metadata.size as usize);
    let in_metadata = |at: usize, new: &[u8]| {
        let bytes = altered(&plain, start + at, new);
        let digest = Sha1Digest::of(&bytes[start..start + size]);
        altered(&bytes, table + 30, &digest.0)
    };
    let place_of = |name: &str| {
        let name = wide(name);
        plain[start..start + size].windows(name.len()).position(|window| window == name).unwrap()
    };
    let renamed = |from: &str, to: &str| in_metadata(place_of(from), &wide(to));
    // A dentry has its attributes at 8, the offset of its children at 16 and its name at 102; the root lies behind 8 bytes of
    // an empty security table.
    let children_of_root = &plain[start + 8 + 16..start + 8 + 24];
    let text = b"one and two and ".repeat(5000);
    let digest = Sha1Digest::of(&text);
    let mut chunked = Tree::new_empty();
    let file = Inode { attributes: 0x20, streams: Streams::data(digest), ..Inode::default() };
    chunked.add(chunked.root(), "chunks".into(), file).unwrap();
    let chunked = wim_of(
        &chunked,
        &[(digest, Content::bytes(text))],
        ChunkFormat::usual(Compression::Lzx),
        Integrity::Omit,
    );
    let xml = wim.header().xml.offset as usize;
    vec![
        (
            "good-plain.wim",
            "Uncompressed: a directory, two names of one file, a named stream, an empty file.",
            plain.clone(),
        ),
        ("good-lzx-integrity.wim", "The same in LZX with an integrity table.", lzx.clone()),
        ("good-xpress.wim", "The same in XPRESS.", make(Compression::Xpress, Integrity::Omit)),
        (
            "good-empty-root.wim",
            "An image without any file.",
            wim_of(&Tree::new_empty(), &[], ChunkFormat::UNCOMPRESSED, Integrity::Omit),
        ),
        ("good-write-in-progress.wim", "Whole, but marked as being written.", altered(&plain, 0x10, &[0x40])),
        ("bad-no-magic.wim", "Does not begin with MSWIM.", altered(&plain, 0, b"MSCF")),
        ("bad-cut-header.wim", "Ends inside the header.", plain[..100].to_vec()),
        ("bad-cut-tables.wim", "Ends before the lookup table.", plain[..table].to_vec()),
        ("bad-two-codecs.wim", "Claims two compression types at once.", altered(&lzx, 0x12, &[0x06])),
        (
            "bad-blob.wim",
            "One byte of a blob differs from its SHA-1.",
            altered(&plain, 208, &[plain[208] ^ 1]),
        ),
        (
            "bad-integrity-slice.wim",
            "A slice differs from the integrity table.",
            altered(&lzx, 210, &[lzx[210] ^ 1]),
        ),
        ("bad-lookup-offset.wim", "A blob lies outside the file.", altered(&plain, table + 50 + 13, &[1])),
        ("bad-dot-dot.wim", "A file is named `..`.", renamed("first", "..\0\0\0")),
        ("bad-separator.wim", "A file name has a backslash.", renamed("first", "f\\rst")),
        ("bad-duplicate-name.wim", "Two entries of a directory have one name.", renamed("empty", "first")),
        ("unsupported-version.wim", "Version 1.12.", altered(&plain, 12, &[0, 0x0C, 1, 0])),
        ("good-pipable.wim", "The same in LZX and wimlib's pipable form.", pipable.clone()),
        (
            "bad-pipable-cut.wim",
            "A pipable file without its last byte.",
            pipable[..pipable.len() - 1].to_vec(),
        ),
        ("bad-missing-part.wim", "Part 1 of a split set of 2, alone.", altered(&plain, 42, &[2])),
        (
            "bad-lzms-chunk.wim",
            "Version 0.14 with LZMS, but its chunks are LZX.",
            altered(&altered(&altered(&lzx, 12, &[0, 0x0E, 0, 0]), 0x12, &[0x08]), 0x15, &[0x80]),
        ),
        (
            "bad-security-table.wim",
            "The security table has more bytes than the metadata.",
            in_metadata(0, &[0xF8, 0xFF, 0xFF, 0x7F]),
        ),
        (
            "bad-cycle.wim",
            "A directory has the children of the root, and so itself.",
            in_metadata(place_of("folder") - 102 + 16, children_of_root),
        ),
        (
            "bad-file-with-children.wim",
            "A file has the children of the root.",
            in_metadata(place_of("empty") - 102 + 16, children_of_root),
        ),
        (
            "good-links-differ.wim",
            "Two names of one file have different attributes.",
            in_metadata(place_of("second") - 102 + 8, &[0x21]),
        ),
        ("bad-xml.wim", "The XML data is no UTF-16 text.", altered(&plain, xml, &[0; 8])),
        (
            "bad-chunk-table.wim",
            "The third chunk of a blob begins before the second.",
            altered(&chunked, 208 + 4, &[0; 4]),
        ),
    ]
    .into_iter()
    .chain(larger_corpus())
    .collect()
}

/// Files with what not every file has: solid resources, reparse points, a bootable image, several parts.
fn larger_corpus() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (tree, contents) = sample();
    let mut xml = ImageXml::default();
    xml.set("NAME", "corpus");
    let make = |format| new_wim(&tree, &contents, xml.clone(), format, Integrity::Omit);
    let lzx = ChunkFormat::usual(Compression::Lzx);
    let altered = |bytes: &[u8], at: usize, new: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let packing = SolidPacking { format: lzx, level: Level::FAST, order: SolidOrder::default() };
    let solid = bytes_of(NewWim { packing: Packing::Solid(packing), ..make(lzx) });
    let wim = WimFile::open(Arc::new(solid.clone()), "solid").unwrap();
    // A solid resource begins with its uncompressed size, the size of its chunks and its compression.
    let run = wim.solid_resources().next().unwrap().offset() as usize;
    // The lookup table ends with a blob in it, whose place there stands as its offset.
    let table = wim.header().lookup_table;
    let last_place = (table.offset + table.size) as usize - 50 + 8;
    let boot = bytes_of(NewWim { boot: Some(ImageIndex::from_position(0)), ..make(lzx) });
    let rich = links();
    let links = new_wim(&rich.tree, &rich.contents, xml.clone(), ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let [one, two] = parts();
    vec![
        ("good-solid.wim", "The first sample in one solid resource.", solid.clone()),
        (
            "bad-solid-chunks.wim",
            "The chunks of a solid resource have no power of two.",
            altered(&solid, run + 8, &[1]),
        ),
        (
            "bad-solid-type.wim",
            "A solid resource has a compression that nobody knows.",
            altered(&solid, run + 12, &[9]),
        ),
        (
            "bad-solid-place.wim",
            "A blob lies behind the end of its solid resource.",
            altered(&solid, last_place, &[0xFF; 2]),
        ),
        (
            "good-shared-metadata.wim",
            "The table lists one metadata resource for two images.",
            shared_metadata(),
        ),
        ("good-boot.wim", "Its image is bootable.", boot.clone()),
        ("good-boot-nothing.wim", "Image 9 of 1 is bootable, so none is.", altered(&boot, 0x78, &[9])),
        (
            "good-links.wim",
            "A symbolic link, a junction, a link that ends too early, and a reparse point that nobody knows.",
            bytes_of(links),
        ),
        ("good-part.swm", "Part 1 of a split set of 2.", one.clone()),
        ("good-part2.swm", "Part 2 of it.", two),
        ("bad-part-number.wim", "Part 3 of a split set of 2.", altered(&one, 0x28, &[3])),
    ]
}

/// A file of two images with one metadata resource; a second one, which no entry leads to, lies behind it.
pub(crate) fn shared_metadata() -> Vec<u8> {
    let (tree, contents) = sample();
    let mut new = new_wim(&tree, &contents, ImageXml::default(), ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let metadata = NewMetadata::new(store::store(&tree));
    new.images.push(NewImage::new(metadata, ImageXml::default(), tree.blob_references()));
    let mut bytes = bytes_of(new);
    let wim = WimFile::open(Arc::new(bytes.clone()), "two images").unwrap();
    let table = wim.header().lookup_table.offset as usize;
    bytes.copy_within(table..table + 50, table + 50);
    bytes
}

/// Reparse points, whole and odd.
fn links() -> RichTree {
    let mut rich = RichTree::new();
    let target =
        |path: &str, is_relative| LinkTarget { substitute: path.into(), print: path.into(), is_relative };
    let relative = target("folder", true).to_symlink_data().unwrap();
    rich.directory("\\", "folder");
    rich.reparse("\\", "symbolic", (SYMLINK, 1), 0x10, &relative);
    rich.reparse("\\", "cut", (SYMLINK, 1), 0x10, &relative[..9]);
    let absolute = target("\\??\\C:\\folder", false).to_junction_data().unwrap();
    rich.reparse("\\", "junction", (MOUNT_POINT, 0), 0x10, &absolute);
    rich.reparse("\\", "unknown", (0x9000_601A, 0), 0x20, b"opaque");
    rich
}

/// The parts of a set, the second of which has a blob that the first lacks.
fn parts() -> [Vec<u8>; 2] {
    let (tree, contents) = sample();
    let whole = wim_of(&tree, &contents, ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let wim = WimFile::open(Arc::new(whole.clone()), "whole").unwrap();
    let limits = (1..whole.len() as u64 * 2).step_by(50);
    let plan = limits.filter_map(|limit| plan_parts(&wim, limit, Integrity::Omit).ok());
    let plan = plan.into_iter().find(|parts| parts.len() == 2).expect("two blobs can lie in two parts");
    let cancel = Cancel::new();
    let part = |number: u16| {
        let (number, mut file) = (PartNumber::new(number).unwrap(), Vec::new());
        let contents = &plan[usize::from(number.number()) - 1];
        let cx = Context::new(&Silent, &cancel).with_threads(1);
        write_part(&cx, &wim, contents, (number, 2), Integrity::Omit, &mut file).unwrap();
        file
    };
    [part(1), part(2)]
}

/// A name as it lies in an image.
pub(crate) fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Name, sentence, bytes of odd discs.
fn disc_corpus() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let rock_ridge = Iso { names: IsoNames::RockRidge, extent: SECTOR, boots: false };
    let plain = Iso { names: IsoNames::Plain, ..rock_ridge };
    let mut cut = plain.disc(&files(&[("A.BIN", &[7; 3000])]));
    let last = cut.windows(7).rposition(|window| window == b"A.BIN;1").unwrap();
    cut[last - 8] = 0x80;
    let small = Udf { block: 512, ..Udf::PLAIN };
    let mut nowhere = small.disc(&files(&[("good", b"1"), ("nowhere", b"2")]));
    let identifier = nowhere.windows(8).position(|window| window == b"\x08nowhere").unwrap() - 38;
    nowhere[identifier + 20..identifier + 24].fill(0);
    retag(&mut nowhere, identifier);
    vec![
        (
            "good-odd-name.iso",
            "Rock Ridge with a file `x\\y`, which is left out, beside a good one.",
            rock_ridge.disc(&files(&[("x\\y", b"1"), ("good", b"2")])),
        ),
        (
            "good-name-to-nowhere.iso",
            "UDF with a name that leads to no file entry, which is left out.",
            nowhere,
        ),
        ("bad-cut-extents.iso", "A file says that another extent follows, and none does.", cut),
        ("bad-shared-directory.iso", "Nested directories share the bytes of their names.", sharing(30, 2)),
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// What belongs to the file of this name.
fn second_part(name: &str) -> Option<WimFile> {
    let [_, two] = (name == "good-part.swm").then(parts)?;
    Some(WimFile::open(Arc::new(two), "good-part2.swm").unwrap())
}

#[test]
fn corpus_files_are_what_the_generator_makes_and_behave_as_their_names_say() {
    let mut readme =
        "# Tiny odd files\n\nMade by `tests/it/corpus.rs`; `good-` verifies, `bad-` is refused or damaged, \
                      `unsupported-` is refused by name.\n\n| file | what it is |\n|---|---|\n"
            .to_owned();
    for (name, sentence, bytes) in corpus().into_iter().chain(disc_corpus()) {
        writeln!(readme, "| `{name}` | {sentence} |").unwrap();
        let path = folder().join(name);
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{name} is not what the generator makes; see its head"
        );
        if name.ends_with(".iso") {
            let read = IsoImage::open(Arc::new(bytes), name).and_then(|disc| everything(&disc));
            match (name.split('-').next().unwrap(), read) {
                ("good", Ok(found)) => assert!(found.contains_key("/good"), "{name}: {found:?}"),
                ("bad", Err(error)) => assert_eq!(error.kind(), ErrorKind::Format, "{name}: {error}"),
                (_, read) => panic!("{name}: {read:?}"),
            }
            continue;
        }
        if name == "good-part2.swm" {
            let lone = WimFile::open(Arc::new(bytes), name).unwrap();
            assert_eq!((lone.header().part.number(), lone.header().total_parts), (2, 2));
            continue;
        }
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(1);
        // The second part is verified with the first.
        let others: Vec<WimFile> = second_part(name).into_iter().collect();
        let others: Vec<&WimFile> = others.iter().collect();
        let result = WimFile::open(Arc::new(bytes), name)
            .and_then(|wim| verify_set(&cx, &wim, (&others, &[]), IntegrityCheck::Check));
        match (name.split('-').next().unwrap(), result) {
            ("good", Ok(report)) => assert!(!report.is_damaged(), "{name}: {:?}", report.findings),
            ("bad", Ok(report)) => assert!(report.is_damaged(), "{name} was found good"),
            ("bad", Err(error)) => assert_eq!(error.kind(), ErrorKind::Format, "{name}: {error}"),
            ("unsupported", Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
            }
            (_, result) => panic!("{name}: {:?}", result.map(|report| report.findings)),
        }
    }
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        std::fs::write(folder().join("README.md"), &readme).unwrap();
    }
    assert_eq!(std::fs::read_to_string(folder().join("README.md")).unwrap(), readme);
}
