//! The base manifest of an image: what the compressed manifests of Windows 8 and later are deltas of.
//!
//! It is a resource of the servicing stack's own wcp.dll (updates.md 1.6) and is not shipped with this library: it is read
//! from the image that is being worked on. Every one seen had the same digest; another is given all the same, and
//! marked.

use crate::base::{Error, Result};
use crate::formats::delta::apply::Claim;
use crate::formats::delta::manifest::{self, BASE_MANIFEST_RESOURCE, BASE_MANIFEST_SHA256, Stored};
use crate::formats::pe::PeFile;
use crate::image::WimPath;
use crate::image::edit::View;

/// Folder of the component store.
const STORE: &str = "\\Windows\\WinSxS";
/// Part of the key forms of servicing stacks.
const STACK: &str = "_microsoft-windows-servicingstack_";
/// Largest wcp.dll that is read; real ones have up to 4 MB.
const MAX_DLL_BYTES: u64 = 64 << 20;
/// Largest manifest that is expanded; the largest known has 3.3 MB.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// The base manifest of an image.
#[derive(Clone, Debug)]
pub struct BaseManifest {
    /// The wcp.dll that it was found in.
    pub found_in: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// False when its digest is not that of all others.
    pub is_well_known: bool,
}

impl BaseManifest {
    /// Looks for it in the servicing stacks of the image, the last by name first; none when there is no stack that has
    /// one, as in Windows 7.
    ///
    /// # Errors
    /// What reading a wcp.dll gives.
    pub fn find(view: &dyn View) -> Result<Option<Self>> {
        let entries = view.list(&WimPath::parse(STORE)?).unwrap_or_default();
        let mut stacks: Vec<String> = entries
            .iter()
            .map(|entry| entry.name.to_string())
            .filter(|name| name.to_ascii_lowercase().contains(STACK))
            .collect();
        stacks.sort();
        for stack in stacks.iter().rev() {
            let found_in = format!("{STORE}\\{stack}\\wcp.dll");
            let path = WimPath::parse(&found_in)?;
            if view.entry(&path).is_none() {
                continue;
            }
            let dll = view.read(&path, MAX_DLL_BYTES)?;
            let (kind, name) = BASE_MANIFEST_RESOURCE;
            let Some(bytes) = PeFile::parse(&dll).ok().and_then(|dll| dll.resource(kind, name)) else {
                continue;
            };
            let is_well_known = BASE_MANIFEST_SHA256.matches(bytes);
            return Ok(Some(Self { found_in, bytes: bytes.to_vec(), is_well_known }));
        }
        Ok(None)
    }
}

/// A manifest of a component store as XML, whatever its form; `base` is what [`BaseManifest::find`] found.
///
/// # Errors
/// `NotFound` when it is compressed and there is no base manifest, else what [`manifest::expand`] gives.
pub fn expand_manifest(bytes: &[u8], base: Option<&BaseManifest>) -> Result<Vec<u8>> {
    let claim = Claim { max_bytes: MAX_MANIFEST_BYTES, ..Claim::default() };
    match (Stored::of(bytes), base) {
        (Stored::Manifest, None) => {
            Err(Error::not_found("the manifest is compressed, and the image has no base manifest for it")
                .remedy("the servicing stack of the image is damaged; its wcp.dll should hold one"))
        }
        (_, base) => manifest::expand(bytes, base.map(|base| base.bytes.as_slice()), &claim),
    }
}
