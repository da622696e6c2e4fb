//! Parts of blobs read in any order are what the whole blobs hold there.

use std::sync::Arc;

use proptest::prelude::*;
use wim_core::base::{ErrorKind, Sha1Digest};
use wim_core::formats::wim::attributes::NORMAL;
use wim_core::image::edit::{Content, ImageView, View};
use wim_core::image::{Inode, Streams, Tree, WimPath};
use wim_core::transfer::read::{RandomReader, WimBlobs};

use crate::sample_wim::{open_first, wim_of};
use crate::samples::{mixed_bytes, random_bytes};

/// A reader of a file with a blob of many chunks and one that is stored, and the blobs.
fn reader(budget_bytes: u64) -> (RandomReader, Vec<Vec<u8>>) {
    let blobs = vec![mixed_bytes(1, 300_000), random_bytes(2, 70_000), mixed_bytes(3, 10)];
    let mut tree = Tree::new_empty();
    let mut contents = Vec::new();
    for (number, blob) in blobs.iter().enumerate() {
        let digest = Sha1Digest::of(blob);
        let inode = Inode { attributes: NORMAL, streams: Streams::data(digest), ..Inode::default() };
        tree.add(tree.root(), number.to_string().as_str().into(), inode).unwrap();
        contents.push((digest, Content::bytes(blob.clone())));
    }
    let (wim, _) = open_first(wim_of(&tree, &contents));
    (RandomReader::new(vec![Arc::new(wim)], budget_bytes), blobs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn parts_are_those_of_the_whole(
        budget in prop_oneof![Just(0u64), Just(100_000), Just(1 << 24)],
        reads in prop::collection::vec((0usize..3, 0usize..310_000, 0usize..140_000), 1..20),
    ) {
        let (reader, blobs) = reader(budget);
        for (number, start, length) in reads {
            let blob = &blobs[number];
            let expected = &blob[start.min(blob.len())..(start + length).min(blob.len()).max(start.min(blob.len()))];
            let read = reader.read(&Sha1Digest::of(blob), start as u64, length).unwrap();
            prop_assert_eq!(read, expected);
        }
    }
}

#[test]
fn unknown_blobs_have_no_size_and_cannot_be_read() {
    let (reader, blobs) = reader(1 << 20);
    assert_eq!(reader.size(&Sha1Digest::of(&blobs[0])), Some(300_000));
    assert_eq!(reader.size(&Sha1Digest([9; 20])), None);
    assert_eq!(reader.read(&Sha1Digest([9; 20]), 0, 1).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn several_threads_read_at_once() {
    let (reader, blobs) = reader(64 << 10);
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let (reader, blob) = (&reader, &blobs[0]);
            scope.spawn(move || {
                for step in 0..40 {
                    let start = (step * 7919 + thread * 31) * 13 % 300_000;
                    let read = reader.read(&Sha1Digest::of(blob), start as u64, 5000).unwrap();
                    assert_eq!(read, blob[start..(start + 5000).min(blob.len())]);
                }
            });
        }
    });
}

#[test]
fn pieces_of_a_blob_together_are_the_blob() {
    let blob = mixed_bytes(7, 3_300_000);
    let digest = Sha1Digest::of(&blob);
    let mut tree = Tree::new_empty();
    let inode = Inode { attributes: NORMAL, streams: Streams::data(digest), ..Inode::default() };
    tree.add(tree.root(), "x".into(), inode).unwrap();
    let (wim, _) = open_first(wim_of(&tree, &[(digest, Content::bytes(blob.clone()))]));
    let blobs = WimBlobs::new(&wim);
    let view = ImageView::new(&tree, &blobs);
    let (mut read, mut largest) = (Vec::new(), 0);
    view.read_pieces(&WimPath::parse("\\x").unwrap(), &mut |piece| {
        largest = largest.max(piece.len());
        read.extend_from_slice(piece);
    })
    .unwrap();
    assert!(read == blob && largest <= 1 << 20, "{} bytes, pieces of {largest}", read.len());
    assert!(view.read_pieces(&WimPath::parse("\\y").unwrap(), &mut |_| ()).is_err());
}
