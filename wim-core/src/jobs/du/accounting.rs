//! Adds up folders so that a blob counts once in each, however many names have it.
//!
//! For the occurrences of a blob in the order of a walk, its size is added at each and taken away where each meets the one
//! before it: the sum over a folder with all below is then the size, once. Added where all of them meet, it counts for
//! exactly the folders that hold every use of it.

use std::collections::HashMap;

use super::folders::Folders;
use crate::base::Sha1Digest;
use crate::formats::wim::{BlobEntry, ResourceHeader};
use crate::image::{NodeId, Tree};
use crate::jobs::part_set::PartSet;

/// What a folder adds up to, with all below it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) directories: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) distinct_bytes: u64,
    pub(super) own_bytes: u64,
    pub(super) stored_bytes: u64,
    pub(super) own_stored_bytes: u64,
}

/// A blob of the image.
#[derive(Clone, Copy, Debug)]
struct Blob {
    size: u64,
    stored: u64,
    /// Names in this image that have it.
    names: u32,
    /// Uses in the whole file, as its table says.
    uses: u32,
    /// The folders of the last occurrence and where all of them meet.
    last: u32,
    common: u32,
}

/// The sums of all folders, and of each blob its size and its share of a name.
pub(super) struct Sizes {
    folders: Vec<Sums>,
    blobs: HashMap<Sha1Digest, Blob>,
}

impl Sizes {
    pub(super) fn new(tree: &Tree, folders: &Folders, set: &PartSet) -> Self {
        let mut sums = vec![Sums::default(); folders.len()];
        let mut blobs: HashMap<Sha1Digest, Blob> = HashMap::new();
        for visit in tree.walk(tree.root()) {
            let node = tree.node(visit.node);
            let is_directory = tree.inode_of(visit.node).is_directory();
            let folder = match folders.number(visit.node) {
                Some(folder) => folder,
                None => node.parent.and_then(|parent| folders.number(parent)).unwrap_or(0),
            };
            let Some(sum) = sums.get_mut(folder) else { continue };
            sum.directories += u64::from(is_directory);
            sum.files += u64::from(!is_directory);
            for (_, digest) in tree.inode_of(visit.node).streams.iter().filter(|(_, d)| !d.is_zero()) {
                occurrence(&mut blobs, &mut sums, folders, set, (digest, folder));
            }
        }
        for blob in blobs.values().filter(|blob| blob.uses <= blob.names) {
            let sum = &mut sums[blob.common as usize];
            sum.own_bytes = sum.own_bytes.saturating_add(blob.size);
            sum.own_stored_bytes = sum.own_stored_bytes.saturating_add(blob.stored);
        }
        for folder in (1..sums.len()).rev() {
            let below = sums[folder];
            if let Some(parent) = folders.parent(folder) {
                sums[parent].add(&below);
            }
        }
        Self { folders: sums, blobs }
    }

    pub(super) fn of(&self, folder: usize) -> Sums {
        self.folders.get(folder).copied().unwrap_or_default()
    }

    /// Bytes of a file's streams, and its share of what they take in the WIM: names of one blob share it equally.
    pub(super) fn of_file(&self, tree: &Tree, node: NodeId) -> (u64, f64) {
        let blobs = tree.inode_of(node).streams.iter().filter_map(|(_, digest)| self.blobs.get(&digest));
        blobs.fold((0, 0.0), |(bytes, share), blob| {
            (bytes + blob.size, share + blob.stored as f64 / f64::from(blob.names.max(1)))
        })
    }
}

fn occurrence(
    blobs: &mut HashMap<Sha1Digest, Blob>,
    sums: &mut [Sums],
    folders: &Folders,
    set: &PartSet,
    (digest, folder): (Sha1Digest, usize),
) {
    // There are fewer folders than 2^32.
    let here = folder as u32;
    let blob = blobs.entry(digest).or_insert_with(|| {
        let (size, stored, uses) = stored_sizes(set, &digest);
        Blob { size, stored, names: 0, uses, last: here, common: here }
    });
    let sum = &mut sums[folder];
    sum.bytes = sum.bytes.saturating_add(blob.size);
    // Wrapping: a folder may owe what one below it has too much, and all of it adds up in the end.
    sum.distinct_bytes = sum.distinct_bytes.wrapping_add(blob.size);
    sum.stored_bytes = sum.stored_bytes.wrapping_add(blob.stored);
    if blob.names > 0 {
        let meet = &mut sums[folders.common(blob.last as usize, folder)];
        meet.distinct_bytes = meet.distinct_bytes.wrapping_sub(blob.size);
        meet.stored_bytes = meet.stored_bytes.wrapping_sub(blob.stored);
        blob.common = folders.common(blob.common as usize, folder) as u32;
    }
    blob.names = blob.names.saturating_add(1);
    blob.last = here;
}

/// Size, stored size and uses of a blob; zeros for one that no file at hand has.
fn stored_sizes(set: &PartSet, digest: &Sha1Digest) -> (u64, u64, u32) {
    let mut wims = std::iter::once(&set.wim).chain(&set.others);
    let Some((wim, entry)) = wims.find_map(|wim| Some((wim, wim.table().find(digest)?))) else {
        return (0, 0, 0);
    };
    let BlobEntry { header, reference_count, .. } = *entry;
    let stored = match wim.solid_place(entry) {
        // A blob's share of a solid resource is that of its size.
        Ok(place) if header.is_solid() && place.resource.size() > 0 => {
            let run = wim.table().solid_run(digest).and_then(|run| wim.table().solid_runs().get(run));
            let holds = |header: &&ResourceHeader| {
                (header.offset..header.offset.saturating_add(header.stored_size))
                    .contains(&place.resource.offset())
            };
            let stored = run.and_then(|run| run.iter().find(holds)).map_or(0, |header| header.stored_size);
            let whole: u64 = place.resource.size();
            u64::try_from(u128::from(stored) * u128::from(header.size) / u128::from(whole)).unwrap_or(0)
        }
        _ => header.stored_size,
    };
    (header.size, stored, reference_count)
}

impl Sums {
    fn add(&mut self, below: &Self) {
        self.directories += below.directories;
        self.files += below.files;
        self.bytes = self.bytes.saturating_add(below.bytes);
        self.distinct_bytes = self.distinct_bytes.wrapping_add(below.distinct_bytes);
        self.stored_bytes = self.stored_bytes.wrapping_add(below.stored_bytes);
        self.own_bytes = self.own_bytes.saturating_add(below.own_bytes);
        self.own_stored_bytes = self.own_stored_bytes.saturating_add(below.own_stored_bytes);
    }
}
