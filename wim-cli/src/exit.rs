//! How the command ends: 0 done, 1 the answer is no, 2 failed or misused, 130 cancelled.
//!
//! A closed pipe behind standard output is success, as the reader has seen enough.

use std::io;
use std::process::ExitCode;

use wim_core::base::{Error, ErrorKind, Reason};
use wim_core::jobs::dir::NothingFits;

/// How a verb that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// The answer is no: nothing matched, two things differ, some data was lost.
    No,
    /// The answer is no: damage was found; what the first of it was, where that is told apart.
    Damage(Option<Reason>),
}

/// Why a verb did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library says so.
    Core(Error),
    /// Whoever read standard output has closed it.
    StdoutClosed,
    /// Standard output cannot be written.
    Stdout(io::Error),
    /// Another process did the work and has said why it failed; its exit code.
    Reported(u8),
}

/// What a verb returns.
pub(crate) type Verdict = Result<Outcome, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // Files of an image that are written to standard output meet its closing inside a job; there are no other pipes.
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause.map(io::Error::kind) {
            Some(io::ErrorKind::BrokenPipe) => Self::StdoutClosed,
            _ => Self::Core(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::StdoutClosed,
            _ => Self::Stdout(error),
        }
    }
}

impl Failure {
    /// The same failure as the library's error; none for a closed pipe.
    pub(crate) fn into_error(self) -> Option<Error> {
        match self {
            Self::Core(error) => Some(error),
            Self::StdoutClosed | Self::Reported(_) => None,
            Self::Stdout(error) => Some(
                Error::new(ErrorKind::Io, format!("cannot write: {error}"))
                    .in_file("standard output")
                    .with_source(error),
            ),
        }
    }
}

/// Exit code of misuse and failure.
pub(crate) const FAILED: u8 = 2;

/// The exit code for an error: that nothing in an image fits a path is an answer, not a failure.
pub(crate) fn code_of(error: &Error) -> u8 {
    let nothing_fits = std::error::Error::source(error).is_some_and(|source| source.is::<NothingFits>());
    match error.kind() {
        ErrorKind::Cancelled => 130,
        _ if nothing_fits => 1,
        _ => FAILED,
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::No | Outcome::Damage(_) => Self::from(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_kind_and_the_source() {
        assert_eq!(code_of(&Error::cancelled()), 130);
        assert_eq!(code_of(&Error::corrupt("x")), 2);
        assert_eq!(code_of(&Error::not_found("no image")), 2);
        assert_eq!(code_of(&Error::not_found("no match").with_source(NothingFits)), 1);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).into_error().is_none());
        let error =
            Failure::from(io::Error::from(io::ErrorKind::StorageFull)).into_error().expect("an error");
        assert!(error.to_string().starts_with("standard output: cannot write"), "{error}");
    }
}
