//! Tiny odd files, kept in `tests/corpus`, with one sentence each and the generator here.
//!
//! `good-` files verify without damage, `bad-` files are refused or reported as damaged, `unsupported-` files are refused
//! by name. `UPDATE_CORPUS=1 cargo test -p wim-core --test it corpus` writes the files and their README anew.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use lz_kit::Level;
use wim_core::base::{Cancel, Context, ErrorKind, Sha1Digest, Silent};
use wim_core::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimLayout, WimXml};
use wim_core::image::edit::Content;
use wim_core::image::{Inode, Stream, StreamKind, Streams, Tree, store};
use wim_core::transfer::verify::verify;
use wim_core::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, write,
};

use crate::samples::mixed_bytes;

/// A WIM of one image made of `tree`.
fn wim_of(
    tree: &Tree,
    contents: &[(Sha1Digest, Content)],
    format: ChunkFormat,
    integrity: Integrity,
) -> Vec<u8> {
    let mut xml = ImageXml::default();
    xml.set("NAME", "corpus");
    let wim = NewWim {
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
    };
    let cancel = Cancel::new();
    let mut file = Vec::new();
    write(&Context::new(&Silent, &cancel).with_threads(1), wim, &mut file).unwrap();
    file
}

/// A directory, a file with two names, a file with a named stream, an empty file.
fn sample() -> (Tree, Vec<(Sha1Digest, Content)>) {
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
    let renamed = |from: &str, to: &str| {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let wim = WimFile::open(Arc::new(plain.clone()), "plain").unwrap();
        let entry = wim.table().metadata()[0];
        let (start, size) = (entry.header.offset as usize, entry.header.size as usize);
        let (old, new) = (wide(from), wide(to));
        let at = plain[start..start + size].windows(old.len()).position(|window| window == old).unwrap();
        let bytes = altered(&plain, start + at, &new);
        let digest = Sha1Digest::of(&bytes[start..start + size]);
        altered(&bytes, table + 30, &digest.0)
    };
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
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

#[test]
fn corpus_files_are_what_the_generator_makes_and_behave_as_their_names_say() {
    let mut readme = "# Tiny odd WIM files\n\nMade by `tests/it/corpus.rs`; `good-` verifies, `bad-` is refused or damaged, \
                      `unsupported-` is refused by name.\n\n| file | what it is |\n|---|---|\n"
        .to_owned();
    for (name, sentence, bytes) in corpus() {
        writeln!(readme, "| `{name}` | {sentence} |").unwrap();
        let path = folder().join(name);
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{name} is not what the generator makes; see its head"
        );
        let cancel = Cancel::new();
        let cx = Context::new(&Silent, &cancel).with_threads(1);
        let result = WimFile::open(Arc::new(bytes), name).and_then(|wim| verify(&cx, &wim));
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
