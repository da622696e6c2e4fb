//! Progress of long jobs: the library pushes counts, the command polls and paints them.
//!
//! No rate limiting, formatting or clock in here; an [`advance`](Progress::advance) is one atomic add.

use std::sync::Mutex;

use super::error::Error;

/// What a job is doing; it names the unit of the numbers that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Reading directory trees; unit: images.
    LoadingImages,
    /// Scanning a source tree on the host; unit: files.
    Scanning,
    /// Hashing host files; unit: bytes.
    Hashing,
    /// Verifying file data; unit: uncompressed bytes.
    Verifying,
    /// Checking the integrity table; unit: bytes of the file.
    CheckingIntegrity,
    /// Extracting file data; unit: uncompressed bytes.
    Extracting,
    /// Writing resources; unit: bytes copied as they are plus uncompressed bytes encoded.
    Writing,
    /// Making the integrity table; unit: bytes of the file.
    MakingIntegrity,
    /// Measuring codecs; unit: uncompressed bytes.
    Measuring,
}

/// Receives the progress of one job; called from any thread.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is in the stage's unit, 0 when unknown.
    fn start(&self, stage: Stage, total: u64);
    /// `amount` more units are done.
    fn advance(&self, amount: u64);
    /// Something the user should know that does not stop the job.
    fn warn(&self, warning: &Error);
}

/// Says nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: Stage, _: u64) {}
    fn advance(&self, _: u64) {}
    fn warn(&self, _: &Error) {}
}

/// Remembers everything, for tests.
#[derive(Debug, Default)]
pub struct Recording {
    stages: Mutex<Vec<(Stage, u64, u64)>>,
    warnings: Mutex<Vec<String>>,
}

impl Recording {
    /// Stages so far as (stage, total announced, amount advanced).
    #[must_use]
    pub fn stages(&self) -> Vec<(Stage, u64, u64)> {
        self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Texts of the warnings so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Progress for Recording {
    fn start(&self, stage: Stage, total: u64) {
        self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((stage, total, 0));
    }

    fn advance(&self, amount: u64) {
        if let Some(last) = self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).last_mut() {
            last.2 += amount;
        }
    }

    fn warn(&self, warning: &Error) {
        self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(warning.to_string());
    }
}
