//! The flag by which a user stops a running job.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Error, Result};

/// A flag that any thread may raise; jobs look at it at least once per chunk.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// A flag that is down.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks the job to stop; safe to call from a signal handler's thread.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once [`Self::raise`] was called.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails once the flag is raised.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.is_raised() { Err(Error::cancelled()) } else { Ok(()) }
    }
}
