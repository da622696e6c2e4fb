//! Files and directories of an image put into a directory of the host, or files written to a stream.
//!
//! Paths are given as wimlib takes them: with wildcards, both slashes, from the command or from list files. A path is
//! looked for as it is spelt and, when nothing fits, without regard to case. Nothing is written unless all of them fit.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use super::apply::{Applied, begin_side_file};
use super::dir::{NothingFits, find_typed, typed_path};
use super::images;
use super::open::{Check, case_of_paths, load_image};
use super::part_set::PartSet;
use super::text_file::read_text;
use crate::base::{Context, Error, ImageIndex, Place, Reason, Result, WimString};
use crate::image::glob::{Case, PathGlob};
use crate::image::{NodeId, StreamKind, Tree};
use crate::transfer::apply::{
    ApplyOptions, ApplyReport, FixedLinks, Layout, RestoreOptions, extract, write_file_to,
};
use crate::transfer::capture::{Metadata, unquote};

/// What `*` and `?` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcards {
    /// They stand for any characters of a name.
    Expand,
    /// They are characters like others.
    Literal,
}

/// What becomes of a path that nothing fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// It is an error, and nothing is extracted.
    Fail,
    /// It is warned about.
    Warn,
}

/// Which files are extracted, and how.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// Paths, and `@FILE` for lists of paths; none mean the whole image.
    pub paths: Vec<String>,
    /// What `*` and `?` mean.
    pub wildcards: Wildcards,
    /// What becomes of a path that nothing fits.
    pub unmatched: Unmatched,
    /// Where files of paths go; those of lists always keep their paths.
    pub layout: Layout,
    /// What is checked before.
    pub check: Check,
    /// What is restored, and what is put up with.
    pub restore: RestoreOptions,
    /// Globs of files that belong to the WIM: other parts, bases of a delta.
    pub refs: Vec<String>,
    /// Whether a side file keeps what the host cannot hold.
    pub metadata: Metadata,
}

/// Files chosen by their paths.
#[derive(Debug, Default)]
struct Chosen {
    /// Those that go right into the target.
    flat: Vec<NodeId>,
    /// Those that keep their paths.
    with_paths: Vec<NodeId>,
}

impl Chosen {
    /// True for a name that something gets right in the target, in whatever case.
    fn makes(&self, tree: &Tree, name: &OsStr) -> bool {
        let is_it = |made: &WimString| made.to_text().to_lowercase() == name.to_string_lossy().to_lowercase();
        let is_first = |node: &NodeId| tree.path_of(*node).components().first().is_some_and(is_it);
        self.flat.iter().any(|&node| is_it(&tree.node(node).name)) || self.with_paths.iter().any(is_first)
    }
}

/// Extracts from the image that `text` names in the file at `path` into the directory `target`.
///
/// # Errors
/// `NotFound` with the path when nothing fits it; `NotFound` or `InvalidInput` for the image; else what opening and
/// extracting give.
pub fn to_directory(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    target: &Path,
    options: &ExtractOptions,
) -> Result<Applied> {
    let (set, image) = open_image(cx, path, text, options)?;
    let (tree, wims) = (load_image(&set.wim, image, cx)?, set.wims());
    let chosen = choose((&tree, &place_of(&set, image)), options, cx)?;
    let is_made = |name: &OsStr| chosen.makes(&tree, name);
    let mut side_file = begin_side_file(&options.metadata, target, &wims, &is_made)?;
    let mut total = ApplyReport::default();
    for (nodes, layout) in [(chosen.flat, Layout::Flat), (chosen.with_paths, Layout::KeepPaths)] {
        if !nodes.is_empty() {
            // wimextract never changes the targets of links.
            let restore = options.restore;
            let options = ApplyOptions { fixed_links: FixedLinks::AsStored, layout, restore };
            let keeper = side_file.as_mut().map(|(_, file)| file);
            let done = extract(cx, &tree, &wims, &nodes, target, &options, keeper);
            add(&mut total, &done.map_err(|e| set.explain(e))?);
        }
    }
    let applied = Applied::new(image, target, &total);
    let Some((path, file)) = side_file else { return Ok(applied) };
    file.finish(cx, &wims).map_err(|e| set.explain(e))?;
    Ok(applied.with_side_file(&path))
}

/// Writes the data of the chosen files of an image to `out`, one after the other; gives the number of those that are damaged and
/// were recovered as far as they go.
///
/// # Errors
/// As [`to_directory`]; `InvalidInput` when one of them is no plain file: nothing is written then.
pub fn to_stream(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    out: &mut dyn Write,
    options: &ExtractOptions,
) -> Result<u64> {
    let (set, image) = open_image(cx, path, text, options)?;
    let (tree, wims) = (load_image(&set.wim, image, cx)?, set.wims());
    let Chosen { flat, with_paths } = choose((&tree, &place_of(&set, image)), options, cx)?;
    for &node in flat.iter().chain(&with_paths) {
        let inode = tree.inode_of(node);
        let is_encrypted = !inode.streams.get(&StreamKind::Efs).is_zero();
        if inode.is_directory() || inode.reparse.is_some() || is_encrypted {
            let message = "it is not a regular file and therefore cannot be extracted to standard output";
            let error = Error::invalid_input(message).because(Reason::NotARegularFile);
            return Err(error.at(Place::Path(tree.path_of(node).to_string())));
        }
    }
    let mut damaged = 0;
    for &node in flat.iter().chain(&with_paths) {
        let written = write_file_to(cx, &tree, &wims, node, options.restore.damaged, out);
        if let Some(damage) = written.map_err(|e| set.explain(e))? {
            cx.progress.warn(&damage);
            damaged += 1;
        }
    }
    Ok(damaged)
}

fn open_image(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    options: &ExtractOptions,
) -> Result<(PartSet, ImageIndex)> {
    let set = PartSet::open(path, &options.refs, options.check, cx)?;
    let image = images::choose_one(&set.wim, text)?;
    Ok((set, image))
}

/// What errors call an image.
fn place_of(set: &PartSet, image: ImageIndex) -> String {
    format!("{}: image {image}", set.wim.name())
}

fn choose((tree, place): (&Tree, &str), options: &ExtractOptions, cx: &Context<'_>) -> Result<Chosen> {
    let mut chosen = Chosen::default();
    if options.paths.is_empty() {
        chosen.flat.push(tree.root());
    }
    for path in &options.paths {
        match path.strip_prefix('@') {
            Some(list) => {
                for line in list_lines(&read_text(Path::new(list))?) {
                    chosen.with_paths.extend(find((tree, place), line, options, cx)?);
                }
            }
            None => {
                let found = find((tree, place), path, options, cx)?;
                match options.layout {
                    Layout::Flat => chosen.flat.extend(found),
                    Layout::KeepPaths => chosen.with_paths.extend(found),
                }
            }
        }
    }
    Ok(chosen)
}

/// The paths of a list: its lines without spaces and quotes around them, empty ones and comments left out.
fn list_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with([';', '#'])).map(unquote)
}

fn find(
    (tree, place): (&Tree, &str),
    path: &str,
    options: &ExtractOptions,
    cx: &Context<'_>,
) -> Result<Vec<NodeId>> {
    let is_one_path = options.wildcards == Wildcards::Literal || !path.contains(['*', '?']);
    let found = match options.wildcards {
        _ if is_one_path && case_of_paths() == Case::Ignored => {
            find_typed(cx, (tree, place), &typed_path(path)).into_iter().collect()
        }
        Wildcards::Literal => tree.find_all(&typed_path(path)),
        Wildcards::Expand => {
            let exact = PathGlob::parse(path, Case::Matters)?.select(tree);
            if exact.is_empty() { PathGlob::parse(path, Case::Ignored)?.select(tree) } else { exact }
        }
    };
    if found.len() > 1 && is_one_path {
        return Err(tree
            .ambiguous(&typed_path(path), &found)
            .in_file(place)
            .remedy("spell the path as the image does, or take the first with WIMLIB_IMAGEX_IGNORE_CASE=1"));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let error = Error::not_found("no matches for this path")
        .in_file(place)
        .at(Place::Path(path.to_owned()))
        .with_source(NothingFits);
    match options.unmatched {
        Unmatched::Fail => {
            Err(error.remedy("list the paths with wim dir, or skip missing ones with --nullglob"))
        }
        Unmatched::Warn => {
            cx.progress.warn(&error);
            Ok(found)
        }
    }
}

fn add(total: &mut ApplyReport, more: &ApplyReport) {
    total.directories += more.directories;
    total.files += more.files;
    total.hard_links += more.hard_links;
    total.symbolic_links += more.symbolic_links;
    total.bytes += more.bytes;
    total.special_files += more.special_files;
    total.damaged_blobs += more.damaged_blobs;
    total.left_out = total.left_out.plus(more.left_out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_comments_spaces_and_quotes() {
        let text =
            "; comment\r\n# comment\n\n  \\Windows\\notepad*  \r\n\"/Program Files/A*\"\n '/b' \n/it's\n";
        let wanted = ["\\Windows\\notepad*", "/Program Files/A*", "/b", "/it's"];
        assert_eq!(list_lines(text).collect::<Vec<_>>(), wanted);
    }
}
