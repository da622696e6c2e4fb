//! What all actions take: the target, and the options that say what prefixes and users mean in paths of keys.

use clap::Args;
use wim_core::formats::hive::reg_type;
use wim_core::jobs::registry::{HivePlace, KeyPaths, Target};

use crate::arguments::ReferenceArguments;

/// What is read or changed.
#[derive(Args, Debug)]
pub(super) struct TargetArguments {
    /// A hive file, or a WIM file with perhaps an image: FILE or FILE:IMAGE
    target: String,
    #[command(flatten)]
    references: ReferenceArguments,
}

impl TargetArguments {
    pub(super) fn parse(&self) -> Target {
        Target::parse(&self.target).with_refs(&self.references.references)
    }
}

/// How paths are read.
#[derive(Args, Debug)]
pub(super) struct Paths {
    /// A path prefix and the hive it means: the name of a hive, its path in the image, or . for the hive file at hand, as in
    /// HKLM\OFFLINE=SYSTEM and HKLM\BCD=\Boot\BCD
    #[arg(long = "map", value_name = "PREFIX=HIVE", value_parser = parse_prefix)]
    prefixes: Vec<(String, HivePlace)>,
    /// Whose HKEY_CURRENT_USER is meant: default (the template of new users), system (services), the name of a profile
    /// folder, or the path of a hive in the image
    #[arg(long, value_name = "USER", value_parser = parse_user)]
    user: Option<HivePlace>,
}

impl Paths {
    pub(super) fn key_paths(&self) -> KeyPaths {
        KeyPaths { current_user: self.user.clone(), prefixes: self.prefixes.clone() }
    }
}

fn parse_prefix(text: &str) -> Result<(String, HivePlace), String> {
    let (prefix, hive) = text.rsplit_once('=').ok_or("write PREFIX=HIVE")?;
    Ok((prefix.to_owned(), parse_hive(hive)?))
}

pub(super) fn parse_hive(text: &str) -> Result<HivePlace, String> {
    HivePlace::parse(text).map_err(|error| error.to_string())
}

fn parse_user(text: &str) -> Result<HivePlace, String> {
    HivePlace::parse_user(text).map_err(|error| error.to_string())
}

/// A type by its name or number.
pub(super) fn parse_kind(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    reg_type::from_name(text).or(number).ok_or_else(|| format!("{text} is no type of a value"))
}
