//! `wim capture`: a directory made into a WIM file.

use std::path::PathBuf;

use clap::Args;
use wim_core::base::Error;
use wim_core::jobs::capture::{self, Boot, ImageOptions, load_exclusions};
use wim_core::transfer::capture::{AbsoluteLinks, CaptureOptions, Links};
use wim_core::transfer::write::Recompress;

use crate::arguments::{
    CompressionArguments, IntegrityArguments, OptionList, Refused, Takes, parse_property,
};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Capture a directory into a new WIM file
///
/// Files, directories, hard and symbolic links and times are captured; an existing WIMFILE is replaced, whole or not at
/// all. With --json: path, image_count, file_bytes, replaced_bytes, how many resources and bytes were copied and encoded,
/// and directories, files, bytes and excluded of what was scanned.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The directory
    source: PathBuf,
    /// The WIM file to make
    wimfile: PathBuf,
    /// Name of the image [default: the last name of SOURCE]
    image_name: Option<String>,
    /// Description of the image
    image_desc: Option<String>,
    /// Make the image bootable
    #[arg(long)]
    boot: bool,
    #[command(flatten)]
    compression: CompressionArguments,
    #[command(flatten)]
    integrity: IntegrityArguments,
    /// Text of the FLAGS element, such as an edition
    #[arg(long, value_name = "EDITIONID", allow_hyphen_values = true)]
    flags: Option<String>,
    /// Set a property by its path in the XML, as in WINDOWS/VERSION/BUILD=7601
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_property)]
    image_property: Vec<(String, String)>,
    /// What is left out: an ini file with [ExclusionList] and [ExclusionException]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Capture what symbolic links point to in their place
    #[arg(long)]
    dereference: bool,
    /// Make absolute links into SOURCE count from the root of the image [default]
    #[arg(long, overrides_with = "norpfix")]
    rpfix: bool,
    /// Capture absolute links as they are
    #[arg(long, overrides_with = "rpfix")]
    norpfix: bool,
    /// Accepted for scripts; security descriptors are not captured here
    #[arg(long, hide = true)]
    no_acls: bool,
    #[command(flatten)]
    refused: Refused<CaptureRefused>,
}

#[derive(Clone, Debug)]
struct CaptureRefused;

impl OptionList for CaptureRefused {
    const REFUSED: &'static [(&'static str, Takes)] = &[
        ("solid", Takes::Nothing),
        ("solid-compress", Takes::Value),
        ("solid-chunk-size", Takes::Value),
        ("strict-acls", Takes::Nothing),
        ("unix-data", Takes::Nothing),
        ("source-list", Takes::Nothing),
        ("update-of", Takes::Value),
        ("delta-from", Takes::Value),
        ("wimboot", Takes::Nothing),
        ("pipable", Takes::Nothing),
        ("snapshot", Takes::Nothing),
    ];
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        self.refused.check()?;
        let options = self.options()?;
        let report = session.run(|cx| capture::run(cx, &self.source, &self.wimfile, &options))?;
        if session.shell.is_json() {
            session.shell.json("capture", &report)?;
        }
        Ok(Outcome::Done)
    }

    fn options(&self) -> Result<ImageOptions, Error> {
        let mut capture = CaptureOptions::default();
        if let Some(path) = &self.config {
            capture.exclusions = load_exclusions(path)?;
        }
        if self.norpfix {
            capture.absolute_links = AbsoluteLinks::Keep;
        }
        if self.dereference {
            capture.links = Links::Follow;
        }
        Ok(ImageOptions {
            name: self.image_name.clone(),
            description: self.image_desc.clone(),
            flags: self.flags.clone(),
            properties: self.image_property.clone(),
            compression: self.compression.options(Recompress::WhenNeeded),
            integrity: self.integrity.choice(),
            capture,
            boot: if self.boot { Boot::Yes } else { Boot::No },
        })
    }
}
