//! Files of the host made into a cabinet.
//!
//! The same files, options and times give the same bytes; `SOURCE_DATE_EPOCH` holds times down to itself, so that files
//! made during a build do not differ from one build to the next. Links are followed when named, passed over in folders.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Context, Error, FileTime, Place, Result, Stage};
use crate::formats::cab::{Attributes, DosTime, FolderCompression, NewMember};
use crate::image::edit::Content;
use crate::jobs::clock;
use crate::transfer::pack::{PackInput, pack, plan_folders};

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 64;

/// How a cabinet is made.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// How folders are compressed.
    pub compression: FolderCompression,
    /// Bytes after which a new folder begins; folders are packed, and can be unpacked, beside each other.
    pub folder_bytes: u64,
    /// What becomes of a file that exists.
    pub if_exists: IfExists,
}

impl CreateOptions {
    /// Folders of this size cost LZX with its largest window 1 % and keep a few cores busy.
    pub const DEFAULT_FOLDER_BYTES: u64 = 32 << 20;
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct CreateReport {
    /// Path of the cabinet.
    pub path: String,
    /// Number of members.
    pub members: usize,
    /// Number of folders.
    pub folders: usize,
    /// Bytes of the members.
    pub member_bytes: u64,
    /// Bytes of the cabinet.
    pub cabinet_bytes: u64,
}

/// Makes the cabinet `path` of `sources`: files by their names, folders with everything below them.
///
/// # Errors
/// `NotFound`, `Io`; `InvalidInput` for an existing file that must not be replaced, for names that a cabinet cannot have and
/// when there is no file at all; as [`pack`].
pub fn create(
    cx: &Context<'_>,
    path: &Path,
    sources: &[PathBuf],
    options: &CreateOptions,
) -> Result<CreateReport> {
    let latest = clock::fixed_time()?;
    let mut inputs = Vec::new();
    for source in sources {
        gather_named(source, latest, &mut inputs)?;
    }
    if inputs.is_empty() {
        return Err(
            Error::invalid_input("a cabinet without members is none").remedy("name at least one file")
        );
    }
    let mut names: Vec<String> = inputs.iter().map(|input| input.member.name.to_lowercase()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find_map(|pair| (pair[0] == pair[1]).then(|| pair[0].clone())) {
        return Err(Error::invalid_input("two members would have this name").at(Place::Path(twice)));
    }
    let folders = plan_folders(&mut inputs, options.folder_bytes)?;
    let mut file = AtomicFile::create(path, options.if_exists)?;
    let member_bytes = inputs.iter().map(|input| input.member.size).sum();
    cx.progress.start(Stage::Writing, member_bytes);
    let cabinet_bytes =
        pack(cx, &inputs, folders, options.compression, &mut file).map_err(|e| e.in_file(path.display()))?;
    file.commit()?;
    let members = inputs.len();
    Ok(CreateReport { path: path.display().to_string(), members, folders, member_bytes, cabinet_bytes })
}

/// A file or folder that the user names: members are called by what is below it, or by its own last name.
fn gather_named(source: &Path, latest: Option<FileTime>, inputs: &mut Vec<PackInput>) -> Result<()> {
    let metadata = fs::metadata(source).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("there is no such file").in_file(source.display()),
        _ => Error::io(e, "cannot open", source),
    })?;
    if metadata.is_dir() {
        return gather_folder(source, "", latest, 0, inputs);
    }
    let name = source.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| no_text(source))?.to_owned();
    add_file(source, name, &metadata, latest, inputs)
}

fn no_text(path: &Path) -> Error {
    Error::invalid_input("its name is no text").in_file(path.display()).remedy("rename it")
}

/// Everything below a folder, in the order of names.
fn gather_folder(
    folder: &Path,
    prefix: &str,
    latest: Option<FileTime>,
    depth: usize,
    inputs: &mut Vec<PackInput>,
) -> Result<()> {
    if depth > MAX_DEPTH {
        let message = format!("folders are nested more than {MAX_DEPTH} deep");
        return Err(Error::limit(message).in_file(folder.display()));
    }
    let cannot = |e| Error::io(e, "cannot read the folder", folder);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name().into_string().map_err(|_| no_text(&entry.path()))?;
        if name.contains('\\') {
            return Err(Error::invalid_input("a backslash in its name would make it a folder's")
                .in_file(entry.path().display())
                .remedy("rename it"));
        }
        entries.push((name, entry));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, entry) in entries {
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        let metadata = fs::symlink_metadata(&path).map_err(|e| Error::io(e, "cannot read", &path))?;
        if metadata.is_dir() {
            gather_folder(&path, &format!("{name}\\"), latest, depth + 1, inputs)?;
        } else if metadata.is_file() {
            add_file(&path, name, &metadata, latest, inputs)?;
        }
    }
    Ok(())
}

fn add_file(
    path: &Path,
    name: String,
    metadata: &fs::Metadata,
    latest: Option<FileTime>,
    inputs: &mut Vec<PackInput>,
) -> Result<()> {
    if !metadata.is_file() {
        return Err(Error::invalid_input("neither a file nor a folder").in_file(path.display()));
    }
    let modified = metadata.modified().map_err(|e| Error::io(e, "cannot read the time of", path))?;
    let last_write = FileTime::from_system_time(modified);
    let time = latest.map_or(last_write, |latest| latest.min(last_write));
    let read_only = if metadata.permissions().readonly() { Attributes::READ_ONLY } else { 0 };
    inputs.push(PackInput {
        member: NewMember {
            name,
            size: metadata.len(),
            offset: 0,
            folder: 0,
            modified: DosTime::of(time),
            attributes: Attributes(Attributes::ARCHIVE | read_only),
        },
        content: Content::HostFile { path: path.to_owned(), size: metadata.len(), last_write },
    });
    Ok(())
}
