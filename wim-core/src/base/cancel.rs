//! The flag by which a user stops a running job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::error::{Error, Result};

/// A flag that any thread may raise; jobs look at it at least once per chunk.
#[derive(Debug, Default)]
pub struct Cancel {
    is_raised: AtomicBool,
    /// Flags that are raised with this one.
    followers: Mutex<Vec<Weak<Cancel>>>,
}

impl Cancel {
    /// A flag that is down.
    #[must_use]
    pub const fn new() -> Self {
        Self { is_raised: AtomicBool::new(false), followers: Mutex::new(Vec::new()) }
    }

    /// Asks the job to stop; safe to call from a signal handler's thread.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::SeqCst);
        let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.iter().filter_map(Weak::upgrade).for_each(|follower| follower.raise());
    }

    /// A flag that is raised with this one, for what may outlive it.
    #[must_use]
    pub fn follower(&self) -> Arc<Self> {
        let follower = Arc::new(Self::new());
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(Arc::downgrade(&follower));
        drop(followers);
        // It may have been raised before.
        if self.is_raised() {
            follower.raise();
        }
        follower
    }

    /// True once [`Self::raise`] was called.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    /// Fails once the flag is raised.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.is_raised() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_are_raised_with_the_flag_and_not_the_other_way() {
        let cancel = Cancel::new();
        let (first, second) = (cancel.follower(), cancel.follower());
        first.raise();
        assert!(first.is_raised() && !second.is_raised() && cancel.check().is_ok());
        drop(first);
        cancel.raise();
        assert!(second.is_raised() && cancel.check().is_err() && cancel.follower().is_raised());
    }
}
