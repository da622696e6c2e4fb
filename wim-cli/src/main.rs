//! The command `wim`: parses, dispatches, and turns the result into an exit code.
//!
//! Everything it does is a job of `wim_core::jobs`; nothing here knows a file format.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "comments of arguments are help texts, where brackets mean themselves"
)]

mod arguments;
mod error_report;
mod exit;
mod meter;
mod progress_bar;
mod progress_json;
mod session;
mod shell;
mod signals;
mod verbs;
mod wimlib_names;

use std::process::ExitCode;

use clap::Parser;
use wim_core::base::Error;

use crate::exit::{FAILED, Failure, Outcome};
use crate::session::{Session, SharedOptions};
use crate::shell::{Form, Shell, Volume};
use crate::verbs::Verb;
use crate::wimlib_names::{Codes, Request};

/// Services Windows images with no Windows and no DISM.
///
/// Verbs, operands and options are those of wimlib-imagex wherever it has them. Options may stand before, between and
/// after operands and may be shortened while they stay unambiguous. Exit codes: 0 done, 1 the answer is no (damage
/// found, nothing matched), 2 failed or misused, 130 cancelled; wimlib's own when called as wimlib-imagex or wimVERB.
#[derive(Parser, Debug)]
#[command(name = "wim", version, infer_long_args = true, args_override_self = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    shared: SharedOptions,
}

fn main() -> ExitCode {
    let (words, codes) = wimlib_names::read_line(std::env::args_os());
    let request = Request::of(&words);
    match Cli::try_parse_from(words) {
        Ok(cli) => run(cli, codes, &request),
        Err(error) => misuse(&error, codes, &request),
    }
}

fn run(cli: Cli, codes: Codes, request: &Request) -> ExitCode {
    let volume = if cli.shared.quiet { Volume::Quiet } else { Volume::Normal };
    let wants_json = cli.shared.json || cli.verb.is_unknown_with_json();
    let shell = Shell::new(volume, if wants_json { Form::Json } else { Form::Text });
    let verdict = signals::install()
        .map_err(Failure::from)
        .and_then(|cancel| cli.verb.run(&Session::new(cli.shared, cancel)));
    match verdict {
        Ok(Outcome::No) if codes == Codes::Wimlib => ExitCode::from(wimlib_names::code_of_damage(None)),
        Ok(Outcome::Damage(reason)) if codes == Codes::Wimlib => {
            ExitCode::from(wimlib_names::code_of_damage(reason))
        }
        Ok(outcome) => outcome.into(),
        Err(Failure::Reported(code)) => ExitCode::from(code),
        Err(failure) => match failure.into_error() {
            None => ExitCode::SUCCESS,
            Some(error) => {
                error_report::report(&shell, &error);
                ExitCode::from(match codes {
                    Codes::Own => exit::code_of(&error),
                    Codes::Wimlib => wimlib_names::code_of(&error, request),
                })
            }
        },
    }
}

/// Help and version are answers; anything else that clap says is misuse.
fn misuse(error: &clap::Error, codes: Codes, request: &Request) -> ExitCode {
    // A closed pipe is success, and a standard error that cannot be written leaves nobody to tell.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default();
        let error = Error::invalid_input(message.strip_prefix("error: ").unwrap_or(message));
        let _ = Shell::new(Volume::Normal, Form::Json).json_value(&error_report::object(&error));
    }
    ExitCode::from(match codes {
        Codes::Own => FAILED,
        Codes::Wimlib => wimlib_names::code_of_misuse(error, request),
    })
}
