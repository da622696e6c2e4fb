//! Two images compared: what was added, removed, renamed and changed, and in what.
//!
//! Trees are walked side by side and contents compared by their digests, so that nothing is decoded but registry hives that
//! differ, which are compared by key, and the targets of links. Differences are handed out one by one in the order of the
//! walk: that of NTFS, a directory before what it holds.

mod aspect;
mod compare;
mod hives;
mod pairing;
mod properties;
mod renames;
mod report;
mod side;

pub use aspect::{Aspect, Aspects};
pub use report::{
    Change, ContentChange, DiffTotals, Difference, HiveComparison, ItemChange, OldNew, ReparseState,
    StreamChange, StreamState,
};

use self::compare::{Comparison, kind_of};
use self::pairing::{Pairing, Step};
use self::renames::Renames;
use self::side::Side;
use super::dir::{find_typed, slashes, typed_path};
use super::registry::Target;
use crate::base::{Context, Error, Place, Result};
use crate::image::{NodeId, Tree};

/// How two images are compared.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// What files may differ in without being told of.
    pub ignored: Aspects,
    /// The file or directory that is compared with all below it; the root when it is empty.
    pub path: String,
    /// Most differences of keys that are told of a hive; 0 compares hives as other files.
    pub hive_differences: usize,
    /// Whether the descriptions of the images are compared.
    pub properties: Properties,
}

/// Whether the descriptions of the images in the XML are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Properties {
    /// Yes.
    Compare,
    /// No: only files.
    Omit,
}

/// What the walk has found, a directory before what it holds.
enum Event {
    Removed(NodeId),
    Added(NodeId),
    /// A name in both trees with something to tell of it; true when its links differ.
    Changed(NodeId, NodeId, bool),
    Renamed(NodeId, NodeId, bool),
}

/// Compares the images that `old` and `new` name and hands each difference to `tell`.
///
/// # Errors
/// `NotFound` when the path is in neither image; what opening and loading give, and what `tell` returns.
pub fn run(
    cx: &Context<'_>,
    (old, new): (&Target, &Target),
    options: &DiffOptions,
    tell: &mut dyn FnMut(&Difference) -> Result<()>,
) -> Result<DiffTotals> {
    let sides = [Side::open(cx, &old.compared_with(new))?, Side::open(cx, &new.compared_with(old))?];
    let [old, new] = &sides;
    let mut totals = DiffTotals::default();
    if options.properties == Properties::Compare {
        for difference in properties::differences((&old.set.wim, old.image), (&new.set.wim, new.image)) {
            totals.properties += 1;
            tell(&difference)?;
        }
    }
    let mut walk = Walk::new(Comparison::new(old, new, options.ignored));
    let start = first_step(cx, old, new, &options.path)?;
    for event in walk.events(cx, start)? {
        cx.cancel.check()?;
        if let Some(difference) = walk.difference(cx, &event, options, &mut totals) {
            tell(&difference)?;
        }
    }
    Ok(totals)
}

/// Where the walk begins.
fn first_step(cx: &Context<'_>, old: &Side, new: &Side, path: &str) -> Result<Step> {
    let typed = typed_path(path);
    let find = |side: &Side| find_typed(cx, (&side.tree, &side.place()), &typed);
    match (find(old), find(new)) {
        (Some(a), Some(b)) => Ok(Step::Pair(a, b)),
        (Some(a), None) => Ok(Step::Removed(a)),
        (None, Some(b)) => Ok(Step::Added(b)),
        (None, None) => Err(Error::not_found("the path is in neither image")
            .at(Place::Path(path.to_owned()))
            .remedy("list the paths with wim dir")),
    }
}

struct Walk<'s> {
    comparison: Comparison<'s>,
    /// For each inode of the old tree and of the new one the first pair of names it was met in; 0 for none yet.
    first_pairs: [Vec<u32>; 2],
    pairs: u32,
}

impl<'s> Walk<'s> {
    fn new(comparison: Comparison<'s>) -> Self {
        let bounds = [comparison.old.tree.inode_bound(), comparison.new.tree.inode_bound()];
        Self { comparison, first_pairs: bounds.map(|bound| vec![0; bound]), pairs: 0 }
    }

    fn trees(&self) -> (&'s Tree, &'s Tree) {
        (&self.comparison.old.tree, &self.comparison.new.tree)
    }

    /// Goes through both trees, then puts renames in the place of what they explain.
    fn events(&mut self, cx: &Context<'_>, start: Step) -> Result<Vec<Event>> {
        let (old, new) = self.trees();
        let (mut events, mut one_sided) = (Vec::new(), Vec::new());
        for step in Pairing::new(old, new, vec![start]) {
            match step {
                Step::Pair(a, b) => events.extend(self.changed(a, b)),
                Step::Removed(node) => events.push(Event::Removed(node)),
                Step::Added(node) => events.push(Event::Added(node)),
            }
            if !matches!(step, Step::Pair(..)) {
                one_sided.push(step);
            }
        }
        cx.cancel.check()?;
        let renames = renames::find(old, new, &one_sided, self.comparison.ignored);
        if renames.old_of.is_empty() {
            return Ok(events);
        }
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            match event {
                Event::Removed(node) if renames.taken_old.contains(&node) => {}
                Event::Added(node) if renames.taken_new.contains(&node) => {
                    self.renamed(node, &renames, &mut out);
                }
                other => out.push(other),
            }
        }
        Ok(out)
    }

    /// The pair with something to tell, if there is something.
    fn changed(&mut self, a: NodeId, b: NodeId) -> Option<Event> {
        let links_differ = self.links_differ(a, b);
        let changes = self.comparison.changes(a, b, links_differ);
        (!changes.is_empty()).then_some(Event::Changed(a, b, links_differ))
    }

    /// A rename, and what changed below it; nothing for what lies below a renamed directory itself.
    fn renamed(&mut self, node: NodeId, renames: &Renames, out: &mut Vec<Event>) {
        let Some(&from) = renames.old_of.get(&node) else { return };
        let links_differ = self.links_differ(from, node);
        out.push(Event::Renamed(from, node, links_differ));
        let (old, new) = self.trees();
        for step in Pairing::new(old, new, vec![Step::Pair(from, node)]).skip(1) {
            if let Step::Pair(a, b) = step {
                out.extend(self.changed(a, b));
            }
        }
    }

    /// True when the names of the two files are not each other's partners all through.
    fn links_differ(&mut self, a: NodeId, b: NodeId) -> bool {
        let (old, new) = self.trees();
        let (inode, other) = (old.node(a).inode, new.node(b).inode);
        let names = (old.inode(inode).names, new.inode(other).names);
        if names == (1, 1) {
            return false;
        }
        self.pairs = self.pairs.saturating_add(1);
        let mut first = |which: usize, index: usize| match self.first_pairs[which].get_mut(index) {
            Some(first) => {
                if *first == 0 {
                    *first = self.pairs;
                }
                *first
            }
            None => 0,
        };
        first(0, inode.index()) != first(1, other.index()) || names.0 != names.1
    }

    fn difference(
        &self,
        cx: &Context<'_>,
        event: &Event,
        options: &DiffOptions,
        totals: &mut DiffTotals,
    ) -> Option<Difference> {
        let (old, new) = self.trees();
        let path = |tree: &Tree, node| slashes(&tree.path_of(node));
        match *event {
            Event::Removed(node) => {
                totals.removed += 1;
                Some(one_sided("removed", self.comparison.old, node))
            }
            Event::Added(node) => {
                totals.added += 1;
                Some(one_sided("added", self.comparison.new, node))
            }
            Event::Changed(a, b, links_differ) => {
                let changes = self.with_hives(cx, (a, b), links_differ, options);
                if changes.is_empty() {
                    return None;
                }
                totals.changed += 1;
                let (old_path, path) = (path(old, a), path(new, b));
                let old_path = (old_path != path).then_some(old_path);
                let kind = Some(kind_of(new.inode_of(b)));
                Some(Difference { change: "changed", path, old_path, kind, size: None, changes })
            }
            Event::Renamed(a, b, links_differ) => {
                totals.renamed += 1;
                let (old_path, path) = (Some(path(old, a)), path(new, b));
                let kind = Some(kind_of(new.inode_of(b)));
                let changes = self.with_hives(cx, (a, b), links_differ, options);
                Some(Difference { change: "renamed", path, old_path, kind, size: None, changes })
            }
        }
    }

    /// The changes of a pair, with hives compared by key.
    fn with_hives(
        &self,
        cx: &Context<'_>,
        (a, b): (NodeId, NodeId),
        links_differ: bool,
        options: &DiffOptions,
    ) -> Vec<Change> {
        let sides = (self.comparison.old, self.comparison.new);
        let mut changes = self.comparison.changes(a, b, links_differ);
        for change in &mut changes {
            if let Change::Content(ContentChange { hive, .. }) = change {
                *hive = hives::compare(cx, (sides.0, a), (sides.1, b), options.hive_differences);
            }
        }
        if options.ignored.has(Aspect::HiveLayout) {
            let is_layout = |change: &Change| matches!(change, Change::Content(ContentChange { hive: Some(hive), .. }) if hive.is_same());
            changes.retain(|change| !is_layout(change));
        }
        changes
    }
}

fn one_sided(change: &'static str, side: &Side, node: NodeId) -> Difference {
    let inode = side.tree.inode_of(node);
    let kind = kind_of(inode);
    let data = inode.data();
    let size = match kind {
        "file" if data.is_zero() => Some(0),
        "file" => side.set.blob_size(&data),
        _ => None,
    };
    let path = slashes(&side.tree.path_of(node));
    Difference { change, path, old_path: None, kind: Some(kind), size, changes: Vec::new() }
}
