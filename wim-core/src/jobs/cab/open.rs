//! Opening what the user names: a cabinet, one of a set with its neighbours, or a program with cabinets inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Context, Error, ErrorKind, FileSource, ReadAt, Result, code_page, read_at};
use crate::formats::cab::{Cabinet, Header, find_cabinets};

/// How cabinets are opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// The ANSI code page of names that are not in UTF-8.
    pub code_page: u16,
    /// What becomes of a set.
    pub set: Set,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { code_page: code_page::WESTERN, set: Set::Join }
    }
}

/// What becomes of the other cabinets of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Those that lie in the same folder are opened too.
    Join,
    /// They are left alone.
    Ignore,
}

/// The cabinets in the file at `path`: one, or those that a program holds.
///
/// # Errors
/// `NotFound`, `Io`, `Cancelled`; `InvalidInput` when there is no cabinet in it; what [`find_cabinets`] and opening a cabinet give.
pub fn open(cx: &Context<'_>, path: &Path, options: OpenOptions) -> Result<Vec<Cabinet>> {
    let name = path.display().to_string();
    let source: Arc<dyn ReadAt> = Arc::new(FileSource::open(path)?);
    let start = read_at::read_start(&*source, Header::SIGNATURE.len()).map_err(|e| e.in_file(&name))?;
    let mut at_start = None;
    if start == Header::SIGNATURE {
        match Cabinet::open_with_code_page(Arc::clone(&source), &name, options.code_page) {
            Ok(cabinet) if options.set == Set::Join => return Ok(vec![join_set(path, cabinet, options)?]),
            Ok(cabinet) => return Ok(vec![cabinet]),
            // Four bytes prove little: the cabinet may come later.
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(e) => at_start = Some(e),
        }
    }
    let found = find_cabinets(&source, cx.cancel).map_err(|e| e.in_file(&name))?;
    if found.is_empty() {
        let none = || Error::invalid_input("no cabinet, and none inside").in_file(&name);
        return Err(at_start.unwrap_or_else(none));
    }
    let open_one = |embedded: crate::formats::cab::Embedded| {
        cx.cancel.check()?;
        let name = format!("{name} at {:#x}", embedded.offset);
        Cabinet::open_with_code_page(Arc::new(embedded.section(&source)?), &name, options.code_page)
    };
    found.into_iter().map(open_one).collect()
}

/// The set that `cabinet` belongs to, as far as its cabinets lie beside it.
fn join_set(path: &Path, cabinet: Cabinet, options: OpenOptions) -> Result<Cabinet> {
    let open_neighbour = |file: &str| -> Result<Option<Cabinet>> {
        let Some(path) = beside(path, file) else { return Ok(None) };
        let source = Arc::new(FileSource::open(&path)?);
        Cabinet::open_with_code_page(source, &path.display().to_string(), options.code_page).map(Some)
    };
    let mut before = Vec::new();
    let (set_id, mut number) = (cabinet.header().set_id, cabinet.header().number_in_set);
    let mut previous = cabinet.header().previous.clone();
    while let Some(neighbour) = previous {
        let Some(part) = open_neighbour(&neighbour.file)? else { break };
        // Numbers fall from part to part, so this ends, whatever names the cabinets give.
        let header = part.header();
        if header.set_id != set_id || header.number_in_set.checked_add(1) != Some(number) {
            let message = format!(
                "{} is number {} of set {}, where number {number} of set {set_id} has to be preceded",
                neighbour.file, header.number_in_set, header.set_id
            );
            return Err(Error::new(ErrorKind::Format, message)
                .in_file(path.display())
                .remedy("put the right part of the set beside it, or extract without its neighbours"));
        }
        number = header.number_in_set;
        previous = header.previous.clone();
        before.push(part);
    }
    before.reverse();
    let mut parts = before.into_iter().chain([cabinet]);
    let first = parts.next().ok_or_else(|| Error::not_found("a set without a cabinet"))?;
    let mut set = parts.try_fold(first, Cabinet::join)?;
    while let Some(neighbour) = set.last_header().next.clone() {
        let Some(part) = open_neighbour(&neighbour.file)? else { break };
        // Numbers grow from part to part, so this ends.
        set = set.join(part)?;
    }
    Ok(set)
}

/// The file that a cabinet calls `file`, in the folder of `path`, in any case; only the last part of the name counts.
fn beside(path: &Path, file: &str) -> Option<PathBuf> {
    let wanted = file.rsplit(['/', '\\']).next().filter(|name| !name.is_empty() && *name != "..")?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let exact = folder.join(wanted);
    if exact.is_file() {
        return Some(exact);
    }
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut found: Vec<_> =
        names.filter(|name| name.to_string_lossy().eq_ignore_ascii_case(wanted)).collect();
    found.sort();
    found.first().map(|name| folder.join(name))
}
