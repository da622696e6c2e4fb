//! Progress on a terminal: one line at a time, gone when the stage is over.

use std::fmt;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wim_core::base::Error;

use crate::meter::{Painter, Snapshot, stage_name_and_unit, stage_text};
use crate::shell::Shell;

/// A bar on standard error.
pub(crate) struct Bar {
    shell: Shell,
    bar: Option<ProgressBar>,
}

impl Bar {
    /// A bar; warnings go through `shell`, above the bar.
    pub(crate) fn new(shell: Shell) -> Self {
        Self { shell, bar: None }
    }
}

/// Bytes as wimlib shows them: whole numbers of a unit that leaves at most four or five digits.
struct Short(u64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
        let steps = (0..3).take_while(|step| self.0 >> (10 * step) >= 10_000).count();
        write!(f, "{} {}", self.0 >> (10 * steps), UNITS.get(steps).copied().unwrap_or("GiB"))
    }
}

/// `Verifying file data: 512 KiB of 672 KiB (76%)` and the speed.
fn text(now: Snapshot) -> String {
    let what = stage_text(now.stage);
    if stage_name_and_unit(now.stage).1 != "bytes" {
        return if now.total == 0 {
            format!("{what}: {}", now.done)
        } else {
            format!("{what}: {} of {}", now.done, now.total)
        };
    }
    let seconds = now.elapsed.as_secs_f64();
    let speed = if seconds > 0.5 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "for eyes"
        )]
        let bytes_per_second = (now.done as f64 / seconds) as u64;
        format!(", {}/s", Short(bytes_per_second))
    } else {
        String::new()
    };
    if now.total == 0 {
        return format!("{what}: {}{speed}", Short(now.done));
    }
    let percent = u128::from(now.done) * 100 / u128::from(now.total);
    format!("{what}: {} of {} ({percent}%){speed}", Short(now.done), Short(now.total))
}

impl Painter for Bar {
    fn paint(&mut self, now: Snapshot) {
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(now.total), ProgressDrawTarget::stderr());
            // The template is fixed text; should a later indicatif refuse it, its own default does.
            if let Ok(style) = ProgressStyle::with_template("{msg} [{wide_bar}]") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        bar.set_length(now.total.max(1));
        bar.set_position(now.done.min(now.total));
        bar.set_message(text(now));
    }

    fn end(&mut self, _: Snapshot) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn warn(&mut self, warning: &Error) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.shell.complain("warning", &warning.text_with_remedy())),
            None => self.shell.complain("warning", &warning.text_with_remedy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wim_core::base::Stage;

    use super::*;

    #[test]
    fn lines_read_like_wimlibs() {
        let now = |stage, done, total| Snapshot { stage, done, total, elapsed: Duration::ZERO };
        assert_eq!(
            text(now(Stage::Verifying, 512 << 10, 1 << 20)),
            "Verifying file data: 512 KiB of 1024 KiB (50%)"
        );
        assert_eq!(
            text(now(Stage::Writing, 9_999, 20 << 30)),
            "Archiving file data: 9999 bytes of 20 GiB (0%)"
        );
        assert_eq!(text(now(Stage::Scanning, 7, 0)), "Scanning: 7");
        assert_eq!(text(now(Stage::LoadingImages, 1, 2)), "Loading images: 1 of 2");
        assert_eq!(
            text(now(Stage::Writing, u64::MAX, u64::MAX)),
            "Archiving file data: 17179869183 GiB of 17179869183 GiB (100%)"
        );
    }
}
