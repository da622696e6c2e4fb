//! Holds the rooms of `wim-core` to their direction of use.
//!
//! Rooms stand on floors; a room uses rooms on floors below it only, and neighbours do not know each other. The table
//! here is the one of ARCHITECTURE.md. Every `crate::ROOM` path in the sources is read, wherever it stands.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each room with what it may use. Formats are rooms of their own, since none may know another.
fn may_use(room: &str) -> &'static [&'static str] {
    match room {
        "base" => &[],
        "formats" => &["base"],
        "image" => &["base", "formats"],
        "transfer" | "servicing" | "media" => &["base", "formats", "image"],
        "jobs" => &["base", "formats", "image", "transfer", "servicing", "media"],
        "lib" => &["base", "formats", "image", "transfer", "servicing", "media", "jobs"],
        other => panic!("room {other} is not in the table of ARCHITECTURE.md and of this test"),
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Rooms named by `crate::…`, `crate::{…}` and by `super::` chains that reach the root of the crate, in code: strings and
/// comments may speak of any room. `depth` is the number of modules above the file's items.
fn crate_paths(text: &str, depth: usize) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or("").to_owned() + "\n").collect();
    let to_root = "super::".repeat(depth);
    let mut paths = Vec::new();
    for prefix in ["crate::", to_root.as_str()].into_iter().filter(|prefix| !prefix.is_empty()) {
        for (at, found) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &code[at + found.len()..];
            match rest.strip_prefix('{') {
                Some(group) => paths.extend(group_members(group)),
                None => paths.push(path_at(rest)),
            }
        }
    }
    paths
}

fn path_at(text: &str) -> String {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next().unwrap_or("").to_owned()
}

/// The paths at the top of a `{…}` group, whose opening brace is gone.
fn group_members(group: &str) -> Vec<String> {
    let (mut depth, mut members, mut start) = (1, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                members.push(path_at(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            members.push(path_at(group[start..at].trim_start()));
            break;
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

#[test]
fn grouped_and_climbing_paths_are_seen() {
    let text =
        "use crate::{base::Error, formats::{wim, hive}};\nuse super::super::jobs::x; // crate::media\n";
    assert_eq!(crate_paths(text, 2), ["base::Error", "formats::", "jobs::x"]);
    assert_eq!(crate_paths(text, 3), ["base::Error", "formats::"]);
}

/// The source with its unit tests cut off: tests may look around. Files of nothing else are left out by their name.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// Modules above the items of a file: `a/b.rs` has two, `a/mod.rs` one.
fn depth_of(parts: &[String]) -> usize {
    match parts.split_last() {
        Some((last, above)) if last == "mod" || last == "lib" => above.len(),
        _ => parts.len(),
    }
}

fn all_sources() -> Vec<(String, Vec<String>, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let describe = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap();
        let parts: Vec<String> =
            relative.iter().map(|part| part.to_string_lossy().replace(".rs", "")).collect();
        (relative.display().to_string(), parts, fs::read_to_string(&path).unwrap())
    };
    let is_test =
        |parts: &[String]| parts.last().is_some_and(|last| last == "tests" || last.ends_with("_tests"));
    files.into_iter().map(describe).filter(|(_, parts, _)| !is_test(parts)).collect()
}

#[test]
fn rooms_use_only_floors_below_them() {
    for (file, parts, text) in all_sources() {
        let room = &parts[0];
        for path in crate_paths(without_tests(&text), depth_of(&parts)) {
            let used = path.split("::").next().unwrap_or("");
            assert!(
                used.is_empty() || used == room || may_use(room).contains(&used),
                "{file} uses crate::{path}"
            );
        }
    }
}

#[test]
fn formats_do_not_know_each_other() {
    for (file, parts, text) in
        all_sources().into_iter().filter(|(_, parts, _)| parts[0] == "formats" && parts.len() > 2)
    {
        for path in crate_paths(without_tests(&text), depth_of(&parts)) {
            if let Some(rest) = path.strip_prefix("formats::") {
                let other = rest.split("::").next().unwrap_or("");
                assert!(other.is_empty() || other == parts[1], "{file} uses crate::{path}");
            }
        }
    }
}

#[test]
fn formats_and_image_touch_no_files_threads_or_clock() {
    let banned =
        ["std::fs", "std::thread", "rayon", "SystemTime::now", "Instant::now", "println!", "eprintln!"];
    for (file, parts, text) in all_sources() {
        let is_pure = parts[0] == "formats" || parts[0] == "image" || parts[0] == "servicing";
        let text = without_tests(&text);
        for word in banned.iter().filter(|_| is_pure) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!code.into_iter().any(|line| line.contains(word)), "{file} uses {word}");
        }
        for word in ["println!", "eprintln!", "std::process::exit"] {
            assert!(!text.contains(word), "{file}: only the command prints and exits");
        }
    }
}

#[test]
fn unsafe_code_is_only_in_the_files_that_the_ledger_lists() {
    let codecs = Path::new(env!("CARGO_MANIFEST_DIR")).join("codecs");
    let ledger = fs::read_to_string(codecs.join("UNSAFE.md")).unwrap_or_default();
    let mut files = Vec::new();
    sources(&codecs, &mut files);
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.into_iter().any(|line| line.contains("unsafe {") || line.contains("unsafe fn")) {
            let name = file.strip_prefix(&codecs).unwrap_or(&file).display().to_string();
            assert!(ledger.contains(&name), "{name} has unsafe code, but no line in codecs/UNSAFE.md");
        }
    }
}
