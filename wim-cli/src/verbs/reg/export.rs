//! `wim reg export`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wim_core::base::Error;
use wim_core::base::atomic_file::{AtomicFile, IfExists};
use wim_core::formats::reg_file::RegFormat;
use wim_core::jobs::registry as job;
use wim_core::servicing::registry;

use super::paths::{Paths, TargetArguments};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Write a key with everything below it as a .reg file
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Path of the key, as in HKLM\SOFTWARE\Microsoft; in a hive file also from its root
    #[arg(default_value = "")]
    key: String,
    /// The file to write; standard output without it
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Version 5.00 (UTF-16) or REGEDIT4 (ANSI)
    #[arg(long, value_enum, default_value_t = Format::V5)]
    format: Format,
    /// Code page of a REGEDIT4 file
    #[arg(long, value_name = "NUMBER")]
    code_page: Option<u16>,
    #[command(flatten)]
    paths: Paths,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Windows Registry Editor Version 5.00
    #[value(name = "5")]
    V5,
    /// REGEDIT4
    #[value(name = "4")]
    Regedit4,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let format = match self.format {
            Format::V5 => RegFormat::Version5,
            Format::Regedit4 => RegFormat::Regedit4,
        };
        let target = self.target.parse();
        let mut texts = session.run(|cx| {
            job::read(cx, &target, &self.paths.key_paths(), |registry| {
                let place = registry.places(&self.key)?.into_iter().next();
                let full = place.map(|(hive, key)| registry.full_path(hive, &key)).unwrap_or_default();
                registry.with_key(&self.key, |_, _, found| {
                    let mut text = Vec::new();
                    registry::export(found, &full, format, self.code_page, &mut text)?;
                    Ok(text)
                })
            })
        })?;
        let (Some((_, text)), true) = (texts.pop(), texts.is_empty()) else {
            return Err(Error::invalid_input("name one image to export from").into());
        };
        match &self.output {
            Some(path) => {
                let mut file = AtomicFile::create(path, IfExists::Replace)?;
                file.write_all(&text).map_err(|error| Error::io(error, "cannot write", path))?;
                file.commit()?;
            }
            None => {
                let mut out = session.shell.stdout();
                out.write_all(&text)?;
                out.flush()?;
            }
        }
        Ok(Outcome::Done)
    }
}
