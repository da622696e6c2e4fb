//! What is on a disc, and which of it fits patterns.
//!
//! Entries are given one by one, so that a disc of a million names is never in memory as text.

use std::path::Path;

use serde::Serialize;

use crate::base::{Context, Error, FileTime, Place, Result, WimString};
use crate::image::glob::{Case, Glob, PathGlob};
use crate::jobs::clock::ReportTime;
use crate::jobs::dir::NothingFits;
use crate::jobs::input::{no_such_file, open_disc, split_inner, tell_warnings};
use crate::media::{DiscEntry, EntryKind, IsoImage};

/// What is wanted of a disc.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Paths from the root, with either slash; names may have `*` and `?`. A directory stands for all below it. None mean
    /// everything.
    pub paths: Vec<String>,
    /// Patterns for the names of files, wherever they are; none mean any.
    pub names: Vec<String>,
}

/// What a listing tells of one name.
#[derive(Clone, Debug, Serialize)]
pub struct ListedEntry {
    /// Path from the root.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file, 0 for others.
    pub size: u64,
    /// Last change.
    pub modified: Option<ReportTime>,
    /// True when it is not to be shown.
    pub hidden: bool,
}

impl ListedEntry {
    fn of(path: &str, entry: &DiscEntry) -> Self {
        Self {
            path: path.to_owned(),
            kind: entry.kind,
            size: if entry.kind == EntryKind::File { entry.size } else { 0 },
            modified: entry.modified.map(|time: FileTime| ReportTime(time)),
            hidden: entry.is_hidden,
        }
    }
}

/// Opens the disc at `path`, which may have the path of a directory or file inside behind it; that is given as well.
///
/// # Errors
/// What opening gives.
pub(super) fn open_with_inner(path: &Path, cx: &Context<'_>) -> Result<(IsoImage, Option<String>)> {
    match split_inner(path) {
        Some((file, inner)) => Ok((open_disc(&file, cx)?, Some(inner))),
        None => Ok((open_disc(path, cx)?, None)),
    }
}

/// Gives every entry of the disc at `path` that is wanted to `show`, in the order of a walk.
///
/// # Errors
/// `NotFound` for a path that nothing fits; what reading gives, and what `show` gives.
pub fn list(
    cx: &Context<'_>,
    path: &Path,
    selection: &Selection,
    show: &mut dyn FnMut(ListedEntry) -> Result<()>,
) -> Result<()> {
    let (disc, inner) = open_with_inner(path, cx)?;
    walk(cx, &disc, inner.as_deref(), selection, &mut |path, entry| show(ListedEntry::of(path, entry)))
}

/// Calls `visit` for every entry that is wanted, each directory before what it holds.
///
/// # Errors
/// `NotFound` for a path that nothing fits; what reading gives, and what `visit` gives.
pub(super) fn walk(
    cx: &Context<'_>,
    disc: &IsoImage,
    inner: Option<&str>,
    selection: &Selection,
    visit: &mut dyn FnMut(&str, &DiscEntry) -> Result<()>,
) -> Result<()> {
    let start_path = inner.unwrap_or("").trim_end_matches('/');
    let walked = walk_from(cx, disc, start_path, selection, visit);
    tell_warnings(disc, cx);
    walked
}

fn walk_from(
    cx: &Context<'_>,
    disc: &IsoImage,
    start_path: &str,
    selection: &Selection,
    visit: &mut dyn FnMut(&str, &DiscEntry) -> Result<()>,
) -> Result<()> {
    let start =
        disc.find(start_path)?.ok_or_else(|| no_such_file(disc, start_path).with_source(NothingFits))?;
    let mut wanted = Wanted::new(selection)?;
    if start.kind == EntryKind::Directory {
        disc.walk((start_path, &start), &mut |path, entry| {
            cx.cancel.check()?;
            if wanted.has(path, entry) { visit(path, entry) } else { Ok(()) }
        })?;
    } else if wanted.has(start_path, &start) {
        visit(start_path, &start)?;
    }
    wanted.finish(disc)
}

/// The patterns of a selection, and which of them something fitted.
struct Wanted<'s> {
    selection: &'s Selection,
    paths: Vec<PathGlob>,
    names: Vec<Glob>,
    path_used: Vec<bool>,
    any: bool,
}

impl<'s> Wanted<'s> {
    fn new(selection: &'s Selection) -> Result<Self> {
        let paths = selection.paths.iter().map(|text| PathGlob::parse(text, Case::Ignored));
        Ok(Self {
            selection,
            paths: paths.collect::<Result<_>>()?,
            names: selection.names.iter().map(|text| Glob::new(text, Case::Ignored)).collect(),
            path_used: vec![false; selection.paths.len()],
            any: false,
        })
    }

    fn has(&mut self, path: &str, entry: &DiscEntry) -> bool {
        let names: Vec<WimString> =
            path.split('/').filter(|name| !name.is_empty()).map(WimString::from).collect();
        let mut below = self.paths.is_empty();
        for (glob, used) in self.paths.iter().zip(&mut self.path_used) {
            // Itself, or something below what fits.
            let length = glob.names().len();
            if names.get(..length).is_some_and(|start| glob.matches(start)) {
                (below, *used) = (true, true);
            }
        }
        let fits = self.names.is_empty()
            || entry.kind != EntryKind::Directory && self.names.iter().any(|glob| glob.matches(&entry.name));
        self.any |= below && fits;
        below && fits
    }

    fn finish(self, disc: &IsoImage) -> Result<()> {
        let unused = self.path_used.iter().position(|used| !used).and_then(|at| self.selection.paths.get(at));
        let nothing = (!self.any).then(|| self.selection.names.first()).flatten();
        match unused.or(nothing) {
            Some(pattern) => Err(Error::not_found("nothing on the disc fits")
                .in_file(disc.name())
                .at(Place::Path(pattern.clone()))
                .with_source(NothingFits)
                .remedy(format!("see what it has with: wim media ls {}", disc.name()))),
            None => Ok(()),
        }
    }
}
