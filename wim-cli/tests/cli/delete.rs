//! `wim delete` beside `wimlib-imagex delete`.

use crate::{sample_tree, wim, wimlib};

#[test]
fn deleted_images_take_their_data_with_them() {
    let folder = sample_tree();
    let folder = folder.path();
    let Some(made) = wimlib(folder, &["capture", "src", "t.wim", "One", "--check", "--quiet"]) else {
        return;
    };
    made.ends_with(0);
    std::fs::write(folder.join("src/second"), crate::noise(50_000)).unwrap();
    wimlib(folder, &["append", "src", "t.wim", "Two", "--quiet"]).unwrap().ends_with(0);
    wimlib(folder, &["append", "src", "t.wim", "Three", "--boot", "--quiet"]).unwrap().ends_with(0);

    for (operands, names, boot) in [
        (vec!["2"], "One Three", 2),
        (vec!["One"], "Two Three", 2),
        (vec!["three", "--include-integrity"], "One Two", 0),
        (vec!["1,2"], "Three", 1),
        (vec!["all"], "", 0),
    ] {
        std::fs::copy(folder.join("t.wim"), folder.join("d.wim")).unwrap();
        let arguments: Vec<&str> = ["delete", "d.wim"].into_iter().chain(operands.clone()).collect();
        assert_eq!(wim(folder, &arguments).ends_with(0).text(), "");
        let json = wim(folder, &["info", "d.wim", "--json"]).ends_with(0).json();
        let left: Vec<&str> =
            json["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
        assert_eq!(left.join(" "), names, "{operands:?}");
        assert_eq!(json["boot_index"], boot, "{operands:?}");
        assert_eq!(json["guid"], wim(folder, &["info", "t.wim", "--json"]).json()["guid"]);
        assert_eq!(json["attributes"][0], "Integrity info");
        let ran = wim(folder, &["verify", "d.wim"]).ends_with(0);
        assert!(!ran.text().contains("remark"), "{}", ran.text());
        wimlib(folder, &["verify", "d.wim"]).unwrap().ends_with(0);
    }
    let size = |file: &str| std::fs::metadata(folder.join(file)).unwrap().len();
    std::fs::copy(folder.join("t.wim"), folder.join("d.wim")).unwrap();
    wim(folder, &["delete", "d.wim", "2,3"]).ends_with(0);
    assert!(size("d.wim") + 50_000 <= size("t.wim"));
}

#[test]
fn what_cannot_be_deleted_leaves_the_file_alone() {
    let folder = sample_tree();
    let folder = folder.path();
    let Some(made) = wimlib(folder, &["capture", "src", "t.wim", "One", "--quiet"]) else { return };
    made.ends_with(0);
    let before = std::fs::read(folder.join("t.wim")).unwrap();
    for refused in [
        vec!["delete", "t.wim"],
        vec!["delete", "t.wim", "9"],
        vec!["delete", "t.wim", "1", "--soft", "--unsafe-compact"],
    ] {
        wim(folder, &refused).ends_with(2);
        assert_eq!(std::fs::read(folder.join("t.wim")).unwrap(), before);
    }
    let mut marked = before.clone();
    marked[0x10] |= 4;
    std::fs::write(folder.join("r.wim"), &marked).unwrap();
    let ran = wim(folder, &["delete", "r.wim", "1"]).ends_with(2);
    assert!(ran.stderr.contains("marked read-only"), "{}", ran.stderr);
    // Without its XML a file would lose the names of its images.
    let mut broken = before;
    let length = broken.len();
    broken[length - 20..].fill(0xD8);
    std::fs::write(folder.join("x.wim"), &broken).unwrap();
    let ran = wim(folder, &["delete", "x.wim", "1"]).ends_with(2);
    assert!(ran.stderr.contains("XML data cannot be read"), "{}", ran.stderr);
    assert_eq!(std::fs::read(folder.join("x.wim")).unwrap(), broken);
}
