//! Packages expanded: real updates to the last digest, packages of our own, and everything that must refuse one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use wim_core::base::{Cancel, Context, Digest, ErrorKind, Recording, Result, Sha1Digest, Silent, Stage};
use wim_core::formats::cbs::cix::ContainerIndex;
use wim_core::formats::delta::manifest::{self, StoreForm};
use wim_core::image::edit::{Content, View as _};
use wim_core::jobs::archive::Scratch;
use wim_core::jobs::packages::expand::{Expanded, expand, psf_to_folder, to_files, to_folder};
use wim_core::jobs::packages::open;
use wim_core::servicing::package_files::{MemoryFiles, PackageFile, PackageFiles};
use wim_core::servicing::updates::{BaseManifest, expand_manifest};

use crate::delta_writer::{Options, write_delta};
use crate::driver_image::seven;
use crate::pe_image::wcp_dll;
use crate::samples::{mixed_bytes, real_data};

/// A package that is being made: files, members and the index.
#[derive(Default)]
struct Package {
    members: Vec<(String, Vec<u8>)>,
    files: Vec<(String, Vec<u8>)>,
    elements: Vec<String>,
}

impl Package {
    /// A file with `recipe` between `<Delta>` and `</Delta>`; its id is its number.
    fn file(&mut self, path: &str, bytes: &[u8], recipe: &str) -> usize {
        let id = self.files.len();
        self.elements.push(format!(
            "<File id=\"{id}\" name=\"{path}\" length=\"{}\" time=\"130818897022739288\" attr=\"32\">\
             <Hash alg=\"SHA1\" value=\"{}\"/><Delta>{recipe}</Delta></File>",
            bytes.len(),
            Sha1Digest::of(bytes)
        ));
        self.files.push((path.to_owned(), bytes.to_vec()));
        id
    }

    fn member(&mut self, bytes: &[u8], kind: &str) -> String {
        let name = self.members.len().to_string();
        self.members.push((name.clone(), bytes.to_vec()));
        let digest = Sha1Digest::of(bytes);
        format!("<Source type=\"{kind}\" name=\"{name}\"><Hash alg=\"SHA1\" value=\"{digest}\"/></Source>")
    }

    fn raw(&mut self, path: &str, bytes: &[u8]) -> usize {
        let source = self.member(bytes, "RAW");
        self.file(path, bytes, &source)
    }

    fn delta(&mut self, path: &str, bytes: &[u8], basis: Option<usize>) -> usize {
        let reference = basis.map_or(Vec::new(), |basis| self.files[basis].1.clone());
        let source = self.member(&write_delta(&reference, bytes, &Options::default()), "PA30");
        let basis = basis.map_or(String::new(), |basis| format!("<Basis file=\"{basis}\"/>"));
        self.file(path, bytes, &format!("{source}{basis}"))
    }

    fn index(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Container name=\"x.cab\" type=\"CAB\" length=\"9\" version=\"1\" \
             xmlns=\"urn:ContainerIndex\"><Files>{}</Files></Container>",
            self.elements.concat()
        )
    }

    fn members(&self) -> MemoryFiles {
        let index = self.index().into_bytes();
        let start = MemoryFiles::new("test.cab").with("_manifest_.cix.xml", index);
        self.members.iter().fold(start, |files, (name, bytes)| files.with(name, bytes.clone()))
    }
}

/// Stored files, deltas of nothing, of each other in a chain and of one basis, copies, and a manifest with a digest.
fn sample() -> Package {
    let mut package = Package::default();
    let first = mixed_bytes(1, 30_000);
    let raw = package.raw("a\\first.dll", &first);
    let mut basis = raw;
    for number in 0..6 {
        let mut next = package.files[basis].1.clone();
        next[number * 100] ^= 1;
        next.extend(mixed_bytes(50 + number as u64, 500));
        basis = package.delta(&format!("chain\\{number}.dll"), &next, Some(basis));
        package.delta(&format!("leaf\\{number}.dll"), &[next, vec![7; 100]].concat(), Some(raw));
    }
    package.delta("null.txt", b"abcabcabcabcabc", None);
    package.file("copy.dll", &first, &format!("<Basis file=\"{raw}\"/>"));
    let copied = package.files[basis].1.clone();
    package.file("copy of the end.dll", &copied, &format!("<Basis file=\"{basis}\"/>"));
    package.raw("empty", b"");
    package.raw("amd64_x_none_1.manifest", manifest_about("c.dll", b"content").as_bytes());
    package.raw("amd64_x_none_1\\c.dll", b"content");
    package
}

fn manifest_about(name: &str, bytes: &[u8]) -> String {
    let Digest::Sha1(Sha1Digest(digest)) = Digest::Sha1(Sha1Digest::ZERO).of_same_kind(bytes) else {
        panic!()
    };
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for three in digest.chunks(3) {
        let value =
            three.iter().fold(0_u32, |value, &byte| value << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = alphabet[(value >> (18 - 6 * place) & 63) as usize];
            base64.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    let mut text = String::new();
    let _ = write!(
        text,
        "<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\"><assemblyIdentity name=\"x\" \
         version=\"1.0.0.0\" processorArchitecture=\"amd64\" language=\"neutral\" buildType=\"release\" \
         publicKeyToken=\"31bf3856ad364e35\" versionScope=\"nonSxS\"/><file name=\"{name}\" destinationPath=\"\"><hash \
         xmlns=\"urn:schemas-microsoft-com:asm.v2\" xmlns:dsig=\"http://www.w3.org/2000/09/xmldsig#\"><dsig:Transforms>\
         <dsig:Transform Algorithm=\"urn:schemas-microsoft-com:HashTransforms.Identity\"/></dsig:Transforms>\
         <dsig:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\"/><dsig:DigestValue>{base64}\
         </dsig:DigestValue></hash></file></assembly>"
    );
    text
}

fn files_below(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files_below(&entry.path(), &format!("{name}\\"), found);
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

fn expanded_with(
    members: &MemoryFiles,
    threads: usize,
    memory: u64,
) -> (tempfile::TempDir, Result<Expanded>) {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(threads).with_memory(memory);
    let result = to_folder(&cx, members, None, &folder.path().join("out"));
    (folder, result)
}

#[test]
fn every_recipe_gives_its_file_at_any_number_of_threads_and_any_memory() {
    let package = sample();
    let expected: BTreeMap<String, Vec<u8>> = package.files.iter().cloned().collect();
    // With 240 KB no basis waits in memory for long: they are read back.
    for (threads, memory) in [(1, 240 << 10), (2, 240 << 10), (1, 192 << 20), (8, 192 << 20)] {
        let (folder, result) = expanded_with(&package.members(), threads, memory);
        let report = result.unwrap();
        let mut found = BTreeMap::new();
        files_below(&folder.path().join("out"), "", &mut found);
        assert_eq!(found, expected, "{threads} threads, {memory} bytes");
        assert_eq!((report.files, report.stored, report.copies, report.deltas), (19, 4, 2, 13));
        assert_eq!((report.proved_by_index, report.proved_by_manifests), (19, 1));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let time = fs::metadata(folder.path().join("out").join("empty")).unwrap().modified().unwrap();
        assert_eq!(wim_core::base::FileTime::from_system_time(time).0, 130_818_897_022_739_288);
    }
    let (_folder, result) = expanded_with(&package.members(), 1, 60 << 10);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn progress_counts_the_bytes_and_a_full_target_is_left_alone() {
    let package = sample();
    let folder = tempfile::tempdir().unwrap();
    let (progress, cancel) = (Recording::default(), Cancel::new());
    let cx = Context::new(&progress, &cancel).with_threads(2);
    let target = folder.path().join("out");
    fs::create_dir(&target).unwrap();
    let report = to_folder(&cx, &package.members(), None, &target).unwrap();
    assert_eq!(progress.stages(), [(Stage::Extracting, report.bytes, report.bytes)]);
    let error = to_folder(&cx, &package.members(), None, &target).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains("not empty"), "{error}");
    assert!(progress.warnings().is_empty());
    let members = package.members().with("stray", *b"x");
    to_folder(&cx, &members, None, &folder.path().join("stray")).unwrap();
    assert!(progress.warnings()[0].contains("stray is not named"), "{:?}", progress.warnings());
    fs::remove_dir_all(folder.path().join("stray")).unwrap();
    cancel.raise();
    for name in ["other", "folders/that/are/missing"] {
        let error = to_folder(&cx, &package.members(), None, &folder.path().join(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{name}");
    }
    // An empty target is there before and after.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    to_folder(&cx, &package.members(), None, &empty).unwrap_err();
    assert!(fs::read_dir(&empty).unwrap().next().is_none());
}

#[test]
fn one_wrong_byte_anywhere_refuses_the_package() {
    let good = sample();
    for number in 0..good.members.len() {
        let mut package = sample();
        let bytes = &mut package.members[number].1;
        let Some(middle) = bytes.len().checked_sub(1).map(|last| last / 2) else { continue };
        bytes[middle] ^= 0x10;
        let (folder, result) = expanded_with(&package.members(), 2, 192 << 20);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "member {number}: {error}");
        assert!(error.to_string().contains("test.cab: "), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "member {number}");
    }
}

/// Recipes that are right in themselves, but do not make what the index states.
#[test]
fn digests_lengths_and_manifests_are_all_compared() {
    let refusal = |package: &Package| {
        let (folder, result) = expanded_with(&package.members(), 2, 192 << 20);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        result.unwrap_err()
    };
    let (a, b) = (mixed_bytes(1, 5000), mixed_bytes(2, 5000));
    // A copy of something else.
    let mut package = Package::default();
    package.raw("a", &a);
    package.file("b", &b, "<Basis file=\"0\"/>");
    let error = refusal(&package);
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("test.cab: b"), "{error}");
    // A copy with another length.
    let mut package = Package::default();
    package.raw("a", &a);
    package.file("b", &a, "<Basis file=\"0\"/>");
    package.elements[1] = package.elements[1].replace("length=\"5000\"", "length=\"5001\"");
    assert_eq!(refusal(&package).kind(), ErrorKind::Corrupt);
    // A delta that makes more than the index says: refused before it is decoded.
    let mut package = Package::default();
    package.delta("a", &a, None);
    package.elements[0] = package.elements[0].replace("length=\"5000\"", "length=\"4999\"");
    assert!(refusal(&package).message().contains("5000 bytes, but its container says 4999"));
    // The digest of the delta is right, that of the index is not.
    let mut package = Package::default();
    package.delta("a", &a, None);
    let digest = Sha1Digest::of(&a).to_string();
    package.elements[0] = package.elements[0].replacen(&digest, &Sha1Digest::of(&b).to_string(), 1);
    assert_eq!(refusal(&package).kind(), ErrorKind::Corrupt);
    // A manifest that states another digest, of a file that comes after it and of one that it is made from.
    let mut package = Package::default();
    package.raw("k.manifest", manifest_about("c", b"other").as_bytes());
    package.raw("k\\c", b"content");
    let error = refusal(&package);
    assert!(error.message().contains("its manifest"), "{error}");
    let mut package = Package::default();
    let text = manifest_about("c", b"other");
    package.raw("k\\c", text.as_bytes());
    package.file("k.manifest", text.as_bytes(), "<Basis file=\"0\"/>");
    let error = refusal(&package);
    assert!(error.message().contains("its manifest"), "{error}");
    // A member that is not there, a cycle, a path that leads out.
    let mut package = sample();
    package.members.remove(3);
    assert_eq!(refusal(&package).kind(), ErrorKind::NotFound);
    let mut package = Package::default();
    package.file("a", &a, "<Basis file=\"1\"/>");
    package.file("b", &a, "<Basis file=\"0\"/>");
    assert!(refusal(&package).message().contains("cycle"));
    let mut package = Package::default();
    package.raw("..\\a", &a);
    assert_eq!(refusal(&package).kind(), ErrorKind::Format);
    // A delta of an installed file.
    let mut package = Package::default();
    let source = package.member(&write_delta(&[], &a, &Options::default()), "PA30");
    let basis = format!("<Basis length=\"5\"><Hash alg=\"SHA1\" value=\"{digest}\"/></Basis>");
    package.file("a", &a, &format!("{source}{basis}"));
    let error = refusal(&package);
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains(&digest), "{error}");
}

/// Ten files that are copies of copies come to petabytes, or to what a package of that size may hold.
#[test]
fn copies_without_end_are_refused_before_anything_is_made() {
    let a = mixed_bytes(1, 5000);
    let mut package = Package::default();
    package.raw("a", &a);
    for number in 1..11 {
        package.file(&format!("b{number}"), &a, &format!("<Basis file=\"{}\"/>", number - 1));
        let element = &mut package.elements[number];
        *element = element.replace("length=\"5000\"", "length=\"100000000000000\"");
    }
    let (folder, result) = expanded_with(&package.members(), 2, 192 << 20);
    let error = result.unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.message().contains("come to"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_package_without_index_is_taken_as_it_is() {
    let text = manifest_about("c", b"content");
    let files = MemoryFiles::new("plain.cab").with("k.manifest", text.clone().into_bytes());
    let (folder, result) = expanded_with(&files.clone().with("k\\c", *b"content"), 2, 192 << 20);
    let report = result.unwrap();
    assert_eq!(
        (report.files, report.stored, report.proved_by_index, report.proved_by_manifests),
        (2, 2, 0, 1)
    );
    assert_eq!(fs::read(folder.path().join("out/k/c")).unwrap(), b"content");
    let (_folder, result) = expanded_with(&files.with("k\\c", *b"cOntent"), 2, 192 << 20);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt);
    let (_folder, result) = expanded_with(&MemoryFiles::new("bad.cab").with("..\\x", *b"x"), 2, 192 << 20);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn psf_files_are_expanded_by_their_index() {
    let (a, b) = (mixed_bytes(1, 5000), mixed_bytes(2, 7000));
    let delta = write_delta(&[], &b, &Options::default());
    let mut psf = b"PSTREAM".to_vec();
    psf.resize(48, 0);
    let at = psf.len();
    psf.extend(&a);
    psf.extend(&delta);
    let mut package = Package::default();
    package.file("a", &a, &format!("<Source type=\"RAW\" offset=\"{at}\" length=\"5000\"/>"));
    let range = format!("offset=\"{}\" length=\"{}\"", at + 5000, delta.len());
    package.file("dir\\b", &b, &format!("<Source type=\"PA30\" {range}/>"));
    let index = package.index().replace("type=\"CAB\"", "type=\"PSF\"");
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel).with_threads(2);
    let folder = tempfile::tempdir().unwrap();
    let files = MemoryFiles::new("x.cab").with("express.psf.cix.xml", index.clone().into_bytes());
    let report = to_folder(&cx, &files, Some(Arc::new(psf.clone())), &folder.path().join("beside")).unwrap();
    assert_eq!((report.stored, report.deltas), (1, 1));
    assert_eq!(fs::read(folder.path().join("beside/dir/b")).unwrap(), b);
    let error = to_folder(&cx, &files, None, &folder.path().join("none")).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.message().contains("PSF"), "{error}");
    let error =
        to_folder(&cx, &files, Some(Arc::new(psf[..6000].to_vec())), &folder.path().join("cut")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    // With its index in it.
    let packed = write_delta(&[], index.as_bytes(), &Options::default());
    let index_at = psf.len() as u32;
    psf[40..44].copy_from_slice(&index_at.to_le_bytes());
    psf[44..48].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    psf.extend(packed);
    let path = folder.path().join("x.psf");
    fs::write(&path, &psf).unwrap();
    psf_to_folder(&cx, &path, &folder.path().join("inside")).unwrap();
    assert_eq!(fs::read(folder.path().join("inside/a")).unwrap(), a);
    let report = expand(&cx, &path, &folder.path().join("by content"), None).unwrap();
    assert_eq!(report.files, 2);
}

#[test]
fn packages_are_expanded_for_planning_too() {
    let package = sample();
    let (cancel, scratch) = (Cancel::new(), tempfile::tempdir().unwrap());
    let cx = Context::new(&Silent, &cancel).with_threads(2).with_memory(240 << 10);
    let members = package.members();
    let (files, report) = to_files(&cx, &members, None, &Scratch::new(&cx, scratch.path())).unwrap();
    assert_eq!(report.files as usize, files.list().len());
    // Small or large, no more of them wait in memory than its share.
    let contents = files.list().iter().map(|file| files.content(file).unwrap());
    let in_memory = |content: Content| match content {
        Content::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    let waiting: usize = contents.map(in_memory).sum();
    assert!((1..=60 << 10).contains(&waiting), "{waiting}");
    for (path, bytes) in &package.files {
        let file = files.list().iter().find(|file| file.path == *path).unwrap();
        assert_eq!(*files.read(file, 1 << 20).unwrap(), **bytes, "{path}");
        assert_eq!(files.content(file).unwrap().size_bytes(), Some(bytes.len() as u64));
    }
}

/// The counts of the specification's table, all with digests of index, deltas and manifests compared.
#[test]
fn real_updates_are_rebuilt_to_the_last_file() {
    let Some(folder) = real_data("updates") else { return };
    let (cancel, scratch) = (Cancel::new(), tempfile::tempdir().unwrap());
    let cx = Context::new(&Silent, &cancel).with_threads(2);
    for (name, files, stored, copies, deltas) in [
        ("Windows6.1-KB2999226-x64.msu", 118, 22, 48, 48),
        ("Windows6.1-KB3087873-v2-x64.msu", 692, 590, 0, 102),
        ("Windows6.1-KB2883457-amd64.cab", 22, 16, 0, 6),
    ] {
        let target = scratch.path().join(name);
        let report = expand(&cx, &folder.join(name), &target, None).unwrap();
        println!("{name}: {report:?}");
        let counts = (report.files, report.stored, report.copies, report.deltas);
        assert_eq!(counts, (files, stored, copies, deltas), "{name}");
        assert_eq!(report.proved_by_index, files);
        assert!(report.proved_by_manifests > 0, "{name}");
        // What lies there now, against the index once more.
        let package = open(&cx, &folder.join(name), &Scratch::new(&cx, scratch.path())).unwrap();
        let index = package.files.read(package.container_index().unwrap(), 64 << 20).unwrap();
        for file in ContainerIndex::parse(name, &index).unwrap().files {
            let path = file.path.split('\\').fold(target.clone(), |path, part| path.join(part));
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() as u64 == file.length && file.digest.matches(&bytes), "{}", path.display());
        }
    }
}

#[test]
fn compressed_manifests_of_an_image_expand_with_its_own_base() {
    let base = b"<assembly><assemblyIdentity name=\"base\"/></assembly>".to_vec();
    let text = b"<assembly><assemblyIdentity name=\"mine\"/></assembly>".to_vec();
    let delta = write_delta(&base, &text, &Options { has_digest: false, ..Options::default() });
    let compressed = [b"DCM\x01".as_slice(), &delta].concat();
    assert_eq!(manifest::expand(&compressed, Some(&base), &Default::default()).unwrap(), text);
    let null = [b"DCN\x01".as_slice(), &write_delta(&[], &text, &Options::default())].concat();
    assert_eq!(expand_manifest(&null, None).unwrap(), text);
    let other =
        [b"DCD\x01\0\0\0\0\0\0\0\0".as_slice(), &write_delta(&base, &text, &Options::default())].concat();
    assert_eq!(StoreForm::of(&other), StoreForm::Delta);
    assert_eq!(manifest::expand(&other, Some(&base), &Default::default()).unwrap(), text);

    let dll = wcp_dll(&base);
    let mut image = seven(wim_core::base::Architecture::Amd64);
    assert!(BaseManifest::find(&image).unwrap().is_none());
    assert_eq!(expand_manifest(&compressed, None).unwrap_err().kind(), ErrorKind::NotFound);
    let folder =
        "\\Windows\\WinSxS\\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_6.2.9200.16384_none_0";
    image.put(&format!("{folder}\\wcp.dll"), dll);
    assert!(image.entry(&wim_core::image::WimPath::parse(folder).unwrap()).is_some());
    let found = BaseManifest::find(&image).unwrap().unwrap();
    assert_eq!((found.bytes.clone(), found.is_well_known), (base, false));
    assert!(found.found_in.ends_with("\\wcp.dll"));
    assert_eq!(expand_manifest(&compressed, Some(&found)).unwrap(), text);
    assert_eq!(expand_manifest(&text, Some(&found)).unwrap(), text);
}

/// The files of a package, with how often each is read.
struct Counted(MemoryFiles, std::sync::Mutex<BTreeMap<String, usize>>);

impl PackageFiles for Counted {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn list(&self) -> &[PackageFile] {
        self.0.list()
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        *self.1.lock().unwrap().entry(file.path.clone()).or_default() += 1;
        self.0.read(file, limit)
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.0.content(file)
    }
}

#[test]
fn every_member_is_read_once_and_the_tables_of_a_delta_count() {
    let cancel = Cancel::new();
    let folder = tempfile::tempdir().unwrap();
    for threads in [1, 4] {
        let counted = Counted(sample().members(), std::sync::Mutex::default());
        let cx = Context::new(&Silent, &cancel).with_threads(threads);
        to_folder(&cx, &counted, None, &folder.path().join(threads.to_string())).unwrap();
        let reads = counted.1.into_inner().unwrap();
        assert_eq!(reads.len(), counted.0.list().len());
        assert!(reads.values().all(|&times| times == 1), "{reads:?}");
    }
    // Bytes that may be entries of tables take many times their number; the limit that holds is the one that is told.
    let bytes = mixed_bytes(3, 1000);
    let mut package = Package::default();
    let options = Options { preprocess: vec![0x55; 100_000], ..Options::default() };
    let source = package.member(&write_delta(&[], &bytes, &options), "PA30");
    package.file("a.dll", &bytes, &source);
    let expanded = |memory: u64, name: &str| {
        let cx = Context::new(&Silent, &cancel).with_threads(1).with_memory(memory);
        to_folder(&cx, &package.members(), None, &folder.path().join(name))
    };
    let error = expanded(8 << 20, "little").unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.to_string().contains("a.dll"), "{error}");
    let remedy = error.remedy_text().unwrap();
    let megabytes: u64 = remedy.split_once("--memory=").unwrap().1.trim_end_matches('M').parse().unwrap();
    expanded(megabytes << 20, "enough").unwrap();
}

#[test]
fn members_that_the_index_leaves_out_are_summed_up() {
    let (cancel, seen) = (Cancel::new(), Recording::default());
    let folder = tempfile::tempdir().unwrap();
    let files = (0..25).fold(sample().members(), |files, number| files.with(&format!("odd{number}"), *b"x"));
    let cx = Context::new(&seen, &cancel).with_threads(1);
    to_folder(&cx, &files, None, &folder.path().join("out")).unwrap();
    let warnings = seen.warnings();
    assert_eq!(warnings.len(), 11, "{warnings:#?}");
    assert!(warnings[0].contains("odd0 ") && warnings[10].contains("15 more members"), "{warnings:#?}");
}
