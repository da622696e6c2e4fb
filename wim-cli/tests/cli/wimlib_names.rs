//! The command called by wimlib's names: its spellings and its exit codes.

use std::path::Path;
use std::process::Command;

use crate::{noise, sample_tree, wim, wimlib};

/// Runs the command under another name.
#[cfg(unix)]
fn called(folder: &Path, name: &str, line: &[&str]) -> Option<i32> {
    let link = folder.join(name);
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wim"), &link).unwrap();
    }
    Command::new(link).args(line).current_dir(folder).output().unwrap().status.code()
}

#[test]
#[cfg(unix)]
fn exit_codes_are_wimlibs_under_its_names() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "One", "--check"]).ends_with(0);
    wim(folder, &["capture", "src", "plain.wim", "One", "--compress=none"]).ends_with(0);
    wim(folder, &["split", "t.wim", "s.swm", "--parts=2"]).ends_with(0);
    let bytes = std::fs::read(folder.join("t.wim")).unwrap();
    let mut marked = bytes.clone();
    marked[0x10] |= 4;
    std::fs::write(folder.join("readonly.wim"), &marked).unwrap();
    let mut damaged = std::fs::read(folder.join("plain.wim")).unwrap();
    damaged[209] ^= 1;
    std::fs::write(folder.join("damaged.wim"), &damaged).unwrap();
    std::fs::write(folder.join("half.wim"), &bytes[..bytes.len() / 2]).unwrap();
    let mut sliced = bytes;
    sliced[209] ^= 1;
    std::fs::write(folder.join("sliced.wim"), &sliced).unwrap();
    std::fs::write(folder.join("noise.wim"), noise(1000)).unwrap();
    std::fs::write(folder.join("cut.wim"), &marked[..100]).unwrap();
    std::fs::write(folder.join("empty.wim"), "").unwrap();
    std::fs::copy(folder.join("t.wim"), folder.join("grown.wim")).unwrap();
    wim(folder, &["append", "src/dir", "grown.wim", "Two"]).ends_with(0);
    std::fs::write(folder.join("bad.ini"), "[ExclusionList]\na/b\n").unwrap();
    std::fs::write(folder.join("file.list"), "src/a.txt /\n").unwrap();
    for line in [
        vec!["info", "t.wim"],
        vec!["info", "none.wim"],
        vec!["info", "noise.wim"],
        vec!["info", "t.wim", "7"],
        vec!["info", "t.wim", "--nonsense"],
        vec!["info", "sliced.wim", "--check"],
        vec!["info", "readonly.wim", "1", "New"],
        vec!["extract", "t.wim", "1", "/nope"],
        vec!["extract", "damaged.wim", "1", "/a.txt", "/dir", "--dest-dir=o"],
        vec!["append", "src", "t.wim", "One"],
        vec!["delete", "s.swm", "1"],
        vec!["join", "j.wim", "t.wim", "grown.wim"],
        vec!["update", "t.wim", "--command=delete /dir"],
        vec!["update", "t.wim", "--command=delete /nope"],
        vec!["capture", "src", "x.wim", "-compress=none", "-check"],
        vec!["dir", "t.wim", "--path=/nope"],
        vec!["info", "cut.wim"],
        vec!["info", "empty.wim"],
        vec!["capture", "nope", "n.wim"],
        vec!["append", "nope", "t.wim"],
        vec!["capture", "src/a.txt", "n.wim"],
        vec!["capture", "src", "nodir/n.wim"],
        vec!["capture", "src", "src/dir"],
        vec!["capture", "src", "src/dir", "--pipable"],
        vec!["export", "t.wim", "1", "src/dir"],
        vec!["join", "src/dir", "s.swm", "s2.swm"],
        vec!["split", "t.wim", "src/dir", "1"],
        vec!["info", "t.wim", "--extract-xml=src/dir"],
        vec!["append", "src", "src/dir"],
        vec!["update", "src/dir", "--command=delete /x"],
        vec!["append", "src", "t.wim", "Four", "--update-of=-9"],
        vec!["capture", "src", "n.wim", "--chunk-size=x"],
        vec!["capture", "src", "n.wim", "--chunk-size=0"],
        vec!["capture", "src", "n.wim", "--config=bad.ini"],
        vec!["capture", "--source-list", "file.list", "n.wim"],
        vec!["capture", "src", "n.wim", "--update-of=1"],
        vec!["append", "src", "-"],
        vec!["extract", "t.wim", "all", "/a.txt"],
        vec!["update", "grown.wim", "all", "--command=delete /x"],
        vec!["update", "-", "--command=delete /x"],
        vec!["info", "-"],
        vec!["info", "t.wim", " 1"],
        vec!["info", "t.wim", "1", "--image-property", "=x"],
        vec!["split", "s2.swm", "n.swm", "1"],
        vec!["export", "t.wim", "all", "n.wim", "--boot"],
        vec!["export", "t.wim", "1", "plain.wim", "Three", "--compress=LZX"],
        vec!["apply", "-", "1", "o"],
        vec!["apply", "--version"],
        vec!["--nonsense"],
        vec!["split", "t.wim", "n.swm", "0"],
        vec!["extract", "t.wim", "1", "@nolist", "--dest-dir=o"],
        vec!["unmount", "nope"],
        vec!["update", "t.wim", "--command=bogus"],
        vec!["capture", "src", "n.wim", "--chunk-size=3"],
        vec!["capture", "src", "n.wim", "--compress=none", "--chunk-size=64K"],
        vec!["capture", "src", "n.wim", "--pipable", "--not-pipable"],
        vec!["capture", "src", "n.wim", "--norpfix", "--rpfix"],
        vec!["capture", "src", "n.wim", "--config=nope"],
        vec!["capture", "--source-list", "nope", "n.wim"],
        vec!["info", "half.wim"],
        vec!["dir", "half.wim"],
        vec!["apply", "half.wim", "1", "o"],
        vec!["optimize", "half.wim"],
        vec!["verify", "half.wim"],
        vec!["verify", "cut.wim"],
        vec!["verify", "sliced.wim"],
        vec!["join", "j.wim", "s.swm"],
        vec!["join", "j.wim", "s2.swm", "s.swm", "s.swm"],
        vec!["join", "j.wim", "s.swm", "s2.swm", "t.wim"],
        vec!["info", "t.wim", "--extract-xml=nodir/x"],
        vec!["info", "src"],
        vec!["info", "grown.wim", "--boot"],
        vec!["apply", "t.wim", "1", "src/a.txt"],
        vec!["apply", "t.wim", "1", "src/a.txt/x"],
        vec!["apply", "s2.swm", "1", "o"],
        vec!["apply", "grown.wim", "o"],
        vec!["apply", "t.wim", "1", "o", "--ref=nope*"],
        vec!["extract", "t.wim", "1", "/a.txt", "--dest-dir=src/a.txt"],
        vec!["extract", "t.wim", "1", "/a.txt", "--dest-dir=src/a.txt/x"],
        vec!["extract", "t.wim", "1", "/dir", "--to-stdout"],
        vec!["export", "s2.swm", "1", "n.wim"],
        vec!["split", "t.wim", "n.swm", "bogus"],
        vec!["dir", "grown.wim"],
        vec!["bogus"],
        vec![],
        vec!["update", "t.wim", "--command=add nope /x"],
        vec!["update", "t.wim", "--command=add src /a.txt"],
        vec!["update", "t.wim", "--command=add src/a.txt /dir"],
        vec!["update", "t.wim", "--command=add src/a.txt /"],
        vec!["update", "t.wim", "--command=add src/a.txt /a.txt/x"],
        vec!["update", "t.wim", "--command=add src/a.txt /a.txt --no-replace"],
        vec!["update", "t.wim", "--command=rename /nope /x"],
        vec!["update", "t.wim", "--command=rename /a.txt /nope/x"],
        vec!["update", "t.wim", "--command=rename /dir /a.txt"],
        vec!["update", "t.wim", "--command=rename /a.txt /dir"],
        vec!["update", "t.wim", "--command=rename /a.txt /zero/x"],
        vec!["update", "t.wim", "--command=rename /a.txt /"],
        vec!["update", "t.wim", "--command=rename /empty /dir"],
        vec!["update", "t.wim", "--command=rename /dir /dir/sub/x"],
        vec!["update", "t.wim", "--command=rename / /x"],
    ] {
        let ours = called(folder, "wimlib-imagex", &line);
        if let Some(theirs) = wimlib(folder, &line) {
            assert_eq!(ours, theirs.code, "{line:?}: {}", theirs.stderr);
        }
    }
    assert_eq!(called(folder, "wiminfo", &["t.wim"]), Some(0));
    assert_eq!(called(folder, "wiminfo", &["none.wim"]), Some(47));
    assert_eq!(called(folder, "wimverify", &["damaged.wim"]), Some(28));
    wim(folder, &["info", "none.wim", "--wimlib-exit-codes"]).ends_with(47);
    wim(folder, &["info", "none.wim"]).ends_with(2);
}
