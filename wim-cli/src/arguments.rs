//! Values and options that several verbs share.
//!
//! Options stand before, between and after operands, take their value after `=` or as the next word, and may be shortened
//! while they stay unambiguous, as with wimlib-imagex (GNU getopt). Options of wimlib-imagex that this version does not
//! have are refused by name.

use std::ffi::OsString;
use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, ValueEnum};
use wim_core::base::{ChunkSize, Error};
use wim_core::formats::wim::{Compression, WimLayout};
use wim_core::jobs::Level;
use wim_core::jobs::cab::Existing;
use wim_core::jobs::edited_image::VerifyDepth;
use wim_core::jobs::open::Check;
use wim_core::jobs::rebuild::{CompressionOptions, IntegrityChoice, SolidChoice, SolidOptions, SolidSort};
use wim_core::jobs::target::Placement;
use wim_core::transfer::apply::{
    Attributes, Damaged, Descriptors, InvalidNames, RestoreOptions, UnixRestore,
};
use wim_core::transfer::capture::{Descriptors as CaptureDescriptors, Metadata};
use wim_core::transfer::write::Recompress;

/// Bytes as `4096`, `32K`, `256M`, `1G`, also with `iB` or `B` behind the letter.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write a number, perhaps with K, M or G behind it");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A chunk size: a power of two from 4K up.
pub(crate) fn parse_chunk_size(text: &str) -> Result<ChunkSize, String> {
    let bytes = parse_bytes(text)?;
    u32::try_from(bytes)
        .ok()
        .and_then(ChunkSize::from_bytes)
        .ok_or_else(|| format!("{text:?} is not a chunk size; write a power of two such as 32K"))
}

/// `--compress=TYPE[:LEVEL]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompressionChoice {
    /// The type.
    pub(crate) compression: Compression,
    /// The level, when one was given.
    pub(crate) level: Option<Level>,
}

/// Reads `TYPE[:LEVEL]`: the types and aliases of wimlib, a level on its scale or `fast`, `normal`, `max`.
pub(crate) fn parse_compression(text: &str) -> Result<CompressionChoice, String> {
    let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
    let compression = match name.to_ascii_lowercase().as_str() {
        "none" => Compression::None,
        "xpress" | "fast" => Compression::Xpress,
        "lzx" | "maximum" => Compression::Lzx,
        "lzms" | "recovery" => Compression::Lzms,
        _ => {
            return Err(format!(
                "invalid compression type {name:?}; there are none, XPRESS (alias fast), LZX (alias maximum) and LZMS (alias recovery)"
            ));
        }
    };
    let level = level.map(parse_level).transpose()?;
    Ok(CompressionChoice { compression, level })
}

/// Reads a level: a number on wimlib's scale, `fast`, `normal` or `max`.
pub(crate) fn parse_level(text: &str) -> Result<Level, String> {
    match text.to_ascii_lowercase().as_str() {
        "fast" => Ok(Level::FAST),
        "normal" => Ok(Level::NORMAL),
        "max" => Ok(Level::MAX),
        number => match number.parse() {
            Ok(number) if number > 0 => Ok(Level::from_number(number)),
            _ => Err(format!(
                "compression level {text:?}: it must be a positive integer, fast, normal or max, as in --compress=lzx:80"
            )),
        },
    }
}

/// `NAME=VALUE` of `--image-property`.
pub(crate) fn parse_property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("'--image-property' argument must be in the form NAME=VALUE".to_owned()),
    }
}

/// How a written file is read back before it takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyArgument {
    /// Structure, tables, new data, and the checksums of copied bytes.
    Written,
    /// All data is decoded.
    Full,
}

impl VerifyArgument {
    /// The depth for a job.
    pub(crate) fn depth(self) -> VerifyDepth {
        match self {
            Self::Written => VerifyDepth::Written,
            Self::Full => VerifyDepth::Full,
        }
    }
}

/// How a written file is compressed.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompressionArguments {
    /// Compression: none, XPRESS (alias fast), LZX (alias maximum) or LZMS (alias recovery; Windows 8 and later); LEVEL is
    /// a number (20 quick, 50 default, 100 thorough), fast, normal or max
    #[arg(long, value_name = "TYPE[:LEVEL]", value_parser = parse_compression)]
    pub(crate) compress: Option<CompressionChoice>,
    /// Chunk size, as in 32K
    #[arg(long, value_name = "SIZE", value_parser = parse_chunk_size)]
    pub(crate) chunk_size: Option<ChunkSize>,
    /// Pack files together and compress them as one (an ESD file): smaller, and slower in every way
    #[arg(long)]
    pub(crate) solid: bool,
    /// With --solid: compression of what is packed [default: LZMS]
    #[arg(long, value_name = "TYPE[:LEVEL]", value_parser = parse_compression)]
    solid_compress: Option<CompressionChoice>,
    /// With --solid: chunk size of what is packed [default: 64M for LZMS, 2M for LZX, 64K for XPRESS]; LZMS takes ten times
    /// as much memory for each thread
    #[arg(long, value_name = "SIZE", value_parser = parse_chunk_size)]
    solid_chunk_size: Option<ChunkSize>,
    /// With --solid: pack files as they are found, not by their names
    #[arg(long)]
    no_solid_sort: bool,
}

impl CompressionArguments {
    /// The options for a job.
    pub(crate) fn options(&self, recompress: Recompress) -> CompressionOptions {
        let solid = SolidOptions {
            compression: self.solid_compress.map(|choice| choice.compression),
            level: self.solid_compress.and_then(|choice| choice.level),
            chunk_size: self.solid_chunk_size,
            sort: if self.no_solid_sort { SolidSort::AsFound } else { SolidSort::ByName },
        };
        CompressionOptions {
            compression: self.compress.map(|choice| choice.compression),
            level: self.compress.and_then(|choice| choice.level),
            chunk_size: self.chunk_size,
            recompress,
            layout: None,
            solid: if self.solid { SolidChoice::Solid(solid) } else { SolidChoice::AsBefore },
        }
    }
}

/// Whether the written file is pipable.
#[derive(Args, Clone, Debug)]
pub(crate) struct LayoutArguments {
    /// Write a file that can be applied from a pipe; Microsoft's programs do not read it
    #[arg(long, conflicts_with = "not_pipable")]
    pipable: bool,
    /// Write a file as Windows reads it [default, unless the file is pipable already]
    #[arg(long)]
    not_pipable: bool,
}

impl LayoutArguments {
    /// The options with the wanted layout.
    pub(crate) fn with(&self, options: CompressionOptions) -> CompressionOptions {
        let layout = match (self.pipable, self.not_pipable) {
            (true, _) => Some(WimLayout::Pipable),
            (_, true) => Some(WimLayout::Standard),
            _ => None,
        };
        CompressionOptions { layout, ..options }
    }
}

/// Whether a side file keeps, or gives back, what a directory of the host cannot hold.
#[derive(Args, Clone, Debug)]
pub(crate) struct MetadataArguments {
    /// Keep in FILE, or take from it, what a plain directory cannot hold: ACLs, attributes, streams, short names, reparse
    /// points, exact times [default FILE: the directory's name with .wim-metadata, beside it]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    metadata: Option<OsString>,
}

impl MetadataArguments {
    /// Which side file is meant.
    pub(crate) fn choice(&self) -> Metadata {
        match &self.metadata {
            None => Metadata::Plain,
            Some(path) if path.is_empty() => Metadata::Beside,
            Some(path) => Metadata::At(path.into()),
        }
    }
}

/// What becomes of the integrity table.
#[derive(Args, Clone, Debug)]
pub(crate) struct IntegrityArguments {
    /// Verify integrity tables beforehand and make one in the written file
    #[arg(long, overrides_with = "nocheck")]
    check: bool,
    /// Leave the integrity table out of the written file
    #[arg(long, overrides_with_all = ["check", "include_integrity"])]
    nocheck: bool,
    /// Make an integrity table, but verify nothing beforehand
    #[arg(long, overrides_with = "nocheck")]
    include_integrity: bool,
}

impl IntegrityArguments {
    /// What to check beforehand.
    pub(crate) fn check(&self) -> Check {
        check_of(self.check)
    }

    /// True when the table is asked for or forbidden; --check alone is no such wish where nothing is written.
    pub(crate) fn is_given(&self) -> bool {
        self.nocheck || self.include_integrity
    }

    /// What to write.
    pub(crate) fn choice(&self) -> IntegrityChoice {
        match (self.check || self.include_integrity, self.nocheck) {
            (true, _) => IntegrityChoice::Make,
            (false, true) => IntegrityChoice::Omit,
            (false, false) => IntegrityChoice::AsBefore,
        }
    }
}

/// Files that belong to the one that is read.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReferenceArguments {
    /// Other parts of a split set, or bases of a delta file; GLOB may have * and ?. Parts beside the first are found by
    /// themselves
    #[arg(long = "ref", visible_alias = "refs", value_name = "GLOB")]
    pub(crate) references: Vec<String>,
}

/// What becomes of security descriptors when files are captured.
#[derive(Args, Clone, Debug)]
pub(crate) struct DescriptorArguments {
    /// Do not capture security descriptors, which a mounted NTFS volume gives
    #[arg(long, conflicts_with = "strict_acls")]
    no_acls: bool,
    /// Fail when one of them cannot be captured; files of other file systems of Unix have none
    #[arg(long)]
    strict_acls: bool,
}

impl DescriptorArguments {
    /// What becomes of them.
    ///
    /// # Errors
    /// Where files have descriptors that must be captured and cannot be.
    pub(crate) fn choice(&self) -> Result<CaptureDescriptors, Error> {
        if self.strict_acls && cfg!(windows) {
            return Err(Error::unsupported(
                "--strict-acls: security descriptors are not captured by this version",
            )
            .remedy("leave the option out, or use wimlib-imagex for this"));
        }
        Ok(match (self.strict_acls, self.no_acls) {
            (true, _) => CaptureDescriptors::Require,
            (_, true) => CaptureDescriptors::Omit,
            _ => CaptureDescriptors::Capture,
        })
    }
}

/// What applying restores, and what it puts up with.
#[derive(Args, Clone, Debug)]
pub(crate) struct RestoreArguments {
    /// Restore owners, groups, modes, extended attributes and special files that were captured with --unix-data
    #[arg(long)]
    unix_data: bool,
    /// Do not restore security descriptors, which a mounted NTFS volume takes
    #[arg(long, conflicts_with = "strict_acls")]
    no_acls: bool,
    /// Fail when security descriptors, or with --unix-data owners and modes, cannot be restored
    #[arg(long)]
    strict_acls: bool,
    /// Do not restore Windows attributes, which a mounted NTFS volume takes; on Windows read-only alone is restored
    #[arg(long)]
    no_attributes: bool,
    /// Give names that this system refuses another form instead of leaving them out
    #[arg(long)]
    include_invalid_names: bool,
    /// Write damaged files as far as they go, zeros for what is lost, each with a warning; exit code 1 then
    #[arg(long)]
    recover_data: bool,
}

impl RestoreArguments {
    /// The options for a job.
    pub(crate) fn options(&self) -> RestoreOptions {
        RestoreOptions {
            unix_data: match (self.unix_data, self.strict_acls) {
                (false, _) => UnixRestore::Omit,
                (true, false) => UnixRestore::Restore,
                (true, true) => UnixRestore::Require,
            },
            descriptors: match (self.strict_acls, self.no_acls) {
                (true, _) => Descriptors::Require,
                (_, true) => Descriptors::Omit,
                _ => Descriptors::Restore,
            },
            attributes: if self.no_attributes { Attributes::Omit } else { Attributes::Restore },
            damaged: if self.recover_data { Damaged::Recover } else { Damaged::Fail },
            invalid_names: match self.include_invalid_names {
                true => InvalidNames::Replace,
                false => InvalidNames::LeaveOut,
            },
        }
    }
}

/// Where changes to an existing file go.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlacementArguments {
    /// Write an existing file anew instead of appending to it
    #[arg(long)]
    rebuild: bool,
    /// Then move everything down over the holes, in place; a file whose compaction is interrupted is lost. With --rebuild there
    /// are none
    #[arg(long)]
    unsafe_compact: bool,
}

impl PlacementArguments {
    /// The choice for a job.
    pub(crate) fn placement(&self) -> Placement {
        match (self.rebuild, self.unsafe_compact) {
            (true, _) => Placement::Rebuild,
            (_, true) => Placement::UnsafeCompact,
            _ => Placement::Append,
        }
    }
}

/// `--check` of a verb that only reads, as a choice.
pub(crate) fn check_of(flag: bool) -> Check {
    if flag { Check::Integrity } else { Check::Nothing }
}

/// `--recompress` as a choice.
pub(crate) fn recompress(flag: bool) -> Recompress {
    if flag { Recompress::Always } else { Recompress::WhenNeeded }
}

/// Whether a refused option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// No.
    Nothing,
    /// Yes.
    Value,
}

/// Options of a wimlib-imagex verb that this version does not have.
pub(crate) trait OptionList {
    /// Long names without dashes.
    const REFUSED: &'static [(&'static str, Takes)];

    /// Why an option is refused, when there is more to say than that it is.
    fn reason(_name: &str) -> Option<&'static str> {
        None
    }
}

/// Recognises the options of `L` so that they can be refused by name instead of as unknown.
#[derive(Clone, Debug)]
pub(crate) struct Refused<L> {
    given: Option<&'static str>,
    list: PhantomData<L>,
}

impl<L: OptionList> Refused<L> {
    /// Fails when one of the options was given.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(name) = self.given else { return Ok(()) };
        let reason = L::reason(name).map(|reason| format!(": {reason}")).unwrap_or_default();
        Err(Error::unsupported(format!("--{name} is not supported by this version{reason}"))
            .remedy("leave the option out, or use wimlib-imagex for this"))
    }
}

impl<L: OptionList> Args for Refused<L> {
    fn augment_args(command: Command) -> Command {
        L::REFUSED.iter().fold(command, |command, &(name, takes)| {
            let action = match takes {
                Takes::Nothing => ArgAction::Count,
                Takes::Value => ArgAction::Append,
            };
            command.arg(Arg::new(name).long(name).hide(true).action(action))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<L: OptionList> clap::FromArgMatches for Refused<L> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given =
            |name: &str| matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
        let given = L::REFUSED.iter().map(|&(name, _)| name).find(|name| is_given(name));
        Ok(Self { given, list: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Where the files of an archive go, and what becomes of those that are there already.
#[derive(Args, Clone, Debug)]
pub(crate) struct DestinationArguments {
    /// Extract to DIR
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dest_dir: PathBuf,
    /// Replace files that exist
    #[arg(long, conflicts_with = "keep")]
    overwrite: bool,
    /// Keep files that exist and pass over those that would replace them
    #[arg(long)]
    keep: bool,
}

impl DestinationArguments {
    /// What becomes of files that are there already.
    pub(crate) fn existing(&self) -> Existing {
        match (self.overwrite, self.keep) {
            (true, _) => Existing::Replace,
            (false, true) => Existing::Keep,
            (false, false) => Existing::Refuse,
        }
    }
}

/// What an extraction says when it is done.
pub(crate) fn extracted_line(files: u64, bytes: u64, kept: u64) -> String {
    let kept = if kept > 0 { format!(", {kept} kept") } else { String::new() };
    format!("{files} files, {bytes} bytes extracted{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("32k"), Ok(32 << 10));
        assert_eq!(parse_bytes("256MiB"), Ok(256 << 20));
        assert_eq!(parse_bytes("1G"), Ok(1 << 30));
        for bad in ["", "K", "-1", "1.5M", "1T", "99999999999999999999", "17179869184G"] {
            assert!(parse_bytes(bad).is_err(), "{bad:?}");
        }
        assert!(parse_chunk_size("33000").is_err());
        assert_eq!(parse_chunk_size("64K").map(ChunkSize::bytes), Ok(65_536));
    }

    #[test]
    fn compression_has_wimlibs_names_and_levels() {
        let parse = |text| parse_compression(text).map(|c| (c.compression, c.level.map(Level::number)));
        assert_eq!(parse("lzx"), Ok((Compression::Lzx, None)));
        assert_eq!(parse("Maximum:100"), Ok((Compression::Lzx, Some(100))));
        assert_eq!(parse("FAST:fast"), Ok((Compression::Xpress, Some(20))));
        assert_eq!(parse("none"), Ok((Compression::None, None)));
        for bad in ["bad", "lzx:0", "lzx:", "lzx:-1", "lzx:foo", "lzma", ""] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse("recovery:max"), Ok((Compression::Lzms, Some(100))));
    }

    #[test]
    fn properties_have_a_name() {
        assert_eq!(parse_property("A/B=c=d"), Ok(("A/B".into(), "c=d".into())));
        assert!(parse_property("A").is_err());
    }
}
