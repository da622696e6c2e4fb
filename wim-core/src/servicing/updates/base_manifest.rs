//! The base manifest of an image: what the compressed manifests of Windows 8 and later are deltas of.
//!
//! It is a resource of the servicing stack's own wcp.dll (updates.md 1.6) and is not shipped with this library: it is read
//! from the image that is being worked on. Every one seen had the same digest; another is given all the same, and
//! marked.

use crate::base::{Error, ErrorKind, Result};
use crate::formats::cbs::{AssemblyVersion, MAX_DOCUMENT_BYTES};
use crate::formats::delta::apply::Claim;
use crate::formats::delta::manifest::{self, BASE_MANIFEST_RESOURCE, BASE_MANIFEST_SHA256, StoreForm};
use crate::formats::pe::PeFile;
use crate::image::WimPath;
use crate::image::edit::View;

/// Folder of the component store.
const STORE: &str = "\\Windows\\WinSxS";
/// Part of the key forms of servicing stacks.
const STACK: &str = "_microsoft-windows-servicingstack_";
/// Largest wcp.dll that is read; real ones have up to 4 MB.
const MAX_DLL_BYTES: u64 = 64 << 20;

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
    /// Looks for it in the servicing stacks of the image, that of the highest version first; none when there is no stack
    /// that has one, as in Windows 7.
    ///
    /// # Errors
    /// What reading the first wcp.dll that cannot be read gives, when no other has one.
    pub fn find(view: &dyn View) -> Result<Option<Self>> {
        let entries = view.list(&WimPath::parse(STORE)?).unwrap_or_default();
        let mut stacks: Vec<(Option<AssemblyVersion>, String)> = entries
            .iter()
            .map(|entry| entry.name.to_string())
            .filter(|name| name.to_ascii_lowercase().contains(STACK))
            .map(|name| (name.split('_').nth(3).and_then(AssemblyVersion::parse), name))
            .collect();
        stacks.sort();
        let mut unreadable = None;
        for (_, stack) in stacks.iter().rev() {
            let found_in = format!("{STORE}\\{stack}\\wcp.dll");
            let path = WimPath::parse(&found_in)?;
            if view.entry(&path).is_none() {
                continue;
            }
            let dll = match view.read(&path, MAX_DLL_BYTES) {
                Ok(dll) => dll,
                Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                Err(error) => {
                    unreadable.get_or_insert(error);
                    continue;
                }
            };
            let (kind, name) = BASE_MANIFEST_RESOURCE;
            let Some(bytes) = PeFile::parse(&dll).ok().and_then(|dll| dll.resource(kind, name)) else {
                continue;
            };
            let is_well_known = BASE_MANIFEST_SHA256.matches(bytes);
            return Ok(Some(Self { found_in, bytes: bytes.to_vec(), is_well_known }));
        }
        unreadable.map_or(Ok(None), Err)
    }

    /// What is to be said of one that is not like all others.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        (!self.is_well_known).then(|| {
            format!(
                "the base manifest of {} differs from that of all known versions; it is used all the same",
                self.found_in
            )
        })
    }
}

/// A manifest as XML, whatever its form in a package or a component store; `base` is what [`BaseManifest::find`] found.
///
/// # Errors
/// `NotFound` when it is compressed with a base manifest and there is none at hand, `Unsupported` for a delta of another
/// version of itself that is not one of the base manifest, else what [`manifest::expand`] gives.
pub fn expand_manifest(bytes: &[u8], base: Option<&BaseManifest>) -> Result<Vec<u8>> {
    let claim = Claim { max_bytes: MAX_DOCUMENT_BYTES, ..Claim::default() };
    let expanded = |base: &BaseManifest| manifest::expand(bytes, Some(&base.bytes), &claim);
    match (StoreForm::of(bytes), base) {
        (StoreForm::Manifest | StoreForm::Delta, None) => {
            Err(Error::not_found("the manifest is compressed as a delta of the base manifest, which is not at hand")
                .remedy(
                    "name an image of the Windows that the package is for: wim package info FILE --image install.wim:1",
                ))
        }
        (StoreForm::Manifest, Some(base)) => expanded(base),
        // Nothing says which version it is a delta of; a digest in it tells whether it is this one.
        (StoreForm::Delta, Some(base)) => match expanded(base) {
            Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Corrupt) => {
                let message = "the manifest (DCD) is a delta of another version of itself, which is not at hand";
                Err(Error::unsupported(message)
                    .with_source(error)
                    .remedy("get the full package of this update; express packages cannot be read alone"))
            }
            expanded => expanded,
        },
        _ => manifest::expand(bytes, None, &claim),
    }
}
