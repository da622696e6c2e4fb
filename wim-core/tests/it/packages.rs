//! Update packages are opened, and the right part of an `.msu` is taken, be it a cabinet or a WIM.

use std::fs;

use wim_core::base::{Cancel, Context, ErrorKind, Sha1Digest, Silent};
use wim_core::formats::cab::{Cabinet, FolderCompression};
use wim_core::image::edit::Content;
use wim_core::image::{Inode, Streams, Tree};
use wim_core::jobs::Level;
use wim_core::jobs::archive::Scratch;
use wim_core::jobs::packages::expand::expand;
use wim_core::jobs::packages::{Container, OpenPackage, Payload, open, open_source};
use wim_core::servicing::package_files::PackageFiles;

use crate::cab_write;
use crate::delta_writer::{Options, write_delta};
use crate::sample_wim::wim_of;
use crate::samples::{mixed_bytes, real_data};

fn cab(members: &[(&str, &[u8])]) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    cab_write::make(&members, FolderCompression::Mszip(Level::FAST), 1 << 20, 1)
}

/// A WIM of one image with files in its root, or in a folder where the name has a backslash.
pub(crate) fn wim(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut tree, mut contents) = (Tree::new_empty(), Vec::new());
    for (name, bytes) in members {
        let mut parent = tree.root();
        let (folders, name) = name.rsplit_once('\\').map_or((None, *name), |(f, n)| (Some(f), n));
        for folder in folders.into_iter().flat_map(|folders| folders.split('\\')) {
            let known = tree.child(parent, &folder.encode_utf16().collect::<Vec<_>>());
            let inode = Inode { attributes: 0x10, ..Inode::default() };
            parent = known.unwrap_or_else(|| tree.add(parent, folder.into(), inode).unwrap());
        }
        let digest = Sha1Digest::of(bytes);
        contents.push((digest, Content::bytes(bytes.to_vec())));
        let inode = Inode { attributes: 0x20, streams: Streams::data(digest), ..Inode::default() };
        tree.add(parent, name.into(), inode).unwrap();
    }
    wim_of(&tree, &contents)
}

type NamedBytes = (&'static str, Vec<u8>);

/// A PSF file of a stored file and a delta of nothing, and the index that says so.
fn psf_and_index(kind: &str) -> (Vec<u8>, String, Vec<NamedBytes>) {
    let files = vec![("update.mum", mixed_bytes(1, 5000)), ("amd64_x\\b.dll", mixed_bytes(2, 70_000))];
    let delta = write_delta(&[], &files[1].1, &Options::default());
    let mut psf = b"PSTREAM".to_vec();
    psf.resize(48, 0);
    psf.extend(&files[0].1);
    psf.extend(&delta);
    let file = |id: usize, source: &str| {
        let (name, bytes) = &files[id];
        let digest = Sha1Digest::of(bytes);
        format!(
            "<File id=\"{id}\" name=\"{name}\" length=\"{}\"><Hash alg=\"SHA1\" value=\"{digest}\"/><Delta>{source}</Delta></File>",
            bytes.len()
        )
    };
    let first = file(0, "<Source type=\"RAW\" offset=\"48\" length=\"5000\"/>");
    let second = file(1, &format!("<Source type=\"PA30\" offset=\"5048\" length=\"{}\"/>", delta.len()));
    let index = format!("<Container type=\"{kind}\" name=\"x\"><Files>{first}{second}</Files></Container>");
    (psf, index, files)
}

fn opened(bytes: &[u8], memory: u64) -> wim_core::base::Result<OpenPackage> {
    let (cancel, folder) = (Cancel::new(), tempfile::tempdir().unwrap());
    let cx = Context::new(&Silent, &cancel).with_threads(2).with_memory(memory);
    let source: std::sync::Arc<dyn wim_core::base::ReadAt> = std::sync::Arc::new(bytes.to_vec());
    let opened = open_source(&cx, &source, "x.msu", &Scratch::new(&cx, folder.path()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    opened
}

/// As Windows 11 24H2 has it: an image with a package in a WIM, its pieces beside it, a stack and what is for Windows Update.
#[test]
fn an_msu_may_be_a_wim_and_its_package_too() {
    let (psf, index, files) = psf_and_index("PSF");
    let inner = wim(&[("express.psf.cix.xml", index.as_bytes()), ("sub\\note.txt", b"left out")]);
    let stack = cab(&[("update.mum", b"<assembly/>")]);
    let members: [(&str, &[u8]); 6] = [
        ("DesktopDeployment.cab", b"x"),
        ("SSU-26100.1738-x64.cab", &stack),
        ("WSUSSCAN.cab", b"y"),
        ("Windows11.0-KB5043080-x64.wim", &inner),
        ("windows11.0-kb5043080-x64.psf", &psf),
        ("Windows11.0-KB5043080-x64-pkgProperties.txt", b"KB Article Number=\"5043080\"\r\n"),
    ];
    let msu = wim(&members);
    for memory in [64 << 10, 64 << 20] {
        let package = opened(&msu, memory).unwrap();
        assert_eq!((package.container, package.payload), (Container::Msu, Payload::Psf));
        assert_eq!(package.cabinet, "Windows11.0-KB5043080-x64.wim");
        assert_eq!(package.skipped, ["DesktopDeployment.cab", "WSUSSCAN.cab"]);
        assert_eq!(package.properties, [("KB Article Number".to_owned(), "5043080".to_owned())]);
        assert_eq!(package.psf.as_ref().unwrap().size_bytes(), Some(psf.len() as u64));
        let index_file = package.container_index().unwrap();
        assert_eq!(&*package.files.read(index_file, 1 << 20).unwrap(), index.as_bytes());
    }
    let (cancel, folder) = (Cancel::new(), tempfile::tempdir().unwrap());
    let cx = Context::new(&Silent, &cancel).with_threads(2);
    let expanded = |name: &str, bytes: &[u8]| {
        let (path, target) = (folder.path().join(name), folder.path().join(format!("{name}.d")));
        fs::write(&path, bytes).unwrap();
        expand(&cx, &path, &target, None).map(|report| (report.files, target))
    };
    let check = |(count, target): (u64, std::path::PathBuf)| {
        assert_eq!(count, 2);
        assert_eq!(fs::read(target.join("update.mum")).unwrap(), files[0].1);
        assert_eq!(fs::read(target.join("amd64_x").join("b.dll")).unwrap(), files[1].1);
    };
    check(expanded("24h2.msu", &msu).unwrap());
    // The shape before it: cabinets, and an index as PSFX has them.
    let (psf, index, _) = psf_and_index("PSFX");
    let inner = cab(&[("express.psf.cix.xml", index.as_bytes())]);
    let mut members = members;
    members[3] = ("Windows10.0-KB5043080-x64.cab", &inner);
    members[4] = ("Windows10.0-KB5043080-x64.psf", &psf);
    check(expanded("22h2.msu", &cab(&members)).unwrap());
    // Without the pieces, or with two packages of which neither is named.
    let without = [members[0], members[3]];
    let error = expanded("lacks.msu", &cab(&without)).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.remedy_text().is_some(), "{error}");
    let two = [members[3], ("Windows10.0-KB1-x64.cab", inner.as_slice())];
    let error = opened(&cab(&two), 1 << 20).err().unwrap();
    assert!(error.to_string().contains("several packages"), "{error}");
    // An answer file names one of them; a package whose form has changed since is found by its name.
    let answer = "<unattend><servicing><package action=\"install\"><assemblyIdentity name=\"P\"/>\
        <source location=\"%configsetroot%\\Windows10.0-KB5043080-x64.wim\"/></package></servicing></unattend>";
    let three = [two[0], two[1], ("x.xml", answer.as_bytes())];
    let package = opened(&wim(&three), 1 << 20).unwrap();
    assert_eq!((package.cabinet.as_str(), package.top.unwrap().name.as_str()), (members[3].0, "P"));
}

#[test]
fn a_package_may_be_a_wim_without_an_msu() {
    let plain =
        wim(&[("update.mum", b"<assembly/>"), ("amd64_k\\a.dll", b"data"), ("amd64_k\\b.dll", b"data")]);
    let package = opened(&plain, 1 << 20).unwrap();
    assert_eq!((package.container, package.payload), (Container::Wim, Payload::Files));
    let paths: Vec<&str> = package.files.list().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["amd64_k\\a.dll", "amd64_k\\b.dll", "update.mum"]);
    assert_eq!(*package.files.read(&package.files.list()[1], 4).unwrap(), *b"data");
    assert_eq!(package.files.read(&package.files.list()[1], 3).unwrap_err().kind(), ErrorKind::Limit);
    let error = opened(&wim(&[("setup.exe", b"x")]), 1 << 20).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    // Cut or damaged anywhere: a package, or an error that names the file.
    for at in (0..plain.len()).step_by(7) {
        let mut bytes = plain.clone();
        bytes[at] ^= 0x41;
        for bytes in [&bytes[..], &plain[..at]] {
            if let Err(error) = opened(bytes, 1 << 20) {
                assert_ne!(error.kind(), ErrorKind::Io, "{at}: {error}");
            }
        }
    }
}

#[test]
fn real_updates_are_opened() {
    let Some(folder) = real_data("updates") else { return };
    let cancel = Cancel::new();
    let scratch = tempfile::tempdir().unwrap();
    for (file, container, top, members) in [
        ("Windows6.1-KB2999226-x64.msu", Container::Msu, "Package_for_KB2999226", 71),
        ("Windows6.1-KB3087873-v2-x64.msu", Container::Msu, "Package_for_KB3087873", 693),
        ("Windows6.1-KB2883457-amd64.cab", Container::Cab, "", 23),
    ] {
        // With little memory most members lie in a file.
        for memory in [64 << 10, 192 << 20] {
            let cx = Context::new(&Silent, &cancel).with_memory(memory).with_threads(2);
            let package = open(&cx, &folder.join(file), &Scratch::new(&cx, scratch.path())).unwrap();
            assert_eq!((package.container, package.payload), (container, Payload::Delta), "{file}");
            assert_eq!(package.files.list().len(), members, "{file}");
            assert_eq!(package.top.as_ref().map_or("", |top| top.name.as_str()), top);
            let index = package.container_index().unwrap();
            let bytes = package.files.read(index, 1 << 20).unwrap();
            assert_eq!(bytes.len() as u64, index.size);
            assert!(String::from_utf8_lossy(&bytes).contains("urn:ContainerIndex"));
            for entry in package.files.list() {
                assert_eq!(package.files.content(entry).unwrap().size_bytes(), Some(entry.size));
            }
            if container == Container::Msu {
                assert_eq!(package.skipped, ["WSUSSCAN.cab"]);
                assert!(package.properties.iter().any(|(key, _)| key == "KB Article Number"));
                assert_eq!(package.top.as_ref().unwrap().architecture, "amd64");
            }
        }
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

/// A cabinet with a member to read and one in a folder of its own that claims 160 MiB.
fn claiming_cab(members: [(&str, &[u8]); 2], claiming: &str) -> Vec<u8> {
    let members = members.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
    let mut bytes = cab_write::make(&members, FolderCompression::Stored, 1, 1);
    let cabinet = Cabinet::open(std::sync::Arc::new(bytes.clone()), "x").unwrap();
    let folder = cabinet.members().iter().find(|member| member.name == claiming).unwrap().folder;
    bytes[36 + 8 * folder + 4..][..2].copy_from_slice(&(160_u16 * 32).to_le_bytes());
    bytes
}

#[test]
fn an_archive_inside_may_hold_what_the_outer_one_leaves_only() {
    let claims = |claiming| claiming_cab([("update.mum", b"<assembly/>"), ("x.bin", b"x")], claiming);
    let inner = claims("x.bin");
    // By itself it is no trap: what nobody wants is not unpacked.
    assert_eq!(opened(&inner, 1 << 20).unwrap().payload, Payload::Files);
    let outer = claiming_cab([("KB1.cab", &inner), ("WSUSSCAN.cab", b"y")], "WSUSSCAN.cab");
    let error = opened(&outer, 1 << 20).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(error.to_string().contains("on the way to it"), "{error}");
}
