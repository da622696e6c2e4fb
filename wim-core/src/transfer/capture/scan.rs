//! Goes through a directory of the host and makes its tree, without reading file contents.
//!
//! Directories are visited one after another in NTFS order, so that the same directory always gives the same tree. Links
//! are never followed below the root unless asked for.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::exclude::Verdict;
use super::host::{self, Kind};
use super::ntfs::{NtfsInode, NtfsSource};
use super::{AbsoluteLinks, CaptureOptions, CaptureTotals, FoundFile, Links, UnixData};
use crate::base::{Context, Error, FileTime, LongPath, Reason, Result, Stage, WimString, upcase};
use crate::formats::wim::attributes::{DIRECTORY, NORMAL};
use crate::formats::wim::reparse::{LinkTarget, NOT_FIXED, SYMLINK};
use crate::image::{Inode, InodeId, NodeId, Reparse, StreamKind, Tree, tree};
use crate::transfer::host_name;

/// A directory, scanned.
pub(super) struct Scanned {
    pub(super) tree: Tree,
    /// The file, when the source is one.
    pub(super) file: Option<NodeId>,
    pub(super) files: Vec<FoundFile>,
    /// Reparse data of symbolic links, and streams that lie in memory.
    pub(super) data: Vec<(InodeId, StreamKind, Vec<u8>)>,
    pub(super) totals: CaptureTotals,
}

struct Scanner<'a> {
    cx: &'a Context<'a>,
    options: &'a CaptureOptions,
    /// The captured directory, with all links resolved.
    root: PathBuf,
    out: Scanned,
    /// Files with several names that were met.
    links: HashMap<(u64, u64), InodeId>,
    /// The mounted NTFS volume, when it is one and no side file speaks for it.
    ntfs: Option<NtfsSource>,
    open: Vec<OpenDirectory>,
}

struct OpenDirectory {
    path: PathBuf,
    node: NodeId,
    names: Vec<WimString>,
    is_excluded: bool,
}

pub(super) fn scan(cx: &Context<'_>, source: &Path, options: &CaptureOptions) -> Result<Scanned> {
    let (metadata, root) = look_at(source, options)?;
    cx.progress.start(Stage::Scanning, 0);
    let mut tree = Tree::new_empty();
    if metadata.is_dir() {
        tree.set_root(host::attributes(&metadata, Kind::Directory, source) & !NORMAL, host::times(&metadata));
        if options.unix_data == UnixData::Capture {
            let root = tree.node(tree.root()).inode;
            tree.inode_mut(root).tagged_items = host::unix_items(&metadata, source, Links::Follow)?;
        }
    }
    let first =
        OpenDirectory { path: source.to_owned(), node: tree.root(), names: Vec::new(), is_excluded: false };
    let totals = CaptureTotals { directories: metadata.is_dir().into(), ..CaptureTotals::default() };
    let out = Scanned { tree, file: None, files: Vec::new(), data: Vec::new(), totals };
    let ntfs = match options.metadata {
        super::Metadata::Plain => NtfsSource::of(source, options),
        _ => None,
    };
    let mut scanner = Scanner { cx, options, root, out, links: HashMap::new(), ntfs, open: vec![first] };
    if !metadata.is_dir() {
        match metadata.is_file() {
            true => scanner.single_file(source, &metadata)?,
            false => scanner.single_link(source, &metadata)?,
        }
        scanner.ntfs.iter().for_each(|ntfs| ntfs.warn(cx));
        return Ok(scanner.out);
    }
    scanner.root()?;
    while let Some(directory) = scanner.open.pop() {
        cx.cancel.check()?;
        scanner.directory(directory)?;
    }
    scanner.ntfs.iter().for_each(|ntfs| ntfs.warn(cx));
    Ok(scanner.out)
}

/// What the system says of the source, and the source with all links resolved that are followed.
fn look_at(source: &Path, options: &CaptureOptions) -> Result<(Metadata, PathBuf)> {
    let cannot = |e| Error::io(e, "cannot open", source).because(Reason::CannotLookAt);
    let metadata = std::fs::symlink_metadata(source).map_err(cannot)?;
    let is_captured = options.source_link == Links::Capture && options.links == Links::Capture;
    if metadata.is_symlink() && is_captured {
        return Ok((metadata, source.to_owned()));
    }
    let metadata = std::fs::metadata(source).map_err(cannot)?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(Error::invalid_input("neither a directory nor a file").in_file(source.display()));
    }
    let root = source.canonicalize().map_err(|e| Error::io(e, "cannot resolve", source))?;
    Ok((metadata, root))
}

/// The name in the root of a source that is no directory; whoever puts it into an image gives it another.
fn name_of_single(source: &Path) -> WimString {
    let name = source.file_name().and_then(host_name::to_image);
    name.filter(|name| tree::is_valid_name(name)).unwrap_or_else(|| "file".into())
}

impl Scanner<'_> {
    /// Adds the one link that is captured to the root.
    fn single_link(&mut self, source: &Path, metadata: &Metadata) -> Result<()> {
        let root = self.out.tree.root();
        let found = self.inode(metadata, Kind::Link, source)?;
        let found = found.ok_or_else(|| Error::unsupported("encrypted").in_file(source.display()))?;
        let NtfsInode { inode, reparse_data } = found;
        match reparse_data {
            Some(data) => self.reparse_point(
                (root, name_of_single(source), Kind::Link),
                (inode, data),
                (source, source),
            )?,
            None => self.link(root, name_of_single(source), (source, source), inode)?,
        }
        self.out.totals.files += 1;
        self.out.file = self.out.tree.children(root).first().copied();
        Ok(())
    }

    /// Adds the one file that is captured to the root.
    fn single_file(&mut self, source: &Path, metadata: &Metadata) -> Result<()> {
        let name = name_of_single(source);
        // The one file that is asked for may be reached by a link.
        let source = &self.root.clone();
        let found = self.inode(metadata, Kind::File, source)?;
        let found = found.ok_or_else(|| Error::unsupported("encrypted").in_file(source.display()))?;
        let last_write = host::times(metadata).last_write;
        let node = self.out.tree.add(self.out.tree.root(), name, found.inode)?;
        let inode = self.named(node, Kind::File, (source, source))?;
        self.out.totals.files += 1;
        self.out.totals.bytes += metadata.len();
        self.out.file = Some(node);
        self.file(inode, source.clone(), metadata.len(), last_write);
        Ok(())
    }

    /// Gives the root what an NTFS volume knows of it.
    fn root(&mut self) -> Result<()> {
        let Some(ntfs) = &mut self.ntfs else { return Ok(()) };
        let id = self.out.tree.node(self.out.tree.root()).inode;
        let plain = self.out.tree.inode(id).clone();
        if let Some(found) = ntfs.inode(self.cx, &mut self.out.tree, plain, Kind::Directory, &self.root)? {
            *self.out.tree.inode_mut(id) = found.inode;
        }
        ntfs.streams(id, Kind::Directory, (&self.root, &self.root), &mut self.out.files, &mut self.out.data);
        Ok(())
    }

    fn file(&mut self, inode: InodeId, path: PathBuf, size: u64, last_write: FileTime) {
        self.out.files.push(FoundFile { inode, kind: StreamKind::Data, path, size, last_write });
    }

    /// Gives a name that was added, and its file, the short name and the streams that an NTFS volume knows.
    fn named(&mut self, node: NodeId, kind: Kind, (path, way): (&Path, &Path)) -> Result<InodeId> {
        let inode = self.out.tree.node(node).inode;
        if let Some(ntfs) = &mut self.ntfs {
            ntfs.short_name(&mut self.out.tree, node, way)?;
            ntfs.streams(inode, kind, (path, way), &mut self.out.files, &mut self.out.data);
        }
        Ok(inode)
    }

    /// The file at `path`; none when it cannot be captured, which has been told then.
    fn inode(&mut self, metadata: &Metadata, kind: Kind, path: &Path) -> Result<Option<NtfsInode>> {
        let tagged_items = match self.options.unix_data {
            UnixData::Capture => host::unix_items(metadata, path, self.options.links)?,
            UnixData::Omit => Box::default(),
        };
        let (attributes, times) = (host::attributes(metadata, kind, path), host::times(metadata));
        let inode = Inode { attributes, times, tagged_items, ..Inode::default() };
        match &mut self.ntfs {
            Some(ntfs) => ntfs.inode(self.cx, &mut self.out.tree, inode, kind, path),
            None => Ok(Some(NtfsInode { inode, reparse_data: None })),
        }
    }

    fn directory(&mut self, directory: OpenDirectory) -> Result<()> {
        let mut entries: Vec<(WimString, OsString)> = Vec::new();
        let failed = |e| Error::io(e, "cannot list", &directory.path);
        let way = LongPath::to(&directory.path).map_err(failed)?;
        for entry in std::fs::read_dir(way.path()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let in_image = host_name::to_image(&name).ok_or_else(|| {
                Error::invalid_input("the file name is not UTF-8, so that an image cannot hold it")
                    .in_file(directory.path.join(&name).display())
                    .remedy("rename the file")
            })?;
            entries.push((in_image, name));
        }
        entries.sort_by(|(a, _), (b, _)| a.ntfs_cmp(b));
        let mut opened = Vec::new();
        for (in_image, name) in entries {
            let paths = (directory.path.join(&name), way.path().join(&name));
            if let Some(directory) = self.entry(&directory, in_image, paths)? {
                opened.push(directory);
            }
        }
        self.open.extend(opened.into_iter().rev());
        Ok(())
    }

    /// Adds one entry, whose path and the system's way to it are given; gives it back when it is a directory to go into.
    fn entry(
        &mut self,
        parent: &OpenDirectory,
        name: WimString,
        (path, way): (PathBuf, PathBuf),
    ) -> Result<Option<OpenDirectory>> {
        let mut names = parent.names.clone();
        names.push(name.clone());
        let Some((metadata, verdict)) = self.wanted(parent, &names, (&path, &way))? else { return Ok(None) };
        let kind = host::kind(&metadata);
        check_name(&name, &path)?;
        self.warn_of_twin(parent.node, &name, &path);
        self.cx.progress.advance(1);
        let identity = host::link_identity(&metadata).filter(|_| kind == Kind::File);
        if let Some(&inode) = identity.and_then(|identity| self.links.get(&identity)) {
            return self.further_name((parent.node, name), inode, &way).map(|()| None);
        }
        let reached = self.reached(&way)?;
        // A path that is good as long as the capture is.
        let stable: &Path = if self.options.links == Links::Follow { &reached } else { &path };
        let Some(NtfsInode { inode, reparse_data }) = self.inode(&metadata, kind, &reached)? else {
            self.out.totals.excluded += 1;
            return Ok(None);
        };
        if kind == Kind::Directory {
            self.out.totals.directories += 1;
            let node = self.out.tree.add(parent.node, name, inode)?;
            self.named(node, kind, (stable, &reached))?;
            return Ok(Some(OpenDirectory { path, node, names, is_excluded: verdict == Verdict::Descend }));
        }
        self.out.totals.files += 1;
        if kind == Kind::Special {
            return self.out.tree.add(parent.node, name, inode).map(|_| None);
        }
        if let Some(data) = reparse_data {
            let done = self.reparse_point((parent.node, name, kind), (inode, data), (stable, &reached));
            return done.map(|()| None);
        }
        if kind == Kind::Link {
            return self.link(parent.node, name, (&path, &way), inode).map(|()| None);
        }
        let last_write = host::times(&metadata).last_write;
        let node = self.out.tree.add(parent.node, name, inode)?;
        let inode = self.named(node, kind, (stable, &reached))?;
        if let Some(identity) = identity {
            self.links.insert(identity, inode);
        }
        self.out.totals.bytes += metadata.len();
        self.file(inode, path, metadata.len(), last_write);
        Ok(None)
    }

    /// Adds a reparse point whose data an NTFS volume has told.
    fn reparse_point(
        &mut self,
        (directory, name, kind): (NodeId, WimString, Kind),
        (inode, data): (Inode, Vec<u8>),
        paths: (&Path, &Path),
    ) -> Result<()> {
        let node = self.out.tree.add(directory, name, inode)?;
        let inode = self.named(node, kind, paths)?;
        self.out.data.push((inode, StreamKind::Reparse, data));
        Ok(())
    }

    /// Adds one more name of a file that was met before.
    fn further_name(
        &mut self,
        (directory, name): (NodeId, WimString),
        inode: InodeId,
        way: &Path,
    ) -> Result<()> {
        self.out.totals.files += 1;
        let node = self.out.tree.add_name(directory, name, inode)?;
        match &mut self.ntfs {
            Some(ntfs) => ntfs.short_name(&mut self.out.tree, node, way),
            None => Ok(()),
        }
    }

    /// What the system says of an entry, and the configuration; none for one that is left out, which is counted or told.
    fn wanted(
        &mut self,
        parent: &OpenDirectory,
        names: &[WimString],
        (path, way): (&Path, &Path),
    ) -> Result<Option<(Metadata, Verdict)>> {
        let exclusions = &self.options.exclusions;
        let verdict = match parent.is_excluded {
            true => exclusions.verdict_inside_excluded(names),
            false => exclusions.verdict(names),
        };
        if verdict == Verdict::Exclude {
            self.out.totals.excluded += 1;
            return Ok(None);
        }
        let metadata = self.metadata(path, way)?;
        let kind = host::kind(&metadata);
        if verdict == Verdict::Descend && kind != Kind::Directory {
            self.out.totals.excluded += 1;
            return Ok(None);
        }
        if kind == Kind::Special && self.options.unix_data == UnixData::Omit {
            self.cx.progress.warn(
                &Error::unsupported("neither file, directory nor symbolic link; left out")
                    .in_file(path.display()),
            );
            return Ok(None);
        }
        Ok(Some((metadata, verdict)))
    }

    /// The path of the file itself where links are followed and attributes are asked by paths that are not.
    fn reached<'p>(&self, path: &'p Path) -> Result<std::borrow::Cow<'p, Path>> {
        match (&self.ntfs, self.options.links) {
            (Some(_), Links::Follow) => {
                Ok(path.canonicalize().map_err(|e| Error::io(e, "cannot resolve", path))?.into())
            }
            _ => Ok(path.into()),
        }
    }

    fn metadata(&self, path: &Path, way: &Path) -> Result<Metadata> {
        let failed = |e| Error::io(e, "cannot examine", path);
        if self.options.links == Links::Capture {
            return std::fs::symlink_metadata(way).map_err(failed);
        }
        let metadata = std::fs::metadata(path).map_err(failed)?;
        // A followed link to a directory above itself would go on for ever.
        if metadata.is_dir() && std::fs::symlink_metadata(path).map_err(failed)?.is_symlink() {
            let target = path.canonicalize().map_err(failed)?;
            let leads_here = |above: &Path| above.canonicalize().is_ok_and(|above| above == target);
            if path.ancestors().skip(1).any(leads_here) {
                return Err(Error::invalid_input("the link leads to a directory that contains it")
                    .in_file(path.display())
                    .remedy("capture links as links, or leave this one out"));
            }
        }
        Ok(metadata)
    }

    /// Windows would show only one of two names that differ in case. Names come in order, so that the last one is the twin.
    fn warn_of_twin(&self, directory: NodeId, name: &WimString, path: &Path) {
        let last = self.out.tree.children(directory).last();
        let twin = last.map(|&last| &self.out.tree.node(last).name).filter(|twin| upcase::equal(twin, name));
        if let Some(twin) = twin {
            let message = format!("Windows takes {name} and {twin} for the same name");
            self.cx.progress.warn(&Error::invalid_input(message).in_file(path.display()));
        }
    }

    /// Adds a symbolic link as the reparse point that wimlib makes of it.
    fn link(
        &mut self,
        directory: NodeId,
        name: WimString,
        (path, way): (&Path, &Path),
        inode: Inode,
    ) -> Result<()> {
        let target = std::fs::read_link(way).map_err(|e| Error::io(e, "cannot read the link", path))?;
        let fixed = match self.options.absolute_links {
            AbsoluteLinks::Fix => self.inside_root(&target),
            AbsoluteLinks::Keep => None,
        };
        let text = match &fixed {
            Some(rest) => host_name::to_image(rest.as_os_str()),
            None => host_name::to_image(target.as_os_str()),
        };
        let cannot = |why: &str| Error::invalid_input(why).in_file(path.display()).remedy("remove the link");
        let text = text.ok_or_else(|| cannot("the target of the link is not UTF-8"))?;
        let data = link_target(&text, target.is_absolute())
            .to_symlink_data()
            .ok_or_else(|| cannot("the target of the link is too long for an image"))?;
        let leads_to_directory = std::fs::metadata(way).is_ok_and(|metadata| metadata.is_dir());
        let flags = if fixed.is_some() { 0 } else { NOT_FIXED };
        let inode = Inode {
            attributes: inode.attributes | if leads_to_directory { DIRECTORY } else { 0 },
            reparse: Some(Reparse { tag: SYMLINK, reserved: 0, flags }),
            ..inode
        };
        let node = self.out.tree.add(directory, name, inode)?;
        self.out.data.push((self.out.tree.node(node).inode, StreamKind::Reparse, data));
        if let Some(rest) = fixed {
            let message =
                format!("the absolute link now counts from the root of the image: /{}", rest.display());
            self.cx.progress.warn(&Error::invalid_input(message).in_file(path.display()));
        }
        Ok(())
    }

    /// The part of an absolute target below the captured directory; none when it does not lead into it.
    fn inside_root(&self, target: &Path) -> Option<PathBuf> {
        if !target.is_absolute() {
            return None;
        }
        let inside = |prefix: &&Path| prefix.canonicalize().is_ok_and(|prefix| prefix == self.root);
        // From the top, as wimlib looks for it: the rest may lead anywhere.
        let prefixes: Vec<&Path> = target.ancestors().collect();
        let prefix = prefixes.into_iter().rev().find(inside)?;
        target.strip_prefix(prefix).ok().map(Path::to_path_buf)
    }
}

fn check_name(name: &WimString, path: &Path) -> Result<()> {
    if tree::is_valid_name(name) {
        return Ok(());
    }
    Err(Error::invalid_input("an image cannot hold this file name")
        .in_file(path.display())
        .remedy("rename the file, or leave it out with a capture configuration"))
}

/// The reparse names of a link: as it is but for separators, or from the root of drive C when it is absolute. On Unix a
/// backslash, which is a letter there, becomes a slash, as in wimlib; applying turns it back.
pub(in crate::transfer) fn link_target(text: &WimString, is_absolute: bool) -> LinkTarget {
    const SLASH: u16 = b'/' as u16;
    const BACKSLASH: u16 = b'\\' as u16;
    let has_slash = text.contains(&SLASH);
    let turned = |unit: u16| match unit {
        SLASH => BACKSLASH,
        BACKSLASH if cfg!(unix) => SLASH,
        other => other,
    };
    let text: Vec<u16> = text.iter().map(|&unit| turned(unit)).collect();
    if !is_absolute {
        let name = WimString::from(text);
        return LinkTarget { substitute: name.clone(), print: name, is_relative: true };
    }
    // The rest of a fixed target has no separator before it, that of another has one.
    let start = text.iter().position(|&unit| unit != BACKSLASH).unwrap_or(text.len());
    let rest = &text[start..];
    let separator: &[u16] = if rest.is_empty() && !has_slash { &[] } else { &[BACKSLASH] };
    let drive = [u16::from(b'C'), u16::from(b':')];
    let print: Vec<u16> = [&drive, separator, rest].concat();
    let substitute = ["\\??\\".encode_utf16().collect(), print.clone()].concat();
    LinkTarget { substitute: substitute.into(), print: print.into(), is_relative: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_written_as_wimlib_writes_them() {
        let text = |target: &LinkTarget| (target.substitute.to_text(), target.print.to_text());
        let absolute = |path: &str| text(&link_target(&path.into(), true));
        assert_eq!(absolute("/etc/passwd"), ("\\??\\C:\\etc\\passwd".into(), "C:\\etc\\passwd".into()));
        assert_eq!(absolute("dir/f"), ("\\??\\C:\\dir\\f".into(), "C:\\dir\\f".into()));
        assert_eq!(absolute(""), ("\\??\\C:".into(), "C:".into()));
        assert_eq!(absolute("/"), ("\\??\\C:\\".into(), "C:\\".into()));
        #[cfg(unix)]
        {
            let (name, print) = text(&link_target(&"a\\b/c".into(), false));
            assert_eq!((name.as_str(), print.as_str()), ("a/b\\c", "a/b\\c"));
            assert_eq!(absolute("/\\a\\b"), ("\\??\\C:\\/a/b".into(), "C:\\/a/b".into()));
        }
        let relative = link_target(&"sub/../f".into(), false);
        assert_eq!((text(&relative).0.as_str(), relative.is_relative), ("sub\\..\\f", true));
    }
}
