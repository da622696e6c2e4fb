//! What a registry job works on: a hive file, or images of a WIM, and how paths of keys are read there.
//!
//! A hive is in memory as a whole, so hives above a limit are refused; the memory option raises it. What is done with the
//! keys is the business of the other files.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::hive_place::KeyPaths;
use super::view::HostHive;
use crate::base::{Context, Error, ErrorKind, ImageIndex, Result};
use crate::formats::hive::{Damage, Hive, KeyRef};
use crate::formats::wim::WimFile;
use crate::image::edit::{ImageView, View};
use crate::jobs::dir::NothingFits;
use crate::jobs::images;
use crate::jobs::input::{can_be_opened, check_changeable, split_image};
use crate::jobs::open::{Check, load_image};
use crate::jobs::part_set::{LeftOut, PartSet};
use crate::jobs::target::Target as WimTarget;
use crate::servicing::hive_set::{HiveName, HiveOptions, HiveSet};
use crate::servicing::registry::{self, PathMap, Places};
use crate::transfer::read::SetBlobs;

/// Largest hive that is worked on whatever the memory option says; Windows' own stay below it.
const MIN_LIMIT_BYTES: u64 = 256 << 20;

/// Largest hive that a job loads: editing takes up to three times its size.
pub(in crate::jobs) fn limit_bytes(cx: &Context<'_>) -> u64 {
    MIN_LIMIT_BYTES.max(cx.memory_bytes() / 3)
}

/// A file and, when it is a WIM, which of its images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The file.
    pub path: PathBuf,
    /// Number, name or edition of the image, several with commas, or `all`; none is the only image.
    pub image: Option<String>,
    /// Globs of files that belong to it: other parts of a split set, bases of a delta.
    pub refs: Vec<String>,
    /// The file that it is compared with: parts of that one's set, which fit the same globs, are left to it.
    pub compared_with: Option<PathBuf>,
}

impl Target {
    /// Reads `FILE` or `FILE:IMAGE`; a file whose whole name exists is taken as it is.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (path, image) = split_image(text);
        Self { path, image, ..Self::default() }
    }

    /// The same with the files that belong to it.
    #[must_use]
    pub fn with_refs(self, refs: &[String]) -> Self {
        Self { refs: refs.to_vec(), ..self }
    }

    /// The same as one side of a comparison.
    #[must_use]
    pub(in crate::jobs) fn compared_with(&self, other: &Self) -> Self {
        Self { compared_with: Some(other.path.clone()), ..self.clone() }
    }

    /// Opens the WIM with the files that belong to it.
    ///
    /// # Errors
    /// Those of [`PartSet::open`].
    pub(in crate::jobs) fn open_wim(&self, cx: &Context<'_>) -> Result<PartSet> {
        match &self.compared_with {
            Some(other) => PartSet::open_compared(&self.path, &self.refs, other, Check::Nothing, cx),
            None => PartSet::open(&self.path, &self.refs, Check::Nothing, cx),
        }
    }
}

/// An open target.
pub(super) enum Source {
    Hive(HostHive),
    Wim(Box<PartSet>),
}

impl Source {
    pub(super) fn open(cx: &Context<'_>, target: &Target) -> Result<Self> {
        if is_hive(&target.path)? {
            return Self::open_hive(target, HostHive::open);
        }
        Ok(Self::Wim(Box::new(target.open_wim(cx)?)))
    }

    /// [`Source::open`] for a target that is written in place: it is locked against other writers before it is read, for as
    /// long as the source lives.
    ///
    /// # Errors
    /// Those of [`Source::open`] and [`WimTarget::open`].
    pub(super) fn open_to_change(cx: &Context<'_>, target: &Target) -> Result<Self> {
        let path = &target.path;
        check_changeable(path)?;
        if is_hive(path)? {
            return Self::open_hive(target, HostHive::lock);
        }
        let wim = WimTarget::open(path, Check::Nothing, cx)?.wim;
        let set = PartSet::around(wim, path, &target.refs, LeftOut::Nothing, Check::Nothing, cx)?;
        Ok(Self::Wim(Box::new(set)))
    }

    fn open_hive(target: &Target, open: fn(&Path) -> Result<HostHive>) -> Result<Self> {
        if target.image.is_some() {
            return Err(Error::invalid_input("a hive file has no images").in_file(target.path.display()));
        }
        if !target.refs.is_empty() {
            return Err(Error::invalid_input("a hive file has no other files that --ref could name")
                .in_file(target.path.display())
                .remedy("leave --ref out"));
        }
        open(&target.path).map(Self::Hive)
    }

    /// The images that the target names.
    pub(super) fn images(wim: &WimFile, target: &Target) -> Result<Vec<ImageIndex>> {
        match &target.image {
            Some(text) => images::choose(wim, text),
            None => Ok(vec![images::choose_one(wim, None)?]),
        }
    }
}

/// True for a hive file of the host; what lies on a disc image is none.
fn is_hive(path: &Path) -> Result<bool> {
    if !path.exists() && can_be_opened(path) {
        return Ok(false);
    }
    let mut signature = [0; 4];
    let mut file = std::fs::File::open(path).map_err(|e| Error::io(e, "cannot open", path))?;
    Ok(file.read_exact(&mut signature).is_ok() && signature == *b"regf")
}

/// How the hives of a target are opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) options: HiveOptions,
    pub(super) damage: Damage,
    pub(super) max_bytes: u64,
}

impl Opening {
    /// For reading; damage is an error.
    pub(super) fn to_read(cx: &Context<'_>) -> Self {
        Self { options: HiveOptions::default(), damage: Damage::Refuse, max_bytes: limit_bytes(cx) }
    }

    fn set<'v>(&self, view: &'v dyn View) -> HiveSet<'v> {
        HiveSet::new(view, self.options).with_damage(self.damage).with_limit(self.max_bytes)
    }
}

/// The registry of one image, or one hive file.
pub struct Registry<'v> {
    /// Its hives.
    pub set: HiveSet<'v>,
    /// Which hives path prefixes mean.
    pub map: PathMap,
    /// The hive and its file, when the target is a hive file.
    single: Option<(HiveName, String)>,
}

impl<'v> Registry<'v> {
    pub(super) fn of_image(
        view: &'v dyn View,
        paths: &KeyPaths,
        opening: &Opening,
        name: &'v str,
    ) -> Result<Self> {
        let mut set = opening.set(view).with_file_names(move |path| format!("{name}: {path}"));
        let map = paths.in_image(&mut set)?;
        Ok(Self { set, map, single: None })
    }

    pub(super) fn of_hive(hive: &'v HostHive, paths: &KeyPaths, opening: &Opening) -> Result<Self> {
        let mut set = opening.set(hive).with_file_names(|path| hive.shown(path));
        let name = match hive.name {
            Some(name) => name,
            None => set.add_path(&hive.hive_path())?,
        };
        Ok(Self { set, map: paths.in_file(name), single: Some((name, hive.shown(&hive.hive_path()))) })
    }

    /// Whether the target is a hive file.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.single.is_some()
    }

    /// The hives to work on: the file, or those that the image has, users' last.
    ///
    /// # Errors
    /// `Limit` for more than 65,536 of them.
    pub fn hives(&mut self) -> Result<Vec<HiveName>> {
        if let Some((name, _)) = self.single {
            return Ok(vec![name]);
        }
        let mut hives: Vec<HiveName> = HiveName::ALL.into_iter().filter(|&name| self.set.has(name)).collect();
        hives.extend(self.set.user_hives()?);
        let mapped = self.map.prefixes.iter().map(|(_, hive)| *hive).chain(self.map.current_user);
        for hive in mapped {
            if !hives.contains(&hive) {
                hives.push(hive);
            }
        }
        Ok(hives)
    }

    /// Where a path leads: in a hive file it counts from the root, unless it begins as the hive is mounted; in an image the
    /// root name `HKEY_LOCAL_MACHINE` may be left out.
    ///
    /// # Errors
    /// As [`registry::resolve`].
    pub fn places(&mut self, path: &str) -> Result<Places> {
        let path = path.trim_matches('\\');
        let resolved = registry::resolve(&mut self.set, path, &self.map);
        match (self.single.as_ref().map(|(name, _)| *name), resolved) {
            (Some(name), Ok(places)) if places.iter().all(|(hive, _)| *hive == name) => Ok(places),
            (Some(name), _) => match path.split('\\').next() {
                // A path with a root that is not this hive's is a mistake, not a key of that name.
                Some(first) if is_root(first) => Err(Error::invalid_input(format!(
                    "{path} is not in this hive"
                ))
                .remedy("write the path from the root of the hive, or map the prefix: --map PREFIX=.")),
                _ => registry::places_in(&mut self.set, name, path),
            },
            (None, Err(error)) if error.kind() == ErrorKind::InvalidInput && !path.is_empty() => {
                registry::resolve(&mut self.set, &format!("HKEY_LOCAL_MACHINE\\{path}"), &self.map)
                    .map_err(|_| error)
            }
            (None, resolved) => resolved,
        }
    }

    /// Runs `work` on the key that a path leads to; the first place counts.
    ///
    /// # Errors
    /// `NotFound` when there is no such key.
    pub fn with_key<T>(
        &mut self,
        path: &str,
        work: impl FnOnce(HiveName, &str, KeyRef<'_>) -> Result<T>,
    ) -> Result<T> {
        let no_key = || {
            let place = crate::base::Place::Path(path.to_owned());
            Error::not_found("there is no such key").at(place).with_source(NothingFits)
        };
        let (hive, key) = self.places(path)?.into_iter().next().ok_or_else(no_key)?;
        let Some(open) = self.set.hive(hive)? else { return Err(no_key()) };
        let Some(found) = open.key(&key)? else { return Err(no_key()) };
        work(hive, &key, found)
    }

    /// The path of a key as .reg files have it.
    #[must_use]
    pub fn full_path(&self, hive: HiveName, key: &str) -> String {
        let mapped = self.map.prefixes.iter().find(|(_, target)| *target == hive);
        let mapped = mapped.map(|(prefix, _)| prefix.clone());
        let is_current_user = self.map.current_user == Some(hive);
        let mount = match (&self.single, mapped) {
            (Some(_), Some(prefix)) => Some(prefix),
            (_, mapped) => registry::full_path(hive, "")
                .or(mapped)
                .or_else(|| is_current_user.then(|| "HKEY_CURRENT_USER".to_owned()))
                .or_else(|| self.set.user_name(hive).map(|user| format!("HKEY_USERS\\{user}"))),
        };
        // Windows mounts it nowhere; a file for such a hive has to say where it is meant.
        let mount = mount.unwrap_or_else(|| "HKEY_LOCAL_MACHINE\\HIVE".to_owned());
        if key.is_empty() { mount } else { format!("{mount}\\{key}") }
    }

    /// What reports call a hive: its name, its path in the image, or the hive file.
    #[must_use]
    pub fn label(&self, hive: HiveName) -> String {
        match (&self.single, hive, self.set.path(hive)) {
            (Some((_, file)), _, _) => file.clone(),
            (None, HiveName::Other(_), Some(path)) => path.to_string(),
            _ => hive.label().to_owned(),
        }
    }

    /// The hive of this name; none when it is not there.
    ///
    /// # Errors
    /// As [`HiveSet::hive`].
    pub fn hive(&mut self, name: HiveName) -> Result<Option<&Hive>> {
        self.set.hive(name)
    }
}

fn is_root(name: &str) -> bool {
    name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("HKEY_"))
        || ["HKLM", "HKCU", "HKU", "HKCR", "HKCC"].iter().any(|root| root.eq_ignore_ascii_case(name))
}

/// Runs `work` on the hive file, or on each image that the target names; answers come with the image's number.
///
/// # Errors
/// Those of opening the target and of `work`.
pub fn read<T>(
    cx: &Context<'_>,
    target: &Target,
    paths: &KeyPaths,
    mut work: impl FnMut(&mut Registry<'_>) -> Result<T>,
) -> Result<Vec<(Option<ImageIndex>, T)>> {
    let opening = Opening::to_read(cx);
    match Source::open(cx, target)? {
        Source::Hive(hive) => {
            let mut registry = Registry::of_hive(&hive, paths, &opening)?;
            Ok(vec![(None, work(&mut registry).map_err(|e| e.in_file(target.path.display()))?)])
        }
        Source::Wim(set) => {
            let (mut answers, wim) = (Vec::new(), &set.wim);
            for image in Source::images(wim, target)? {
                cx.cancel.check()?;
                let tree = load_image(wim, image, cx)?;
                let blobs = SetBlobs::new(&set.wims());
                let view = ImageView::new(&tree, &blobs);
                let name = format!("{}: image {image}", wim.name());
                let blame = |e: Error| set.explain(e).in_file(&name);
                let mut registry = Registry::of_image(&view, paths, &opening, &name).map_err(blame)?;
                answers.push((Some(image), work(&mut registry).map_err(blame)?));
            }
            Ok(answers)
        }
    }
}
