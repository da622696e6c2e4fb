//! Discs that tests make, read back: every form of UDF and ISO 9660, random trees, and what contradicts itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use wim_core::base::{ErrorKind, ReadAt};
use wim_core::media::{EntryKind, FileSystem, IsoImage};

use crate::disc_writer::{Descriptors, Iso, IsoNames, SECTOR, Udf, bridge, bridge_with, files, retag};
use crate::samples::mixed_bytes;

/// Offset of a block of the partition of [`Udf::disc`].
fn block(number: usize) -> usize {
    (257 + number) * SECTOR
}

fn open(image: &[u8]) -> wim_core::base::Result<IsoImage> {
    IsoImage::open(Arc::new(image.to_vec()), "test.iso")
}

/// Everything on a disc: paths, with the bytes of files.
pub(crate) fn everything(disc: &IsoImage) -> wim_core::base::Result<BTreeMap<String, Option<Vec<u8>>>> {
    let mut found = BTreeMap::new();
    disc.walk(("", &disc.root()?), &mut |path, entry| {
        let content = match entry.kind {
            EntryKind::File => {
                let content = disc.content(entry)?;
                let mut bytes = vec![0; content.size() as usize];
                content.read_exact_at(&mut bytes, 0).unwrap();
                Some(bytes)
            }
            _ => None,
        };
        found.insert(path.to_owned(), content);
        Ok(())
    })?;
    Ok(found)
}

/// What [`everything`] shall find.
fn expected(list: &[(String, Vec<u8>)]) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for (path, data) in list {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for end in 1..=parts.len() {
            let is_file = end == parts.len() && !path.ends_with('/');
            let one = format!("/{}", parts[..end].join("/"));
            found.entry(one).or_insert_with(|| is_file.then(|| data.clone()));
        }
    }
    found
}

fn sample() -> Vec<(String, Vec<u8>)> {
    let mut sparse = vec![0; 3 * 4096 + 100];
    sparse[4096..8192].fill(7);
    let mut list = files(&[
        ("setup.exe", b"MZ"),
        ("sources/empty.txt", b""),
        ("sources/Größe 😀.txt", b"text"),
        ("boot/fonts/", b""),
        ("sources/tiny", b"x"),
    ]);
    list.push(("sources/install.wim".to_owned(), mixed_bytes(1, 100_000)));
    list.push(("sources/sparse.bin".to_owned(), sparse));
    list.extend((0..120).map(|n| (format!("many/file number {n}.txt"), vec![n; usize::from(n) * 40])));
    list
}

fn forms() -> Vec<Udf> {
    let plain = Udf { extent: 4096, ..Udf::PLAIN };
    vec![
        plain,
        Udf { crc: false, ..plain },
        Udf { descriptors: Descriptors::Long, in_entry: 3, ..plain },
        Udf { descriptors: Descriptors::Extended, extended_entries: true, revision: 0x201, ..plain },
        Udf { embed: 1500, holes: true, in_entry: 2, ..plain },
        Udf { block: 512, embed: 200, in_entry: 7, ..plain },
        Udf { block: 4096, extended_entries: true, revision: 0x200, holes: true, ..plain },
        Udf {
            metadata: true,
            descriptors: Descriptors::Long,
            revision: 0x250,
            extended_entries: true,
            ..plain
        },
        Udf {
            metadata: true,
            descriptors: Descriptors::Long,
            embed: 900,
            in_entry: 5,
            revision: 0x260,
            ..plain
        },
    ]
}

#[test]
fn every_form_of_udf_gives_its_files() {
    for form in forms() {
        let disc = open(&form.disc(&sample())).unwrap_or_else(|e| panic!("{form:?}: {e}"));
        assert_eq!(disc.file_system(), FileSystem::Udf);
        assert_eq!(disc.label(), "TEST DISC");
        assert_eq!(
            everything(&disc).unwrap_or_else(|e| panic!("{form:?}: {e}")),
            expected(&sample()),
            "{form:?}"
        );
        let entry = disc.find("\\SOURCES\\install.WIM").unwrap().unwrap();
        assert_eq!(entry.modified.unwrap().to_unix(), (1_247_533_323, 0));
        assert!(disc.find("/sources/missing").unwrap().is_none());
        assert!(disc.find("/setup.exe/x").unwrap().is_none());
    }
}

#[test]
fn every_form_of_iso9660_gives_its_files() {
    for names in [IsoNames::Joliet, IsoNames::RockRidge] {
        let disc = open(&Iso { names, extent: 4096, boots: true }.disc(&sample())).unwrap();
        assert_eq!(everything(&disc).unwrap(), expected(&sample()), "{names:?}");
        assert_eq!(disc.find("setup.EXE").unwrap().unwrap().modified.unwrap().to_unix(), (1_247_533_323, 0));
        let catalogue = disc.boot_catalogue().unwrap().unwrap();
        assert!(catalogue.checksum_is_right);
        assert_eq!(
            catalogue.entries.iter().map(|e| e.platform.as_str()).collect::<Vec<_>>(),
            ["BIOS", "EFI"]
        );
    }
    let list = files(&[("SOURCES/INSTALL.WIM", b"wim"), ("BOOTMGR.", b"x"), ("EFI/", b"")]);
    let disc = open(&Iso { names: IsoNames::Plain, ..Iso::JOLIET }.disc(&list)).unwrap();
    assert_eq!(disc.file_system(), FileSystem::Iso9660);
    let found = everything(&disc).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["/BOOTMGR", "/EFI", "/SOURCES", "/SOURCES/INSTALL.WIM"]);
    assert!(disc.boot_catalogue().unwrap().is_none());
}

#[test]
fn udf_comes_before_the_side_that_only_says_so() {
    let disc = open(&bridge(&sample())).unwrap();
    assert_eq!(disc.file_systems(), [FileSystem::Udf, FileSystem::Iso9660]);
    assert_eq!(everything(&disc).unwrap(), expected(&sample()));
    assert_eq!(disc.boot_catalogue().unwrap().unwrap().entries.len(), 2);
    assert_eq!(disc.mastering().unwrap().publisher, "PUBLISHER");
    // Without its UDF side the disc is the text alone: that is never taken for the disc.
    let mut image = bridge(&sample());
    image[256 * SECTOR] = 0;
    assert_eq!(open(&image).unwrap_err().kind(), ErrorKind::Format);
}

/// Discs that were mastered anew have everything on both sides, and one of them may be damaged.
#[test]
fn a_full_side_stands_in_for_a_damaged_one() {
    let list = files(&[("SETUP.EXE", b"MZ"), ("SOURCES/INSTALL.WIM", b"wim")]);
    let whole = bridge_with(&list, &list);
    let disc = open(&whole).unwrap();
    assert_eq!((disc.file_system(), disc.warnings().len()), (FileSystem::Udf, 0));
    // Without its anchor, and with an unreadable root directory.
    for at in [256 * SECTOR, block(1) + 60] {
        let mut image = whole.clone();
        image[at] ^= 0x55;
        let disc = open(&image).unwrap();
        assert_eq!(disc.file_system(), FileSystem::Iso9660);
        assert_eq!(everything(&disc).unwrap(), expected(&list));
        let [warning] = disc.warnings().try_into().unwrap();
        let text = warning.to_string();
        assert!(text.contains("UDF side") && text.contains("ISO 9660 side is read"), "{text}");
        assert!(warning.remedy_text().is_some());
    }
}

/// A disc whose nested directories each have a sector of their own and share `tail` sectors full of names: small on the disc, but
/// every level has all those names in memory while the ones below are visited.
pub(crate) fn sharing(levels: usize, tail: usize) -> Vec<u8> {
    let form = Iso { names: IsoNames::Plain, ..Iso::JOLIET };
    let mut image = form.disc(&files(&[("D/", b"")]));
    let root = u32::from_le_bytes(image[16 * SECTOR + 158..16 * SECTOR + 162].try_into().unwrap()) as usize;
    let first = image.len() / SECTOR;
    let place = |level: usize| if level == 0 { root } else { first + level };
    image.resize((first + levels + 1) * SECTOR, 0);
    for level in 0..levels {
        let mut own = [form.record(&[0], 2, (0, 0), &[]), form.record(&[1], 2, (0, 0), &[])].concat();
        if level + 1 < levels {
            own.extend(form.record(b"!D", 0x82, (place(level + 1), SECTOR), &[]));
            own.extend(form.record(b"!D", 2, (first + levels + 1, tail * SECTOR), &[]));
        }
        own.resize(SECTOR, 0);
        image[place(level) * SECTOR..][..SECTOR].copy_from_slice(&own);
    }
    for sector in 0..tail {
        let names =
            (0..48).flat_map(|n| form.record(format!("{sector:05X}{n:03X}").as_bytes(), 0, (0, 0), &[]));
        image.extend(names);
        image.resize(image.len().next_multiple_of(SECTOR), 0);
    }
    image
}

#[test]
fn directories_that_share_their_bytes_are_refused_before_they_fill_the_memory() {
    assert_eq!(everything(&open(&sharing(2, 100)).unwrap()).unwrap().len(), 4801);
    let error = refusal(&sharing(40, 100));
    assert!(error.contains("more bytes than the whole disc"), "{error}");
}

/// 7-Zip and others give the first extent as if it were all.
#[test]
fn a_file_whose_next_extent_is_missing_is_not_given_short() {
    let form = Iso { names: IsoNames::Plain, extent: SECTOR, boots: false };
    let image = form.disc(&files(&[("A.BIN", &[7; 3000]), ("B.BIN", b"b")]));
    let records: Vec<usize> = (0..image.len() - 7).filter(|&at| image[at..at + 7] == *b"A.BIN;1").collect();
    let [_, second] = records[..] else { panic!("{records:?}") };
    // The second extent has another name; or it says that a third one follows.
    for (at, byte) in [(second, b'C'), (second - 8, 0x80)] {
        let mut image = image.clone();
        image[at] = byte;
        let disc = open(&image).unwrap();
        let entry = disc.find("A.BIN").unwrap().unwrap();
        let error = disc.content(&entry).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("cut short"), "{error}");
        let other = disc.find("B.BIN").unwrap().unwrap();
        assert_eq!(disc.content(&other).unwrap().size(), 1, "what lies beside it is whole");
    }
}

#[test]
fn a_reserve_sequence_and_a_last_anchor_stand_in() {
    let mut image = Udf::PLAIN.disc(&sample());
    image[34 * SECTOR + 100] ^= 1;
    assert_eq!(everything(&open(&image).unwrap()).unwrap(), expected(&sample()));
    image[50 * SECTOR + 100] ^= 1;
    let error = open(&image).unwrap_err();
    assert!(error.to_string().contains("sector 34"), "{error}");

    let mut image = Udf::PLAIN.disc(&sample());
    let mut anchor = image[256 * SECTOR..257 * SECTOR].to_vec();
    image[256 * SECTOR..257 * SECTOR].fill(0);
    let last = image.len() / SECTOR;
    anchor[12..16].copy_from_slice(&(last as u32).to_le_bytes());
    retag(&mut anchor, 0);
    image.extend(anchor);
    assert_eq!(everything(&open(&image).unwrap()).unwrap(), expected(&sample()));
}

/// A disc of one file whose structures lie at known blocks: 0 file set, 1 root, 2 folder `d`, 3 file `d/f`.
fn simple(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut image = Udf::PLAIN.disc(&files(&[("d/f", &[5; 5000])]));
    change(&mut image);
    image
}

/// What is said of a disc that is refused.
fn refusal(image: &[u8]) -> String {
    let error = open(image).and_then(|disc| everything(&disc)).expect_err("it is refused");
    assert!(error.remedy_text().is_some(), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Format | ErrorKind::Limit | ErrorKind::Unsupported), "{error}");
    error.to_string()
}

#[test]
fn damaged_udf_is_refused_with_structure_and_sector() {
    let changed = |at: usize, bytes: &[u8]| {
        refusal(&simple(|image| {
            image[at..at + bytes.len()].copy_from_slice(bytes);
            retag(image, at - at % SECTOR);
        }))
    };
    let file = block(3);
    // Descriptors of the file entry: length at 176, block at 180.
    for (at, bytes, wanted) in [
        (file + 180, &[0xFF, 0xFF, 0xFF, 0][..], "partition map"),
        (file + 176, &[1, 0, 0, 0], "the extents have 1 bytes, but the file shall have 5000"),
        (file + 56, &[0xFF; 8], "the extents have"),
        (file + 20, &[5, 0], "strategy 5"),
        (file + 34, &[5, 0], "kind 5"),
        (file + 172, &[0xFF; 4], "allocation descriptors"),
        (file + 168, &[0xFF; 4], "extended attributes"),
        (block(0) + 404, &[200, 0, 0, 0], "200"),
        (34 * SECTOR + 212, &[0, 2, 0, 0], "logical block size"),
        (34 * SECTOR + 217, b"*OTHER", "domain identifier"),
        (34 * SECTOR + 440, &[3], "partition map type 3"),
    ] {
        let error = match at {
            _ if at < 48 * SECTOR => refusal(&simple(|image| {
                // Both sequences say it.
                for base in [34 * SECTOR, 50 * SECTOR] {
                    let at = base + at % SECTOR;
                    image[at..at + bytes.len()].copy_from_slice(bytes);
                    retag(image, base);
                }
            })),
            _ => changed(at, bytes),
        };
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(error.contains("sector") || error.contains(", at 0x"), "{error}");
    }
    // A byte that the CRC covers, and a tag of another kind.
    let error = refusal(&simple(|image| image[file + 60] ^= 1));
    assert!(error.contains("descriptor CRC") && error.contains("sector 260"), "{error}");
    let error = refusal(&simple(|image| {
        image[file] = 1;
        image[file + 1] = 0;
        retag(image, file);
    }));
    assert!(error.contains("1, where a file entry"), "{error}");
}

#[test]
fn folders_inside_themselves_and_lists_without_end_are_refused() {
    // The names of `d` lie in the last but one extent written; find its only name by the text.
    let icb_of =
        |image: &[u8], name: &[u8]| image.windows(name.len()).position(|bytes| bytes == name).unwrap() - 38;
    let image = simple(|image| {
        let at = icb_of(image, b"\x08f");
        image[at + 24..at + 28].copy_from_slice(&1u32.to_le_bytes());
        retag(image, at);
    });
    let error = refusal(&image);
    assert!(error.contains("/d/f") && error.contains("inside itself"), "{error}");

    // A list of descriptors that goes on in a block, which goes on in itself.
    let form = Udf { extent: 2048, in_entry: 1, ..Udf::PLAIN };
    let mut image = form.disc(&files(&[("f", &[5; 9000])]));
    let at = (0..image.len() / SECTOR)
        .map(|sector| sector * SECTOR)
        .find(|&at| image[at..at + 2] == 258u16.to_le_bytes())
        .unwrap();
    let itself = (at / SECTOR - 257) as u32;
    image[at + 24..at + 28].copy_from_slice(&(3u32 << 30 | 2048).to_le_bytes());
    image[at + 28..at + 32].copy_from_slice(&itself.to_le_bytes());
    retag(&mut image, at);
    let error = refusal(&image);
    assert!(error.contains("goes on in more than"), "{error}");

    // Volume descriptors that lead on to themselves.
    let error = refusal(&simple(|image| {
        for base in [32 * SECTOR, 48 * SECTOR] {
            image[base..base + 2].copy_from_slice(&3u16.to_le_bytes());
            image[base + 20..base + 24].copy_from_slice(&(16 * SECTOR as u32).to_le_bytes());
            image[base + 24..base + 28].copy_from_slice(&((base / SECTOR) as u32).to_le_bytes());
            retag(image, base);
        }
    }));
    assert!(error.contains("more than 1024 descriptors"), "{error}");

    let deep = vec![("a/".repeat(300) + "x", b"x".to_vec())];
    let error = refusal(&Udf::PLAIN.disc(&deep));
    assert!(error.contains("256 deep"), "{error}");
    let error = refusal(&Iso::JOLIET.disc(&deep));
    assert!(error.contains("256 deep"), "{error}");
}

/// Such a name must not hide the install image that lies beside it.
#[test]
fn names_that_no_file_has_are_left_out_with_a_warning() {
    let beside = expected(&files(&[("good", b"1")]));
    for name in ["..", ".", "a\\b", "a\0b"] {
        let list = files(&[(name, b"x"), ("good", b"1")]);
        let rock_ridge = Iso { names: IsoNames::RockRidge, ..Iso::JOLIET };
        for image in [Udf::PLAIN.disc(&list), Iso::JOLIET.disc(&list), rock_ridge.disc(&list)] {
            let disc = open(&image).unwrap();
            assert_eq!(everything(&disc).unwrap(), beside, "{name:?}");
            assert_eq!(everything(&disc).unwrap(), beside, "a second walk warns of nothing new");
            let [warning] = disc.warnings().try_into().unwrap();
            assert!(warning.to_string().contains("no name of a file"), "{name:?}: {warning}");
            assert!(warning.to_string().contains("sector"), "{warning}");
        }
    }
    // The same name twice: the second is changed into the first. And a name that leads to no file entry.
    let list = files(&[("aa", b"1"), ("ab", b"2")]);
    for (offset, bytes, said) in [(2, &b"a"[..], "\"aa\" twice"), (-18, &[0; 4], "leads to no file")] {
        let mut image = Udf::PLAIN.disc(&list);
        let at = image.windows(3).position(|bytes| bytes == b"\x08ab").unwrap();
        let change = at.checked_add_signed(offset).unwrap();
        image[change..change + bytes.len()].copy_from_slice(bytes);
        retag(&mut image, at - 38);
        let disc = open(&image).unwrap();
        assert_eq!(everything(&disc).unwrap(), expected(&list[..1]));
        assert!(disc.warnings()[0].to_string().contains(said), "{:?}", disc.warnings());
    }
    // Names that differ in case only are found as spelt, else not at all.
    let disc = open(&Udf::PLAIN.disc(&files(&[("aa", b"1"), ("Aa", b"22")]))).unwrap();
    assert_eq!(disc.find("Aa").unwrap().unwrap().size, 2);
    assert_eq!(disc.find("AA").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn damaged_iso9660_is_refused_with_structure_and_sector() {
    let list = files(&[("file", b"content"), ("d/", b"")]);
    let form = Iso { names: IsoNames::RockRidge, ..Iso::JOLIET };
    let image = form.disc(&list);
    let root =
        u32::from_le_bytes(image[16 * SECTOR + 158..16 * SECTOR + 162].try_into().unwrap()) as usize * SECTOR;
    // The records of the root: itself, its parent, `file`.
    let first = usize::from(image[root]);
    let file = root + first + usize::from(image[root + first]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = image.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&image)
    };
    for (at, bytes, wanted) in [
        (16 * SECTOR + 128, &[1, 8, 8, 1][..], "logical block size"),
        (16 * SECTOR + 130, &[8, 1], "one byte order"),
        (
            16 * SECTOR + 166,
            &[0xFF, 0xFF, 0xFF, 0x7F, 0x7F, 0xFF, 0xFF, 0xFF],
            "directory of 2147483647 bytes",
        ),
        (file, &[20], "20 bytes, but records have at least 34"),
        (file + 2, &[0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF], "outside of"),
        (file + 2, &[9], "one byte order"),
        (file + 10, &[0xFF, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF], "bytes on a disc of"),
        (file + 26, &[1], "interleaved"),
        (file + 32, &[200], "file identifier"),
    ] {
        let error = changed(at, bytes);
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
    // A folder that is the root again.
    let mut image = image.clone();
    let folder = file + usize::from(image[file]);
    assert_eq!(image[folder + 25], 2);
    let sector = (root / SECTOR) as u32;
    image[folder + 2..folder + 6].copy_from_slice(&sector.to_le_bytes());
    image[folder + 6..folder + 10].copy_from_slice(&sector.to_be_bytes());
    assert!(refusal(&image).contains("inside itself"), "{}", refusal(&image));
}

#[test]
fn what_is_no_disc_says_so() {
    for image in [Vec::new(), vec![0; 40_000], b"MSWIM\0\0\0".repeat(10_000)] {
        let error = open(&image).unwrap_err();
        assert!(error.to_string().contains("no disc image"), "{error}");
    }
    // Cut anywhere, a disc gives its files or an error, and never half of a file.
    let whole = Udf { crc: false, ..Udf::PLAIN }.disc(&sample());
    let wanted = expected(&sample());
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        if let Ok(found) = open(&whole[..length]).and_then(|disc| everything(&disc)) {
            assert_eq!(found, wanted, "{length}");
        }
    }
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9 ._-]{1,20}[a-z]", "[a-zäöü€😀]{1,12}"]
}

fn trees() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let path = prop::collection::vec(names(), 1..4).prop_map(|names| names.join("/"));
    let one = (path, prop_oneof![Just(0usize), 1..300usize, 2000..9000usize], any::<u8>());
    prop::collection::vec(one, 0..25).prop_map(|list| {
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for (path, length, byte) in list {
            // No path is a file and a folder, and none is there twice but for case, which Plain could not tell.
            let clashes = |a: &str, b: &str| {
                let (a, b) = (a.to_lowercase() + "/", b.to_lowercase() + "/");
                a.starts_with(&b) || b.starts_with(&a)
            };
            if !files.iter().any(|(other, _)| clashes(other, &path)) {
                files.push((path, (0..length).map(|at| byte.wrapping_add((at / 3) as u8)).collect()));
            }
        }
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back(list in trees(), form in prop::sample::select(forms()), rock_ridge in any::<bool>()) {
        let disc = open(&form.disc(&list)).unwrap();
        prop_assert_eq!(everything(&disc).unwrap(), expected(&list));
        let names = if rock_ridge { IsoNames::RockRidge } else { IsoNames::Joliet };
        let disc = open(&Iso { names, extent: 2048, boots: false }.disc(&list)).unwrap();
        prop_assert_eq!(everything(&disc).unwrap(), expected(&list));
    }

    #[test]
    fn changed_discs_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        form in prop::sample::select(forms()),
    ) {
        let form = Udf { crc: false, ..form };
        let mut image = form.disc(&files(&[("a/b", &[7; 5000]), ("a/c", b"x")]));
        // Only where structures are: zeros stay.
        let places: Vec<usize> = (0..image.len()).filter(|&at| image[at] != 0).collect();
        for (place, value) in changes {
            image[places[place.index(places.len())]] = value;
        }
        for at in (0..image.len() / 512).map(|sector| sector * 512) {
            if image[at + 10..at + 12] == [0, 0] && image[at + 1] < 2 && image[at + 2] & 2 != 0 {
                retag(&mut image, at);
            }
        }
        let _ = open(&image).and_then(|disc| everything(&disc));
    }
}
