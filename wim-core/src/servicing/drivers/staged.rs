//! The files of a package as an image gets them: which, what they are known by, and where their bytes are until it is written.
//!
//! Source: drivers.md 1.7, 3.1 and 3.2. No file is held: a package may be larger than memory. Where its files go in an image is for
//! [`store`](super::store) and the levels to say.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::package::{MAX_FILE, MAX_INF, Package, SourceForm, file_name};
use super::select::Selection;
use crate::base::hex;
use crate::base::read_at::read_start;
use crate::base::{Architecture, Error, ErrorKind, Result};
use crate::formats::cab::{self, Cabinet};
use crate::formats::catalog;
use crate::formats::pe::PeFile;
use crate::formats::szdd;
use crate::image::edit::{Content, Times};
use crate::servicing::file_digests::{FileDigests, HEAD_BYTES};
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// A file of a package.
#[derive(Clone, Debug)]
pub struct StagedFile {
    /// Path below the INF's folder, with backslashes.
    pub path: String,
    /// What it is known by, expanded.
    pub digests: FileDigests,
    /// Its bytes, expanded: an image's file gets them from there when it is written.
    pub content: Content,
    /// Times, if known.
    pub times: Option<Times>,
}

impl StagedFile {
    fn new(package: &Package<'_>, file: &PackageFile, path: &str, packing: &SourceForm) -> Result<Self> {
        let source = package.source();
        let (digests, content) = match packing {
            SourceForm::Plain => (source.digests(file, MAX_FILE), source.content(file)?),
            _ => {
                file.check_size(MAX_FILE, source.name())?;
                let bytes = expand(&source.content(file)?, packing, &file.path)?;
                let digests = FileDigests::of_bytes(&bytes);
                let content = source.keep(bytes, &digests)?;
                (Ok(digests), content)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            digests: digests.map_err(|e| e.in_file(&file.path))?,
            content,
            times: file.last_write.map(Times::all),
        })
    }

    /// Its bytes, for looking into it.
    ///
    /// # Errors
    /// `Limit` when it has more than `limit` bytes, else what reading it gives.
    pub fn read(&self, limit: u64) -> Result<Arc<[u8]>> {
        self.content.read(limit).map_err(|e| e.in_file(&self.path))
    }

    /// Its bytes, when it can be a text: no program, and not larger than an INF.
    pub(super) fn text(&self) -> Option<Arc<[u8]>> {
        let can_be = self.digests.program.is_none() && self.digests.size <= MAX_INF;
        can_be.then(|| self.read(MAX_INF).ok()).flatten()
    }
}

/// The file that is packed in `packed`, which messages call `name`.
fn expand(packed: &Content, packing: &SourceForm, name: &str) -> Result<Vec<u8>> {
    let source = packed.open()?.ok_or_else(|| Error::not_found("a package's file is no blob of an image"))?;
    let is_cabinet = read_start(&*source, cab::Header::SIGNATURE.len())? == cab::Header::SIGNATURE;
    let wanted = match packing {
        SourceForm::InCabinet(member) => Some(member),
        _ if !is_cabinet => {
            let bytes = packed.read(szdd::MAX_EXPANDED).map_err(|e| e.remedy(szdd::EXPAND_IT));
            return bytes.and_then(|bytes| szdd::expand(&bytes)).map_err(|e| e.in_file(name));
        }
        _ => None,
    };
    let cabinet = Cabinet::open(source, name)?;
    let is_wanted = |member: &&cab::Member| {
        let own = member.name.rsplit(['\\', '/']).next().unwrap_or_default();
        wanted.is_none_or(|wanted| own.eq_ignore_ascii_case(wanted))
    };
    match (cabinet.members().iter().find(is_wanted), cabinet.members().len(), wanted) {
        (Some(member), 1, _) | (Some(member), _, Some(_)) => {
            let bytes = cabinet.read_member(member, szdd::MAX_EXPANDED);
            bytes.map_err(|e| if e.remedy_text().is_some() { e } else { e.remedy(szdd::EXPAND_IT) })
        }
        (_, _, Some(wanted)) => {
            Err(Error::not_found(format!("{wanted} is not in the cabinet that the INF names for it"))
                .in_file(name)
                .remedy("use the complete package of the vendor"))
        }
        (_, count, None) => Err(Error::new(
            ErrorKind::Format,
            format!("a compressed file must hold one file; this cabinet has {count}"),
        )
        .in_file(name)
        .remedy(szdd::EXPAND_IT)),
    }
}

/// All files of a package that an image needs: the INF, the catalog and what is copied, each once, sorted by path.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The files.
    pub files: Vec<StagedFile>,
    /// SHA-256 over the sorted list of paths, sizes and digests: what makes two packages the same.
    pub identity: [u8; 32],
    /// The catalog's name, when the INF names one and it is there.
    pub catalog: Option<String>,
    /// Files that are here because `CopyINF` names them: INFs of packages of their own, with catalogs of their own.
    pub copied_infs: Vec<String>,
}

impl Staged {
    /// Looks at the files that `selection` needs.
    ///
    /// # Errors
    /// What reading a file or expanding it gives.
    pub fn new(package: &Package<'_>, selection: &Selection, arch: Architecture) -> Result<Self> {
        let mut files = BTreeMap::new();
        if let Some(inf) = package.inf_file() {
            let staged = StagedFile::new(package, inf, package.inf_name(), &SourceForm::Plain)?;
            files.insert(staged.path.to_lowercase(), staged);
        }
        let mut catalog = None;
        if let Some((name, Some(file))) = package.catalog(arch) {
            catalog = Some(file_name(&file.path).to_owned());
            let staged = StagedFile::new(package, file, file_name(&file.path), &SourceForm::Plain)?;
            files.insert(name.to_lowercase(), staged);
        }
        for selected in &selection.files {
            let source = &selected.source;
            if let Entry::Vacant(slot) = files.entry(source.stored_path.to_lowercase()) {
                // The spelling on the host is what the vendor ships; the INF's may differ in case.
                let path = spelled_like(&source.stored_path, &source.file.path);
                slot.insert(StagedFile::new(package, &source.file, &path, &source.packing)?);
            }
        }
        let mut copied_infs = Vec::new();
        for file in &selection.copied_infs {
            let name = file_name(&file.path);
            if let Entry::Vacant(slot) = files.entry(name.to_lowercase()) {
                slot.insert(StagedFile::new(package, file, name, &SourceForm::Plain)?);
                copied_infs.push(name.to_owned());
            }
        }
        Ok(Self { copied_infs, ..Self::of(files.into_values().collect(), catalog) })
    }

    /// These files, sorted by path.
    pub(super) fn of(files: Vec<StagedFile>, catalog: Option<String>) -> Self {
        let mut hasher = Sha256::new();
        for file in &files {
            hasher.update(file.path.to_lowercase().as_bytes());
            hasher.update([0]);
            hasher.update(file.digests.size.to_le_bytes());
            hasher.update(file.digests.sha256);
        }
        Self { files, identity: hasher.finalize().into(), catalog, copied_infs: Vec::new() }
    }

    /// The same package with other bytes in some of its files, given by their index; `source` keeps them.
    ///
    /// # Errors
    /// What keeping them gives.
    pub fn with_bytes(mut self, changed: Vec<(usize, Vec<u8>)>, source: &dyn PackageFiles) -> Result<Self> {
        for (index, bytes) in changed {
            if let Some(file) = self.files.get_mut(index) {
                file.digests = FileDigests::of_bytes(&bytes);
                file.content = source.keep(bytes, &file.digests)?;
            }
        }
        Ok(Self { copied_infs: self.copied_infs, ..Self::of(self.files, self.catalog) })
    }

    /// The file at a path below the INF's folder.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&StagedFile> {
        let path = path.to_lowercase();
        self.files.iter().find(|file| file.path.to_lowercase() == path)
    }

    /// The bytes of the catalog; none when there is none.
    ///
    /// # Errors
    /// As [`StagedFile::read`].
    pub fn catalog_bytes(&self) -> Result<Option<Arc<[u8]>>> {
        let file = self.catalog.as_ref().and_then(|name| self.file(name));
        file.map(|file| file.read(catalog::MAX_BYTES as u64)).transpose()
    }

    /// The first `digits` hexadecimal digits of the identity.
    #[must_use]
    pub fn hash(&self, digits: usize) -> String {
        hex::encode(&self.identity).chars().take(digits).collect()
    }
}

/// `wanted` in the spelling of `found`, when that ends in the same path but for case.
fn spelled_like(wanted: &str, found: &str) -> String {
    let start = found.len().checked_sub(wanted.len());
    match start.and_then(|start| found.get(start..)) {
        Some(tail) if tail.to_lowercase() == wanted.to_lowercase() => tail.to_owned(),
        _ => wanted.to_owned(),
    }
}

/// Checks that the kernel binaries among `files` are made for `arch`, whatever the INF says.
///
/// # Errors
/// `InvalidInput` that names the file and both architectures; `Format` when a `.sys` file is no program at all.
pub fn check_machines(selection: &Selection, staged: &Staged, arch: Architecture) -> Result<()> {
    for selected in &selection.files {
        let name = &selected.copy.destination_name;
        if !name.to_lowercase().ends_with(".sys") {
            continue;
        }
        let Some(file) = staged.file(&selected.source.stored_path) else { continue };
        let Some(program) = &file.digests.program else { return Err(no_program(file)) };
        if program.architecture() == Some(arch) {
            continue;
        }
        let found = program
            .architecture()
            .map_or_else(|| format!("machine {:#06x}", program.machine), |a| a.to_string());
        return Err(Error::invalid_input(format!(
            "{} is a driver for {found}, the image is {arch}, although the INF offers it for {arch}",
            file.path
        ))
        .remedy(format!("use the vendor's package for {arch}")));
    }
    Ok(())
}

/// What is wrong with the headers of a driver that has none to be read.
fn no_program(file: &StagedFile) -> Error {
    let head = file.content.open().and_then(|source| match source {
        Some(source) => read_start(&*source, HEAD_BYTES),
        None => Ok(Vec::new()),
    });
    let fault = head.and_then(|head| PeFile::parse(&head).map(|_| ()));
    let error = fault.err().unwrap_or_else(|| Error::new(ErrorKind::Format, "is no driver"));
    error.in_file(&file.path).remedy("the file is damaged; get the package again from its vendor")
}
