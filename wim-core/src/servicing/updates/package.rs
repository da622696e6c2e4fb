//! An update package: its top package, the children, and the manifests of its deployments and components.
//!
//! Source: updates.md 1.2 and 4. Files are found as real packages name them: `.mum` and `.manifest` files at the top, the
//! files of a component in a folder of its key form. Payloads are not read here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::base::{Error, ErrorKind, Result};
use crate::formats::cbs::{
    AssemblyIdentity, AssemblyVersion, ComponentManifest, DependencyKind, MAX_DOCUMENT_BYTES, PackageId,
    PackageManifest,
};
use crate::formats::delta::manifest::StoreForm;
use crate::servicing::package_files::{PackageFile, PackageFiles};
use crate::servicing::updates::base_manifest::{BaseManifest, expand_manifest};
use crate::servicing::updates::names::component_key_form;

/// Most `.mum` files of a package; the largest rollups have a few thousand.
const MAX_PACKAGES: usize = 50_000;
/// Most bytes of `.mum` files that are read for one package.
const MAX_PACKAGE_BYTES: u64 = 256 << 20;
/// Deepest chain of child packages that is followed; real ones have three links.
pub(super) const MAX_CHILD_DEPTH: usize = 32;
/// The top package of a cabinet, and the one that forces the LDR branch.
const TOP_FILES: [&str; 2] = ["update.mum", "update-bf.mum"];
/// Name of the servicing stack's component.
const STACK_COMPONENT: &str = "Microsoft-Windows-ServicingStack";

/// Number of an article of Microsoft's knowledge base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kb(pub u32);

impl Kb {
    /// The first `KB` and number in a text, any case.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        lower.match_indices("kb").find_map(|(at, _)| {
            let rest = lower.get(at + 2..)?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            (5..=8).contains(&digits.len()).then(|| digits.parse().ok().map(Self))?
        })
    }
}

impl serde::Serialize for Kb {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Kb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KB{}", self.0)
    }
}

/// Which of the two lines of Windows' fixes is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Branch {
    /// General distribution, unless the image is on the limited one already.
    #[default]
    General,
    /// Limited distribution: the package that forces it, where the file has one.
    Limited,
}

/// A `.mum` file.
#[derive(Clone, Debug)]
pub struct PackageEntry {
    /// Its path in the source.
    pub path: String,
    /// What it says.
    pub manifest: PackageManifest,
    /// Its name.
    pub id: PackageId,
}

/// An update package, as its manifests tell it.
pub struct UpdatePackage<'f> {
    files: &'f dyn PackageFiles,
    packages: Vec<PackageEntry>,
    /// Lower-case name → position.
    by_id: HashMap<String, usize>,
    top: usize,
    /// Lower-case key form → file.
    manifests: BTreeMap<String, PackageFile>,
    /// What compressed manifests are deltas of.
    base: Option<Arc<BaseManifest>>,
    /// What was odd or left out.
    pub notes: Vec<String>,
}

impl<'f> UpdatePackage<'f> {
    /// Reads the packages of `files`; the top one is `update.mum`, or the one that is nobody's child.
    ///
    /// # Errors
    /// `NotFound` when there is no package in it or no telling which is the top one, `Limit` for too many of them; what
    /// reading and parsing them give.
    pub fn load(files: &'f dyn PackageFiles, branch: Branch) -> Result<Self> {
        let (mut packages, mut by_id, mut manifests) = (Vec::new(), HashMap::new(), BTreeMap::new());
        let mut left = MAX_PACKAGE_BYTES;
        for file in files.list().iter().filter(|file| !file.path.contains('\\')) {
            if let Some(form) = strip_suffix(&file.path, ".manifest") {
                manifests.insert(form, file.clone());
            }
            if strip_suffix(&file.path, ".mum").is_none() {
                continue;
            }
            let bytes = files.read(file, left.min(MAX_DOCUMENT_BYTES))?;
            left = left.saturating_sub(bytes.len() as u64);
            let name = format!("{}: {}", files.name(), file.path);
            let manifest = PackageManifest::parse(&name, &bytes)?;
            let id = manifest.identity.package_id();
            by_id.entry(id.to_string().to_lowercase()).or_insert(packages.len());
            packages.push(PackageEntry { path: file.path.clone(), manifest, id });
            if packages.len() > MAX_PACKAGES {
                return Err(Error::limit(format!("more than {MAX_PACKAGES} packages")).in_file(files.name()));
            }
        }
        let mut notes = Vec::new();
        let top = find_top(&packages, branch, &mut notes).map_err(|e| e.in_file(files.name()))?;
        Ok(Self { files, packages, by_id, top, manifests, base: None, notes })
    }

    /// Expands compressed manifests with that base manifest from now on: that of the image at hand.
    pub fn set_base_manifest(&mut self, base: Option<Arc<BaseManifest>>) {
        self.base = base;
    }

    /// What messages call the source.
    #[must_use]
    pub fn source(&self) -> &str {
        self.files.name()
    }

    /// The files that it was read from.
    #[must_use]
    pub fn files(&self) -> &'f dyn PackageFiles {
        self.files
    }

    /// The top package.
    ///
    /// # Panics
    /// Never: the position was found when the package was loaded.
    #[must_use]
    pub fn top(&self) -> &PackageEntry {
        self.packages.get(self.top).expect("the position of the top package was found in this list")
    }

    /// All packages, in the order of their files.
    #[must_use]
    pub fn packages(&self) -> &[PackageEntry] {
        &self.packages
    }

    /// The package of that identity, if it is in the source.
    #[must_use]
    pub fn package(&self, identity: &AssemblyIdentity) -> Option<&PackageEntry> {
        self.by_id(&identity.package_id())
    }

    /// The package of that name, if it is in the source.
    #[must_use]
    pub fn by_id(&self, id: &PackageId) -> Option<&PackageEntry> {
        self.by_id.get(&id.to_string().to_lowercase()).and_then(|&position| self.packages.get(position))
    }

    /// The top package and all children that can be reached from it, each once, parents first.
    #[must_use]
    pub fn reachable(&self) -> Vec<&PackageEntry> {
        let (mut seen, mut found, mut queue) = (BTreeSet::new(), Vec::new(), vec![self.top()]);
        while let Some(entry) = queue.pop() {
            if !seen.insert(entry.id.to_string().to_lowercase()) {
                continue;
            }
            found.push(entry);
            let children = entry.manifest.updates.iter().flat_map(|update| &update.packages);
            let mut children: Vec<_> = children.filter_map(|child| self.package(&child.identity)).collect();
            children.reverse();
            queue.append(&mut children);
        }
        found
    }

    /// Key forms of all deployments and components in the source, sorted.
    pub fn manifest_names(&self) -> impl Iterator<Item = &str> {
        self.manifests.keys().map(String::as_str)
    }

    /// The manifest with that key form and its bytes; none when it is not in the source.
    ///
    /// # Errors
    /// What reading, [expanding](expand_manifest) and parsing it give; `Corrupt` when it is the manifest of another
    /// assembly, which is also what a wrong base manifest would make of it.
    pub fn manifest(&self, key_form: &str) -> Result<Option<LoadedManifest>> {
        let Some(file) = self.manifests.get(key_form) else { return Ok(None) };
        let name = format!("{}: {}", self.files.name(), file.path);
        let mut bytes = self.files.read(file, MAX_DOCUMENT_BYTES)?;
        let was_compressed = StoreForm::of(&bytes) != StoreForm::Plain;
        if was_compressed {
            bytes = expand_manifest(&bytes, self.base.as_deref()).map_err(|e| e.in_file(&name))?.into();
        }
        let manifest = ComponentManifest::parse(&name, &bytes)?;
        let expected = component_key_form(&manifest.identity)?;
        if expected != key_form {
            let message = format!("it is the manifest of {expected}");
            return Err(Error::new(ErrorKind::Corrupt, message).in_file(name));
        }
        let path = file.path.clone();
        Ok(Some(LoadedManifest { manifest, key_form: expected, path, bytes, was_compressed }))
    }

    /// The manifest of an assembly; none when it is not in the source.
    ///
    /// # Errors
    /// As [`Self::manifest`].
    pub fn component(&self, identity: &AssemblyIdentity) -> Result<Option<LoadedManifest>> {
        self.manifest(&component_key_form(identity)?)
    }

    /// The components that a deployment installs; an assembly that is neither a deployment nor in the source comes back
    /// as missing.
    ///
    /// # Errors
    /// As [`Self::manifest`].
    pub fn deployed(&self, deployment: &AssemblyIdentity) -> Result<Deployed> {
        let Some(found) = self.component(deployment)? else { return Ok(Deployed::default()) };
        let installed = found.manifest.dependencies.iter().filter(|d| d.kind == DependencyKind::Install);
        let components = installed.map(|dependency| dependency.identity.clone()).collect();
        Ok(Deployed { deployment: Some(found), components })
    }

    /// The article that the package belongs to.
    #[must_use]
    pub fn kb(&self) -> Option<Kb> {
        kb_of(&self.top().manifest)
    }

    /// The newest servicing stack that the package brings.
    #[must_use]
    pub fn stack_version(&self) -> Option<AssemblyVersion> {
        let marker = format!("_{}_", STACK_COMPONENT.to_ascii_lowercase());
        let stacks = self.manifests.keys().filter(|form| form.contains(&marker));
        stacks.filter_map(|form| AssemblyVersion::parse(form.split('_').nth(3)?)).max()
    }
}

/// A manifest with its bytes, as the store would keep them.
#[derive(Clone, Debug)]
pub struct LoadedManifest {
    /// What it says.
    pub manifest: ComponentManifest,
    /// Its key form.
    pub key_form: String,
    /// Its path in the source, where it may be compressed.
    pub path: String,
    /// Its bytes, expanded: a store may hold any manifest so.
    pub bytes: Arc<[u8]>,
    /// True when the source has it compressed.
    pub was_compressed: bool,
}

/// What a deployment installs.
#[derive(Clone, Debug, Default)]
pub struct Deployed {
    /// Its own manifest; none when it is not in the source.
    pub deployment: Option<LoadedManifest>,
    /// Its components.
    pub components: Vec<AssemblyIdentity>,
}

/// The article that a package belongs to: by its identifier, its name, or where it says that help is to be had.
#[must_use]
pub fn kb_of(manifest: &PackageManifest) -> Option<Kb> {
    let link = manifest.support_information.rsplit(['=', '/']).next().unwrap_or("");
    let by_link = || link.parse().ok().filter(|number| *number >= 10_000).map(Kb);
    Kb::find(&manifest.identifier).or_else(|| Kb::find(&manifest.identity.name)).or_else(by_link)
}

/// The lower-case name before a suffix of any case.
fn strip_suffix(path: &str, suffix: &str) -> Option<String> {
    path.to_ascii_lowercase().strip_suffix(suffix).map(str::to_owned)
}

fn find_top(packages: &[PackageEntry], branch: Branch, notes: &mut Vec<String>) -> Result<usize> {
    let named = |name: &str| packages.iter().position(|entry| entry.path.eq_ignore_ascii_case(name));
    let [general, limited] = TOP_FILES.map(named);
    match (branch, general, limited) {
        (Branch::General, Some(top), _) | (Branch::Limited, _, Some(top)) => return Ok(top),
        (Branch::Limited, Some(top), None) => {
            notes.push("it has no update-bf.mum: there is one branch only".to_owned());
            return Ok(top);
        }
        _ => {}
    }
    let children: BTreeSet<String> = packages
        .iter()
        .flat_map(|entry| &entry.manifest.updates)
        .flat_map(|update| &update.packages)
        .map(|child| child.identity.package_id().to_string().to_lowercase())
        .collect();
    let is_top = |entry: &PackageEntry| !children.contains(&entry.id.to_string().to_lowercase());
    let tops: Vec<usize> =
        packages.iter().enumerate().filter(|(_, entry)| is_top(entry)).map(|(at, _)| at).collect();
    match tops.as_slice() {
        [top] => Ok(*top),
        _ if packages.is_empty() => Err(Error::not_found("there is no update package in it")
            .remedy("give an .msu or .cab file of an update, or a folder that one was expanded to")),
        _ => Err(Error::not_found(format!("{} packages are in it, and none is update.mum", packages.len()))
            .remedy("give the cabinet of one update")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_are_found_in_texts() {
        for (text, kb) in [
            ("KB2999226", Some(2_999_226)),
            ("Package_12_for_kb3087873_bf", Some(3_087_873)),
            ("WKB12 KB976932", Some(976_932)),
            ("KB12", None),
            ("", None),
            ("KB999999999999", None),
        ] {
            assert_eq!(Kb::find(text), kb.map(Kb), "{text}");
        }
    }
}
