//! Update packages are opened, and the right cabinet of an `.msu` is taken.

use wim_core::base::{Cancel, Context, Silent};
use wim_core::jobs::packages::{Container, Payload, open};
use wim_core::servicing::package_files::PackageFiles;

use crate::samples::real_data;

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
            let package = open(&cx, &folder.join(file), scratch.path()).unwrap();
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
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}
