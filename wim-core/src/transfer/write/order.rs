//! The order in which blobs are packed into solid resources: similar ones side by side.
//!
//! A match can only reach back within its chunk, and costs less the nearer it is, so that what is alike should lie together
//! (wim-format 6.5). Names tell more than anything else that is known before the data is read: blobs are ordered by the
//! extension of their shortest name, then by the name, so that a program's versions follow each other. Contents are not
//! looked at.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::base::Sha1Digest;
use crate::base::upcase::upcase;
use crate::image::Tree;
use crate::transfer::read::BlobInput;

/// What is known of the names of blobs. Without any, blobs are packed in the order in which they are given.
#[derive(Clone, Debug, Default)]
pub struct SolidOrder {
    names: HashMap<Sha1Digest, Box<[u16]>>,
}

impl SolidOrder {
    /// Takes the names in `tree`; of several names of a blob the shortest counts, and of equally long ones the first.
    pub fn add_tree(&mut self, tree: &Tree) {
        for visit in tree.walk(tree.root()) {
            let digests = tree.inode_of(visit.node).streams.iter().map(|(_, digest)| digest);
            let name = tree.node(visit.node).name.units();
            for digest in digests.filter(|digest| !digest.is_zero()) {
                let folded = || name.iter().map(|&unit| upcase(unit)).collect();
                match self.names.entry(digest) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(folded());
                    }
                    Entry::Occupied(mut known) if name.len() <= known.get().len() => {
                        let folded: Box<[u16]> = folded();
                        if (folded.len(), &folded) < (known.get().len(), known.get()) {
                            known.insert(folded);
                        }
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
    }

    /// Puts `inputs` in order. Those that lie in solid resources come last and as they are: each of their chunks is then
    /// decoded once, and whoever packed them had put them in order.
    pub(super) fn sort(&self, inputs: &mut [BlobInput<'_>]) {
        if self.names.is_empty() {
            return;
        }
        inputs.sort_by_cached_key(|input| {
            if input.is_solid() {
                return (true, Vec::new(), 0, Sha1Digest::ZERO);
            }
            let name = self.names.get(&input.digest).map_or(&[][..], AsRef::as_ref);
            (false, similarity(name), input.size, input.digest)
        });
    }
}

/// The extension and then the name, to be compared unit by unit.
fn similarity(name: &[u16]) -> Vec<u16> {
    let dot = name.iter().rposition(|&unit| unit == u16::from(b'.'));
    let extension = dot.and_then(|dot| name.get(dot + 1..)).unwrap_or(&[]);
    // No name has a NUL, so that an extension sorts before all longer ones that begin with it.
    [extension, &[0], name].concat()
}
