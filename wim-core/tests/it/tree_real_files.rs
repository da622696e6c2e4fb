//! Metadata resources that other programs wrote: all load, and what we store of them loads as the same tree.

use std::sync::Arc;

use wim_core::base::{ErrorKind, FileSource};
use wim_core::formats::wim::WimFile;
use wim_core::image::{FindingKind, Tree, load, store};

use crate::samples::real_data;

fn open(path: &std::path::Path) -> WimFile {
    let source = Arc::new(FileSource::open(path).unwrap());
    WimFile::open(source, &path.display().to_string()).unwrap()
}

/// The compact golden file of wimlib 1.14.5: hard links, an empty file, an empty directory, LZX metadata.
const GOLDEN_BASE64: &str = "\
TVNXSU0AAADQAAAAAA0BAIIABAAAgAAATpc/KAw/JQNCX7xQOWkM4AEAAQABAAAAlgAAAAAAAALvAQAAAAAAAJYAAAAAAAAAAAMAAAAAAAKFAgAAAAAAAAAD\
AAAAAAAA5gAAAAAAAAYJAQAAAAAAAHADAAAAAAAAAQAAACAAAAAAAAAAhQUAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABIgAMIAAAAAAwABMNoHPvv1+wAAAAAAAAEACAEXZ/s+gO0AAAAAAAARABUI+z7z75YbAIBoZWxsbzdACAQB\
AQAAAABAAgAGXzaSvKlDZNdCs7JDDUvBDhAsJ4pOl1yKOpx+xUJYcMVy7UXBLI4lFyWCxYKIZgAAAADUCAAAT5HwkJqANDZnY5p7Fk1DYMZG+/cAJgAAAAAm\
AGYAYhETLq2NooVfuP//R889RDjQ6vAkmMTc2HTWcblw2gvELMlBwRNWJLkWxKYb7HzoFg8hAm8hNrvRaWwRQI37VDO2ynnJb04Ltz3D1vypomNXaIkEnVxw\
/B5A+SsRWUFCTz/+AyyDpsqmlNfMmLW4rIszP8/SdYUSSBFoU7x/EAbQGqSZ5gAAAAAAAAYJAQAAAAAAAHADAAAAAAAAAQABAAAAlKL03KpxZP66mgMUiKwJ\
OrdiG3Y0AAAAAAAABNAAAAAAAAAALAEAAAAAAAABAAEAAADJVGYyDqrm0Z7jFK5PE1sS1FztmgUAAAAAAAAABAEAAAAAAAAFAAAAAAAAAAEAAgAAAKr0xh3c\
xeii2r7eDztILNmuqUNN//48AFcASQBNAD4APABJAE0AQQBHAEUAIABJAE4ARABFAFgAPQAiADEAIgA+ADwATgBBAE0ARQA+AEcAbwBsAGQAZQBuADwALwBO\
AEEATQBFAD4APABEAEkAUgBDAE8AVQBOAFQAPgAzADwALwBEAEkAUgBDAE8AVQBOAFQAPgA8AEYASQBMAEUAQwBPAFUATgBUAD4ANAA8AC8ARgBJAEwARQBD\
AE8AVQBOAFQAPgA8AFQATwBUAEEATABCAFkAVABFAFMAPgAzADEAMAA8AC8AVABPAFQAQQBMAEIAWQBUAEUAUwA+ADwASABBAFIARABMAEkATgBLAEIAWQBU\
AEUAUwA+ADUAPAAvAEgAQQBSAEQATABJAE4ASwBCAFkAVABFAFMAPgA8AEMAUgBFAEEAVABJAE8ATgBUAEkATQBFAD4APABIAEkARwBIAFAAQQBSAFQAPgAw\
AHgAMAAxAEQARAA3ADkANQBCADwALwBIAEkARwBIAFAAQQBSAFQAPgA8AEwATwBXAFAAQQBSAFQAPgAwAHgAQwA5ADIAOQAwADAAMQA4ADwALwBMAE8AVwBQ\
AEEAUgBUAD4APAAvAEMAUgBFAEEAVABJAE8ATgBUAEkATQBFAD4APABMAEEAUwBUAE0ATwBEAEkARgBJAEMAQQBUAEkATwBOAFQASQBNAEUAPgA8AEgASQBH\
AEgAUABBAFIAVAA+ADAAeAAwADEARABEADcAOQA1AEIAPAAvAEgASQBHAEgAUABBAFIAVAA+ADwATABPAFcAUABBAFIAVAA+ADAAeABDADkAMgA5ADEAMgBC\
ADAAPAAvAEwATwBXAFAAQQBSAFQAPgA8AC8ATABBAFMAVABNAE8ARABJAEYASQBDAEEAVABJAE8ATgBUAEkATQBFAD4APAAvAEkATQBBAEcARQA+ADwAVABP\
AFQAQQBMAEIAWQBUAEUAUwA+ADYANAA1ADwALwBUAE8AVABBAEwAQgBZAFQARQBTAD4APAAvAFcASQBNAD4AIAAAAAEAAAAAAKAA7R06U+MFKdB7h3z0jy1i\
hXsh5SQ=";

fn from_base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&c| c != b'=').collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().enumerate().fold(0u32, |bits, (i, &c)| bits | value(c) << (18 - 6 * i));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}

/// What wimlib wrote and what we store of the same tree are the same bytes but for link ids: offsets, order, padding.
#[test]
fn the_golden_image_is_stored_as_wimlib_stored_it() {
    let wim = WimFile::open(Arc::new(from_base64(GOLDEN_BASE64)), "golden").unwrap();
    let metadata = wim.read_metadata(wim.images().next().unwrap(), 1 << 30).unwrap();
    let tree = load::load(&metadata, &mut |e| panic!("{e}")).unwrap();
    let listed: Vec<String> = tree.walk_paths(tree.root()).map(|(path, _)| path.to_string()).collect();
    assert_eq!(
        listed,
        ["\\", "\\Dir", "\\Dir\\abc.txt", "\\Dir\\hello2.txt", "\\empty", "\\empty_dir", "\\hello.txt"]
    );
    let entry = |digest: &_| wim.table().find(digest).unwrap();
    for (digest, references) in tree.blob_references() {
        assert_eq!(references, entry(&digest).reference_count);
    }
    let counts = tree.counts(&|digest| entry(digest).header.size);
    let wanted = (counts.directories, counts.files, counts.total_bytes, counts.hard_link_bytes);
    assert_eq!(wanted, (3, 4, 310, 5));
    let stored = store::store(&tree);
    assert_eq!(stored.len(), metadata.len());
    let differences: Vec<_> = (0..stored.len())
        .filter(|&i| stored[i] != metadata[i])
        .map(|i| (i, stored[i], metadata[i]))
        .collect();
    // wimlib counts all files for its link ids, so that the group of hello.txt and hello2.txt got 4 where ours is 1.
    assert_eq!(differences, [(568, 1, 4), (824, 1, 4)]);
}

fn round_trip(metadata: &[u8], name: &str) -> (Tree, Vec<FindingKind>) {
    let (tree, findings) = load::load_with_findings(metadata).unwrap_or_else(|e| panic!("{name}: {e}"));
    let stored = store::store(&tree);
    let (again, none) = load::load_with_findings(&stored).unwrap();
    assert_eq!(tree, again, "{name}");
    assert_eq!(none, [], "{name}");
    assert_eq!(stored, store::store(&again), "{name}");
    (tree, findings.into_iter().map(|finding| finding.kind).collect())
}

#[test]
fn images_of_other_programs_come_back_the_same() {
    let Some(data) = real_data("wim") else { return };
    let files = [
        ("XPRESS.wim", vec![]),
        ("LZX.wim", vec![]),
        ("BootXPRESS.wim", vec![]),
        ("MultiImage.wim", vec![]),
        ("dissect-basic32k.wim", vec![]),
        ("dissect-basic4k.wim", vec![]),
        ("wimlib-empty_dacl.wim", vec![]),
        ("wimlib-longpaths.wim", vec![]),
        ("wimlib-corrupted_file_1.wim", vec![]),
        ("wimlib-dotdot.wim", vec![FindingKind::BadName]),
        ("wimlib-duplicate_names.wim", vec![FindingKind::DuplicateName; 2]),
    ];
    for (name, wanted) in files {
        let wim = open(&data.join(name));
        for image in wim.images() {
            let metadata = wim.read_metadata(image, 1 << 30).unwrap();
            let (tree, findings) = round_trip(&metadata, name);
            assert_eq!(findings, wanted, "{name}");
            // wimlib's and DISM's own counts.
            let size = |digest: &_| wim.table().find(digest).map_or(0, |entry| entry.header.size);
            let counts = tree.counts(&size);
            println!("{name}: {counts:?}, {} descriptors", tree.security().len());
        }
    }
}

#[test]
fn a_directory_inside_itself_is_refused() {
    let Some(data) = real_data("wim") else { return };
    let wim = open(&data.join("wimlib-cyclic.wim"));
    let metadata = wim.read_metadata(wim.images().next().unwrap(), 1 << 30).unwrap();
    let error = load::load_with_findings(&metadata).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("subdir offset"), "{error}");
}
