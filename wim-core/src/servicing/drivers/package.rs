//! A driver package as it comes: an INF with the files around it.
//!
//! drivers.md 1.7 says how an INF names its files. Packages are read through [`PackageFiles`], so that a folder, an archive and
//! a test are the same to everything above; nothing here touches a file system.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Architecture, Cancel, Error, Result};
use crate::formats::inf::{FileCopy, Inf, ParseOptions, Version, files, section};
use crate::formats::szdd;
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// Largest file of a package that is read.
pub const MAX_FILE: u64 = 512 << 20;
/// Largest INF that is read, of a package or of an image.
pub const MAX_INF: u64 = section::MAX_BYTES as u64;

/// The paths of the INFs of a tree, sorted; what is no driver INF by its name is left out.
#[must_use]
pub fn find_infs(files: &dyn PackageFiles) -> Vec<String> {
    let mut paths: Vec<String> = files
        .list()
        .iter()
        .map(|file| &file.path)
        .filter(|path| {
            let name = file_name(path).to_lowercase();
            name.ends_with(".inf") && name != "autorun.inf" && files.is_offered(path)
        })
        .cloned()
        .collect();
    paths.sort_by_key(|path| (path.to_lowercase(), path.clone()));
    paths
}

/// The last component of a path with backslashes.
#[must_use]
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('\\').next().unwrap_or(path)
}

/// How a file of a package was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the INF's folder where the INF expects it, with backslashes; it is stored there.
    pub stored_path: String,
    /// The file of the source.
    pub file: PackageFile,
    /// How it is packed there.
    pub packing: SourceForm,
}

/// How a file of a package is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceForm {
    /// As it is.
    Plain,
    /// Compressed by itself (`x.sy_`): SZDD, KWAJ or a cabinet of one file.
    Compressed,
    /// The member of this name in a cabinet.
    InCabinet(String),
}

/// The files of a tree by lower-case path, made once for all packages in it.
#[derive(Clone, Debug)]
pub struct SourceIndex(Arc<HashMap<String, usize>>);

impl SourceIndex {
    /// The index of a tree.
    #[must_use]
    pub fn new(source: &dyn PackageFiles) -> Self {
        let files = source.list().iter().enumerate();
        Self(Arc::new(files.map(|(index, file)| (file.path.to_lowercase(), index)).collect()))
    }
}

/// All packages of some trees, and the INFs that cannot be read: their tree, their path, and why.
pub struct Packages<'a> {
    /// Those that can be read, in the order of the trees.
    pub packages: Vec<Package<'a>>,
    /// Those that cannot.
    pub unreadable: Vec<(&'a dyn PackageFiles, String, Error)>,
}

impl<'a> Packages<'a> {
    /// Opens every INF that the trees offer.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn open(sources: &[&'a dyn PackageFiles], options: ParseOptions, cancel: &Cancel) -> Result<Self> {
        let (mut packages, mut unreadable) = (Vec::new(), Vec::new());
        for &source in sources {
            let index = SourceIndex::new(source);
            for path in find_infs(source) {
                cancel.check()?;
                match Package::open_indexed(source, &index, &path, options) {
                    Ok(package) => packages.push(package),
                    Err(e) => unreadable.push((source, path, e)),
                }
            }
        }
        Ok(Self { packages, unreadable })
    }
}

/// An INF with the files around it.
pub struct Package<'a> {
    source: &'a dyn PackageFiles,
    inf_path: String,
    folder: String,
    inf: Arc<Inf>,
    inf_bytes: Arc<[u8]>,
    version: Version,
    by_path: SourceIndex,
}

impl<'a> Package<'a> {
    /// Reads the INF at `inf_path` of `source`.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `Format` when it is no INF of Windows, `Limit` when it is too large.
    pub fn open(source: &'a dyn PackageFiles, inf_path: &str, options: ParseOptions) -> Result<Self> {
        Self::open_indexed(source, &SourceIndex::new(source), inf_path, options)
    }

    /// [`Self::open`] with the index of `source`, for trees of many packages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_indexed(
        source: &'a dyn PackageFiles,
        index: &SourceIndex,
        inf_path: &str,
        options: ParseOptions,
    ) -> Result<Self> {
        let by_path = index.clone();
        let file = by_path.0.get(&inf_path.to_lowercase()).and_then(|&index| source.list().get(index));
        let file = file.ok_or_else(|| {
            Error::not_found(format!("{inf_path} is not there"))
                .in_file(source.name())
                .remedy("give the folder that holds the driver's .inf file")
        })?;
        let inf_bytes = source.read(file, MAX_INF).map_err(|e| e.in_file(&file.path))?;
        let inf = Inf::parse(&file.path, &inf_bytes, options)?;
        let version = Version::read(&inf)?;
        let folder = file.path.rsplit_once('\\').map_or("", |(folder, _)| folder).to_owned();
        Ok(Self {
            source,
            inf_path: file.path.clone(),
            folder,
            inf: Arc::new(inf),
            inf_bytes,
            version,
            by_path,
        })
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> &'a dyn PackageFiles {
        self.source
    }

    /// Path of the INF in its source.
    #[must_use]
    pub fn inf_path(&self) -> &str {
        &self.inf_path
    }

    /// File name of the INF.
    #[must_use]
    pub fn inf_name(&self) -> &str {
        file_name(&self.inf_path)
    }

    /// The INF.
    #[must_use]
    pub fn inf(&self) -> &Arc<Inf> {
        &self.inf
    }

    /// The bytes of the INF.
    #[must_use]
    pub fn inf_bytes(&self) -> &Arc<[u8]> {
        &self.inf_bytes
    }

    /// What its `[Version]` says.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The INF as a file of its source.
    #[must_use]
    pub fn inf_file(&self) -> Option<&PackageFile> {
        self.find_path(&self.inf_path)
    }

    /// The catalog for an architecture: its name, and the file if it is there.
    #[must_use]
    pub fn catalog(&self, arch: Architecture) -> Option<(&str, Option<&PackageFile>)> {
        let name = self.version.catalog(arch)?;
        Some((name, self.find(name)))
    }

    /// The file at a path below the INF's folder, found without regard to case.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&PackageFile> {
        match self.folder.as_str() {
            "" => self.find_path(path),
            folder => self.find_path(&format!("{folder}\\{path}")),
        }
    }

    fn find_path(&self, path: &str) -> Option<&PackageFile> {
        self.by_path.0.get(&path.to_lowercase()).and_then(|&index| self.source.list().get(index))
    }

    /// Finds the source of a file that the INF copies; a guess about where it lies goes to `findings`.
    ///
    /// # Errors
    /// `NotFound` when it is nowhere, `Format` when the INF sends it outside the package.
    pub fn source_file(
        &self,
        copy: &FileCopy,
        arch: Architecture,
        findings: &mut Vec<Error>,
    ) -> Result<SourceFile> {
        let place = files::source_path(&self.inf, &copy.source_name, arch)?;
        let name = &copy.source_name;
        let stored_path = match place.folder.as_str() {
            "" => name.clone(),
            folder => format!("{folder}\\{name}"),
        };
        let packed = |path: &str| szdd::compressed_name(path);
        let found = |file: &PackageFile, packing| SourceFile {
            stored_path: stored_path.clone(),
            file: file.clone(),
            packing,
        };
        let by_path = |path: &str| {
            let plain = self.find(path).map(|file| (file, SourceForm::Plain));
            plain.or_else(|| self.find(&packed(path)).map(|file| (file, SourceForm::Compressed)))
        };
        if let Some((file, packing)) = by_path(&stored_path) {
            return Ok(found(file, packing));
        }
        if let Some(cabinet) = &place.cabinet
            && let Some(file) = self.find(cabinet)
        {
            return Ok(found(file, SourceForm::InCabinet(name.clone())));
        }
        if let Some((file, packing)) = by_path(name) {
            let text = format!("{name} should lie in {}, but lies beside the INF", place.folder);
            findings.push(self.inf.error(copy.position, text));
            return Ok(found(file, packing));
        }
        Err(Error::not_found(format!("{stored_path} is not in the package"))
            .at(copy.position.into())
            .in_file(self.inf.name())
            .remedy("use the complete package of the vendor, with its files where the INF expects them"))
    }
}
