//! The command language of `wim update`: add, delete and rename, a command a line (wimupdate(1)).
//!
//! Words are quoted as in source lists; options may stand anywhere behind the command's name, whose case does not matter.
//! Nothing is done here: a mistake anywhere is found before anything is.

use std::path::PathBuf;

use crate::base::{Error, ErrorKind, Place, Result};
use crate::jobs::source_list::words;
use crate::transfer::capture::Descriptors;

/// One change to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateCommand {
    /// Put a file or directory of the host into the image.
    Add {
        /// On the host.
        source: PathBuf,
        /// In the image.
        target: String,
        /// How.
        options: AddSwitches,
    },
    /// Take a file or directory out of the image.
    Delete {
        /// In the image.
        path: String,
        /// How.
        options: DeleteSwitches,
    },
    /// Move a file or directory of the image.
    Rename {
        /// Where it is.
        from: String,
        /// Where it goes.
        to: String,
    },
}

impl UpdateCommand {
    /// The paths in the image that it is about.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::Add { target: path, .. } | Self::Delete { path, .. } => vec![path],
            Self::Rename { from, to } => vec![from, to],
        }
    }
}

/// Options of `add`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddSwitches {
    /// Follow symbolic links.
    pub dereference: bool,
    /// Keep owners, modes and special files.
    pub unix_data: bool,
    /// Refuse to replace a file.
    pub no_replace: bool,
    /// What becomes of security descriptors; none goes by the options of the job.
    pub descriptors: Option<Descriptors>,
}

/// Options of `delete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteSwitches {
    /// What is not there is no error.
    pub force: bool,
    /// Directories may be deleted.
    pub recursive: bool,
}

/// Reads the commands of `text`, a line each; empty lines and those that begin with `#` or `;` are none.
///
/// # Errors
/// `Format` with the line for an unknown command or option, and for a wrong number of words.
pub fn parse(text: &str) -> Result<Vec<UpdateCommand>> {
    let mut commands = Vec::new();
    for (line, number) in text.lines().zip(1u32..) {
        let at = Place::Line { line: number, column: 0 };
        let words = words(line).map_err(|e| e.or_at(at.clone()))?;
        if let Some((name, rest)) = words.split_first() {
            commands.push(command(name, rest).map_err(|e| e.or_at(at))?);
        }
    }
    Ok(commands)
}

fn command(name: &str, rest: &[String]) -> Result<UpdateCommand> {
    let end = rest.iter().position(|word| word == "--").unwrap_or(rest.len());
    let is_option = |place: usize, word: &str| place < end && word.starts_with("--");
    let (mut options, mut operands) = (Vec::new(), Vec::new());
    for (place, word) in rest.iter().enumerate().filter(|(place, _)| *place != end) {
        let list: &mut Vec<&str> = if is_option(place, word) { &mut options } else { &mut operands };
        list.push(word);
    }
    let wrong = |message: String| Err(Error::new(ErrorKind::Format, message));
    let unknown = |option: &str| wrong(format!("{name} has no option {option}"));
    match (name.to_ascii_lowercase().as_str(), operands.as_slice()) {
        ("add", [source, target]) => {
            let mut switches = AddSwitches::default();
            for option in options {
                match option {
                    "--dereference" => switches.dereference = true,
                    "--unix-data" => switches.unix_data = true,
                    "--no-replace" => switches.no_replace = true,
                    "--no-acls" | "--noacls" => switches.descriptors = Some(Descriptors::Omit),
                    "--strict-acls" => switches.descriptors = Some(Descriptors::Require),
                    // What is done is told anyway.
                    "--verbose" => {}
                    _ => return unknown(option),
                }
            }
            let (source, target) = (PathBuf::from(source), (*target).to_owned());
            Ok(UpdateCommand::Add { source, target, options: switches })
        }
        ("delete", [path]) => {
            let mut switches = DeleteSwitches::default();
            for option in options {
                match option {
                    "--force" => switches.force = true,
                    "--recursive" => switches.recursive = true,
                    _ => return unknown(option),
                }
            }
            Ok(UpdateCommand::Delete { path: (*path).to_owned(), options: switches })
        }
        ("rename", [from, to]) => match options.first() {
            Some(option) => unknown(option),
            None => Ok(UpdateCommand::Rename { from: (*from).to_owned(), to: (*to).to_owned() }),
        },
        ("add" | "rename", more) => wrong(format!("{name} takes two paths, not {}", more.len())),
        ("delete", more) => wrong(format!("delete takes one path, not {}", more.len())),
        _ => wrong(format!("there is no command {name:?}; there are add, delete and rename")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_options_anywhere_and_quotes() {
        let text = "# comment\n; more\n\nADD 'my dir' /dir --no-replace\n  Delete --force \"/a b\" --recursive\n\
                    rename /old -- --new\nadd --dereference a b\n";
        let commands = parse(text).unwrap();
        assert_eq!(
            commands[0],
            UpdateCommand::Add {
                source: "my dir".into(),
                target: "/dir".into(),
                options: AddSwitches { no_replace: true, ..AddSwitches::default() },
            }
        );
        let options = DeleteSwitches { force: true, recursive: true };
        assert_eq!(commands[1], UpdateCommand::Delete { path: "/a b".into(), options });
        assert_eq!(commands[2], UpdateCommand::Rename { from: "/old".into(), to: "--new".into() });
        assert_eq!(commands.len(), 4);
        for (option, kept) in [("--no-acls", Descriptors::Omit), ("--strict-acls", Descriptors::Require)] {
            let command = parse(&format!("add {option} a b")).unwrap().remove(0);
            let UpdateCommand::Add { options, .. } = command else { panic!("{option}: {command:?}") };
            assert_eq!(options.descriptors, Some(kept));
        }
    }

    #[test]
    fn mistakes_name_their_line() {
        for bad in [
            "frobnicate a",
            "add a",
            "add a b c",
            "add --force a b",
            "delete",
            "delete --no-replace a",
            "rename a",
            "rename --force a b",
            "delete 'open",
        ] {
            let error = parse(&format!("rename a b\n{bad}\n")).unwrap_err();
            assert_eq!(error.place(), &Place::Line { line: 2, column: 0 }, "{bad}: {error}");
        }
    }
}
