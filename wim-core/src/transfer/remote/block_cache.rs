//! A bounded cache of aligned blocks between readers and something slow.
//!
//! Blocks that are missing side by side are fetched by one request, a reader that goes on where the last one ended gets some blocks
//! more, and two readers never fetch one block at once. What is fetched from where, the [`Fetch`] knows.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of a block. A WIM is opened by four small reads far from each other, so larger blocks would fetch much for nothing.
const BLOCK_BYTES: u64 = 64 << 10;
/// Most blocks of one request: 4 MiB.
const MAX_RUN: u64 = 64;
/// Most blocks that are kept: 64 MiB.
const MAX_BLOCKS: usize = 1024;

/// Where blocks come from.
pub(super) trait Fetch: Send + Sync {
    /// Reads exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// What makes it impossible, with everything that helps to find out why.
    fn fetch(&self, offset: u64, length: u64) -> io::Result<Vec<u8>>;
}

/// The cache.
pub(super) struct BlockCache<F> {
    fetch: F,
    size: u64,
    state: Mutex<State>,
    /// Told whenever blocks arrived or failed to.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Blocks by number, with the time of their last use.
    blocks: HashMap<u64, (u64, Arc<[u8]>)>,
    in_flight: HashSet<u64>,
    clock: u64,
    /// The block behind the last request, and how many blocks that had.
    expected: (u64, u64),
}

impl<F: Fetch> BlockCache<F> {
    pub(super) fn new(fetch: F, size: u64) -> Self {
        Self { fetch, size, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` behind the end, else those of [`Fetch::fetch`].
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|&end| end <= self.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (mut rest, mut at) = (buf, offset);
        while !rest.is_empty() {
            let number = at / BLOCK_BYTES;
            let block = self.block(number, (end - 1) / BLOCK_BYTES)?;
            let from = usize::try_from(at % BLOCK_BYTES).unwrap_or(usize::MAX);
            let bytes =
                block.get(from..).filter(|bytes| !bytes.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = bytes.len().min(rest.len());
            let (part, behind) = rest.split_at_mut(length);
            part.copy_from_slice(&bytes[..length]);
            (rest, at) = (behind, at + length as u64);
        }
        Ok(())
    }

    /// Block `number`, of a read that ends in block `last`.
    fn block(&self, number: u64, last: u64) -> io::Result<Arc<[u8]>> {
        let mut state = self.lock();
        loop {
            state.clock += 1;
            let now = state.clock;
            if let Some((used, block)) = state.blocks.get_mut(&number) {
                *used = now;
                return Ok(block.clone());
            }
            if !state.in_flight.contains(&number) {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.claim(number, last, self.size.div_ceil(BLOCK_BYTES));
        drop(state);
        let claim = Claim { cache: self, first: number, count };
        let offset = number * BLOCK_BYTES;
        let bytes = self.fetch.fetch(offset, (count * BLOCK_BYTES).min(self.size - offset))?;
        let mut blocks = bytes.chunks(BLOCK_BYTES as usize).map(Arc::<[u8]>::from);
        let first = blocks.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut state = self.lock();
        state.keep(number, first.clone());
        for (block, behind) in blocks.zip(number + 1..) {
            state.keep(behind, block);
        }
        drop(state);
        drop(claim);
        Ok(first)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocks that one reader fetches; given back when it has, or has failed.
struct Claim<'c, F> {
    cache: &'c BlockCache<F>,
    first: u64,
    count: u64,
}

impl<F> Drop for Claim<'_, F> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock().unwrap_or_else(PoisonError::into_inner);
        for number in self.first..self.first + self.count {
            state.in_flight.remove(&number);
        }
        self.cache.changed.notify_all();
    }
}

impl State {
    /// Marks the blocks from `number` on that one request shall fetch, and tells how many these are.
    fn claim(&mut self, number: u64, last: u64, end: u64) -> u64 {
        let (expected, before) = self.expected;
        // Someone who reads on gets twice as much as the time before.
        let ahead = if number == expected && before > 0 { (before * 2).min(MAX_RUN) } else { 1 };
        let wanted = (last - number + 1).max(ahead).min(MAX_RUN).min(end - number);
        let is_free = |number: &u64| !self.blocks.contains_key(number) && !self.in_flight.contains(number);
        let count = (number..number + wanted).take_while(is_free).count() as u64;
        self.in_flight.extend(number..number + count);
        self.expected = (number + count, count);
        count
    }

    fn keep(&mut self, number: u64, block: Arc<[u8]>) {
        if self.blocks.len() >= MAX_BLOCKS {
            // An eighth at a time, so that looking for the oldest ones is rare.
            let mut times: Vec<u64> = self.blocks.values().map(|(used, _)| *used).collect();
            let eighth = times.len() / 8;
            let (_, &mut limit, _) = times.select_nth_unstable(eighth);
            self.blocks.retain(|_, (used, _)| *used >= limit);
        }
        self.clock += 1;
        self.blocks.insert(number, (self.clock, block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Serves bytes that tell where they lie, and counts requests and bytes.
    #[derive(Default)]
    struct Counting {
        requests: AtomicU64,
        bytes: AtomicU64,
    }

    fn byte_at(offset: u64) -> u8 {
        (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
    }

    impl Fetch for &Counting {
        fn fetch(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
            self.requests.fetch_add(1, Ordering::SeqCst);
            self.bytes.fetch_add(length, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok((offset..offset + length).map(byte_at).collect())
        }
    }

    fn check(cache: &BlockCache<&Counting>, offset: u64, length: usize) {
        let mut buf = vec![0; length];
        cache.read(&mut buf, offset).unwrap();
        assert!(buf.iter().zip(offset..).all(|(&byte, at)| byte == byte_at(at)), "{length} at {offset}");
    }

    #[test]
    fn blocks_side_by_side_are_one_request_and_are_kept() {
        let counting = Counting::default();
        let cache = BlockCache::new(&counting, 10 * BLOCK_BYTES + 5);
        check(&cache, 3 * BLOCK_BYTES - 1, 2 * BLOCK_BYTES as usize);
        assert_eq!(counting.requests.load(Ordering::SeqCst), 1);
        assert_eq!(counting.bytes.load(Ordering::SeqCst), 3 * BLOCK_BYTES);
        check(&cache, 3 * BLOCK_BYTES, 1000);
        assert_eq!(counting.requests.load(Ordering::SeqCst), 1);
        check(&cache, 10 * BLOCK_BYTES, 5);
        let mut buf = [0; 2];
        assert!(cache.read(&mut buf, 10 * BLOCK_BYTES + 4).is_err());
        assert!(cache.read(&mut buf, u64::MAX).is_err());
    }

    #[test]
    fn reading_on_fetches_ahead_within_bounds() {
        let counting = Counting::default();
        let size = 256 * BLOCK_BYTES;
        let cache = BlockCache::new(&counting, size);
        for at in (0..size).step_by(4096) {
            check(&cache, at, 4096);
        }
        assert!(counting.requests.load(Ordering::SeqCst) < 20);
        assert_eq!(counting.bytes.load(Ordering::SeqCst), size);
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let counting = Counting::default();
        let cache = BlockCache::new(&counting, 3000 * BLOCK_BYTES);
        for number in (0..3000).rev() {
            check(&cache, number * BLOCK_BYTES, 1);
            assert!(cache.lock().blocks.len() <= MAX_BLOCKS);
        }
    }

    #[test]
    fn two_readers_never_fetch_one_block() {
        let counting = Counting::default();
        let cache = BlockCache::new(&counting, 64 * BLOCK_BYTES);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for at in (0..64 * BLOCK_BYTES).step_by(BLOCK_BYTES as usize / 2) {
                        check(&cache, at, 10);
                    }
                });
            }
        });
        assert_eq!(counting.bytes.load(Ordering::SeqCst), 64 * BLOCK_BYTES);
    }
}
