//! Container indexes (`_manifest_.cix.xml`, `*.psf.cix.xml`): how the files of a package are rebuilt from its members.
//!
//! Known from three independent readers and the real updates of Windows 7 (updates.md 1.4): every file has a length, a
//! digest and a recipe, which is a stored source, a basis to copy, or a delta with or without a basis. The graph of bases
//! is checked here to be without cycles; nothing is read or rebuilt.

use std::collections::HashMap;

use roxmltree::Node;

use super::document::{DAMAGED, attribute, bad, child, is_modest, named, required};
use crate::base::windows_name::{path_clash, path_fault};
use crate::base::xml::{self, XmlLimits};
use crate::base::{Digest, Error, FileTime, Result};

/// Name of the index inside a cabinet.
pub const INDEX_NAME: &str = "_manifest_.cix.xml";
/// How the name of an index beside a PSF file ends.
pub const PSF_INDEX_SUFFIX: &str = ".psf.cix.xml";
/// Largest index that is read: those of Windows 7 have less than one megabyte, of cumulative updates of Windows 10 some tens.
pub const MAX_INDEX_BYTES: u64 = 64 << 20;
/// Elements have eight levels; a file takes six of them, so that this is enough for 120,000 files.
const LIMITS: XmlLimits = XmlLimits { depth: 32, nodes: 750_000, attributes: 64 };
const _: () = assert!(is_modest(MAX_INDEX_BYTES, LIMITS));

/// What a container's sources lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    /// Members of a cabinet.
    Cabinet,
    /// Ranges of a PSF file.
    Psf,
    /// Files beside components.
    Psfx,
}

/// A container index.
#[derive(Clone, Debug)]
pub struct ContainerIndex {
    /// Name of the container, as written.
    pub name: String,
    /// What its sources lie in.
    pub kind: ContainerKind,
    /// Its files, in the order of the index.
    pub files: Vec<IndexedFile>,
}

/// A file to be rebuilt.
#[derive(Clone, Debug)]
pub struct IndexedFile {
    /// Path in the package, with backslashes; safe to be made below a folder.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// Last write, if stated.
    pub time: Option<FileTime>,
    /// File attributes.
    pub attributes: u32,
    /// Digest of its bytes.
    pub digest: Digest,
    /// How it is rebuilt.
    pub recipe: Recipe,
}

/// How a file is rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Its bytes are the source's.
    Stored(Source),
    /// Its bytes are those of its basis.
    Copy(Basis),
    /// The source is a delta; without basis its reference is empty.
    Delta(Source, Option<Basis>),
}

impl Recipe {
    /// The source, if there is one.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Stored(source) | Self::Delta(source, _) => Some(source),
            Self::Copy(_) => None,
        }
    }

    /// The basis, if there is one.
    #[must_use]
    pub fn basis(&self) -> Option<&Basis> {
        match self {
            Self::Copy(basis) | Self::Delta(_, Some(basis)) => Some(basis),
            Self::Stored(_) | Self::Delta(_, None) => None,
        }
    }
}

/// Bytes of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where they are.
    pub place: SourcePlace,
    /// Their digest, if stated.
    pub digest: Option<Digest>,
}

/// Where the bytes of a source are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourcePlace {
    /// In the member of that name.
    Member(String),
    /// In a range of the PSF file.
    Range {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
}

/// What a delta refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The file of that number in the index.
    File(usize),
    /// A file of an installed system with that digest.
    Installed(Option<Digest>),
}

impl ContainerIndex {
    /// Reads an index; `name` is what messages call it.
    ///
    /// # Errors
    /// `Format` with line and column for what breaks the rules, unsafe or repeated paths and unknown bases among it;
    /// `Limit` for too much of it; `Unsupported` for digests and kinds of deltas that are not known.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let in_file = |e: Error| e.in_file(name);
        if bytes.len() as u64 > MAX_INDEX_BYTES {
            let message = format!("{} bytes are more than the {MAX_INDEX_BYTES} of an index", bytes.len());
            return Err(in_file(Error::limit(message).remedy(DAMAGED)));
        }
        let text = xml::decode(bytes).map_err(in_file)?;
        let document = xml::parse(&text, LIMITS, "container index").map_err(in_file)?;
        read_container(document.root_element()).map_err(in_file)
    }

    /// The numbers of the files in waves: bases of a file lie in waves before its own. Files of a wave keep the order of
    /// the index.
    ///
    /// # Errors
    /// `Format` when bases form a cycle; it names one of the files.
    pub fn waves(&self) -> Result<Vec<Vec<usize>>> {
        let bases: Vec<Option<usize>> = self.files.iter().map(|file| file.recipe.basis_file()).collect();
        let mut depths: Vec<Option<usize>> = vec![None; bases.len()];
        for number in 0..bases.len() {
            // Down to a file whose depth is known, then back up: a chain may be as long as the list.
            let mut chain = Vec::new();
            let mut at = Some(number);
            while let Some(current) = at.filter(|&current| depths.get(current) == Some(&None)) {
                if chain.len() > bases.len() {
                    let path = self.files.get(current).map_or("", |file| file.path.as_str());
                    let message = format!("the files that {path} is made from form a cycle");
                    return Err(Error::new(crate::base::ErrorKind::Format, message).remedy(DAMAGED));
                }
                chain.push(current);
                at = bases.get(current).copied().flatten();
            }
            let first = at.and_then(|at| depths.get(at).copied().flatten()).map_or(0, |depth| depth + 1);
            for (depth, current) in (first..).zip(chain.into_iter().rev()) {
                if let Some(slot) = depths.get_mut(current) {
                    *slot = Some(depth);
                }
            }
        }
        let mut waves: Vec<Vec<usize>> = Vec::new();
        for (number, depth) in depths.iter().enumerate() {
            let depth = depth.unwrap_or(0);
            waves.resize(waves.len().max(depth + 1), Vec::new());
            if let Some(wave) = waves.get_mut(depth) {
                wave.push(number);
            }
        }
        Ok(waves)
    }
}

impl Recipe {
    /// The number of the file that is its basis.
    #[must_use]
    pub fn basis_file(&self) -> Option<usize> {
        match self.basis() {
            Some(Basis::File(number)) => Some(*number),
            Some(Basis::Installed(_)) | None => None,
        }
    }
}

fn read_container(root: Node<'_, '_>) -> Result<ContainerIndex> {
    if root.tag_name().name() != "Container" {
        let message = format!("the root element is <{}> instead of <Container>", root.tag_name().name());
        return Err(bad(root, message));
    }
    let kind = match required(root, "type")?.as_str() {
        "CAB" => ContainerKind::Cabinet,
        "PSF" => ContainerKind::Psf,
        "PSFX" => ContainerKind::Psfx,
        other => return Err(bad(root, format!("the container type {other:?} is none that exists"))),
    };
    let nodes: Vec<_> = named(root, "Files").flat_map(|files| named(files, "File")).collect();
    let mut numbers = HashMap::new();
    for (number, &node) in nodes.iter().enumerate() {
        if numbers.insert(required(node, "id")?, number).is_some() {
            return Err(bad(node, "two files have the same id"));
        }
    }
    let files: Vec<_> = nodes.iter().map(|&node| read_file(node, &numbers)).collect::<Result<_>>()?;
    check_paths(&nodes, &files)?;
    Ok(ContainerIndex { name: attribute(root, "name").unwrap_or_default(), kind, files })
}

fn read_file(node: Node<'_, '_>, numbers: &HashMap<String, usize>) -> Result<IndexedFile> {
    let path = required(node, "name")?.replace('/', "\\");
    if let Some(reason) = path_fault(&path) {
        return Err(bad(node, format!("the path {path:?} {reason}")));
    }
    let Some(digest) = read_digest(node)? else {
        return Err(bad(node, format!("{path} has no digest, so it could not be proved")));
    };
    let delta = child(node, "Delta").ok_or_else(|| bad(node, format!("{path} has no recipe")))?;
    let mut bases = named(delta, "Basis");
    let basis = bases.next().map(|basis| read_basis(basis, numbers)).transpose()?;
    if bases.next().is_some() {
        let message = format!("{path} has more than one basis");
        return Err(Error::unsupported(message).remedy("expand the package with Windows' own tools"));
    }
    let recipe = match (child(delta, "Source"), basis) {
        (None, None) => return Err(bad(delta, format!("{path} has neither source nor basis"))),
        (None, Some(basis)) => Recipe::Copy(basis),
        (Some(node), basis) => {
            let source = read_source(node)?;
            match required(node, "type")?.as_str() {
                "RAW" => Recipe::Stored(source),
                "PA30" | "PA31" | "PA19" => Recipe::Delta(source, basis),
                other => return Err(bad(node, format!("the source type {other:?} is none that exists"))),
            }
        }
    };
    Ok(IndexedFile {
        length: number(node, "length")?.ok_or_else(|| bad(node, format!("{path} has no length")))?,
        time: number(node, "time")?.map(FileTime),
        attributes: number(node, "attr")?.and_then(|attributes| u32::try_from(attributes).ok()).unwrap_or(0),
        path,
        digest,
        recipe,
    })
}

fn read_source(node: Node<'_, '_>) -> Result<Source> {
    let range = number(node, "offset")?.zip(number(node, "length")?);
    let place = match (attribute(node, "name"), range) {
        (_, Some((offset, length))) => SourcePlace::Range { offset, length },
        (Some(name), None) => SourcePlace::Member(name),
        (None, None) => return Err(bad(node, "a source has neither name nor range")),
    };
    Ok(Source { place, digest: read_digest(node)? })
}

fn read_basis(node: Node<'_, '_>, numbers: &HashMap<String, usize>) -> Result<Basis> {
    match attribute(node, "file") {
        Some(id) => match numbers.get(&id) {
            Some(&number) => Ok(Basis::File(number)),
            None => Err(bad(node, format!("the basis {id:?} is no file of the index"))),
        },
        None => Ok(Basis::Installed(read_digest(node)?)),
    }
}

fn read_digest(node: Node<'_, '_>) -> Result<Option<Digest>> {
    let Some(hash) = child(node, "Hash") else { return Ok(None) };
    let (algorithm, value) = (required(hash, "alg")?, required(hash, "value")?);
    let digest = Digest::sha_from_hex(&value);
    match (algorithm.to_ascii_uppercase().as_str(), digest) {
        ("SHA1", Some(Digest::Sha1(_))) | ("SHA256", Some(Digest::Sha256(_))) => Ok(digest),
        ("SHA1" | "SHA256", _) => Err(bad(hash, format!("{value:?} is no {algorithm} digest"))),
        _ => Err(Error::unsupported(format!("the digest algorithm {algorithm:?} is not supported"))
            .remedy("expand the package with Windows' own tools")),
    }
}

/// A decimal attribute, if it is there.
fn number(node: Node<'_, '_>, name: &str) -> Result<Option<u64>> {
    let parse = |text: String| {
        text.parse().map_err(|_| bad(node, format!("the attribute {name}={text:?} is no number")))
    };
    attribute(node, name).map(parse).transpose()
}

/// That no two files have the same path, and none lies below another.
fn check_paths(nodes: &[Node<'_, '_>], files: &[IndexedFile]) -> Result<()> {
    let Some(clash) = path_clash(files.iter().map(|file| file.path.as_str())) else { return Ok(()) };
    match nodes.get(clash.second) {
        Some(&node) => Err(bad(node, clash.message)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    fn file(id: u32, name: &str, delta: &str) -> String {
        format!(
            "<File id=\"{id}\" name=\"{name}\" length=\"3\" time=\"130818897022739288\" attr=\"32\">\
             <Hash alg=\"SHA1\" value=\"{SHA1}\"/><Delta>{delta}</Delta></File>"
        )
    }

    fn index(files: &[String]) -> Result<ContainerIndex> {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Container name=\"x.cab\" type=\"CAB\" length=\"9\" \
             version=\"1\" xmlns=\"urn:ContainerIndex\"><Description/><Files>{}</Files></Container>",
            files.concat()
        );
        ContainerIndex::parse("test.cix.xml", text.as_bytes())
    }

    const RAW: &str = "<Source type=\"RAW\" name=\"0\"/>";

    #[test]
    fn recipes_are_read() {
        let source =
            format!("<Source type=\"PA30\" name=\"1\"><Hash alg=\"SHA1\" value=\"{SHA1}\"/></Source>");
        let range = "<Source type=\"PA30\" offset=\"16\" length=\"5\"/>";
        let files = [
            file(7, "b", &format!("{source}<Basis file=\"9\"/>")),
            file(9, "dir\\a", RAW),
            file(8, "copy", "<Basis file=\"7\"/>"),
            file(6, "psf", range),
        ];
        let index = index(&files).unwrap();
        let [b, a, copy, psf] = &index.files[..] else { panic!() };
        assert_eq!(b.digest, Digest::sha_from_hex(SHA1).unwrap());
        assert!(matches!(&b.recipe, Recipe::Delta(Source { digest: Some(_), .. }, Some(Basis::File(1)))));
        assert_eq!((a.path.as_str(), a.length, a.attributes), ("dir\\a", 3, 32));
        assert!(
            matches!(&a.recipe, Recipe::Stored(Source { place: SourcePlace::Member(m), .. }) if m == "0")
        );
        assert_eq!(copy.recipe, Recipe::Copy(Basis::File(0)));
        let place = SourcePlace::Range { offset: 16, length: 5 };
        assert_eq!(psf.recipe, Recipe::Delta(Source { place, digest: None }, None));
        assert_eq!(index.waves().unwrap(), [vec![1, 3], vec![0], vec![2]]);
    }

    #[test]
    fn cycles_and_unknown_bases_are_refused() {
        let of = |basis: u32| format!("<Basis file=\"{basis}\"/>");
        let cycle = index(&[file(1, "a", &of(2)), file(2, "b", &of(3)), file(3, "c", &of(2))]).unwrap();
        assert_eq!(cycle.waves().unwrap_err().kind(), ErrorKind::Format);
        let own = index(&[file(1, "a", &of(1))]).unwrap();
        assert!(own.waves().is_err());
        assert!(index(&[file(1, "a", &of(5))]).unwrap_err().message().contains("\"5\""));
        // A long chain needs no deep stack.
        let mut chain = vec![file(0, "f0", RAW)];
        chain.extend((1..5000).map(|i| file(i, &format!("f{i}"), &of(i - 1))));
        assert_eq!(index(&chain).unwrap().waves().unwrap().len(), 5000);
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in [
            "..\\a",
            "a\\..\\..\\b",
            "\\a",
            "C:\\a",
            "a:b",
            "con",
            "Lpt1.txt",
            "a\\nul.",
            "a ",
            "a\\\\b",
            "/a",
            "a/../b",
            "x?",
            "com\u{b9}",
            ".",
        ] {
            let error = index(&[file(1, path, RAW)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{path}");
        }
        assert!(index(&[file(1, "com10.dll", RAW), file(2, "a..b\\.c", RAW)]).is_ok());
        let twice = index(&[file(1, "A", RAW), file(2, "a", RAW)]);
        let below = index(&[file(1, "a\\b", RAW), file(2, "A", RAW)]);
        let same_id = index(&[file(1, "a", RAW), file(1, "b", RAW)]);
        assert!(twice.is_err() && below.is_err() && same_id.is_err());
    }

    #[test]
    fn more_elements_than_any_index_has_are_refused() {
        let text = format!("<Container type=\"CAB\">{}</Container>", "<a/>".repeat(1_000_000));
        let error = ContainerIndex::parse("x", text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let refusal = |file: String| index(&[file]).unwrap_err().to_string();
        assert!(refusal(file(1, "a", "")).contains("neither source nor basis"));
        assert!(refusal(file(1, "a", "<Source type=\"XY\" name=\"0\"/>")).contains("\"XY\""));
        assert!(refusal(file(1, "a", RAW).replace("SHA1", "MD2")).contains("MD2"));
        assert!(refusal(file(1, "a", RAW).replace(SHA1, "00")).contains("no SHA1 digest"));
        assert!(refusal(file(1, "a", RAW).replace("length=\"3\"", "length=\"-3\"")).contains("no number"));
        let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><Container type=\"CAB\"/>";
        assert!(ContainerIndex::parse("bomb", bomb.as_bytes()).is_err());
    }
}
