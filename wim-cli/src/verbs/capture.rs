//! `wim capture`: a directory made into a WIM file; and what `wim append` shares with it.

use std::path::PathBuf;

use clap::Args;
use wim_core::base::Error;
use wim_core::jobs::capture::{
    self, Boot, Destination, ImageOptions, SourceKind, load_exclusions, wimboot_config,
};
use wim_core::jobs::rebuild::{CompressionOptions, WimBoot};
use wim_core::transfer::capture::{AbsoluteLinks, CaptureOptions, Links, Metadata, UnixData};
use wim_core::transfer::write::Recompress;

use crate::arguments::{
    CompressionArguments, DescriptorArguments, IntegrityArguments, LayoutArguments, MetadataArguments,
    OptionList, Refused, Takes, parse_property,
};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Capture a directory into a new WIM file
///
/// Files, directories, hard and symbolic links and times are captured; an existing WIMFILE is replaced, whole or not at
/// all. With WIMFILE - a pipable WIM is written to standard output. With --json: path, image_count, file_bytes,
/// replaced_bytes, how many resources and bytes were copied and encoded, and directories, files, bytes and excluded of what
/// was scanned.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    image: ImageArguments,
    #[command(flatten)]
    compression: CompressionArguments,
    #[command(flatten)]
    layout: LayoutArguments,
    #[command(flatten)]
    append_only: AppendOnly,
    #[command(flatten)]
    refused: Refused<CaptureRefused>,
}

/// Options of `append` that wimcapture takes as well.
#[derive(Args, Debug)]
struct AppendOnly {
    /// Make the file if there is none, as is always done
    #[arg(long)]
    create: bool,
    /// Without meaning: a new file has nothing to rebuild
    #[arg(long)]
    rebuild: bool,
    /// Without meaning: a new file has no holes
    #[arg(long)]
    unsafe_compact: bool,
}

#[derive(Clone, Debug)]
struct CaptureRefused;

impl OptionList for CaptureRefused {
    const REFUSED: &'static [(&'static str, Takes)] = &[("snapshot", Takes::Nothing)];

    fn reason(name: &str) -> Option<&'static str> {
        snapshot_reason(name)
    }
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        self.refused.check()?;
        let compression = self.layout.with(self.compression.options(Recompress::WhenNeeded));
        if self.image.wimfile.as_os_str() == "-" {
            return self.image.run_to_stdout(session, compression);
        }
        self.image.run(session, "capture", compression, Destination::NewFile)
    }
}

/// Why `--snapshot` is refused.
pub(crate) fn snapshot_reason(name: &str) -> Option<&'static str> {
    (name == "snapshot").then_some("it needs the shadow copies of Windows")
}

/// What is captured, and what is said of the image.
#[derive(Args, Debug)]
pub(crate) struct ImageArguments {
    /// The directory; with --source-list a text file
    source: PathBuf,
    /// The WIM file; of capture also - for standard output
    wimfile: PathBuf,
    /// Name of the image [default: the last name of SOURCE]
    image_name: Option<String>,
    /// Description of the image
    image_desc: Option<String>,
    /// Make the image bootable
    #[arg(long)]
    boot: bool,
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
    /// SOURCE lists what is captured: a source and perhaps its place in the image on each line; - is standard input
    #[arg(long)]
    source_list: bool,
    /// Do not read files again that are as in this earlier image; negative numbers count from the last one
    #[arg(long, value_name = "[WIMFILE:]IMAGE", allow_hyphen_values = true)]
    update_of: Option<String>,
    /// Leave out data that this WIM file has, which is then needed to use the new one (a delta WIM)
    #[arg(long, value_name = "WIMFILE")]
    delta_from: Vec<PathBuf>,
    /// Capture owners, groups, modes and special files
    #[arg(long)]
    unix_data: bool,
    #[command(flatten)]
    metadata: MetadataArguments,
    /// Capture what symbolic links point to in their place
    #[arg(long)]
    dereference: bool,
    /// Make absolute links into SOURCE count from the root of the image [default for new files]
    #[arg(long, conflicts_with = "norpfix")]
    rpfix: bool,
    /// Capture absolute links as they are
    #[arg(long)]
    norpfix: bool,
    /// Mark the image for WIMBoot; a new file is XPRESS in chunks of 4K then, and leaves out what SOURCE's WimBootCompress.ini
    /// says
    #[arg(long)]
    wimboot: bool,
    #[command(flatten)]
    descriptors: DescriptorArguments,
}

impl ImageArguments {
    /// Captures and tells about it as `verb`.
    pub(crate) fn run(
        self,
        session: &Session,
        verb: &str,
        compression: CompressionOptions,
        destination: Destination,
    ) -> Verdict {
        let options = self.options(session, compression, destination)?;
        let report = session.run(|cx| capture::run(cx, &self.source, &self.wimfile, &options))?;
        if session.shell.is_json() {
            session.shell.json(verb, &report)?;
        }
        Ok(Outcome::Done)
    }

    /// Captures to standard output, on which nothing else may appear then.
    fn run_to_stdout(self, session: &Session, compression: CompressionOptions) -> Verdict {
        let options = self.options(session, compression, Destination::NewFile)?;
        let mut out = session.shell.stdout_for_file()?;
        session.run(|cx| capture::run_to_stream(cx, &self.source, &mut out, &options))?;
        Ok(Outcome::Done)
    }

    fn options(
        &self,
        session: &Session,
        compression: CompressionOptions,
        destination: Destination,
    ) -> Result<ImageOptions, Error> {
        let descriptors = self.descriptors.choice()?;
        let mut capture = CaptureOptions { descriptors, ..CaptureOptions::default() };
        let of_wimboot = || wimboot_config(&self.source).filter(|_| self.wimboot && !self.source_list);
        if let Some(path) = &self.config.clone().or_else(of_wimboot) {
            capture.exclusions = session.run(|cx| load_exclusions(cx, path))?;
        }
        if self.dereference {
            capture.links = Links::Follow;
        }
        if self.unix_data {
            capture.unix_data = UnixData::Capture;
        }
        capture.metadata = self.metadata.choice();
        if self.source_list && matches!(capture.metadata, Metadata::At(_)) {
            return Err(Error::invalid_input("each source of a list needs a side file of its own")
                .remedy("give --metadata without a name, so that each is looked for beside its source"));
        }
        Ok(ImageOptions {
            name: self.image_name.clone(),
            description: self.image_desc.clone(),
            flags: self.flags.clone(),
            properties: self.image_property.clone(),
            compression,
            integrity: self.integrity.choice(),
            check: self.integrity.check(),
            capture,
            absolute_links: match (self.rpfix, self.norpfix) {
                (true, _) => Some(AbsoluteLinks::Fix),
                (_, true) => Some(AbsoluteLinks::Keep),
                _ => None,
            },
            boot: if self.boot { Boot::Yes } else { Boot::No },
            source: if self.source_list { SourceKind::List } else { SourceKind::Directory },
            destination,
            update_of: self.update_of.clone(),
            delta_from: self.delta_from.clone(),
            wimboot: if self.wimboot { WimBoot::Mark } else { WimBoot::Leave },
        })
    }
}
