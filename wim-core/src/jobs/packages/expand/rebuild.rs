//! The waves of a plan, rebuilt on many threads and proved.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::plan::{Plan, PlannedFile};
use super::store::Store;
use crate::base::pipeline::{Budget, Cost, map_in_order};
use crate::base::{Context, Digest, Error, Result};
use crate::formats::cbs::cix::{Basis, Recipe};
use crate::formats::delta::apply::{Claim, Proof, apply, table_bytes};

/// Parts of the memory budget, of which opened packages take a quarter: bases that wait, and files on their way.
const LIVE_SHARE: u64 = 4;
const PERMIT_SHARE: u64 = 2;

/// Rebuilds the files of a plan, phase by phase.
pub(super) struct Rebuild<'a> {
    plan: &'a Plan<'a>,
    store: &'a dyn Store,
    /// Files that are still to be made from each file.
    users: Vec<usize>,
    done: Vec<bool>,
    /// Bases in memory, and their bytes together.
    live: HashMap<usize, Arc<[u8]>>,
    live_bytes: u64,
    /// More digests of files, from manifests of the package.
    proofs: HashMap<usize, Vec<Digest>>,
}

/// One file to be rebuilt.
struct Item {
    number: usize,
    basis: Option<Arc<[u8]>>,
    /// Its delta, which had to be read for the cost; none for other recipes.
    delta: Result<Option<Arc<[u8]>>>,
    /// It will be a basis.
    is_kept: bool,
    cost: u64,
}

impl Cost for Item {
    fn cost(&self) -> u64 {
        self.cost
    }
}

/// The bytes of a finished file, for those that are made from it.
struct Finished {
    number: usize,
    bytes: Option<Arc<[u8]>>,
}

impl<'a> Rebuild<'a> {
    /// # Errors
    /// `Limit` when one file alone needs more than the memory of `cx`, whatever the tables of its delta add.
    pub(super) fn new(plan: &'a Plan<'a>, store: &'a dyn Store, cx: &Context<'_>) -> Result<Self> {
        for (number, file) in plan.files.iter().enumerate() {
            let cost = plan.cost(number);
            if cost > cx.memory_bytes() {
                return Err(too_much(cost).in_file(format!("{}: {}", plan.sources.name(), file.path)));
            }
        }
        Ok(Self {
            plan,
            store,
            users: plan.users(),
            done: vec![false; plan.files.len()],
            live: HashMap::new(),
            live_bytes: 0,
            proofs: HashMap::new(),
        })
    }

    /// Adds a digest that a file must have; one that is finished is compared at once.
    ///
    /// # Errors
    /// `Corrupt` when it has another.
    pub(super) fn add_proof(&mut self, number: usize, digest: Digest) -> Result<()> {
        let Some(file) = self.plan.files.get(number) else { return Ok(()) };
        if self.done.get(number) == Some(&true) {
            let bytes = self.store.get(file)?;
            return prove(&bytes, &digest, "its manifest").map_err(|e| self.name(e, file));
        }
        self.proofs.entry(number).or_default().push(digest);
        Ok(())
    }

    /// Rebuilds the files that are marked and not finished.
    ///
    /// # Errors
    /// The first error in the order of the waves, with the file named.
    pub(super) fn run(&mut self, marked: &[bool], cx: &Context<'_>) -> Result<()> {
        let budget = Budget {
            workers: cx.threads(),
            permit_bytes: cx.memory_bytes() / PERMIT_SHARE,
            scratch_bytes: 0,
            batch_bytes: Budget::MAX_BATCH_BYTES,
        };
        for wave in &self.plan.waves {
            let is_due = |number: &&usize| marked.get(**number) == Some(&true) && !self.done[**number];
            let due: Vec<usize> = wave.iter().filter(is_due).copied().collect();
            let (plan, store, proofs) = (self.plan, self.store, std::mem::take(&mut self.proofs));
            // Items are made, one by one as there is room for them, on the thread that takes the results.
            let state = RefCell::new(&mut *self);
            let items = due.into_iter().map(|number| state.borrow().item(number, cx.memory_bytes()));
            let worker = || {
                |item: Item| {
                    let file = &plan.files[item.number];
                    let extra = proofs.get(&item.number).map_or(&[][..], Vec::as_slice);
                    let finished = rebuild_one(plan, store, file, item, extra);
                    finished.map_err(|e| e.in_file(format!("{}: {}", plan.sources.name(), file.path)))
                }
            };
            let mut finished = |done: Finished| {
                cx.progress.advance(plan.files[done.number].length);
                state.borrow_mut().finish(done, cx.memory_bytes() / LIVE_SHARE);
                Ok(())
            };
            map_in_order(cx, &budget, items, worker, &mut finished)?;
            self.proofs = proofs;
        }
        Ok(())
    }

    fn item(&self, number: usize, most_memory: u64) -> Item {
        let file = &self.plan.files[number];
        let basis = file.recipe.basis_file().and_then(|basis| self.live.get(&basis).cloned());
        let mut cost = self.plan.cost(number);
        let delta = match &file.recipe {
            // Few bytes can be many entries of its tables: it has to be looked at.
            Recipe::Delta(source, _) => self.plan.sources.read(source, file.source_bytes).and_then(|delta| {
                cost = cost.saturating_add(table_bytes(&delta));
                if cost > most_memory { Err(too_much(cost)) } else { Ok(Some(delta)) }
            }),
            Recipe::Stored(_) | Recipe::Copy(_) => Ok(None),
        };
        Item { number, basis, delta, is_kept: self.users[number] > 0, cost }
    }

    /// Notes a finished file: its basis has one user less, and it is kept itself while memory allows.
    fn finish(&mut self, finished: Finished, live_limit: u64) {
        self.done[finished.number] = true;
        if let Some(basis) = self.plan.files[finished.number].recipe.basis_file() {
            self.users[basis] = self.users[basis].saturating_sub(1);
            if self.users[basis] == 0
                && let Some(bytes) = self.live.remove(&basis)
            {
                self.live_bytes -= bytes.len() as u64;
            }
        }
        if let Some(bytes) = finished.bytes {
            let length = bytes.len() as u64;
            if self.live_bytes + length <= live_limit {
                self.live_bytes += length;
                self.live.insert(finished.number, bytes);
            }
        }
    }

    fn name(&self, error: Error, file: &PlannedFile) -> Error {
        error.in_file(format!("{}: {}", self.plan.sources.name(), file.path))
    }
}

fn too_much(cost: u64) -> Error {
    Error::limit(format!("rebuilding it takes {cost} bytes of memory or more"))
        .remedy(format!("allow more with --memory={}M", (cost >> 20) + 1))
}

fn rebuild_one(
    plan: &Plan<'_>,
    store: &dyn Store,
    file: &PlannedFile,
    item: Item,
    extra: &[Digest],
) -> Result<Finished> {
    let source = file.recipe.source();
    let stored = match item.delta? {
        Some(delta) => Some(delta),
        None => source.map(|source| plan.sources.read(source, file.source_bytes)).transpose()?,
    };
    let basis = basis_of(plan, store, file, item.basis)?;
    if let (Some(bytes), Some(digest)) = (&stored, source.and_then(|source| source.digest))
        && !(matches!(file.recipe, Recipe::Stored(_)) && file.digest == Some(digest))
    {
        prove(bytes, &digest, "the index about its source")?;
    }
    let finish = |bytes: &[u8]| {
        if bytes.len() as u64 != file.length {
            let message = format!("it has {} bytes, not the {} that are stated", bytes.len(), file.length);
            return Err(Error::corrupt(message).remedy("get the package again from its source"));
        }
        extra.iter().try_for_each(|digest| prove(bytes, digest, "its manifest"))?;
        store.put(file, bytes)
    };
    let keep = |bytes: Arc<[u8]>| item.is_kept.then_some(bytes);
    let bytes = match (&file.recipe, stored, basis) {
        (Recipe::Stored(_), Some(bytes), _) => {
            file.digest.map_or(Ok(()), |digest| prove(&bytes, &digest, "the index"))?;
            finish(&bytes)?;
            keep(bytes)
        }
        (Recipe::Copy(_), _, Some((bytes, proved))) => {
            if file.digest != proved {
                file.digest.map_or(Ok(()), |digest| prove(&bytes, &digest, "the index"))?;
            }
            finish(&bytes)?;
            keep(bytes)
        }
        (Recipe::Delta(..), Some(delta), basis) => {
            let reference = basis.as_ref().map_or(&[][..], |(bytes, _)| bytes);
            let digest = file.digest.or_else(|| extra.first().copied());
            let claim =
                Claim { size: Some(file.length), digest, max_bytes: file.length, proof: Proof::Required };
            let bytes = apply(reference, &delta, &claim)?;
            drop((basis, delta));
            finish(&bytes)?;
            if item.is_kept { Some(bytes.into()) } else { None }
        }
        _ => return Err(Error::unsupported("its recipe is not supported by this version")),
    };
    Ok(Finished { number: item.number, bytes })
}

/// Bytes of a basis, and the digest that they were proved to have.
type ProvedBasis = (Arc<[u8]>, Option<Digest>);

/// The bytes of a file's basis, with the digest that was proved when it was rebuilt.
fn basis_of(
    plan: &Plan<'_>,
    store: &dyn Store,
    file: &PlannedFile,
    live: Option<Arc<[u8]>>,
) -> Result<Option<ProvedBasis>> {
    let number = match file.recipe.basis() {
        None => return Ok(None),
        Some(Basis::File(number)) => *number,
        Some(Basis::Installed(digest)) => {
            let which = digest.map_or(String::new(), |digest| format!(" ({} {digest})", digest.algorithm()));
            let message = format!("it is a delta of a file of an installed system{which}");
            return Err(Error::unsupported(message)
                .remedy("get the full package of this update; express packages cannot be expanded alone"));
        }
    };
    let basis = &plan.files[number];
    if let Some(bytes) = live {
        return Ok(Some((bytes, basis.digest)));
    }
    // It did not fit into memory; what is read back is proved again, since a disk may lie.
    let bytes = store.get(basis)?;
    if let Some(digest) = basis.digest {
        prove(&bytes, &digest, "the index about its basis")?;
    }
    Ok(Some((bytes, basis.digest)))
}

fn prove(bytes: &[u8], digest: &Digest, who: &str) -> Result<()> {
    if digest.matches(bytes) {
        return Ok(());
    }
    let found = digest.of_same_kind(bytes);
    let message = format!("it has the {} {found}, not the {digest} of {who}", digest.algorithm());
    Err(Error::corrupt(message).remedy("get the package again from its source"))
}
