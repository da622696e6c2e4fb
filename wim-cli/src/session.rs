//! What every verb is given: the shell, and contexts for its jobs made of the options that all verbs share.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use wim_core::base::{Cancel, Context, Error, ErrorKind};

use crate::arguments::parse_bytes;
use crate::meter::{Meter, Painter};
use crate::progress_bar::Bar;
use crate::progress_json::{JsonLines, WarningsOnly};
use crate::shell::{Form, Shell, Volume};

/// Smallest memory budget that jobs are given.
const MIN_MEMORY_BYTES: u64 = 16 << 20;

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub(crate) struct SharedOptions {
    /// End with wimlib's error numbers
    #[arg(long, global = true, help_heading = "Options of every verb")]
    wimlib_exit_codes: bool,
    /// Print the answer as one JSON object
    #[arg(long, global = true, help_heading = "Options of every verb")]
    pub(crate) json: bool,
    /// Print answers, warnings and errors only
    #[arg(long, global = true, help_heading = "Options of every verb")]
    pub(crate) quiet: bool,
    /// Number of worker threads [default: one per core]
    #[arg(long, global = true, value_name = "N", value_parser = parse_threads, help_heading = "Options of every verb")]
    pub(crate) threads: Option<usize>,
    /// Memory for buffers and codecs, as in 256M [default: 192M]
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_memory, help_heading = "Options of every verb")]
    pub(crate) memory: Option<u64>,
    /// How progress is shown on standard error
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value = "auto",
        help_heading = "Options of every verb"
    )]
    pub(crate) progress: ProgressKind,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A bar when standard error is a terminal, else nothing.
    Auto,
    /// A bar.
    Bar,
    /// One JSON object a line.
    Json,
    /// Nothing.
    None,
}

/// A number of threads; 0 means one per core, as with wimlib-imagex.
pub(crate) fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Ok(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
        Ok(number) if number <= 1024 => Ok(number),
        _ => Err("the number of threads must be an integer from 0 to 1024".to_owned()),
    }
}

fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if bytes < MIN_MEMORY_BYTES {
        return Err(format!("{text} is too little; jobs need at least {}M", MIN_MEMORY_BYTES >> 20));
    }
    Ok(bytes)
}

/// The shell and what jobs need.
pub(crate) struct Session {
    pub(crate) shell: Shell,
    options: SharedOptions,
    cancel: &'static Cancel,
}

impl Session {
    /// A session with these options.
    pub(crate) fn new(options: SharedOptions, cancel: &'static Cancel) -> Self {
        let volume = if options.quiet { Volume::Quiet } else { Volume::Normal };
        let form = if options.json { Form::Json } else { Form::Text };
        Self { shell: Shell::new(volume, form), options, cancel }
    }

    /// Runs a job with its progress shown; the display is gone when this returns.
    pub(crate) fn run<T>(&self, job: impl FnOnce(&Context<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let meter = Meter::new(self.painter());
        let mut cx = Context::new(&meter, self.cancel);
        if let Some(threads) = self.options.threads {
            cx = cx.with_threads(threads);
        }
        if let Some(memory) = self.options.memory {
            cx = cx.with_memory(memory);
        }
        let result = job(&cx);
        drop(cx);
        meter.finish();
        // A read that was broken off because the user wants to stop says so as the system would say it.
        result.map_err(|error| match error.kind() {
            ErrorKind::Io if self.cancel.is_raised() => Error::cancelled(),
            _ => error,
        })
    }

    fn painter(&self) -> Box<dyn Painter> {
        let shell = self.shell.clone();
        match self.options.progress {
            ProgressKind::Json => Box::new(JsonLines),
            ProgressKind::Bar => Box::new(Bar::new(shell)),
            ProgressKind::Auto if !self.options.quiet && io::stderr().is_terminal() => {
                Box::new(Bar::new(shell))
            }
            ProgressKind::Auto | ProgressKind::None => Box::new(WarningsOnly(shell)),
        }
    }
}
