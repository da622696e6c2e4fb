//! Every row of wim-format 21 ("what a robust reader must validate"): bytes that break it, and what we say.
//!
//! A row has what `verify` finds first and what `apply` does with the same bytes, both in terms of structure and field, and
//! so the exit codes: 0 for `good` and `remark`, 1 for `damage`, 2 for `refused`. The bytes are made here, from the sample
//! of the corpus; rows whose rule needs more than one file are tests of their own below.

use std::path::Path;
use std::sync::Arc;

use lz_kit::Level;
use wim_core::base::{Cancel, Context, Error, ErrorKind, Place, Reason, Sha1Digest, Silent};
use wim_core::formats::wim::{ChunkFormat, Compression, WimFile, xml::WimXml};
use wim_core::image::edit::Content;
use wim_core::image::{Inode, Streams, Tree};
use wim_core::jobs::apply::{self, ApplyChoices};
use wim_core::jobs::delete;
use wim_core::jobs::open::Check;
use wim_core::jobs::rebuild::IntegrityChoice;
use wim_core::jobs::target::Placement;
use wim_core::jobs::verify;
use wim_core::transfer::apply::RestoreOptions;
use wim_core::transfer::capture::Metadata;
use wim_core::transfer::verify::{IntegrityCheck, Severity};
use wim_core::transfer::write::{Integrity, Packing, SolidOrder, SolidPacking};

use crate::corpus::{self, sample, wide, wim_of};

/// Where fields of the header stand (wim-format 2).
const FLAGS: usize = 0x10;
const CHUNK_SIZE: usize = 0x14;
const PART: usize = 0x28;
const TOTAL_PARTS: usize = 0x2A;
const IMAGE_COUNT: usize = 0x2C;
const TABLE: usize = 0x30;
const XML: usize = 0x48;
const BOOT_INDEX: usize = 0x78;
const INTEGRITY: usize = 0x7C;
/// Where fields of a resource header stand (3), with which an entry of the lookup table begins, and the digest of an entry (5).
const STORED: usize = 0;
const OFFSET: usize = 8;
const SIZE: usize = 16;
const DIGEST: usize = 30;
/// Where fields of a dentry stand (7).
const ATTRIBUTES: usize = 8;
const CHILDREN: usize = 16;
const HASH: usize = 64;
const STREAMS: usize = 96;
const NAME_BYTES: usize = 100;
const NAME: usize = 102;

/// A sound file, and where its parts are.
struct Sound {
    bytes: Vec<u8>,
    wim: WimFile,
}

impl Sound {
    fn of(bytes: Vec<u8>) -> Self {
        let wim = WimFile::open(Arc::new(bytes.clone()), "sound").unwrap();
        Self { bytes, wim }
    }

    fn new(format: ChunkFormat, integrity: Integrity) -> Self {
        let (tree, contents) = sample();
        Self::of(wim_of(&tree, &contents, format, integrity))
    }

    /// One file of several chunks.
    fn chunked() -> Self {
        let text = b"one and two and ".repeat(5000);
        let digest = Sha1Digest::of(&text);
        let mut tree = Tree::new_empty();
        let file = Inode { attributes: 0x20, streams: Streams::data(digest), ..Inode::default() };
        tree.add(tree.root(), "chunks".into(), file).unwrap();
        let format = ChunkFormat::usual(Compression::Lzx);
        Self::of(wim_of(&tree, &[(digest, Content::bytes(text))], format, Integrity::Omit))
    }

    fn solid() -> Self {
        let (tree, contents) = sample();
        let format = ChunkFormat::usual(Compression::Lzx);
        let packing = SolidPacking { format, level: Level::FAST, order: SolidOrder::default() };
        Self::of(corpus::wim_packed(&tree, &contents, format, Packing::Solid(packing)))
    }

    fn put(&self, at: usize, new: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    }

    fn put_u64(&self, at: usize, new: u64) -> Vec<u8> {
        self.put(at, &new.to_le_bytes())
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    /// The places of the lookup table's entries: that of the metadata, those of solid resources and what is in them, blobs.
    fn entries(&self) -> (usize, Vec<usize>, Vec<usize>) {
        let table = self.wim.header().lookup_table;
        let start = table.offset as usize;
        let entries = (start..start + table.size as usize).step_by(50);
        let with = |flag: u8| entries.clone().filter(move |at| self.bytes[at + 7] & flag != 0);
        let plain = entries.clone().filter(|at| self.bytes[at + 7] & 0x12 == 0).collect();
        (with(2).next().unwrap(), with(0x10).collect(), plain)
    }

    /// The first blob's entry.
    fn blob(&self) -> usize {
        self.entries().2[0]
    }

    /// Where the metadata begins, which is stored raw here.
    fn metadata(&self) -> usize {
        self.wim.table().metadata()[0].header.offset as usize
    }

    /// The metadata changed at a place in it, its digest too.
    fn in_metadata(&self, at: usize, new: &[u8]) -> Vec<u8> {
        let bytes = self.put(self.metadata() + at, new);
        let size = self.wim.table().metadata()[0].header.size as usize;
        let digest = Sha1Digest::of(&bytes[self.metadata()..self.metadata() + size]);
        let entry = self.entries().0;
        Self::of_odd(bytes, entry + DIGEST, &digest.0)
    }

    fn of_odd(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    }

    /// Where the dentry of a name begins in the metadata; the root's lies behind an empty security table of 8 bytes.
    fn dentry(&self, name: &str) -> usize {
        if name.is_empty() {
            return 8;
        }
        let (name, metadata) = (wide(name), &self.bytes[self.metadata()..]);
        metadata.windows(name.len()).position(|window| window == name).unwrap() - NAME
    }

    /// A field of a dentry changed.
    fn in_dentry(&self, name: &str, field: usize, new: &[u8]) -> Vec<u8> {
        self.in_metadata(self.dentry(name) + field, new)
    }

    /// The offset of a directory's children.
    fn children_of(&self, name: &str) -> [u8; 8] {
        let at = self.metadata() + self.dentry(name) + CHILDREN;
        self.bytes[at..at + 8].try_into().unwrap()
    }

    /// Another XML document, behind all the rest.
    fn with_xml(&self, text: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let mut header = (text.len() as u64 | 2 << 56).to_le_bytes().to_vec();
        header.extend((bytes.len() as u64).to_le_bytes());
        header.extend((text.len() as u64).to_le_bytes());
        bytes[XML..XML + 24].copy_from_slice(&header);
        bytes.extend(text);
        bytes
    }

    fn with_xml_text(&self, text: &str) -> Vec<u8> {
        self.with_xml(&[&[0xFF, 0xFE][..], &wide(text)].concat())
    }
}

/// Structure and field, or what else an error is about.
fn place(error: &Error) -> String {
    match error.place() {
        Place::Field { structure, field, .. } => format!("{structure}.{field}"),
        Place::Blob(_) => format!("blob: {:?}", error.kind()),
        Place::Path(path) => format!("path {path}"),
        Place::Line { line, .. } => format!("line {line}"),
        _ => match error.reason() {
            Some(reason) => format!("{reason:?}"),
            None => format!("{:?}: {}", error.kind(), error.message()),
        },
    }
}

/// What `verify` finds first, and what `apply` comes to.
fn outcome(bytes: &[u8]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("odd.wim"), folder.path().join("out"));
    std::fs::write(&path, bytes).unwrap();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(1).with_memory(64 << 20);
    let verified = match verify::run(&cx, &path, &[], IntegrityCheck::Check) {
        Err(error) => format!("refused {}", place(&error)),
        Ok(verified) => {
            let first = |severity| verified.findings.iter().find(move |one| one.severity == severity);
            assert_eq!(verified.is_damaged(), first(Severity::Damage).is_some());
            match (first(Severity::Damage), first(Severity::Remark)) {
                (Some(one), _) => format!("damage {}", place(&one.error)),
                (None, Some(one)) => format!("remark {}", place(&one.error)),
                (None, None) => "good".to_owned(),
            }
        }
    };
    let applied = match apply::run(&cx, &path, Some("1"), &out, &plain_choices()) {
        Err(error) => format!("refused {}", place(&error)),
        Ok(_) => "done".to_owned(),
    };
    assert!(!folder.path().join("name").exists(), "nothing is made beside the target");
    (verified, applied)
}

fn plain_choices() -> ApplyChoices {
    ApplyChoices {
        fixed_links: None,
        restore: RestoreOptions::default(),
        refs: Vec::new(),
        check: Check::Nothing,
        metadata: Metadata::Plain,
    }
}

/// Row of wim-format 21, bytes, what `verify` says, what `apply` says.
type Row = (&'static str, Vec<u8>, &'static str, &'static str);

fn header_rows() -> Vec<Row> {
    let plain = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let lzx = Sound::new(ChunkFormat::usual(Compression::Lzx), Integrity::Make);
    let far = plain.bytes.len() as u64 + 1;
    vec![
        ("nothing is wrong", plain.bytes.clone(), "good", "done"),
        ("nothing is wrong, compressed", lzx.bytes.clone(), "good", "done"),
        ("an empty file", Vec::new(), "refused WIM header.magic", "refused WIM header.magic"),
        (
            "shorter than 208 bytes",
            plain.bytes[..100].to_vec(),
            "damage WIM header.boot metadata",
            "refused WIM header.boot metadata",
        ),
        ("magic wrong", plain.put(0, b"MSCF"), "refused WIM header.magic", "refused WIM header.magic"),
        (
            "header size",
            plain.put(8, &[209]),
            "damage WIM header.header size",
            "refused WIM header.header size",
        ),
        (
            "version",
            plain.put(12, &[0, 0x0C, 1, 0]),
            "refused WIM header.version",
            "refused WIM header.version",
        ),
        (
            "part number 0",
            plain.put(PART, &[0, 0]),
            "damage WIM header.part number",
            "refused WIM header.part number",
        ),
        (
            "total parts 0",
            plain.put(TOTAL_PARTS, &[0, 0]),
            "damage WIM header.part number",
            "refused WIM header.part number",
        ),
        (
            "part number > total",
            plain.put(PART, &[3]),
            "damage WIM header.part number",
            "refused WIM header.part number",
        ),
        (
            "image count > 65535",
            plain.put(IMAGE_COUNT, &[0, 0, 1, 0]),
            "damage WIM header.image count",
            "refused WIM header.image count",
        ),
        (
            "compressed without a type",
            lzx.put(FLAGS + 2, &[0]),
            "damage WIM header.flags",
            "refused WIM header.flags",
        ),
        ("two types", lzx.put(FLAGS + 2, &[6]), "damage WIM header.flags", "refused WIM header.flags"),
        (
            "chunk size no power of two",
            lzx.put(CHUNK_SIZE, &[1, 0x80, 0, 0]),
            "damage WIM header.chunk size",
            "refused WIM header.chunk size",
        ),
        (
            "chunk size outside the type's range",
            lzx.put(CHUNK_SIZE, &[0, 0, 0x40, 0]),
            "damage WIM header.chunk size",
            "refused WIM header.chunk size",
        ),
        ("boot index > image count", plain.put(BOOT_INDEX, &[9]), "remark WIM header.boot index", "done"),
        (
            "table: overflow",
            plain.put_u64(TABLE + OFFSET, u64::MAX),
            "damage lookup table.offset",
            "refused lookup table.offset",
        ),
        (
            "table: past the end",
            plain.put_u64(TABLE + OFFSET, far),
            "damage lookup table.offset",
            "refused lookup table.offset",
        ),
        (
            "table: larger than the file",
            plain.put_u64(TABLE + SIZE, far),
            "damage lookup table.uncompressed size",
            "refused lookup table.uncompressed size",
        ),
        ("XML: overflow", plain.put_u64(XML + OFFSET, u64::MAX), "damage XML data.offset", "done"),
        ("XML: past the end", plain.put_u64(XML + OFFSET, far), "damage XML data.offset", "done"),
        (
            "XML: larger than the file",
            plain.put_u64(XML + SIZE, far),
            "damage XML data.uncompressed size",
            "done",
        ),
        (
            "integrity table: overflow",
            lzx.put_u64(INTEGRITY + OFFSET, u64::MAX),
            "damage integrity table.offset",
            "done",
        ),
        (
            "integrity table: past the end",
            lzx.put_u64(INTEGRITY + OFFSET, 1 << 40),
            "damage integrity table.offset",
            "done",
        ),
        (
            "both absent",
            plain.put(TABLE, &[0; 48]),
            "damage WIM header.lookup table",
            "refused WIM header.lookup table",
        ),
        (
            "table not a multiple of 50",
            {
                let size = plain.wim.header().lookup_table.size - 1;
                let bytes = plain.put_u64(TABLE + STORED, size | 2 << 56);
                Sound::of_odd(bytes, TABLE + SIZE, &size.to_le_bytes())
            },
            "damage lookup table.size",
            "refused lookup table.size",
        ),
        ("WRITE_IN_PROGRESS", plain.put(FLAGS, &[0x40]), "remark WIM header.flags", "done"),
    ]
}

fn table_rows() -> Vec<Row> {
    let plain = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let chunked = Sound::chunked();
    let (blob, chunks) = (plain.blob(), chunked.blob());
    let stored = chunked.u64_at(chunks + STORED) & ((1 << 56) - 1);
    let data = chunked.u64_at(chunks + OFFSET) as usize;
    let metadata = chunked.entries().0;
    let metadata_stored = chunked.u64_at(metadata + STORED) & ((1 << 56) - 1);
    let blobs = plain.entries().2;
    vec![
        (
            "raw entry of two sizes",
            plain.put_u64(blob + SIZE, plain.u64_at(blob + SIZE) + 1),
            "damage blob: Format",
            "refused path \\first",
        ),
        (
            "entry: overflow",
            plain.put_u64(blob + OFFSET, u64::MAX),
            "damage blob: Format",
            "refused path \\first",
        ),
        (
            "entry: past the end",
            plain.put_u64(blob + OFFSET, plain.bytes.len() as u64),
            "damage blob: Format",
            "refused path \\first",
        ),
        (
            "compressed entry of no bytes",
            chunked.put_u64(chunks + SIZE, 0),
            "damage blob: NotFound",
            "refused path \\chunks",
        ),
        (
            "more chunks than stored bytes",
            chunked.put_u64(chunks + SIZE, 1 << 60),
            "damage blob: Format",
            "refused path \\chunks",
        ),
        (
            "size above 2^63",
            chunked.put_u64(chunks + SIZE, u64::MAX),
            "damage blob: Format",
            "refused path \\chunks",
        ),
        (
            "chunks do not increase",
            chunked.put(data + 4, &[0; 4]),
            "damage blob: Format",
            "refused path \\chunks",
        ),
        (
            "a chunk larger than what it holds",
            chunked.put(data, &(stored as u32 - 9).to_le_bytes()),
            "damage blob: Format",
            "refused path \\chunks",
        ),
        (
            "the last chunk negative",
            chunked.put(data + 4, &(stored as u32).to_le_bytes()),
            "damage blob: Format",
            "refused path \\chunks",
        ),
        (
            "decompressor error",
            chunked.put(data + 8, &[0; 4]),
            "damage blob: Format",
            "refused path \\chunks",
        ),
        (
            "metadata > 512 x the file",
            { chunked.put_u64(metadata + SIZE, (metadata_stored / 6 + 1) * 32768) },
            "refused blob: Limit",
            "refused blob: Limit",
        ),
        (
            "digest of the metadata",
            plain.put(plain.metadata() + 8 + 40, &[1]),
            "damage blob: Corrupt",
            "refused blob: Corrupt",
        ),
        (
            "digest of a blob",
            plain.put(plain.u64_at(blob + OFFSET) as usize, &[0xEE]),
            "damage blob: Corrupt",
            "refused path \\first",
        ),
        (
            "one digest, two sizes",
            {
                let digest = plain.bytes[blobs[0] + DIGEST..blobs[0] + 50].to_vec();
                plain.put(blobs[1] + DIGEST, &digest)
            },
            "damage lookup table.SHA-1",
            "done",
        ),
        ("fewer metadata entries than images", plain.put(IMAGE_COUNT, &[2]), "damage XML data.text", "done"),
        (
            "more metadata entries than images",
            plain.put(IMAGE_COUNT, &[0]),
            "damage XML data.text",
            "refused NoSuchImage",
        ),
        (
            "unresolved blob",
            plain.put(blob + DIGEST, &[0xAA; 20]),
            "damage blob: Corrupt",
            "refused path \\first",
        ),
    ]
}

fn solid_rows() -> Vec<Row> {
    let solid = Sound::solid();
    let run = solid.wim.solid_resources().next().unwrap().offset() as usize;
    let (_, entries, _) = solid.entries();
    let is_resource = |at: &&usize| solid.u64_at(**at + SIZE) == 1 << 32;
    let resource = *entries.iter().find(is_resource).unwrap();
    let inside: Vec<usize> = entries.iter().copied().filter(|at| *at != resource).collect();
    let size = solid.u64_at(run);
    vec![
        ("solid, nothing is wrong", solid.bytes.clone(), "good", "done"),
        (
            "solid: size overflows",
            solid.put_u64(run, u64::MAX),
            "damage solid resource.uncompressed size",
            "refused path \\first",
        ),
        (
            "solid: chunks no power of two",
            solid.put(run + 8, &[1]),
            "damage solid resource.chunk size",
            "refused path \\first",
        ),
        (
            "solid: chunks too large",
            solid.put(run + 8, &[0, 0, 0, 0x80]),
            "damage solid resource.chunk size",
            "refused path \\first",
        ),
        (
            "solid: type > 3",
            solid.put(run + 12, &[9]),
            "damage solid resource.compression type",
            "refused path \\first",
        ),
        (
            "solid: more chunks than bytes",
            solid.put_u64(run, 1 << 40),
            "damage solid resource.uncompressed size",
            "refused path \\first",
        ),
        (
            "solid: chunks do not add up",
            solid.put(run + 16, &[1, 0, 0, 0]),
            "damage solid resource.chunk sizes",
            "refused path \\first",
        ),
        (
            "solid: blob outside",
            solid.put_u64(inside[0] + OFFSET, size),
            "damage blob: Format",
            "refused path \\first",
        ),
        (
            "solid: blobs overlap",
            {
                let first = solid.u64_at(inside[0] + OFFSET);
                solid.put_u64(inside[1] + OFFSET, first)
            },
            "damage blob: Corrupt",
            "done",
        ),
        (
            "solid: metadata inside",
            solid.put(inside[0] + 7, &[0x12]),
            "damage lookup table.flags",
            "refused lookup table.flags",
        ),
        (
            "solid flag in version 1.13",
            solid.put(12, &[0, 0x0D, 1, 0]),
            "damage blob: NotFound",
            "refused path \\first",
        ),
    ]
}

fn metadata_rows() -> Vec<Row> {
    let plain = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let name_of = |name: &str, new: &str| plain.in_dentry(name, NAME, &wide(new));
    // The stream entries of a file stand behind its dentry, which is padded to 8 bytes.
    let streams = plain.dentry("streams");
    let first_stream = streams + (NAME + 2 * "streams".len() + 2).next_multiple_of(8);
    vec![
        (
            "security: larger than the metadata",
            plain.in_metadata(0, &[0xF8, 0xFF, 0xFF, 0x7F]),
            "damage security table.total length",
            "refused security table.total length",
        ),
        (
            "security: more entries than bytes",
            plain.in_metadata(4, &[0xFF; 4]),
            "damage security table.descriptors",
            "refused security table.descriptors",
        ),
        (
            "dentry: past the end",
            plain.in_dentry("first", 0, &[0, 0, 0, 1]),
            "damage dentry.length",
            "refused dentry.length",
        ),
        (
            "dentry: shorter than its fields",
            plain.in_dentry("first", 0, &[60, 0]),
            "damage dentry.length",
            "refused dentry.length",
        ),
        (
            "dentry: shorter than its names",
            plain.in_dentry("first", NAME_BYTES, &[0xFE, 0x7F]),
            "damage dentry.name",
            "refused dentry.name",
        ),
        (
            "dentry: odd name",
            plain.in_dentry("first", NAME_BYTES, &[9, 0]),
            "damage dentry.name",
            "refused dentry.name",
        ),
        (
            "dentry: streams past the end",
            plain.in_dentry("streams", STREAMS, &[0xFF, 0xFF]),
            "damage stream entry.length",
            "refused stream entry.length",
        ),
        (
            "stream entry: shorter than its fields",
            plain.in_metadata(first_stream, &[20, 0]),
            "damage stream entry.length",
            "refused stream entry.length",
        ),
        (
            "children: past the end",
            plain.in_dentry("folder", CHILDREN, &[0xF8, 0xFF, 0xFF, 0x7F]),
            "damage dentry.subdir offset",
            "refused dentry.subdir offset",
        ),
        (
            "children: unaligned",
            {
                let mut children = plain.children_of("folder");
                children[0] += 1;
                plain.in_dentry("folder", CHILDREN, &children)
            },
            "damage dentry.subdir offset",
            "refused dentry.subdir offset",
        ),
        (
            "children: those of an ancestor",
            plain.in_dentry("folder", CHILDREN, &plain.children_of("")),
            "damage dentry.subdir offset",
            "refused dentry.subdir offset",
        ),
        (
            "children: those of another directory",
            {
                let bytes = plain.in_dentry("empty", ATTRIBUTES, &[0x10]);
                Sound::of(bytes).in_dentry("empty", CHILDREN, &plain.children_of("folder"))
            },
            "damage dentry.subdir offset",
            "refused dentry.subdir offset",
        ),
        (
            "children of a file",
            plain.in_dentry("empty", CHILDREN, &plain.children_of("folder")),
            "damage path \\empty",
            "done",
        ),
        (
            "the root no directory",
            plain.in_dentry("", ATTRIBUTES, &[0x20]),
            "damage dentry.attributes",
            "refused dentry.attributes",
        ),
        ("name: two dots", name_of("first", "..\0\0\0"), "damage path \\..\\0\\0\\0", "done"),
        ("name: one dot", plain.in_dentry("first", NAME_BYTES, &[2, 0, b'.', 0]), "damage path \\.", "done"),
        ("name: none", plain.in_dentry("first", NAME_BYTES, &[0, 0]), "damage path \\", "done"),
        ("name: NUL", name_of("first", "fi\0st"), "damage path \\fi\\0st", "done"),
        ("name: slash", name_of("first", "fi/st"), "damage path \\fi/st", "done"),
        ("name: backslash", name_of("first", "fi\\st"), "damage path \\fi\\\\st", "done"),
        ("name: up and elsewhere", name_of("first", "../na"), "damage path \\../na", "done"),
        ("name: of a device", name_of("first", "con.t"), "remark path \\con.t", "done"),
        ("name: trailing space", name_of("first", "firs "), "remark path \\firs ", "done"),
        ("name: twice", name_of("empty", "first"), "damage path \\first", "done"),
        (
            "link group: another attribute",
            plain.in_dentry("second", ATTRIBUTES, &[0x21]),
            "remark path \\folder\\second",
            "done",
        ),
        (
            "link group: another digest",
            plain.in_dentry("second", HASH, &[0; 20]),
            "remark blob: Format",
            "done",
        ),
        ("digest of nothing", plain.in_dentry("empty", HASH, &Sha1Digest::of(b"").0), "good", "done"),
    ]
}

fn text_rows() -> Vec<Row> {
    let plain = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let checked = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Make);
    let table = checked.wim.header().integrity.offset as usize;
    vec![
        ("XML: no UTF-16", plain.with_xml(&[0xFF, 0xFE, 0, 0xDC, 0, 0xDC]), "damage XML data.text", "done"),
        ("XML: no document", plain.with_xml_text("no document"), "damage line 1", "done"),
        (
            "XML: another root",
            plain.with_xml_text("<WOM><IMAGE INDEX=\"1\"/></WOM>"),
            "damage XML data.text",
            "done",
        ),
        (
            "XML: index 5",
            plain.with_xml_text("<WIM><IMAGE INDEX=\"5\"><NAME>x</NAME></IMAGE></WIM>"),
            "damage XML data.text",
            "done",
        ),
        (
            "XML: another count",
            plain.with_xml_text("<WIM><IMAGE INDEX=\"1\"/><IMAGE INDEX=\"2\"/></WIM>"),
            "damage XML data.text",
            "done",
        ),
        (
            "XML: encrypted",
            plain.with_xml_text("<WIM><ESD><ENCRYPTED/></ESD></WIM>"),
            "refused XML data.text",
            "refused XML data.text",
        ),
        ("integrity: size", checked.put(table, &[33]), "damage integrity table.size", "done"),
        ("integrity: number of slices", checked.put(table + 4, &[2]), "damage integrity table.size", "done"),
        ("integrity: chunk 0", checked.put(table + 8, &[0; 4]), "damage integrity table.slice size", "done"),
        ("integrity: slice", checked.put(table + 12, &[0xEE; 20]), "damage IntegrityDiffers", "done"),
    ]
}

#[test]
fn every_row_is_told_by_its_name() {
    let rows = [header_rows(), table_rows(), solid_rows(), metadata_rows(), text_rows()];
    let mut wrong = String::new();
    for (row, bytes, verified, applied) in rows.into_iter().flatten() {
        let found = outcome(&bytes);
        if (found.0.as_str(), found.1.as_str()) != (verified, applied) {
            wrong += &format!("{row}: {:?}, {:?}\n", found.0, found.1);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn delete_first(bytes: &[u8]) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.wim");
    std::fs::write(&path, bytes).unwrap();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(1);
    let done = delete::run(&cx, &path, "1", IntegrityChoice::AsBefore, Check::Nothing, Placement::Append);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "the file is as it was");
    done.unwrap_err()
}

#[test]
fn what_must_not_be_changed_says_so() {
    let plain = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let readonly = delete_first(&plain.put(FLAGS, &[4]));
    assert_eq!((readonly.kind(), readonly.reason()), (ErrorKind::InvalidInput, Some(Reason::MustNotChange)));
    let part = delete_first(&plain.put(TOTAL_PARTS, &[2]));
    assert_eq!((part.kind(), part.reason()), (ErrorKind::Unsupported, Some(Reason::MustNotChange)));
}

#[test]
fn a_damaged_blob_leaves_no_file_and_names_whose_it_is() {
    let plain = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("odd.wim"), folder.path().join("out"));
    let at = plain.u64_at(plain.blob() + OFFSET) as usize;
    std::fs::write(&path, plain.put(at, &[plain.bytes[at] ^ 1])).unwrap();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(1);
    let verified = verify::run(&cx, &path, &[], IntegrityCheck::Check).unwrap();
    let finding = &verified.findings[0];
    assert_eq!((finding.error.kind(), finding.paths.is_empty()), (ErrorKind::Corrupt, false), "{finding:?}");
    let error = apply::run(&cx, &path, Some("1"), &out, &plain_choices()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    for file in finding.paths.iter().map(|path| path.trim_start_matches('\\').replace('\\', "/")) {
        assert!(!Path::new(&out).join(&file).exists(), "{file}");
    }
}

#[test]
fn images_of_a_file_with_bad_xml_are_found_by_number() {
    let plain = Sound::new(ChunkFormat::UNCOMPRESSED, Integrity::Omit);
    let wim = WimFile::open(Arc::new(plain.with_xml_text("<WOM/>")), "odd").unwrap();
    assert!(wim.xml().is_stand_in() && wim.image_count() == 1 && WimXml::empty(1).images().len() == 1);
    let digest = wim.table().metadata()[0].digest;
    let bytes = wim.read_metadata(wim.images().next().unwrap(), 1 << 20).unwrap();
    assert_eq!(Sha1Digest::of(&bytes), digest);
    let error = wim.read_metadata(wim.images().next().unwrap(), 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "a limit of the caller's holds");
}
