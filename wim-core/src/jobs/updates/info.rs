//! `package info`: what a package says of itself.

use std::path::Path;

use serde::Serialize;

use super::{Pieces, open_file};
use crate::base::{Context, Error, Result};
use crate::formats::cbs::{AssemblyIdentity, Comparison, Parent};
use crate::jobs::archive::Scratch;
use crate::jobs::packages::base_manifest_of;
use crate::jobs::registry::Target;
use crate::servicing::updates::{
    Branch, LoadedManifest, PackageEntry, UpdatePackage, installers_needed, kb_of, windows7,
};

/// A package.
#[derive(Clone, Debug, Serialize)]
pub struct PackageInfo {
    /// The file.
    pub path: String,
    /// `msu`, `cab`, `program`, `wim` or `folder`.
    pub container: &'static str,
    /// `files`, `delta` or `psf`: how its files are stored.
    pub payload: &'static str,
    /// Its name, as CBS writes it.
    pub identity: String,
    /// The article it belongs to.
    pub kb: Option<String>,
    /// `Update`, `Hotfix`, `Security Update` …
    pub release_type: String,
    /// What it says it is.
    pub description: String,
    /// What is known of it beyond that, for updates of Windows 7 that the table lists.
    pub title: Option<&'static str>,
    /// Where help is to be had.
    pub support: String,
    /// When it was made.
    pub created: String,
    /// `possible`, `required`, or empty.
    pub restart: String,
    /// Least servicing stack.
    pub servicing_stack: Option<String>,
    /// Packages one of which must be in the image, for each entry.
    pub parents: Vec<ParentInfo>,
    /// All packages in it, the top one first.
    pub packages: Vec<NamesOfPackage>,
    /// Its components and deployments, sorted.
    pub components: Vec<ComponentInfo>,
    /// Installers that its components need.
    pub installers: Vec<InstallerInfo>,
    /// What was odd or could not be read.
    pub findings: Vec<String>,
}

/// A parent element.
#[derive(Clone, Debug, Serialize)]
pub struct ParentInfo {
    /// `detect` or `staged`.
    pub disposition: String,
    /// How versions are compared: `build EQ, service GE`.
    pub compare: String,
    /// Packages that satisfy it.
    pub any_of: Vec<String>,
}

/// A package inside the file.
#[derive(Clone, Debug, Serialize)]
pub struct NamesOfPackage {
    /// Its name.
    pub identity: String,
    /// Its updates.
    pub updates: Vec<UpdateInfo>,
}

/// An update of a package.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateInfo {
    /// Its name.
    pub name: String,
    /// Child packages.
    pub packages: Vec<String>,
    /// Key forms of its deployments.
    pub deployments: Vec<String>,
    /// INF files of its drivers.
    pub drivers: Vec<String>,
    /// True when it applies under conditions only.
    pub conditional: bool,
}

/// A component or deployment.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentInfo {
    /// Its key form: name of its directory in the store.
    pub key_form: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// Its language, none when neutral.
    pub language: Option<String>,
    /// True for a deployment.
    pub deployment: bool,
    /// Its files.
    pub files: Vec<FileInfo>,
    /// Its registry values.
    pub registry: Vec<RegistryInfo>,
    /// Categories it joins.
    pub memberships: Vec<String>,
    /// Installers it needs.
    pub installers: Vec<String>,
}

/// A file of a component.
#[derive(Clone, Debug, Serialize)]
pub struct FileInfo {
    /// Its name.
    pub name: String,
    /// Where it goes, with macros; none when it stays in the store.
    pub destination: Option<String>,
    /// `SHA-256 …`, or none when the manifest has no digest.
    pub digest: Option<String>,
}

/// A registry value of a component; a key without values has one without a name.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryInfo {
    /// The key.
    pub key: String,
    /// Name of the value; none for the key alone.
    pub value: Option<String>,
    /// Its type.
    pub kind: Option<String>,
    /// Its data, as written.
    pub data: Option<String>,
}

/// An installer.
#[derive(Clone, Debug, Serialize)]
pub struct InstallerInfo {
    /// In words.
    pub installer: String,
    /// Key forms of the components that need it.
    pub components: Vec<String>,
}

/// What is asked of a package.
#[derive(Clone, Debug, Default)]
pub struct InfoOptions {
    /// Whose top package is taken where there are two.
    pub branch: Branch,
    /// An image whose base manifest compressed manifests are expanded with.
    pub image: Option<Target>,
}

/// Reads the package at `path`; what does not fit into memory goes to a nameless file beside it.
///
/// # Errors
/// What opening the file and the image gives; manifests that cannot be read are findings.
pub fn info(cx: &Context<'_>, path: &Path, options: &InfoOptions) -> Result<PackageInfo> {
    let branch = options.branch;
    let open = open_file(cx, path, &Scratch::beside(cx, path), Pieces::WhenNeeded)?;
    let mut package = UpdatePackage::load(&*open.files, branch)?;
    let mut findings = package.notes.clone();
    if let Some(target) = &options.image {
        let base = base_manifest_of(cx, target)?;
        findings.extend(base.doubt());
        package.set_base_manifest(Some(base));
    }
    let mut unread = UnreadManifests::default();
    let (mut components, mut installers) = (Vec::new(), Vec::<InstallerInfo>::new());
    for key_form in package.manifest_names() {
        cx.cancel.check()?;
        match package.manifest(key_form) {
            Ok(Some(found)) => components.push(component_info(&found)),
            Ok(None) => {}
            Err(error) => unread.add(error),
        }
    }
    findings.extend(unread.into_findings());
    for component in &components {
        for installer in &component.installers {
            match installers.iter_mut().find(|known| known.installer == *installer) {
                Some(known) => known.components.push(component.key_form.clone()),
                None => installers.push(InstallerInfo {
                    installer: installer.clone(),
                    components: vec![component.key_form.clone()],
                }),
            }
        }
    }
    let reachable = package.reachable();
    for entry in package.packages().iter().filter(|entry| !reachable.iter().any(|r| r.path == entry.path)) {
        // The other branch has packages of its own, reached from its own top package.
        if !entry.id.name.to_ascii_lowercase().ends_with("_bf") && branch == Branch::General {
            findings.push(format!("{} is not reached from the top package", entry.id));
        }
    }
    let top = package.top();
    Ok(PackageInfo {
        path: path.display().to_string(),
        container: open.container,
        payload: open.payload,
        identity: top.id.to_string(),
        kb: package.kb().map(|kb| kb.to_string()),
        release_type: top.manifest.release_type.clone(),
        description: top.manifest.description.clone(),
        title: kb_of(&top.manifest).and_then(windows7::entry).map(|entry| entry.title),
        support: top.manifest.support_information.clone(),
        created: top.manifest.creation_time.clone(),
        restart: top.manifest.restart.clone(),
        servicing_stack: top.manifest.installer.as_ref().map(|stack| stack.version.to_string()),
        parents: top.manifest.parents.iter().map(parent_info).collect(),
        packages: reachable.into_iter().map(package_names).collect(),
        components,
        installers,
        findings,
    })
}

/// Manifests that could not be read, those for the same reason told once: a package may have thousands of them.
#[derive(Default)]
struct UnreadManifests(Vec<(Error, usize)>);

impl UnreadManifests {
    fn add(&mut self, error: Error) {
        let same = |known: &Error| known.kind() == error.kind() && known.message() == error.message();
        match self.0.iter_mut().find(|(known, _)| same(known)) {
            Some((_, count)) => *count += 1,
            None => self.0.push((error, 1)),
        }
    }

    fn into_findings(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|(error, count)| {
            let more = if count > 1 { format!(" (and {} more manifests)", count - 1) } else { String::new() };
            let remedy = error.remedy_text().map_or_else(String::new, |remedy| format!("; {remedy}"));
            format!("{error}{more}{remedy}")
        })
    }
}

fn parent_info(parent: &Parent) -> ParentInfo {
    let rule = parent.rule;
    let fields = [
        ("build", rule.build),
        ("service", rule.service),
        ("distribution", rule.distribution),
        ("revision", rule.revision),
    ];
    let word = |comparison| match comparison {
        Comparison::Equal => "EQ",
        Comparison::GreaterOrEqual => "GE",
        Comparison::Other => "?",
    };
    let compare: Vec<String> =
        fields.iter().filter_map(|(name, rule)| Some(format!("{name} {}", word((*rule)?)))).collect();
    let mut any_of: Vec<String> =
        parent.alternatives.iter().map(|identity| identity.package_id().to_string()).collect();
    any_of.extend(parent.nested.iter().flat_map(|nested| parent_info(nested).any_of));
    ParentInfo { disposition: parent.disposition.clone(), compare: compare.join(", "), any_of }
}

fn package_names(entry: &PackageEntry) -> NamesOfPackage {
    let key_form = |identity: &AssemblyIdentity| {
        crate::servicing::updates::names::component_key_form(identity)
            .unwrap_or_else(|_| identity.to_string())
    };
    let updates = entry.manifest.updates.iter().map(|update| UpdateInfo {
        name: update.name.clone(),
        packages: update.packages.iter().map(|child| child.identity.package_id().to_string()).collect(),
        deployments: update.components.iter().map(key_form).collect(),
        drivers: update.drivers.iter().map(|driver| driver.inf.clone()).collect(),
        conditional: update.applicable.is_some(),
    });
    NamesOfPackage { identity: entry.id.to_string(), updates: updates.collect() }
}

fn component_info(found: &LoadedManifest) -> ComponentInfo {
    let manifest = &found.manifest;
    let mut registry = Vec::new();
    for key in &manifest.registry_keys {
        if key.values.is_empty() {
            registry.push(RegistryInfo { key: key.path.clone(), value: None, kind: None, data: None });
        }
        registry.extend(key.values.iter().map(|value| RegistryInfo {
            key: key.path.clone(),
            value: Some(value.name.clone()),
            kind: Some(value.kind.clone()),
            data: value.data.clone(),
        }));
    }
    let files = manifest.files.iter().map(|file| FileInfo {
        name: file.name.clone(),
        destination: file.destination.clone(),
        digest: file.digests.first().map(|digest| format!("{} {digest}", digest.algorithm())),
    });
    ComponentInfo {
        key_form: found.key_form.clone(),
        name: manifest.identity.name.clone(),
        version: manifest.identity.version.to_string(),
        architecture: manifest.identity.architecture.clone(),
        language: manifest.identity.language.clone(),
        deployment: manifest.is_deployment,
        files: files.collect(),
        registry,
        memberships: manifest.memberships.iter().map(|membership| membership.category.clone()).collect(),
        installers: installers_needed(manifest),
    }
}
