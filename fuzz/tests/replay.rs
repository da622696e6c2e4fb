//! Replays every seed and every crash that was ever found, and a few thousand mutations of seeds made here, on stable Rust.
//!
//! Seeds lie in `seeds/<oracle>/`, crashes in `crashes/<oracle>/`, both optional. A new oracle needs its line in `ORACLES`.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use wim_core::base::{Cancel, Context, Sha1Digest, Silent};
use wim_core::formats::cab::{Attributes, DosTime, NewMember, Packing};
use wim_core::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimXml};
use wim_core::image::edit::Content;
use wim_core::image::{Inode, Streams, Tree, store};
use wim_core::jobs::Level;
use wim_core::transfer::pack::{PackInput, pack, plan_folders};
use wim_core::transfer::write::{CopyDigests, Integrity, NewImage, NewMetadata, NewWim, Recompress, write};
use wim_fuzz::{cab, codecs, drivers, wim};

/// A plain function that panics when its promise is broken.
type Oracle = fn(&[u8]);

/// Name, oracle, mutations of each seed that a run tries.
const ORACLES: &[(&str, Oracle, usize)] = &[
    ("lzx", codecs::lzx_equals_reference, 150),
    ("xpress", codecs::xpress_equals_reference, 150),
    ("encode", codecs::encoded_chunks_decode, 3),
    ("wim", wim::wim_is_verified_or_refused, 400),
    ("metadata", wim::metadata_survives_a_round_trip, 600),
    ("xml", wim::xml_survives_a_round_trip, 150),
    ("cab", cab::cabinet_is_unpacked_or_refused, 150),
    ("inf", drivers::inf_is_read_whole, 150),
    ("szdd", drivers::szdd_is_expanded_or_refused, 100),
    ("pe", drivers::pe_is_read_or_refused, 100),
    ("catalog", drivers::catalog_is_read_or_refused, 100),
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound.max(1)
    }
}

/// One to eight bytes flipped, overwritten, removed or doubled.
fn mutate(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            _ if bytes.is_empty() => bytes.push(dice.below(256) as u8),
            0 | 1 => bytes[at] ^= 1 << dice.below(8),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][dice.below(5)],
            3 => bytes.truncate(at + 1),
            4 => drop(bytes.drain(at..(at + 1 + dice.below(16)).min(bytes.len()))),
            _ => {
                let piece = bytes[at..(at + 1 + dice.below(64)).min(bytes.len())].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

fn text(length: usize) -> Vec<u8> {
    let words = ["driver", "device", "System32", "\r\n", " = ", "[Section]", "\u{e8}\0\0\0\0", "%12%"];
    let mut dice = Dice(42);
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(words[dice.below(words.len())].as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A metadata resource with a few directories, files and links.
fn metadata() -> (Tree, Vec<(Sha1Digest, Content)>) {
    let mut tree = Tree::new_empty();
    let mut contents = Vec::new();
    let root = tree.root();
    let folder = Inode { attributes: 0x10, ..Inode::default() };
    let windows = tree.add(root, "Windows".into(), folder.clone()).unwrap();
    let inner = tree.add(windows, "System32".into(), folder).unwrap();
    for (number, name) in ["a.txt", "b.dll", "long name.sys"].iter().enumerate() {
        let bytes = text(1000 + number * 40_000);
        let digest = Sha1Digest::of(&bytes);
        contents.push((digest, Content::bytes(bytes)));
        let file = Inode { attributes: 0x20, streams: Streams::data(digest), ..Inode::default() };
        let node = tree.add(inner, (*name).into(), file).unwrap();
        let inode = tree.node(node).inode;
        tree.add_name(windows, (*name).into(), inode).unwrap();
    }
    (tree, contents)
}

fn small_wim(compression: Compression) -> Vec<u8> {
    let (tree, contents) = metadata();
    let wim = NewWim {
        format: ChunkFormat::usual(compression),
        level: Level::FAST,
        guid: None,
        flags: HeaderFlags(0),
        xml: WimXml::empty(0),
        images: vec![NewImage {
            metadata: NewMetadata::new(store::store(&tree)),
            xml: ImageXml::default(),
            references: tree.blob_references(),
        }],
        sources: Vec::new(),
        contents: &contents,
        boot: None,
        integrity: Integrity::Make,
        recompress: Recompress::WhenNeeded,
        copy_digests: CopyDigests::Drop,
    };
    let cancel = Cancel::new();
    let mut file = Vec::new();
    write(&Context::new(&Silent, &cancel).with_threads(1), wim, &mut file).unwrap();
    file
}

/// A cabinet of two members whose data blocks have no checksums, so that mutations get as far as the decoders.
fn small_cabinet(packing: Packing) -> Vec<u8> {
    let input = |name: &str, bytes: Vec<u8>| PackInput {
        member: NewMember {
            name: name.to_owned(),
            size: bytes.len() as u64,
            offset: 0,
            folder: 0,
            modified: DosTime::FIRST,
            attributes: Attributes::default(),
        },
        content: Content::bytes(bytes),
    };
    let mut inputs = [input("a.txt", text(300)), input("dir\\b", text(40_000))];
    let folders = plan_folders(&mut inputs, u64::MAX).unwrap();
    let cancel = Cancel::new();
    let mut cabinet = Vec::new();
    pack(&Context::new(&Silent, &cancel).with_threads(1), &inputs, folders, packing, &mut cabinet).unwrap();
    let mut at = u32::from_le_bytes(cabinet[36..40].try_into().unwrap()) as usize;
    while at < cabinet.len() {
        cabinet[at..at + 4].fill(0);
        at += 8 + usize::from(u16::from_le_bytes([cabinet[at + 4], cabinet[at + 5]]));
    }
    cabinet
}

/// Seeds that need no file: valid inputs made by our own writers.
fn made_seeds(oracle: &str) -> Vec<Vec<u8>> {
    let chunk = text(32768);
    let mut stored = vec![0; chunk.len()];
    match oracle {
        "lzx" => [Level::FAST, Level::NORMAL]
            .into_iter()
            .filter_map(|level| {
                let length = lzx::Encoder::new(lzx::WindowOrder::new(15)?, level).encode(&chunk, &mut stored)?;
                Some(stored[..length].to_vec())
            })
            .collect(),
        "xpress" => xpress::Encoder::new(32768, Level::FAST)
            .encode(&chunk, &mut stored)
            .map(|length| vec![stored[..length].to_vec()])
            .unwrap_or_default(),
        "encode" => vec![chunk, text(300), vec![0; 5000], vec![7]],
        "cab" => {
            let lzx = Packing::lzx(15, Level::FAST).unwrap();
            let mut seeds = [Packing::Stored, Packing::Mszip(Level::FAST), lzx].map(small_cabinet).to_vec();
            // Nothing writes Quantum, but its decoder must survive any data.
            let mut quantum = small_cabinet(lzx);
            quantum[42..44].copy_from_slice(&0x1222_u16.to_le_bytes());
            seeds.push(quantum);
            seeds
        }
        "wim" => [Compression::None, Compression::Xpress, Compression::Lzx].map(small_wim).to_vec(),
        "metadata" => vec![store::store(&metadata().0)],
        "xml" => {
            let wim = WimFile::open(Arc::new(small_wim(Compression::None)), "seed.wim").unwrap();
            vec![wim.read_xml_bytes().unwrap()]
        }
        "inf" => vec![b"[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=Net\r\nDriverVer=01/02/2020,1.2.3.4\r\n\
            [Manufacturer]\r\n%M%=D,NTamd64.6.1\r\n[D.NTamd64.6.1]\r\n%X%=I,PCI\\VEN_1234\r\n[I]\r\nCopyFiles=@x.sys\r\n\
            [I.Services]\r\nAddService=x,2,S\r\n[S]\r\nServiceType=1\r\nStartType=3\r\nErrorControl=1\r\n\
            ServiceBinary=%12%\\x.sys\r\n[DestinationDirs]\r\nDefaultDestDir=12\r\n[SourceDisksFiles]\r\nx.sys=1\r\n\
            [SourceDisksNames]\r\n1=\"d\"\r\n[Strings]\r\nM=\"M\"\r\nX=\"X, \"\"y\"\"\"\r\n"
            .to_vec()],
        _ => vec![text(600)],
    }
}

fn kept(folder: &str, oracle: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(oracle);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn seeds_crashes_and_mutations_keep_every_oracle() {
    for &(name, oracle, mutations) in ORACLES {
        kept("crashes", name).iter().for_each(|bytes| oracle(bytes));
        let mut seeds = kept("seeds", name);
        seeds.extend(made_seeds(name));
        assert!(!seeds.is_empty(), "{name} has no seed");
        for seed in &seeds {
            oracle(seed);
            let mut dice = Dice(0x5EED ^ seed.len() as u64);
            for number in 0..mutations {
                let bytes = mutate(seed, &mut dice);
                let survived = std::panic::catch_unwind(|| oracle(&bytes));
                assert!(
                    survived.is_ok(),
                    "{name}: mutation {number} of a seed of {} bytes fails: {bytes:02x?}",
                    seed.len()
                );
            }
        }
    }
}

#[test]
fn every_oracle_has_a_libfuzzer_target() {
    for (name, _, _) in ORACLES {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets").join(format!("{name}.rs"));
        assert!(target.exists(), "{} is missing", target.display());
    }
}
