//! What lies between a job and a progress display: jobs push counts, one thread paints them ten times a second.
//!
//! A display ([`Painter`]) sees snapshots only; whether it is a bar or JSON lines does not matter here. Warnings pass
//! through at once, and are counted out after [`MAX_WARNINGS`], so that a hostile file cannot flood a log.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wim_core::base::{Error, Progress, Stage};

/// Time between two paintings.
const INTERVAL: Duration = Duration::from_millis(100);
/// Warnings that are shown; the rest is counted.
const MAX_WARNINGS: usize = 100;

/// What is known at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    /// What the job is doing.
    pub(crate) stage: Stage,
    /// Units done.
    pub(crate) done: u64,
    /// Units in all, 0 when unknown.
    pub(crate) total: u64,
    /// Time since the stage began.
    pub(crate) elapsed: Duration,
}

/// Shows progress.
pub(crate) trait Painter: Send + 'static {
    /// Shows where the stage stands.
    fn paint(&mut self, now: Snapshot);
    /// The stage is over.
    fn end(&mut self, last: Snapshot);
    /// Shows a warning.
    fn warn(&mut self, warning: &Error);
}

/// The counts of a running job.
pub(crate) struct Meter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    done: AtomicU64,
    warnings: AtomicUsize,
    painting: Mutex<Painting>,
    /// Woken when the meter ends, so that a short job does not wait for the interval.
    over: Condvar,
}

struct Painting {
    painter: Box<dyn Painter>,
    stage: Option<(Stage, u64, Instant)>,
    is_over: bool,
}

impl Painting {
    fn snapshot(&self, done: u64) -> Option<Snapshot> {
        self.stage.map(|(stage, total, since)| Snapshot { stage, done, total, elapsed: since.elapsed() })
    }

    fn end_stage(&mut self, done: u64) {
        if let Some(last) = self.snapshot(done) {
            self.painter.end(last);
            self.stage = None;
        }
    }
}

impl Shared {
    fn painting(&self) -> std::sync::MutexGuard<'_, Painting> {
        self.painting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paint_until_over(&self) {
        let mut painting = self.painting();
        while !painting.is_over {
            let waited = self.over.wait_timeout(painting, INTERVAL);
            painting = waited.unwrap_or_else(PoisonError::into_inner).0;
            if let Some(now) = painting.snapshot(self.done.load(Ordering::Relaxed)) {
                painting.painter.paint(now);
            }
        }
    }
}

impl Meter {
    /// A meter shown by `painter`. When no thread can be had, stages are shown at their ends only.
    pub(crate) fn new(painter: Box<dyn Painter>) -> Self {
        let shared = Arc::new(Shared {
            done: AtomicU64::new(0),
            warnings: AtomicUsize::new(0),
            painting: Mutex::new(Painting { painter, stage: None, is_over: false }),
            over: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("wim-progress".to_owned())
            .spawn(move || of_thread.paint_until_over())
            .ok();
        Self { shared, thread }
    }

    /// Ends the display; what was painted is gone or complete.
    pub(crate) fn finish(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        {
            let mut painting = self.shared.painting();
            painting.end_stage(self.shared.done.load(Ordering::Relaxed));
            painting.is_over = true;
            let hidden = self.shared.warnings.load(Ordering::Relaxed).saturating_sub(MAX_WARNINGS);
            if hidden > 0 {
                let error = Error::new(wim_core::base::ErrorKind::Limit, format!("{hidden} more warnings"));
                painting.painter.warn(&error);
            }
        }
        self.shared.over.notify_all();
        // A painter that panicked has no more to show.
        let _ = thread.join();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Progress for Meter {
    fn start(&self, stage: Stage, total: u64) {
        let mut painting = self.shared.painting();
        painting.end_stage(self.shared.done.load(Ordering::Relaxed));
        self.shared.done.store(0, Ordering::Relaxed);
        painting.stage = Some((stage, total, Instant::now()));
    }

    fn advance(&self, amount: u64) {
        self.shared.done.fetch_add(amount, Ordering::Relaxed);
    }

    fn warn(&self, warning: &Error) {
        if self.shared.warnings.fetch_add(1, Ordering::Relaxed) < MAX_WARNINGS {
            self.shared.painting().painter.warn(warning);
        }
    }
}

/// What a stage is called on a display, as wimlib words it.
pub(crate) fn stage_text(stage: Stage) -> &'static str {
    match stage {
        Stage::LoadingImages => "Loading images",
        Stage::Scanning => "Scanning",
        Stage::Hashing => "Hashing file data",
        Stage::Verifying => "Verifying file data",
        Stage::CheckingIntegrity => "Verifying integrity",
        Stage::Extracting => "Extracting file data",
        Stage::Writing => "Archiving file data",
        Stage::MakingIntegrity => "Calculating integrity table",
        Stage::Measuring => "Measuring codecs",
        _ => "Working",
    }
}

/// What a stage is called in JSON, and the unit of its numbers.
pub(crate) fn stage_name_and_unit(stage: Stage) -> (&'static str, &'static str) {
    match stage {
        Stage::LoadingImages => ("loading_images", "images"),
        Stage::Scanning => ("scanning", "files"),
        Stage::Hashing => ("hashing", "bytes"),
        Stage::Verifying => ("verifying", "bytes"),
        Stage::CheckingIntegrity => ("checking_integrity", "bytes"),
        Stage::Extracting => ("extracting", "bytes"),
        Stage::Writing => ("writing", "bytes"),
        Stage::MakingIntegrity => ("making_integrity", "bytes"),
        Stage::Measuring => ("measuring", "bytes"),
        _ => ("working", "items"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Recorder(Sender<String>);

    impl Painter for Recorder {
        fn paint(&mut self, _: Snapshot) {}
        fn end(&mut self, last: Snapshot) {
            let _ = self.0.send(format!("{:?} {}/{}", last.stage, last.done, last.total));
        }
        fn warn(&mut self, warning: &Error) {
            let _ = self.0.send(warning.to_string());
        }
    }

    #[test]
    fn stages_end_with_their_counts_and_warnings_are_bounded() {
        let (send, receive) = channel();
        let meter = Meter::new(Box::new(Recorder(send)));
        meter.start(Stage::Scanning, 0);
        meter.advance(7);
        meter.start(Stage::Writing, 10);
        meter.advance(4);
        meter.advance(6);
        (0..MAX_WARNINGS + 5).for_each(|_| meter.warn(&Error::corrupt("odd")));
        meter.finish();
        let seen: Vec<String> = receive.iter().collect();
        assert_eq!(seen[0], "Scanning 7/0");
        assert_eq!(seen.iter().filter(|text| *text == "odd").count(), MAX_WARNINGS);
        assert_eq!(seen[seen.len() - 2..], ["Writing 10/10", "5 more warnings"]);
    }
}
