//! Registry hives compared by their keys and values.
//!
//! Which file is a hive is told by its first bytes. Hives are opened with their logs where they are dirty, as every other
//! job opens them.

use super::report::HiveComparison;
use super::side::Side;
use crate::base::{Context, Error, Result, Sha1Digest};
use crate::formats::hive::{CompareTimes, Hive};
use crate::image::edit::ImageView;
use crate::image::{BlobSource, NodeId};
use crate::jobs::registry::{HiveDifference, limit_bytes};
use crate::servicing::hive_set::{HiveOptions, HiveSet};

/// First bytes of a hive.
const SIGNATURE: &[u8] = b"regf";
/// Smallest hive: the base block and one bin.
const MIN_BYTES: u64 = 2 * 4096;

/// Compares two files by key, when both are hives; at most `most` differences are kept.
pub(super) fn compare(
    cx: &Context<'_>,
    (old, old_node): (&Side, NodeId),
    (new, new_node): (&Side, NodeId),
    most: usize,
) -> Option<HiveComparison> {
    let digest = |side: &Side, node| side.tree.inode_of(node).data();
    if most == 0 || !is_hive(old, &digest(old, old_node)) || !is_hive(new, &digest(new, new_node)) {
        return None;
    }
    let found = open(cx, old, old_node).and_then(|old_hive| {
        let new_hive = open(cx, new, new_node)?;
        cx.cancel.check()?;
        old_hive.diff(&new_hive, CompareTimes::No)
    });
    Some(match found {
        Ok(found) => {
            let more = found.len().saturating_sub(most);
            let differences = found.into_iter().take(most).map(|one| HiveDifference::new("", one)).collect();
            HiveComparison { differences, more, error: None }
        }
        Err(error) => HiveComparison { differences: Vec::new(), more: 0, error: Some(error.to_string()) },
    })
}

fn is_hive(side: &Side, digest: &Sha1Digest) -> bool {
    let is_large = side.set.blob_size(digest).is_some_and(|size| size >= MIN_BYTES && size % 4096 == 0);
    is_large && side.parts().read(digest, 0, SIGNATURE.len()).is_ok_and(|start| start == SIGNATURE)
}

fn open(cx: &Context<'_>, side: &Side, node: NodeId) -> Result<Hive> {
    let blobs = side.blobs();
    let view = ImageView::new(&side.tree, &blobs as &dyn BlobSource);
    let mut set = HiveSet::new(&view, HiveOptions::default()).with_limit(limit_bytes(cx));
    let name = set.add_path(&side.tree.path_of(node))?;
    set.take(name)?.ok_or_else(|| Error::not_found("the hive is not in the image"))
}
