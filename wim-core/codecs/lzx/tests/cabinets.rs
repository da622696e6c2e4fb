//! LZX folders of real cabinets, beside the crate `lzxd` as oracle; and wrong ones, which must give errors.

use std::fs;
use std::path::{Path, PathBuf};

use lzx::cab::{CabWindow, Decoder, FRAME_BYTES};

/// A folder's window and its frames: compressed bytes and uncompressed length.
struct Folder {
    log2: u8,
    frames: Vec<(Vec<u8>, usize)>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

/// The LZX folders of a cabinet, as far as it can be read ([MS-CAB] 2).
fn lzx_folders(cabinet: &[u8]) -> Option<Vec<Folder>> {
    if cabinet.get(..4)? != b"MSCF" {
        return None;
    }
    let (folders, flags) = (u16_at(cabinet, 26)?, u16_at(cabinet, 30)?);
    let (mut at, mut folder_reserve, mut data_reserve) = (36, 0, 0);
    if flags & 4 != 0 {
        folder_reserve = usize::from(*cabinet.get(38)?);
        data_reserve = usize::from(*cabinet.get(39)?);
        at = 40 + u16_at(cabinet, 36)?;
    }
    for _ in 0..2 * (flags & 1) + (flags & 2) {
        at += cabinet.get(at..)?.iter().position(|&byte| byte == 0)? + 1;
    }
    let mut found = Vec::new();
    for _ in 0..folders {
        let (mut data, count, kind) =
            (u32_at(cabinet, at)?, u16_at(cabinet, at + 4)?, u16_at(cabinet, at + 6)?);
        at += 8 + folder_reserve;
        if kind & 15 != 3 {
            continue;
        }
        let mut frames = Vec::new();
        for _ in 0..count {
            let (Some(packed), Some(len)) = (u16_at(cabinet, data + 4), u16_at(cabinet, data + 6)) else {
                break;
            };
            let start = data + 8 + data_reserve;
            let Some(bytes) = cabinet.get(start..start + packed) else { break };
            frames.push((bytes.to_vec(), len));
            data = start + packed;
        }
        found.push(Folder { log2: (kind >> 8) as u8 & 31, frames });
    }
    Some(found)
}

fn oracle(log2: u8) -> Option<lzxd::Lzxd> {
    use lzxd::WindowSize as W;
    let size = match log2 {
        15 => W::KB32,
        16 => W::KB64,
        17 => W::KB128,
        18 => W::KB256,
        19 => W::KB512,
        20 => W::MB1,
        21 => W::MB2,
        _ => return None,
    };
    Some(lzxd::Lzxd::new(size))
}

fn cabinets(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            cabinets(&path, found);
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("cab")) {
            found.push(path);
        }
    }
}

#[test]
fn real_cabinets_decode_as_the_oracle_says() {
    let root = std::env::var_os("WIM_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data"),
        PathBuf::from,
    );
    let mut paths = Vec::new();
    cabinets(&root, &mut paths);
    paths.sort();
    if paths.is_empty() {
        println!("skipped: no cabinets there");
        return;
    }
    let (mut folders, mut bytes) = (0, 0usize);
    for path in paths {
        let cabinet = fs::read(&path).expect("readable");
        for folder in lzx_folders(&cabinet).into_iter().flatten() {
            let Some(mut theirs) = oracle(folder.log2) else {
                assert!(CabWindow::new(folder.log2).is_none() || folder.log2 > 21);
                continue;
            };
            let mut ours = Decoder::new(CabWindow::new(folder.log2).expect("a window of the oracle"));
            // A few hundred frames of each folder: windows have slid by then, and the oracle is slow.
            for (index, (data, len)) in folder.frames.iter().take(300).enumerate() {
                let len = (*len).min(FRAME_BYTES);
                let frame = ours.decode_frame(data, len);
                // The oracle indexes past the end of very short data.
                let expected = if data.len() < 4 { None } else { theirs.decompress_next(data, len).ok() };
                let (Ok(frame), Some(expected)) = (&frame, expected) else {
                    println!("{}: frame {index}: {frame:?}", path.display());
                    assert!(
                        frame.is_err() || malformed(&path),
                        "{} frame {index}: the oracle refuses",
                        path.display()
                    );
                    assert!(
                        expected.is_none() || malformed(&path),
                        "{} frame {index}: refused",
                        path.display()
                    );
                    break;
                };
                if path.ends_with("libarchive/cab_lzx_e8.cab") {
                    // A call to offset 0 at position 0: libmspack leaves it as it is, the oracle adds the file size.
                    assert_eq!(frame[..5], [0xe8, 0, 0, 0, 0]);
                    assert_eq!(frame[5..], expected[5..]);
                    continue;
                }
                assert!(*frame == expected, "{} frame {index} differs", path.display());
                bytes += len;
            }
            folders += 1;
        }
    }
    println!("{folders} folders, {bytes} bytes compared");
    assert!(folders > 0);
}

/// Names of the test data's README that are malformed on purpose.
fn malformed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["cve-", "bad_", "partial_", "lzx-", "cab_lzx_"].iter().any(|start| name.starts_with(start))
}
