//! How a memory budget is split between workers' scratch, permits and batches.

/// Below this a batch costs more in locks than it saves in memory.
const MIN_BATCH_BYTES: u64 = 64 << 10;
/// A batch needs about twice its uncompressed size: compressed bytes and their result.
const BUFFERS_PER_BATCH: u64 = 2;

/// A split of a memory budget: `workers × scratch + permits ≤ memory` whenever one worker and one batch fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Items that may be worked on at once.
    pub workers: usize,
    /// Bytes that items between reading and sink may take together.
    pub permit_bytes: u64,
    /// Bytes of each worker's scratch.
    pub scratch_bytes: u64,
    /// Uncompressed bytes that a plan should group into one item.
    pub batch_bytes: u64,
}

impl Budget {
    /// Largest batch: consecutive chunks or small blobs are grouped up to this many uncompressed bytes.
    pub const MAX_BATCH_BYTES: u64 = 1 << 20;

    /// Splits `memory_bytes` for at most `threads` workers that need `scratch_bytes` each.
    ///
    /// If not everything fits: smaller batches first, then fewer permits, then fewer workers. One worker always stays,
    /// so that a job goes on even when its budget is too small for it.
    #[must_use]
    pub fn split(memory_bytes: u64, threads: usize, scratch_bytes: u64) -> Self {
        let mut workers = threads.max(1) as u64;
        while workers > 1 && workers * (scratch_bytes + BUFFERS_PER_BATCH * MIN_BATCH_BYTES) > memory_bytes {
            workers -= 1;
        }
        let permit_bytes = memory_bytes.saturating_sub(workers * scratch_bytes);
        // Four batches a worker keep all of them busy while the sink writes.
        let batch_bytes =
            (permit_bytes / (workers * 4 * BUFFERS_PER_BATCH)).clamp(MIN_BATCH_BYTES, Self::MAX_BATCH_BYTES);
        // More in flight than that only raises the peak.
        let permit_bytes = permit_bytes.min(workers * 8 * BUFFERS_PER_BATCH * batch_bytes);
        Self {
            workers: usize::try_from(workers).unwrap_or(usize::MAX),
            permit_bytes,
            scratch_bytes,
            batch_bytes,
        }
    }

    /// The same, with permits for items of up to `item_bytes` that the plan cannot make smaller: one for each worker and
    /// one for the sink, as far as `memory_bytes` allows.
    #[must_use]
    pub fn for_items_of(self, item_bytes: u64, memory_bytes: u64) -> Self {
        let workers = self.workers as u64;
        let room = memory_bytes.saturating_sub(workers.saturating_mul(self.scratch_bytes));
        let wanted = item_bytes.saturating_mul(workers + 1).min(room);
        Self { permit_bytes: self.permit_bytes.max(wanted), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_stays_within_memory() {
        for threads in [1, 2, 8, 64] {
            for scratch in [0, 100 << 10, 8 << 20] {
                for memory in [1u64 << 20, 16 << 20, 64 << 20, 1 << 30] {
                    let b = Budget::split(memory, threads, scratch);
                    assert!(b.workers >= 1 && b.workers <= threads);
                    if b.workers > 1 {
                        assert!(b.workers as u64 * scratch + b.permit_bytes <= memory, "{b:?}");
                    }
                    assert!((MIN_BATCH_BYTES..=Budget::MAX_BATCH_BYTES).contains(&b.batch_bytes));
                }
            }
        }
    }

    #[test]
    fn little_memory_costs_batches_before_workers() {
        let rich = Budget::split(1 << 30, 8, 1 << 20);
        assert_eq!((rich.workers, rich.batch_bytes), (8, Budget::MAX_BATCH_BYTES));
        let poor = Budget::split(12 << 20, 8, 1 << 20);
        assert_eq!((poor.workers, poor.batch_bytes), (8, MIN_BATCH_BYTES));
        let poorest = Budget::split(3 << 20, 8, 1 << 20);
        assert_eq!(poorest.workers, 2);
    }
}
