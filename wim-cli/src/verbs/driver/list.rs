//! `wim driver list`.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use wim_core::jobs::drivers::{Detail, ListReport, list};
use wim_core::servicing::drivers::list::{ListedDriver, Which};
use wim_core::servicing::drivers::list_devices::ListedDevice;

use super::{Images, Inner};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// List the drivers of images, as DISM /Get-Drivers does
///
/// The recovery image inside an install image is listed behind it, once however many editions share it.
/// Third-party drivers only, unless --all is given. A driver that Windows 7 takes into its store at first boot has no
/// published name before.
///
/// With --json: images (path, index, name, windows, winpe, drivers, warnings); per driver published, inf, inbox, class,
/// class_guid, class_description, provider, date, version, boot_critical, catalog, signature, signer, arch, folder,
/// added_here, ids, services (both of drivers added by wim), and with --ids devices.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    images: Images,
    #[command(flatten)]
    inner: Inner,
    /// Drivers that came with Windows too
    #[arg(long)]
    all: bool,
    /// The devices of each driver too: maker, name, ids and service, from its INF in the image
    #[arg(long)]
    ids: bool,
}

#[derive(Serialize)]
struct Answer {
    images: Vec<ListReport>,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let which = if self.all { Which::All } else { Which::ThirdParty };
        let detail = if self.ids { Detail::Devices } else { Detail::Facts };
        let images =
            session.run(|cx| list(cx, &self.images.targets(), self.inner.recovery(), which, detail))?;
        if session.shell.is_json() {
            session.shell.json("driver list", &Answer { images })?;
        } else {
            let mut text = String::new();
            images.iter().for_each(|image| image_text(&mut text, image, self.ids));
            session.shell.answer(&text)?;
        }
        Ok(Outcome::Done)
    }
}

fn image_text(text: &mut String, image: &ListReport, with_ids: bool) {
    let pe = if image.winpe { ", Windows PE" } else { "" };
    let name = image.name.as_deref().unwrap_or("without a name");
    let _ = writeln!(text, "{}, image {}: {name} ({}{pe})", image.path, image.index, image.windows);
    if image.drivers.is_empty() {
        let _ = writeln!(text, "  no drivers");
    }
    image.drivers.iter().for_each(|driver| driver_text(text, driver, with_ids));
    for warning in &image.warnings {
        let _ = writeln!(text, "  note: {warning}");
    }
    text.push('\n');
}

fn driver_text(text: &mut String, driver: &ListedDriver, with_ids: bool) {
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let yes_no = |value: bool| if value { "Yes" } else { "No" };
    let added = if driver.added_here { ", added by wim" } else { "" };
    let _ = writeln!(text, "\n  Published Name     : {}", or_dash(&driver.published));
    let _ = writeln!(text, "  Original File Name : {}", driver.inf);
    let _ = writeln!(text, "  Inbox              : {}{added}", yes_no(driver.inbox));
    let _ = writeln!(text, "  Class Name         : {}", or_dash(&driver.class));
    let _ = writeln!(text, "  Class Description  : {}", or_dash(&driver.class_description));
    let _ = writeln!(text, "  Class GUID         : {}", or_dash(&driver.class_guid));
    let _ = writeln!(text, "  Provider Name      : {}", or_dash(&driver.provider));
    let _ = writeln!(text, "  Date               : {}", or_dash(&driver.date));
    let _ = writeln!(text, "  Version            : {}", or_dash(&driver.version));
    let _ = writeln!(text, "  Boot Critical      : {}", yes_no(driver.boot_critical));
    let _ = writeln!(text, "  Catalog            : {}", or_dash(&driver.catalog));
    let _ = writeln!(text, "  Driver Signature   : {}", driver.signature.label());
    let _ = writeln!(text, "  Signer             : {}", or_dash(&driver.signer));
    let _ = writeln!(text, "  Architecture       : {}", or_dash(&driver.arch));
    let _ = writeln!(text, "  Folder             : {}", or_dash(&driver.folder));
    if with_ids {
        driver.devices.iter().for_each(|device| device_text(text, device));
    }
}

/// One device, in the words of DISM.
fn device_text(text: &mut String, device: &ListedDevice) {
    let _ = writeln!(text, "    Manufacturer     : {}", device.manufacturer);
    let _ = writeln!(text, "    Description      : {}", device.description);
    let _ = writeln!(text, "    Hardware ID      : {}", device.hardware_id);
    let _ = writeln!(text, "    Compatible IDs   : {}", device.compatible_ids.join(", "));
    let _ = writeln!(text, "    Exclude IDs      : {}", device.exclude_ids.join(", "));
    let _ = writeln!(text, "    Service Name     : {}", device.service.as_deref().unwrap_or("-"));
}
