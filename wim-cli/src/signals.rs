//! Ctrl-C and SIGTERM: the first asks the job to stop, the second ends the process at once.
//!
//! Jobs look at the flag at least once per chunk and leave their target as it was.

use std::process;

use wim_core::base::{Cancel, Error, ErrorKind};

/// The process's one flag.
static CANCEL: Cancel = Cancel::new();

/// Installs the handler and returns the flag that it raises.
///
/// # Errors
/// `Io` when the system refuses the handler.
pub(crate) fn install() -> Result<&'static Cancel, Error> {
    ctrlc::set_handler(|| {
        if CANCEL.is_raised() {
            // The user has asked twice; temporary files may stay behind, targets are whole all the same.
            process::exit(130);
        }
        CANCEL.raise();
    })
    .map_err(|e| Error::new(ErrorKind::Io, format!("cannot install the signal handler: {e}")))?;
    Ok(&CANCEL)
}
