//! Brings a growing file to the disk while its next bytes are still being made.
//!
//! Whoever syncs a large file at its end waits for the disk while the processor idles. Here a thread syncs what is there each
//! time enough has come, so that the sync at the end finds little left. It does not decide when a file is complete.

use std::fs::File;
use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};

/// Bytes that are gathered before the disk gets them: small files are left to the sync at their end.
const STEP_BYTES: u64 = 64 << 20;

/// Syncs one file in the background.
#[derive(Debug, Default)]
pub(super) struct WriteBehind {
    /// Bytes written since the disk was last asked to take them.
    waiting: u64,
    thread: Option<Syncing>,
}

#[derive(Debug)]
struct Syncing {
    steps: Sender<()>,
    outcome: JoinHandle<io::Result<()>>,
}

impl WriteBehind {
    /// Notes that `bytes` more have been written to `file`, and has them synced if there are enough.
    pub(super) fn written(&mut self, file: &File, bytes: u64) {
        self.waiting = self.waiting.saturating_add(bytes);
        if self.waiting < STEP_BYTES {
            return;
        }
        if self.thread.is_none() {
            self.thread = Syncing::begin(file);
        }
        let Some(syncing) = &self.thread else { return };
        // Full: the disk is slower than we are, and the step that waits takes these bytes too. Disconnected: it failed, which
        // `finish` tells.
        match syncing.steps.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) | Err(TrySendError::Disconnected(())) => self.waiting = 0,
        }
    }

    /// Waits for the thread; what is left to be synced is the caller's.
    ///
    /// # Errors
    /// What the disk said to an earlier step. The system tells it once, so it would be lost otherwise.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.waiting = 0;
        let Some(Syncing { steps, outcome }) = self.thread.take() else { return Ok(()) };
        drop(steps);
        outcome.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Syncing {
    /// None where the system has no more handles or threads: the sync at the end does it all then.
    fn begin(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (steps, arrivals) = bounded(1);
        let name = "wim-sync".to_owned();
        let work = move || arrivals.iter().try_for_each(|()| file.sync_data());
        let outcome = std::thread::Builder::new().name(name).spawn(work).ok()?;
        Some(Self { steps, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_left_alone() {
        let file = tempfile::tempfile().unwrap();
        let mut behind = WriteBehind::default();
        behind.written(&file, 1 << 20);
        assert!(behind.thread.is_none());
        behind.finish().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_the_disk_said_is_told_at_the_end() {
        // A pipe cannot be synced, which stands for a disk that fails.
        let (reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut behind = WriteBehind::default();
        for _ in 0..4 {
            behind.written(&file, 64 << 20);
        }
        assert!(behind.finish().is_err());
        behind.finish().unwrap();
        drop(reader);
    }

    #[test]
    fn many_steps_are_synced() {
        let file = tempfile::tempfile().unwrap();
        let mut behind = WriteBehind::default();
        for _ in 0..8 {
            behind.written(&file, 64 << 20);
        }
        assert!(behind.thread.is_some());
        behind.finish().unwrap();
    }
}
