//! What is to be rebuilt, in which order, and from what.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::base::windows_name::path_fault;
use crate::base::{Digest, Error, FileTime, ReadAt, Result, read_at};
use crate::formats::cbs::cix::{
    ContainerIndex, INDEX_NAME, MAX_INDEX_BYTES, PSF_INDEX_SUFFIX, Recipe, Source, SourcePlace,
};
use crate::jobs::archive::Allowance;
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// A file of an expanded package.
#[derive(Clone, Debug)]
pub(super) struct PlannedFile {
    /// Path with backslashes, safe below a folder.
    pub(super) path: String,
    pub(super) length: u64,
    pub(super) time: Option<FileTime>,
    /// What the index states; none in a package without index.
    pub(super) digest: Option<Digest>,
    pub(super) recipe: Recipe,
    /// Bytes of its source as stored; 0 without source.
    pub(super) source_bytes: u64,
}

/// All files of a package.
pub(super) struct Plan<'p> {
    pub(super) files: Vec<PlannedFile>,
    /// Numbers of files: bases of a file lie in waves before its own.
    pub(super) waves: Vec<Vec<usize>>,
    pub(super) has_index: bool,
    pub(super) sources: Sources<'p>,
}

/// The stored bytes of a package.
pub(super) struct Sources<'p> {
    members: &'p dyn PackageFiles,
    /// Numbers of members by path in lower case.
    numbers: HashMap<String, usize>,
    psf: Option<Arc<dyn ReadAt>>,
}

impl<'p> Sources<'p> {
    pub(super) fn new(members: &'p dyn PackageFiles, psf: Option<Arc<dyn ReadAt>>) -> Self {
        let numbers = members.list().iter().enumerate();
        let numbers = numbers.map(|(number, file)| (file.path.to_lowercase(), number)).collect();
        Self { members, numbers, psf }
    }

    pub(super) fn name(&self) -> &str {
        self.members.name()
    }

    fn member(&self, name: &str) -> Option<&PackageFile> {
        let number = self.numbers.get(&name.replace('/', "\\").to_lowercase())?;
        self.members.list().get(*number)
    }

    /// Length of a source's bytes.
    ///
    /// # Errors
    /// `NotFound` when the package does not hold it.
    fn size(&self, source: &Source) -> Result<u64> {
        match &source.place {
            SourcePlace::Range { offset, length } => {
                let size = self.psf_file()?.size();
                let end = offset.checked_add(*length).filter(|&end| end <= size);
                end.map(|_| *length).ok_or_else(|| {
                    Error::not_found(format!("{length} bytes at {offset:#x} are not in its PSF file"))
                        .remedy("get the package again from its source")
                })
            }
            SourcePlace::Member(name) => self.member(name).map(|file| file.size).ok_or_else(|| {
                Error::not_found(format!("the member {name} that its index names is missing"))
                    .remedy("get the package again from its source")
            }),
        }
    }

    /// A source's bytes, which are `size` long.
    ///
    /// # Errors
    /// As reading gives.
    pub(super) fn read(&self, source: &Source, size: u64) -> Result<Arc<[u8]>> {
        match &source.place {
            SourcePlace::Range { offset, .. } => read_at::read_shared(&**self.psf_file()?, *offset, size),
            SourcePlace::Member(name) => match self.member(name) {
                Some(member) => self.members.read(member, size),
                None => Err(Error::not_found(format!("the member {name} is missing"))),
            },
        }
    }

    /// Bytes that the package came in.
    fn stored_bytes(&self) -> u64 {
        self.members.stored_bytes().saturating_add(self.psf.as_ref().map_or(0, |psf| psf.size()))
    }

    fn psf_file(&self) -> Result<&Arc<dyn ReadAt>> {
        self.psf.as_ref().ok_or_else(|| {
            Error::not_found("its files lie in a PSF file, which is not at hand")
                .remedy("put the .psf file beside the package, with the same name")
        })
    }
}

/// The index of a package, if it has one.
///
/// # Errors
/// What reading and parsing it give.
pub(super) fn find_index(members: &dyn PackageFiles) -> Result<Option<ContainerIndex>> {
    let is_index = |file: &&PackageFile| {
        let path = file.path.to_ascii_lowercase();
        path == INDEX_NAME || (path.ends_with(PSF_INDEX_SUFFIX) && !path.contains('\\'))
    };
    let Some(file) = members.list().iter().find(is_index) else { return Ok(None) };
    let bytes = members.read(file, MAX_INDEX_BYTES)?;
    ContainerIndex::parse(&format!("{}: {}", members.name(), file.path), &bytes).map(Some)
}

impl<'p> Plan<'p> {
    /// The plan of a package whose members are described by `index`.
    ///
    /// # Errors
    /// `Format` for a cycle of bases and for sources that cannot have the length of their files, `NotFound` for a source
    /// that is missing, `Limit` for more than such a package can hold.
    pub(super) fn of_index(index: ContainerIndex, sources: Sources<'p>) -> Result<Self> {
        let waves = index.waves()?;
        let mut files = Vec::with_capacity(index.files.len());
        for file in index.files {
            let in_file = |e: Error| e.in_file(format!("{}: {}", sources.name(), file.path));
            let source_bytes =
                file.recipe.source().map(|source| sources.size(source)).transpose().map_err(in_file)?;
            if let (Recipe::Stored(_), Some(stored)) = (&file.recipe, source_bytes)
                && stored != file.length
            {
                let message = format!("it has {stored} bytes, but the index says {}", file.length);
                return Err(in_file(Error::corrupt(message).remedy("get the package again from its source")));
            }
            files.push(PlannedFile {
                path: file.path,
                length: file.length,
                time: file.time,
                digest: Some(file.digest),
                recipe: file.recipe,
                source_bytes: source_bytes.unwrap_or(0),
            });
        }
        Self { files, waves, has_index: true, sources }.within_allowance()
    }

    /// The plan of a package without index: its members as they are.
    ///
    /// # Errors
    /// `Format` for paths that lead elsewhere.
    pub(super) fn of_members(sources: Sources<'p>) -> Result<Self> {
        let mut files = Vec::new();
        for member in sources.members.list() {
            if let Some(reason) = path_fault(&member.path) {
                let message = format!("the path {:?} {reason}", member.path);
                return Err(Error::new(crate::base::ErrorKind::Format, message).in_file(sources.name()));
            }
            let place = SourcePlace::Member(member.path.clone());
            files.push(PlannedFile {
                path: member.path.clone(),
                length: member.size,
                time: member.last_write,
                digest: None,
                recipe: Recipe::Stored(Source { place, digest: None }),
                source_bytes: member.size,
            });
        }
        let waves = vec![(0..files.len()).collect()];
        Self { files, waves, has_index: false, sources }.within_allowance()
    }

    /// Refuses a plan whose files come to more than such a package can hold: an index may copy without end.
    fn within_allowance(self) -> Result<Self> {
        let total = self.files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.length));
        let used = self.sources.members.unpacked_bytes();
        let allowance = Allowance::with_used(self.sources.stored_bytes(), used);
        allowance.take(self.files.len(), total).map_err(|e| e.in_file(self.sources.name()))?;
        Ok(self)
    }

    /// Members that no file is made from; the index and a PSF file are none of them.
    pub(super) fn left_out(&self) -> Vec<&str> {
        let sources = self.files.iter().filter_map(|file| file.recipe.source());
        let used: HashSet<&str> = sources
            .filter_map(|source| match &source.place {
                SourcePlace::Member(name) => self.sources.member(name).map(|file| file.path.as_str()),
                SourcePlace::Range { .. } => None,
            })
            .collect();
        let is_part = |path: &str| {
            let path = path.to_ascii_lowercase();
            path == INDEX_NAME || path.ends_with(PSF_INDEX_SUFFIX) || path.ends_with(".psf")
        };
        let members = self.sources.members.list().iter().map(|file| file.path.as_str());
        members.filter(|path| !used.contains(path) && !is_part(path)).collect()
    }

    /// How many files have each file as their basis.
    pub(super) fn users(&self) -> Vec<usize> {
        let mut users = vec![0; self.files.len()];
        for basis in self.files.iter().filter_map(|file| file.recipe.basis_file()) {
            if let Some(count) = users.get_mut(basis) {
                *count += 1;
            }
        }
        users
    }

    /// Marks the wanted files and all that they are made from.
    pub(super) fn closure(&self, is_wanted: impl Fn(&PlannedFile) -> bool) -> Vec<bool> {
        let mut marked: Vec<bool> = self.files.iter().map(is_wanted).collect();
        for &number in self.waves.iter().rev().flatten() {
            let basis = self.files.get(number).and_then(|file| file.recipe.basis_file());
            if marked.get(number) == Some(&true)
                && let Some(slot) = basis.and_then(|basis| marked.get_mut(basis))
            {
                *slot = true;
            }
        }
        marked
    }

    /// Bytes in memory while a file is rebuilt, at most, without the tables that its delta holds.
    ///
    /// A delta takes its source, the basis with its transformed copy and the marks of what is code in it, and its result
    /// twice: what other files are made from is moved to where they share it, and where one reading fails the next is tried
    /// beside it. Copies and stored files are their source.
    pub(super) fn cost(&self, number: usize) -> u64 {
        let Some(file) = self.files.get(number) else { return 0 };
        let basis = file.recipe.basis_file().and_then(|basis| self.files.get(basis));
        let basis_bytes = basis.map_or(0, |basis| basis.length);
        match &file.recipe {
            Recipe::Stored(_) => file.length.max(file.source_bytes),
            Recipe::Copy(_) => file.length.max(basis_bytes),
            Recipe::Delta(..) => file
                .source_bytes
                .saturating_add(file.length.saturating_mul(2))
                .saturating_add(basis_bytes.saturating_mul(3)),
        }
    }
}
