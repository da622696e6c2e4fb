//! Which devices the drivers of an image serve, one line of an INF each, as DISM tells of one driver.
//!
//! Source: drivers.md 1.4, 1.5 and 3.6: the INF in the image decides, whoever put it there. What the registry has made of it is not
//! looked at.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::list::ListedDriver;
use super::package::MAX_INF;
use super::select::ImageInfs;
use crate::base::{Architecture, Result};
use crate::formats::inf::{IncludedInfs, Inf, ParseOptions, TargetWindows, Undecorated, install, models};
use crate::image::WimPath;
use crate::image::edit::View;
use crate::servicing::target::ImageTarget;

/// One device line of an INF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedDevice {
    /// Who made the device.
    pub manufacturer: String,
    /// What it is called.
    pub description: String,
    /// Its first id.
    pub hardware_id: String,
    /// The others.
    pub compatible_ids: Vec<String>,
    /// Ids that its install section excludes.
    pub exclude_ids: Vec<String>,
    /// Its function driver's service.
    pub service: Option<String>,
}

/// Fills in the devices of `drivers`; none for one whose INF is not there or cannot be read.
///
/// # Errors
/// What a path gives that cannot be one.
pub fn find_devices(drivers: &mut [ListedDriver], view: &dyn View, target: &ImageTarget) -> Result<()> {
    let includes = ImageInfs::new(view, target.language);
    let options = ParseOptions { language: target.language, ..ParseOptions::default() };
    for driver in drivers {
        let Some(folder) = &driver.folder else { continue };
        let path = WimPath::parse(folder)?.child(driver.inf.as_str());
        let Ok(bytes) = view.read(&path, MAX_INF) else { continue };
        let Ok(inf) = Inf::parse(&driver.inf, &bytes, options) else { continue };
        let arch = driver.arch.as_deref().and_then(Architecture::from_name);
        let windows = TargetWindows { arch: arch.unwrap_or(target.windows.arch), ..target.windows };
        // What was put in on request is there all the same.
        let undecorated = if driver.added_here { Undecorated::Accept } else { Undecorated::Refuse };
        driver.devices = devices_of(&Arc::new(inf), &windows, undecorated, &includes);
    }
    Ok(())
}

fn devices_of(
    inf: &Arc<Inf>,
    windows: &TargetWindows,
    undecorated: Undecorated,
    includes: &dyn IncludedInfs,
) -> Vec<ListedDevice> {
    includes.begin_work();
    let Ok(found) = models::models_with(inf, windows, undecorated) else { return Vec::new() };
    let mut sections: HashMap<String, (Option<String>, Vec<String>)> = HashMap::new();
    let mut devices = Vec::new();
    for model in found.models {
        if inf.check_work().is_err() || includes.check_work().is_err() {
            break;
        }
        let section = sections.entry(model.install_section.to_lowercase()).or_insert_with(|| {
            let install = install::install(inf, &model.install_section, windows, includes);
            install.map_or((None, Vec::new()), |install| {
                (install.function_driver().map(|service| service.name.clone()), install.exclude_ids)
            })
        });
        let (service, exclude_ids) = section.clone();
        let mut ids = model.ids.into_iter();
        let Some(hardware_id) = ids.next() else { continue };
        devices.push(ListedDevice {
            manufacturer: model.manufacturer,
            description: model.description,
            hardware_id,
            compatible_ids: ids.collect(),
            exclude_ids,
            service,
        });
    }
    devices
}
