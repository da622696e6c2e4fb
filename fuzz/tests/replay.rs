//! Replays every seed and every crash that was ever found, and a few thousand mutations of seeds made here, on stable Rust.
//!
//! Seeds lie in `seeds/<oracle>/`, crashes in `crashes/<oracle>/`, both optional. A new oracle needs its line in `ORACLES`.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use wim_core::base::{Cancel, Context, Sha1Digest, Silent};
use wim_core::formats::cab::{Attributes, DosTime, FolderCompression, NewMember};
use wim_core::formats::hive::{CreateOptions, DeleteScope, Hive, HiveVersion, RegValue};
use wim_core::formats::metadata_file::{Entry, LineWriter, NamedStream};
use wim_core::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimLayout, WimXml};
use wim_core::image::edit::Content;
use wim_core::image::{Inode, Streams, Tree, store};
use wim_core::jobs::Level;
use wim_core::transfer::pack::{PackInput, pack, plan_folders};
use wim_core::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, write,
};
use wim_fuzz::{cab, codecs, deltas, discs, drivers, hive, updates, wim};

/// A plain function that panics when its promise is broken.
type Oracle = fn(&[u8]);

/// Name, oracle, mutations of each seed that a run tries.
const ORACLES: &[(&str, Oracle, usize)] = &[
    ("lzx", codecs::lzx_equals_reference, 150),
    ("lzms", codecs::lzms_equals_reference, 60),
    ("xpress", codecs::xpress_equals_reference, 150),
    ("encode", codecs::encoded_chunks_decode, 3),
    ("wim", wim::wim_is_verified_or_refused, 400),
    ("pipe", wim::pipe_is_read_or_refused, 400),
    ("metadata", wim::metadata_survives_a_round_trip, 600),
    ("xml", wim::xml_survives_a_round_trip, 150),
    ("metadata_file", wim::metadata_file_is_read_or_refused, 300),
    ("descriptor", wim::descriptor_has_a_text_or_none, 300),
    ("cab", cab::cabinet_is_unpacked_or_refused, 150),
    ("udf", discs::disc_is_read_or_refused, 300),
    ("iso9660", discs::disc_is_read_or_refused, 300),
    ("inf", drivers::inf_is_read_whole, 150),
    ("driver_package", drivers::package_is_planned_or_refused, 150),
    ("hardware_ids", drivers::hardware_ids_are_read_or_refused, 100),
    ("szdd", drivers::szdd_is_expanded_or_refused, 100),
    ("pe", drivers::pe_is_read_or_refused, 100),
    ("catalog", drivers::catalog_is_read_or_refused, 100),
    ("hive", hive::hive_is_edited_or_refused, 250),
    ("hive_log", hive::hive_logs_are_replayed_or_refused, 400),
    ("reg_file", hive::reg_file_survives_a_round_trip, 300),
    ("mum", updates::mum_is_read_or_refused, 150),
    ("manifest", updates::manifest_is_read_or_refused, 150),
    ("delta", deltas::delta_is_applied_or_refused, 300),
    ("delta_reference", deltas::reference_is_transformed_or_refused, 200),
    ("container_index", deltas::index_is_read_or_refused, 300),
    ("psf", updates::psf_is_read_or_refused, 300),
    ("msu_answer", updates::msu_answer_is_read_or_refused, 300),
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

fn small_wim(compression: Compression, layout: WimLayout) -> Vec<u8> {
    let (tree, contents) = metadata();
    let wim = NewWim {
        format: ChunkFormat::usual(compression).in_layout(layout),
        level: Level::FAST,
        packing: Packing::Separate,
        guid: None,
        flags: HeaderFlags(0),
        xml: WimXml::empty(0),
        images: vec![NewImage::new(
            NewMetadata::new(store::store(&tree)),
            ImageXml::default(),
            tree.blob_references(),
        )],
        sources: Vec::new(),
        contents: &contents,
        boot: None,
        integrity: Integrity::Make,
        recompress: Recompress::WhenNeeded,
        copy_checksums: CopyChecksums::Drop,
    };
    let cancel = Cancel::new();
    let mut file = Vec::new();
    write(&Context::new(&Silent, &cancel).with_threads(1), wim, &mut file).unwrap();
    file
}

/// A cabinet of two members whose data blocks have no checksums, so that mutations get as far as the decoders.
fn small_cabinet(compression: FolderCompression) -> Vec<u8> {
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
    pack(&Context::new(&Silent, &cancel).with_threads(1), &inputs, folders, compression, &mut cabinet)
        .unwrap();
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
        "lzms" => [Level::FAST, Level::NORMAL]
            .into_iter()
            .filter_map(|level| {
                let length = lzms::Encoder::new(chunk.len(), level).encode(&chunk, &mut stored)?;
                Some(stored[..length].to_vec())
            })
            .collect(),
        "xpress" => xpress::Encoder::new(32768, Level::FAST)
            .encode(&chunk, &mut stored)
            .map(|length| vec![stored[..length].to_vec()])
            .unwrap_or_default(),
        "encode" => vec![chunk, text(300), vec![0; 5000], vec![7]],
        "cab" => {
            let lzx = FolderCompression::lzx(15, Level::FAST).unwrap();
            let mut seeds = [FolderCompression::Stored, FolderCompression::Mszip(Level::FAST), lzx].map(small_cabinet).to_vec();
            // Nothing writes Quantum, but its decoder must survive any data.
            let mut quantum = small_cabinet(lzx);
            quantum[42..44].copy_from_slice(&0x1222_u16.to_le_bytes());
            seeds.push(quantum);
            seeds
        }
        "wim" => [Compression::None, Compression::Xpress, Compression::Lzx, Compression::Lzms]
            .map(|compression| small_wim(compression, WimLayout::Standard))
            .to_vec(),
        "pipe" => [Compression::None, Compression::Lzx]
            .map(|compression| small_wim(compression, WimLayout::Pipable))
            .to_vec(),
        "metadata" => vec![store::store(&metadata().0)],
        "metadata_file" => {
            let mut writer = LineWriter::new(Vec::new()).unwrap();
            writer.descriptor(&[1, 0, 4, 128, 0, 0, 0, 0]).unwrap();
            let data = Some(Sha1Digest::of(b"stream").to_string());
            let streams = vec![NamedStream { name: "s\\d800".to_owned(), data }];
            let entry = Entry { name: "a".to_owned(), security: Some(0), streams, ..Entry::default() };
            writer.entry(&entry).unwrap();
            writer.begin_blob(&Sha1Digest::of(b"stream"), 6).unwrap();
            writer.blob_bytes(b"stream").unwrap();
            writer.end_blob().unwrap();
            vec![writer.finish().unwrap()]
        }
        "descriptor" => vec![
            b"\x01\0\x04\x80\x14\0\0\0\x20\0\0\0\0\0\0\0\x2C\0\0\0\x01\x01\0\0\0\0\0\x05\x12\0\0\0\x01\x01\0\0\0\0\0\x05\x12\0\0\0\
            \x02\0\x1C\0\x01\0\0\0\0\x10\x14\0\xFF\x01\x1F\0\x01\x01\0\0\0\0\0\x05\x12\0\0\0"
                .to_vec(),
        ],
        "xml" => {
            let wim = WimFile::open(Arc::new(small_wim(Compression::None, WimLayout::Standard)), "seed.wim").unwrap();
            vec![wim.read_xml_bytes().unwrap()]
        }
        "hardware_ids" => vec![
            b"PCI\\VEN_8086&DEV_1E31&SUBSYS_84CA1043&REV_04\\3&11583659&0&A0\r\n02:00.0 Ethernet controller [0200]: x [10ec:8168] (rev 0c)\n\
            Bus 002 Device 002: ID 0781:5581 x\nACPI\\PNP0A08\n"
                .to_vec(),
        ],
        "mum" => vec![
            b"<?xml version=\"1.0\" encoding=\"utf-8\"?><assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" \
            creationTimeStamp=\"2015-01-01T00:00:00Z\"><assemblyIdentity name=\"Package_for_KB1111111\" version=\"6.1.1.0\" \
            language=\"neutral\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\"/><package \
            identifier=\"KB1111111\"><parent buildCompare=\"EQ\" disposition=\"detect\"><assemblyIdentity name=\"P\" \
            version=\"6.1.7601.17514\" processorArchitecture=\"amd64\"/></parent><update name=\"u\"><applicable \
            disposition=\"staged\"><updateComponent elevate=\"revision\"><assemblyIdentity name=\"C\" version=\"6.1.7601.1\" \
            processorArchitecture=\"x86\"/></updateComponent><detectUpdate><update name=\"u\"/></detectUpdate></applicable>\
            <component><assemblyIdentity name=\"D\" version=\"6.1.7601.1\" processorArchitecture=\"x86\"/></component>\
            </update></package></assembly>"
                .to_vec(),
        ],
        "manifest" => vec![
            b"\xEF\xBB\xBF<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\"><assemblyIdentity name=\"C\" \
            version=\"6.1.7601.1\" processorArchitecture=\"wow64\" language=\"en-US\" versionScope=\"nonSxS\"/><file \
            name=\"a.dll\" destinationPath=\"$(runtime.system32)\\\"><asmv2:hash xmlns:asmv2=\"a\" xmlns:dsig=\"d\">\
            <dsig:DigestMethod Algorithm=\"#sha1\"/><dsig:DigestValue>qZk+NkcGgWq6PiVxeFDCbJzQ2J0=</dsig:DigestValue>\
            </asmv2:hash></file><registryKeys><registryKey keyName=\"HKEY_LOCAL_MACHINE\\SOFTWARE\\X\"><registryValue \
            name=\"v\" valueType=\"REG_SZ\" value=\"x\"/></registryKey></registryKeys><memberships><categoryMembership>\
            <id typeName=\"Service\"/></categoryMembership></memberships></assembly>"
                .to_vec(),
        ],
        "inf" | "driver_package" => vec![b"[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=Net\r\nDriverVer=01/02/2020,1.2.3.4\r\n\
            [Manufacturer]\r\n%M%=D,NTamd64.6.1\r\n[D.NTamd64.6.1]\r\n%X%=I,PCI\\VEN_1234\r\n[I]\r\nCopyFiles=@x.sys\r\n\
            [I.Services]\r\nAddService=x,2,S\r\n[S]\r\nServiceType=1\r\nStartType=3\r\nErrorControl=1\r\n\
            ServiceBinary=%12%\\x.sys\r\n[DestinationDirs]\r\nDefaultDestDir=12\r\n[SourceDisksFiles]\r\nx.sys=1\r\n\
            [SourceDisksNames]\r\n1=\"d\"\r\n[Strings]\r\nM=\"M\"\r\nX=\"X, \"\"y\"\"\"\r\n"
            .to_vec()],
        "hive" => vec![small_hive(HiveVersion::V1_5), small_hive(HiveVersion::V1_3)],
        "hive_log" => vec![dirty_hive()],
        "reg_file" => vec![
            b"Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\A]\r\n@=\"x\"\r\n\"q\\\"\"=dword:1a\r\n\
            \"b\"=hex(7):61,00,\\\r\n  00,00,00,00\r\n\"g\"=-\r\n; comment\r\n[-HKEY_CURRENT_USER\\B]\r\n"
                .to_vec(),
            b"REGEDIT4\n[HKEY_USERS\\.DEFAULT]\n\"\xE4\"=\"\xDF\"\n\"m\"=hex(2):e4,00\n\"n\"=hex(ffff0012):\n".to_vec(),
        ],
        "udf" => discs::udf_seeds(),
        "iso9660" => discs::iso9660_seeds(),
        "delta" => deltas::delta_seeds(),
        "delta_reference" => deltas::image_seeds(),
        "container_index" => deltas::index_seeds(),
        "psf" => updates::psf_seeds(),
        "msu_answer" => updates::msu_answer_seeds(),
        _ => vec![text(600)],
    }
}

/// A hive with a record of every kind.
fn small_hive(version: HiveVersion) -> Vec<u8> {
    let mut hive = Hive::create(version, &CreateOptions::default()).unwrap();
    for number in 0..30 {
        let key = format!("Software\\Key {number}\\Ünter");
        hive.set_value(&key, "", &RegValue::sz("default")).unwrap();
        hive.set_value(&key, "Число", &RegValue::dword(number)).unwrap();
    }
    for number in 0..520 {
        hive.create_key(&format!("Many\\{number}")).unwrap();
    }
    hive.set_value("Big", "data", &RegValue::binary(vec![9; 17_000])).unwrap();
    hive.set_class("Big", "a class").unwrap();
    hive.delete_key("Software\\Key 7", DeleteScope::Subtree).unwrap();
    hive.finish().unwrap()
}

/// A hive whose last write was cut off, with the log of Windows 7 that completes it, in the form of its oracle.
fn dirty_hive() -> Vec<u8> {
    let mut hive = Hive::create(HiveVersion::V1_5, &CreateOptions::default()).unwrap();
    hive.set_value("Key", "value", &RegValue::dword(1)).unwrap();
    let mut hive = hive.finish().unwrap();
    let put =
        |bytes: &mut [u8], at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let seal = |bytes: &mut [u8]| {
        let sum = bytes[..508].as_chunks::<4>().0.iter().fold(0, |sum, &four| sum ^ u32::from_le_bytes(four));
        bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    };
    let mut log = hive[..512].to_vec();
    put(&mut log, 28, 1);
    seal(&mut log);
    log.extend(b"DIRT\xFF");
    log.resize(1024, 0);
    log.extend(&hive[4096..]);
    // One page is dirty, and eight are in the log: the bitmap of a bin of 4 KiB is one byte.
    put(&mut hive, 4, 7);
    seal(&mut hive);
    let mut input = vec![8, u8::try_from(log.len().div_ceil(1024)).unwrap()];
    input.extend(hive);
    input.extend(log);
    input
}

#[test]
fn the_seed_of_the_log_oracle_is_recovered() {
    let seed = dirty_hive();
    let (hive, log) = seed[2..].split_at(8192);
    assert!(Hive::open(hive.to_vec()).is_err());
    assert!(Hive::recover(hive.to_vec(), &[log]).unwrap().check().is_sound());
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
