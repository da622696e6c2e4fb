//! What a Windows Vista or 7 itself knows of a driver's services and files: by the INFs in its folder, by its component store and by its
//! own driver store.
//!
//! Source: drivers.md 3.2 and 3.6. What is known there may have been in the image before any driver was added. It is asked only where the
//! list of added drivers was lost; with a list there is nothing to find out.

use std::collections::BTreeMap;

use super::database::{FILE_REPOSITORY, INF_FOLDER};
use super::package::{MAX_INF, file_name};
use super::select::Selection;
use super::store::ImageFiles;
use crate::base::Result;
use crate::formats::inf::{Inf, ParseOptions};
use crate::image::WimPath;

/// Where the files of Windows' components lie, each a hard link of the one that is used.
const COMPONENT_STORE: &str = "\\Windows\\winsxs";

/// Names of services and files in lower case, each with who knows it.
pub(super) struct KnownToWindows {
    pub(super) services: BTreeMap<String, String>,
    pub(super) files: BTreeMap<String, String>,
}

impl KnownToWindows {
    /// Looks for the services and files of a package.
    ///
    /// # Errors
    /// What reading the image's INFs gives.
    pub(super) fn find(image: &ImageFiles<'_>, selection: &Selection) -> Result<Self> {
        let services = selection.installs.iter().flat_map(|selected| &selected.install.services);
        let services = services.filter(|service| !service.inbox).map(|service| service.name.to_lowercase());
        let files = selection.files.iter().map(|file| file.copy.destination_name.to_lowercase());
        let mut search = Search {
            services: services.map(|name| (name, None)).collect(),
            files: files.map(|name| (name, None)).collect(),
        };
        search.infs(image)?;
        for folder in [COMPONENT_STORE, FILE_REPOSITORY] {
            for path in image.below(&image.spelled(folder)?).1 {
                search.file(&path.name().map(|name| name.to_text()).unwrap_or_default(), || {
                    format!("Windows has one of that name as {path}")
                });
            }
        }
        let found = |names: BTreeMap<String, Option<String>>| {
            names.into_iter().filter_map(|(name, by)| Some((name, by?))).collect()
        };
        Ok(Self { services: found(search.services), files: found(search.files) })
    }
}

/// What is looked for, and who knows it as far as that is found.
struct Search {
    services: BTreeMap<String, Option<String>>,
    files: BTreeMap<String, Option<String>>,
}

impl Search {
    /// Looks into all INFs of the image, those that Windows published for installed drivers among them.
    fn infs(&mut self, image: &ImageFiles<'_>) -> Result<()> {
        let folder = image.spelled(INF_FOLDER)?;
        for entry in image.view().list(&folder).unwrap_or_default() {
            let name = entry.name.to_text();
            if entry.is_directory() || entry.size > MAX_INF || !name.to_lowercase().ends_with(".inf") {
                continue;
            }
            let bytes = image.view().read(&folder.child(entry.name), MAX_INF)?;
            if !self.may_be_in(&bytes) {
                continue;
            }
            if let Ok(inf) = Inf::parse(&name, &bytes, ParseOptions::default()) {
                self.inf(&inf, &folder);
            }
        }
        Ok(())
    }

    /// False for bytes that hold none of the names: most INFs, which then need not be understood.
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        // Without the high halves of UTF-16.
        let text: Vec<u8> =
            bytes.iter().filter(|&&byte| byte != 0).map(|byte| byte.to_ascii_lowercase()).collect();
        let text = String::from_utf8_lossy(&text);
        self.services.keys().chain(self.files.keys()).any(|name| text.contains(name.as_str()))
    }

    fn inf(&mut self, inf: &Inf, folder: &WimPath) {
        let by = || format!("{folder}\\{} names it too", inf.name());
        for entry in inf.sections().iter().flat_map(|section| &section.entries) {
            let key = entry.key.as_ref().map(|key| inf.expand(key));
            if key.as_deref().is_some_and(|key| key.trim().eq_ignore_ascii_case("AddService"))
                && let Some(slot) =
                    inf.field(entry, 0).and_then(|name| self.services.get_mut(&name.trim().to_lowercase()))
            {
                slot.get_or_insert_with(by);
            }
            for text in key.into_iter().chain(entry.values.iter().map(|value| inf.expand(value))) {
                self.file(file_name(text.trim().trim_start_matches('@')), by);
            }
        }
    }

    fn file(&mut self, name: &str, by: impl FnOnce() -> String) {
        if let Some(slot) = self.files.get_mut(&name.to_lowercase()) {
            slot.get_or_insert_with(by);
        }
    }
}
