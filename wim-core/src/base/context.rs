//! What every long operation is given: progress, cancel flag, number of threads, memory budget.

use std::sync::{Arc, OnceLock};

use super::cancel::Cancel;
use super::error::{Error, ErrorKind, Result};
use super::progress::Progress;

/// Memory a job may use for its buffers and codec state when the caller names no number: 192 MiB.
///
/// Trees and tables come on top; with this number the whole process stays under 256 MB on ordinary images.
pub const DEFAULT_MEMORY_BYTES: u64 = 192 << 20;

/// The last parameter of every operation that can take longer than a blink.
pub struct Context<'a> {
    /// Where counts and warnings go.
    pub progress: &'a dyn Progress,
    /// Raised when the user wants to stop.
    pub cancel: &'a Cancel,
    threads: usize,
    memory_bytes: u64,
    is_memory_chosen: bool,
    pool: OnceLock<Arc<rayon::ThreadPool>>,
}

impl<'a> Context<'a> {
    /// A context with one worker per core and the default memory budget.
    #[must_use]
    pub fn new(progress: &'a dyn Progress, cancel: &'a Cancel) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            progress,
            cancel,
            threads,
            memory_bytes: DEFAULT_MEMORY_BYTES,
            is_memory_chosen: false,
            pool: OnceLock::new(),
        }
    }

    /// The same context with `threads` workers, at least 1.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self.pool = OnceLock::new();
        self
    }

    /// The same context with a budget of `bytes` for buffers and codec state.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self.is_memory_chosen = true;
        self
    }

    /// The same context working on a pool that the caller brings along.
    #[must_use]
    pub fn with_pool(mut self, pool: Arc<rayon::ThreadPool>) -> Self {
        self.threads = pool.current_num_threads();
        self.pool = OnceLock::from(pool);
        self
    }

    /// Number of workers.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Bytes that buffers and codec state may take together.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// True when the caller named the budget. Where work cannot be done within the default one, as compressing a chunk of
    /// 64 MiB, it may be exceeded; a budget that was named may not.
    #[must_use]
    pub fn is_memory_chosen(&self) -> bool {
        self.is_memory_chosen
    }

    /// The pool of this context, made on first use.
    pub(crate) fn pool(&self) -> Result<&Arc<rayon::ThreadPool>> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|i| format!("wim-worker-{i}"))
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Io, format!("cannot start {} worker threads: {e}", self.threads))
                    .remedy("ask for fewer threads with --threads")
            })?;
        Ok(self.pool.get_or_init(|| Arc::new(pool)))
    }
}
