//! WIM files of trees that tests made or captured.

use std::sync::Arc;

use lz_kit::Level;
use wim_core::base::{Cancel, ChunkSize, Context, Sha1Digest, Silent};
use wim_core::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimXml};
use wim_core::image::edit::Content;
use wim_core::image::{Tree, load, store};
use wim_core::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, write,
};

/// A WIM of one image, in memory.
pub(crate) fn wim_of(tree: &Tree, contents: &[(Sha1Digest, Content)]) -> Vec<u8> {
    let wim = NewWim {
        format: ChunkFormat::new(Compression::Xpress, ChunkSize::DEFAULT).unwrap(),
        level: Level::FAST,
        packing: Packing::Separate,
        guid: None,
        flags: HeaderFlags(HeaderFlags::RP_FIX),
        xml: WimXml::empty(0),
        images: vec![NewImage::new(
            NewMetadata::new(store::store(tree)),
            ImageXml::default(),
            tree.blob_references(),
        )],
        sources: Vec::new(),
        contents,
        boot: None,
        integrity: Integrity::Omit,
        recompress: Recompress::WhenNeeded,
        copy_checksums: CopyChecksums::Drop,
    };
    let cancel = Cancel::new();
    let mut file = Vec::new();
    write(&Context::new(&Silent, &cancel).with_threads(2), wim, &mut file).unwrap();
    file
}

/// Opens a WIM that lies in memory, and loads its first image.
pub(crate) fn open_first(bytes: Vec<u8>) -> (WimFile, Tree) {
    let wim = WimFile::open(Arc::new(bytes), "test.wim").unwrap();
    let metadata = wim.read_metadata(wim.images().next().unwrap(), 1 << 30).unwrap();
    let tree = load::load(&metadata, &mut |e| panic!("{e}")).unwrap();
    (wim, tree)
}
