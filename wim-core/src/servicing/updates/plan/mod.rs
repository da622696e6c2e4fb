//! What integrating a package into the component store would do, as data: files, links, registry values, records.
//!
//! Source: updates.md 4.3, 5 and 6.2. Only packages whose new components are files, directories and registry values are
//! planned, and nothing is carried out here. Where a record's shape is not published, that of a sibling in the same image is
//! copied; where there is none, the plan says so.
//!
//! | file | subject |
//! |---|---|
//! | `destination.rs` | macros to paths |
//! | `values.rs` | registry values of components |
//! | `records.rs` | COMPONENTS, `Winners`, and the keys of CBS |

mod destination;
mod records;
mod values;

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::{Serialize, Serializer};

use self::destination::{Bitness, LEAVE_IT_TO_WINDOWS, image_path};
use self::values::ValueContext;
use super::image_state::ImageState;
use super::judge::{Judgement, Outcome};
use super::names::component_key_form;
use super::package::{LoadedManifest, UpdatePackage};
use crate::base::hex;
use crate::base::{Error, Result};
use crate::formats::cbs::{AssemblyIdentity, FileEntry};
use crate::formats::hive::{RegValue, reg_type};
use crate::image::WimPath;
use crate::image::edit::{View, as_spelt};
use crate::servicing::hive_set::{HiveName, HiveSet};

/// Largest catalog that is read for its digest.
const MAX_CATALOG_BYTES: u64 = 64 << 20;
/// Folder of catalogs that Windows verifies signatures with.
const CATALOG_ROOT: &str = "\\Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";

/// What the user can do about a package that lacks a part of itself.
const INCOMPLETE: &str = "the package is incomplete; get it again from its source";

/// What a component becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentClass {
    /// It takes the place of what is in use.
    NewWinner,
    /// It goes into the store beside a newer one.
    StoreOnly,
    /// The store has it.
    AlreadyPresent,
}

/// A component of the plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedComponent {
    /// Its key form.
    pub key_form: String,
    /// What it becomes.
    pub class: ComponentClass,
    /// Version in use before, if there is one.
    pub replaces: Option<String>,
}

/// A file that is put into the image.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedFile {
    /// Where.
    #[serde(serialize_with = "as_text")]
    pub path: WimPath,
    /// Its path in the package.
    pub source: String,
    /// False when the package has it in pieces and is to be expanded first.
    pub in_package: bool,
    /// Digest that its manifest states.
    pub digest: Option<String>,
}

/// A name outside the store for a file of the store.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedLink {
    /// The name.
    #[serde(serialize_with = "as_text")]
    pub path: WimPath,
    /// The file of the store.
    #[serde(serialize_with = "as_text")]
    pub target: WimPath,
    /// True when there is a file of that name already.
    pub replaces: bool,
    /// Security descriptor in SDDL, if the manifest has one.
    pub security: Option<String>,
}

/// A directory that is made where it is missing.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedDirectory {
    /// The directory.
    #[serde(serialize_with = "as_text")]
    pub path: WimPath,
    /// Security descriptor in SDDL, if the manifest has one.
    pub security: Option<String>,
}

/// What is done to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedAction {
    /// The key is made.
    CreateKey,
    /// The value is set.
    SetValue(String, RegValue),
    /// The key is deleted with everything below it.
    DeleteKey,
}

/// One edit of the registry.
#[derive(Clone, Debug)]
pub struct PlannedEdit {
    /// The hive.
    pub hive: HiveName,
    /// The key, from the root of the hive.
    pub key: String,
    /// What is done.
    pub action: PlannedAction,
    /// What the value is now; none when it is not there.
    pub old: Option<RegValue>,
}

/// All that integrating a package would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UpdatePlan {
    /// Components and deployments.
    pub components: Vec<PlannedComponent>,
    /// Files for the store, package manifests and catalogs.
    pub files: Vec<PlannedFile>,
    /// Names outside the store.
    pub links: Vec<PlannedLink>,
    /// Directories.
    pub directories: Vec<PlannedDirectory>,
    /// Registry values of the components themselves.
    pub registry: Vec<PlannedEdit>,
    /// Records of the store and of CBS.
    pub records: Vec<PlannedEdit>,
    /// What is not certain about it.
    pub notes: Vec<String>,
    /// Hive, key and value of each record, so that none is there twice.
    #[serde(skip)]
    recorded: HashSet<(HiveName, String, String)>,
}

fn as_text<S: Serializer>(path: &WimPath, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

impl fmt::Display for PlannedEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\\{}", self.hive.label(), self.key)?;
        match &self.action {
            PlannedAction::CreateKey => f.write_str(" (key)"),
            PlannedAction::DeleteKey => f.write_str(" (deleted)"),
            PlannedAction::SetValue(name, data) => {
                let name = if name.is_empty() { "(default)" } else { name };
                write!(f, ", {name} = {}", value_text(data))
            }
        }
    }
}

impl Serialize for PlannedEdit {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let (action, name, data) = match &self.action {
            PlannedAction::CreateKey => ("create_key", None, None),
            PlannedAction::DeleteKey => ("delete_key", None, None),
            PlannedAction::SetValue(name, data) => ("set_value", Some(name), Some(data)),
        };
        let mut edit = serializer.serialize_struct("PlannedEdit", 7)?;
        edit.serialize_field("hive", self.hive.label())?;
        edit.serialize_field("key", &self.key)?;
        edit.serialize_field("action", action)?;
        edit.serialize_field("value", &name)?;
        edit.serialize_field("kind", &data.map(|data| data.kind))?;
        edit.serialize_field("data", &data.map(value_text))?;
        edit.serialize_field("old", &self.old.as_ref().map(value_text))?;
        edit.end()
    }
}

/// Data for people: texts as they are, numbers in hexadecimal, anything else as bytes.
fn value_text(data: &RegValue) -> String {
    let digits = || hex::encode(&data.data);
    match data.kind {
        reg_type::SZ | reg_type::EXPAND_SZ => data.as_str().unwrap_or_else(digits),
        reg_type::MULTI_SZ => data.as_multi_sz().map_or_else(digits, |texts| texts.join("; ")),
        reg_type::DWORD => data.as_dword().map_or_else(digits, |number| format!("{number:#x}")),
        reg_type::QWORD => data.as_qword().map_or_else(digits, |number| format!("{number:#x}")),
        _ => digits(),
    }
}

/// Plans the integration of a package that was judged applicable.
///
/// # Errors
/// `InvalidInput` for a package with another outcome, `Unsupported` for a macro, key or value whose meaning is not certain, what
/// reading the package and the image's hives gives.
pub fn plan(
    package: &UpdatePackage<'_>,
    judgement: &Judgement,
    state: &ImageState,
    view: &dyn View,
    hives: &mut HiveSet<'_>,
) -> Result<UpdatePlan> {
    if judgement.outcome != Outcome::Applicable {
        let message = format!("it is not planned: {}", judgement.outcome.label());
        return Err(Error::invalid_input(message).in_file(package.source()));
    }
    let system_drive = system_drive(hives)?;
    let files = package.files().list().iter().enumerate();
    let payloads = files.map(|(position, file)| (file.path.to_lowercase(), position)).collect();
    let mut planner = Planner {
        package,
        state,
        view,
        system_drive,
        payloads,
        done: HashSet::new(),
        plan: UpdatePlan::default(),
    };
    for update in &judgement.applied {
        for deployment in &update.deployments {
            let deployed = package.deployed(deployment)?;
            let Some(own) = deployed.deployment else {
                let message = format!("its deployment {} is not in the package", deployment.name);
                return Err(Error::not_found(message).in_file(package.source()).remedy(INCOMPLETE));
            };
            planner.assembly(&own, hives)?;
            let catalog = planner.catalog_of(update)?;
            records::deployment(&mut planner.plan, &own, update, catalog, hives)?;
            records::used_by(&mut planner.plan, &own.key_form, &own.manifest.identity, hives)?;
            for component in &deployed.components {
                planner.component(component, hives)?;
                let key_form = component_key_form(component)?;
                records::used_by(&mut planner.plan, &key_form, &own.manifest.identity, hives)?;
            }
        }
    }
    planner.packages(judgement)?;
    records::packages(&mut planner.plan, package, judgement, state, hives)?;
    records::drop_cache(&mut planner.plan, hives)?;
    Ok(planner.plan)
}

/// The name of the drive that Windows will find itself on.
fn system_drive(hives: &mut HiveSet<'_>) -> Result<Option<String>> {
    let root = hives.get(HiveName::Software, "Microsoft\\Windows NT\\CurrentVersion", "SystemRoot")?;
    let root = root.and_then(|value| value.as_str()).unwrap_or_default();
    let drive = root.get(..2).filter(|drive| drive.ends_with(':') && root.get(2..3) == Some("\\"));
    Ok(drive.map(str::to_owned))
}

struct Planner<'a, 'f> {
    package: &'a UpdatePackage<'f>,
    state: &'a ImageState,
    view: &'a dyn View,
    system_drive: Option<String>,
    /// Lower-case paths of the package's files, and their positions.
    payloads: HashMap<String, usize>,
    /// Key forms that are planned already.
    done: HashSet<String>,
    plan: UpdatePlan,
}

impl Planner<'_, '_> {
    fn component(&mut self, identity: &AssemblyIdentity, hives: &mut HiveSet<'_>) -> Result<()> {
        match self.package.component(identity)? {
            Some(found) => self.assembly(&found, hives),
            None if self.state.versions_in_store(identity).contains(&identity.version) => Ok(()),
            None => {
                let message =
                    format!("its component {} {} is not in the package", identity.name, identity.version);
                Err(Error::not_found(message).in_file(self.package.source()).remedy(INCOMPLETE))
            }
        }
    }

    /// Plans a deployment or a component, once.
    fn assembly(&mut self, found: &LoadedManifest, hives: &mut HiveSet<'_>) -> Result<()> {
        if !self.done.insert(found.key_form.clone()) {
            return Ok(());
        }
        let identity = &found.manifest.identity;
        let winner = self.state.winner(hives, identity)?;
        let class = if self.state.versions_in_store(identity).contains(&identity.version) {
            ComponentClass::AlreadyPresent
        } else if winner.is_some_and(|winner| winner.version >= identity.version) {
            ComponentClass::StoreOnly
        } else {
            ComponentClass::NewWinner
        };
        self.plan.components.push(PlannedComponent {
            key_form: found.key_form.clone(),
            class,
            replaces: winner.map(|winner| winner.version.to_string()),
        });
        if class == ComponentClass::AlreadyPresent {
            return Ok(());
        }
        let manifest = format!("\\Windows\\WinSxS\\Manifests\\{}.manifest", found.key_form);
        self.put_file(&manifest, &found.path, None)?;
        let note = "manifests that are compressed in the package go in expanded, as stores may have them";
        if found.was_compressed && !self.plan.notes.iter().any(|known| known == note) {
            self.plan.notes.push(note.to_owned());
        }
        records::component(&mut self.plan, found, self.state, hives)?;
        let result = self.content(found, class, hives);
        result.map_err(|e| e.in_file(format!("{}: {}", self.package.source(), found.key_form)))
    }

    /// Files, and for what comes into use also links, directories and registry values.
    fn content(
        &mut self,
        found: &LoadedManifest,
        class: ComponentClass,
        hives: &mut HiveSet<'_>,
    ) -> Result<()> {
        let manifest = &found.manifest;
        let image = self.state.target.windows.arch;
        let bitness = Bitness::of(&manifest.identity.architecture, image);
        let is_winner = class == ComponentClass::NewWinner;
        for file in &manifest.files {
            let inside = format!("{}\\{}", found.key_form, file.name);
            let store = format!("\\Windows\\WinSxS\\{inside}");
            let digest = file.digests.first().map(|digest| format!("{} {digest}", digest.algorithm()));
            self.put_file(&store, &inside, digest)?;
            if is_winner {
                self.project(found, file, &store, bitness)?;
            }
        }
        if !is_winner {
            return Ok(());
        }
        for directory in &manifest.directories {
            let path = image_path(&directory.destination, bitness, image, self.view)?;
            let security = self.sddl(found, directory.security.as_deref());
            self.plan.directories.push(PlannedDirectory { path, security });
        }
        let system_drive = self.system_drive.clone();
        let context = ValueContext { bitness, image, system_drive: system_drive.as_deref() };
        for key in &manifest.registry_keys {
            for (hive, path) in values::places(key, context, hives)? {
                if !hives.has(hive) {
                    let message = format!("the image has no {} hive", hive.label());
                    return Err(Error::not_found(message).remedy(LEAVE_IT_TO_WINDOWS));
                }
                if !hives.key_exists(hive, &path)? {
                    self.plan.registry.push(PlannedEdit {
                        hive,
                        key: path.clone(),
                        action: PlannedAction::CreateKey,
                        old: None,
                    });
                }
                for value in &key.values {
                    let data = values::data(value, context)?;
                    let old = hives.get(hive, &path, &value.name)?;
                    let action = PlannedAction::SetValue(value.name.clone(), data);
                    self.plan.registry.push(PlannedEdit { hive, key: path.clone(), action, old });
                }
            }
        }
        records::winner(&mut self.plan, &manifest.identity, self.state, hives)
    }

    /// Links the places outside the store that a file goes to.
    fn project(
        &mut self,
        found: &LoadedManifest,
        file: &FileEntry,
        store: &str,
        bitness: Bitness,
    ) -> Result<()> {
        let image = self.state.target.windows.arch;
        let security = self.sddl(found, file.security.as_deref());
        let name = file.destination_name.as_ref().unwrap_or(&file.name);
        let main =
            file.destination.as_ref().map(|folder| format!("{}\\{name}", folder.trim_end_matches('\\')));
        for place in main.iter().chain(&file.links) {
            let path = image_path(place, bitness, image, self.view)?;
            let there = self.view.entry(&path);
            if there.as_ref().is_some_and(crate::image::edit::EntryInfo::is_directory) {
                let message = format!("{path} of the image is a directory, not a file");
                return Err(Error::invalid_input(message).remedy(LEAVE_IT_TO_WINDOWS));
            }
            self.plan.links.push(PlannedLink {
                path,
                target: WimPath::parse(store)?,
                replaces: there.is_some(),
                security: security.clone(),
            });
        }
        Ok(())
    }

    /// The security descriptor of that name; a name without a descriptor is noted.
    fn sddl(&mut self, found: &LoadedManifest, name: Option<&str>) -> Option<String> {
        let name = name?;
        let sddl = found.manifest.sddl(name).map(str::to_owned);
        if sddl.is_none() {
            let note =
                format!("{} names the security descriptor {name}, which it does not have", found.key_form);
            self.plan.notes.push(note);
        }
        sddl
    }

    fn put_file(&mut self, path: &str, source: &str, digest: Option<String>) -> Result<()> {
        let path = as_spelt(&WimPath::parse(path)?, self.view);
        let in_package = self.payloads.contains_key(&source.to_lowercase());
        self.plan.files.push(PlannedFile { path, source: source.to_owned(), in_package, digest });
        Ok(())
    }

    /// The catalog of the package that an update belongs to: its path, and its SHA-256 in hexadecimal.
    fn catalog_of(&self, update: &super::AppliedUpdate) -> Result<Option<(String, String)>> {
        let Some(entry) = self.package.by_id(&update.package) else { return Ok(None) };
        self.catalog(&entry.path)
    }

    /// The catalog beside a `.mum` file.
    fn catalog(&self, mum: &str) -> Result<Option<(String, String)>> {
        let path = format!("{}.cat", mum.get(..mum.len().saturating_sub(4)).unwrap_or(mum));
        let files = self.package.files();
        let position = self.payloads.get(&path.to_lowercase());
        let Some(file) = position.and_then(|&position| files.list().get(position)) else { return Ok(None) };
        let bytes = files.read(file, MAX_CATALOG_BYTES)?;
        Ok(Some((file.path.clone(), records::sha256_hex(&bytes))))
    }

    /// Package manifests and their catalogs.
    fn packages(&mut self, judgement: &Judgement) -> Result<()> {
        for id in &judgement.packages {
            let Some(entry) = self.package.by_id(id) else { continue };
            let mum = entry.path.clone();
            self.put_file(&format!("\\Windows\\servicing\\Packages\\{id}.mum"), &mum, None)?;
            let Some((catalog, digest)) = self.catalog(&mum)? else {
                self.plan.notes.push(format!("{id} has no catalog: Windows cannot verify it"));
                continue;
            };
            self.put_file(&format!("\\Windows\\servicing\\Packages\\{id}.cat"), &catalog, None)?;
            self.put_file(&format!("{CATALOG_ROOT}\\{id}.cat"), &catalog, None)?;
            self.put_file(&format!("\\Windows\\WinSxS\\Catalogs\\{digest}.cat"), &catalog, None)?;
        }
        if self.plan.files.iter().any(|file| !file.in_package) {
            let note = "files are in pieces in the package; they are rebuilt when it is expanded";
            self.plan.notes.push(note.to_owned());
        }
        Ok(())
    }
}
