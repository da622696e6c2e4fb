//! Oracles of deltas and container indexes: an answer, never a panic, never more than was claimed.

use wim_core::base::windows_name::path_fault;
use wim_core::formats::cbs::cix::ContainerIndex;
use wim_core::formats::delta::apply::{Claim, apply};
use wim_core::formats::delta::manifest;

use crate::delta_writer::{BitWriter, Options, preprocess, write_delta, write_transform};
use crate::pe_image::{AMD64, CODE, DATA, I386, Image, managed_image};

/// The most bytes that a target may have here.
const MAX_BYTES: u64 = 1 << 18;
/// All transforms of i386 and of amd64 images, as real deltas ask for them.
const ALL_FLAGS: [(i64, i64); 2] = [(2, 0x2_E1FE), (8, 0x2_E63E)];
const ADDRESSES: [(i64, i64); 3] = [(0x1000, 0x1000), (0x1200, 0x1210), (0x2000, 0x3000)];

/// A delta gives a target within the claim, or is refused; with no reference, a program of each machine, and text.
///
/// # Panics
/// When a target is larger than was claimed.
pub fn delta_is_applied_or_refused(bytes: &[u8]) {
    let claim = Claim { max_bytes: MAX_BYTES, ..Claim::unproved() };
    let references = [Vec::new(), Image::new(AMD64).bytes, managed_image().bytes, text()];
    for reference in &references {
        if let Ok(target) = apply(reference, bytes, &claim) {
            assert!(target.len() as u64 <= MAX_BYTES);
        }
    }
    for magic in [b"DCM\x01", b"DCN\x01", b"DCS\x01"] {
        let file = [magic.as_slice(), bytes].concat();
        if let Ok(target) = manifest::expand(&file, Some(&references[3]), &claim) {
            assert!(target.len() as u64 <= MAX_BYTES);
        }
    }
}

/// A program with damaged tables goes through all transforms, or is refused.
///
/// # Panics
/// When the transformed reference has another length.
pub fn reference_is_transformed_or_refused(bytes: &[u8]) {
    if bytes.len() < 2 {
        return;
    }
    for (file_type, flags) in ALL_FLAGS {
        let preprocess = preprocess(0x100_0000, 1, &[(0, 0)], &ADDRESSES);
        let delta = write_transform(bytes, &Options { file_type, flags, preprocess, ..Options::default() });
        if let Ok(target) = apply(bytes, &delta, &Claim::unproved()) {
            assert_eq!(target.len(), bytes.len());
        }
    }
}

/// An index gives waves in which each file comes after its basis, and safe paths, or is refused.
///
/// # Panics
/// When it does not.
pub fn index_is_read_or_refused(bytes: &[u8]) {
    let Ok(index) = ContainerIndex::parse("fuzz", bytes) else { return };
    let Ok(waves) = index.waves() else { return };
    let mut done = vec![false; index.files.len()];
    for wave in waves {
        for &number in &wave {
            let file = &index.files[number];
            assert!(path_fault(&file.path).is_none(), "{}", file.path);
            assert!(file.recipe.basis_file().is_none_or(|basis| done[basis]), "{}", file.path);
        }
        wave.iter().for_each(|&number| done[number] = true);
    }
    assert!(done.iter().all(|&done| done));
}

fn text() -> Vec<u8> {
    b"<assembly manifestVersion=\"1.0\"><file name=\"a.dll\"/></assembly>".repeat(40)
}

/// Deltas of all kinds that the writer of the tests makes.
#[must_use]
pub fn delta_seeds() -> Vec<Vec<u8>> {
    let reference = text();
    let mut target = reference.clone();
    target[77] ^= 1;
    target.extend(b"and more: abcabcabcabcabc");
    let mut seeds: Vec<_> = [vec![], vec![500, 900]]
        .into_iter()
        .map(|segments| {
            let options = Options { segments, has_digest: false, ..Options::default() };
            write_delta(&reference, &target, &options)
        })
        .collect();
    for (image, (file_type, flags)) in [managed_image(), Image::new(AMD64)].iter().zip(ALL_FLAGS) {
        let preprocess = preprocess(0x100_0000, 1, &[(0, 0), (0x1000, 0x400)], &ADDRESSES);
        let options = Options { file_type, flags, preprocess, ..Options::default() };
        seeds.push(write_transform(&image.bytes, &options));
    }
    let (file_type, flags) = ALL_FLAGS[0];
    let options = Options { file_type, flags, preprocess: map_of_metadata(), ..Options::default() };
    seeds.push(write_transform(&managed_image().bytes, &options));
    seeds
}

/// A preprocess stream that renumbers strings and type references of managed metadata.
fn map_of_metadata() -> Vec<u8> {
    let mut bits = BitWriter::new();
    bits.put(0x100_0000, 32).put(0, 32).put(0, 32).put(1, 32).rift(&[(0, 0)]).put(0, 1).rift(&ADDRESSES);
    bits.put(1, 1).int_format().int_format().int_format().int_format();
    for table in 0..4 + 64 {
        bits.rift_entries(match table {
            0 => &[(0, 0), (3, 19)],
            5 => &[(0, 2)],
            _ => &[],
        });
    }
    bits.finish()
}

/// Programs with tables of many kinds.
#[must_use]
pub fn image_seeds() -> Vec<Vec<u8>> {
    let mut narrow = managed_image();
    narrow
        .directory(1, 0x2400, 40)
        .put32(DATA + 0x400, 0x2440)
        .put32(DATA + 0x40C, 0x2480)
        .put32(DATA + 0x410, 0x2460);
    narrow.put32(DATA + 0x440, 0x2490).put32(DATA + 0x460, 0x2490);
    narrow
        .directory(5, 0x2500, 12)
        .put32(DATA + 0x500, 0x1000)
        .put32(DATA + 0x504, 12)
        .put(DATA + 0x508, &[0, 0x33]);
    narrow.put(CODE, &[0xE8, 0, 1, 0, 0, 0xE9, 0, 2, 0, 0, 0x0F, 0x84, 0, 2, 0, 0]);
    narrow.directory(2, 0x2600, 0x80).put(DATA + 0x60E, &[1, 0]).put32(DATA + 0x614, 0x8000_0020);
    narrow.put(DATA + 0x62E, &[1, 0]).put32(DATA + 0x634, 0x40).put32(DATA + 0x640, 0x2700);
    let mut wide = Image::new(AMD64);
    wide.directory(0, 0x2100, 40)
        .put32(DATA + 0x114, 1)
        .put32(DATA + 0x11C, 0x2140)
        .put32(DATA + 0x140, 0x1300);
    wide.directory(3, 0x2000, 12).put32(DATA, 0x1100).put32(DATA + 4, 0x1110).put32(DATA + 8, 0x2200);
    wide.put(CODE + 0x100, &[0xE8, 0, 1, 0, 0, 0x48, 0x8D, 0x35, 0, 0, 1, 0])
        .put(DATA + 0x200, &[9, 0, 1, 0]);
    vec![Image::new(I386).bytes, narrow.bytes, wide.bytes]
}

/// An index with each kind of recipe.
#[must_use]
pub fn index_seeds() -> Vec<Vec<u8>> {
    let hash = "<Hash alg=\"SHA1\" value=\"a9993e364706816aba3e25717850c26c9cd0d89d\"/>";
    let file = |id: u32, name: &str, recipe: &str| {
        format!(
            "<File id=\"{id}\" name=\"{name}\" length=\"3\" time=\"1\" attr=\"32\">{hash}<Delta>{recipe}</Delta></File>"
        )
    };
    let files = [
        file(0, "a", &format!("<Source type=\"RAW\" name=\"0\">{hash}</Source>")),
        file(1, "d\\b", "<Source type=\"PA30\" name=\"1\"/><Basis file=\"0\"/>"),
        file(2, "d\\c", "<Basis file=\"1\"/>"),
        file(3, "e", "<Source type=\"PA30\" offset=\"1\" length=\"2\"/>"),
    ];
    let index = format!("<Container type=\"CAB\" name=\"x\"><Files>{}</Files></Container>", files.concat());
    vec![index.into_bytes()]
}
