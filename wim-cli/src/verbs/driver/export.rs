//! `wim driver export`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wim_core::base::atomic_file::IfExists;
use wim_core::jobs::drivers::{ExportedDriver, export};

use super::{Images, Inner};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Copy driver packages out of images, each into a folder of its own
///
/// A package that several images have is copied once; recovery images inside install images are looked into too. What comes out
/// can be added to other images. A folder of that name with files in it is an error, unless --force is given.
///
/// With --json: drivers (path, image, published, inf, version, folder, files, bytes).
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    images: Images,
    #[command(flatten)]
    inner: Inner,
    /// The driver: oemN.inf, the name of its INF or of its folder in the image; may be repeated [default: all that did not
    /// come with Windows]
    #[arg(short, long = "driver", value_name = "NAME")]
    drivers: Vec<String>,
    /// The folder to copy into
    #[arg(long, value_name = "FOLDER")]
    dest_dir: PathBuf,
    /// Replace files in folders of packages that are there already, as after an earlier export
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Answer {
    drivers: Vec<ExportedDriver>,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let targets = self.images.targets();
        let if_exists = if self.force { IfExists::Replace } else { IfExists::Refuse };
        let destination = (self.dest_dir.as_path(), if_exists);
        let drivers =
            session.run(|cx| export(cx, &targets, self.inner.recovery(), &self.drivers, destination))?;
        let outcome = if drivers.is_empty() { Outcome::No } else { Outcome::Done };
        if session.shell.is_json() {
            session.shell.json("driver export", &Answer { drivers })?;
            return Ok(outcome);
        }
        let mut text = String::new();
        for driver in &drivers {
            let version = driver.version.as_deref().unwrap_or_default();
            let _ = writeln!(
                text,
                "{} {version}: {} files, {} bytes, in {}",
                driver.inf, driver.files, driver.bytes, driver.folder
            );
        }
        if drivers.is_empty() {
            text.push_str("These images have no drivers but those of Windows.\n");
        }
        session.shell.answer(&text)?;
        Ok(outcome)
    }
}
