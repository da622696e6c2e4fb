//! Two pieces of work at a time, of which neither needs the pool: one waits for the disk, or both take one file in.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `other` on a thread of its own while the caller does `own`; where the system has no thread for it, one after the other.
pub fn side_by_side<A, B: Send>(own: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    // Whoever comes first takes it out: a thread that cannot be made leaves it there.
    let other = Mutex::new(Some(other));
    let run = || {
        let other = other.lock().unwrap_or_else(PoisonError::into_inner).take();
        other.map(|other| other())
    };
    thread::scope(|scope| {
        let beside = thread::Builder::new().spawn_scoped(scope, run).ok();
        let own = own();
        let other = match beside {
            Some(beside) => beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => run(),
        };
        (own, other.expect("nobody else takes it"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_run_at_the_same_time() {
        let (there, here) = (std::sync::Barrier::new(2), thread::current().id());
        let own = || (there.wait(), thread::current().id()).1;
        let other = || (there.wait(), thread::current().id()).1;
        let (own, other) = side_by_side(own, other);
        assert_eq!(own, here);
        assert_ne!(other, here);
    }
}
