//! Data that tests make themselves, and where real data may lie.

use std::path::PathBuf;

/// Bytes that compress like code and text: repeated phrases with random stretches; the same for the same seed.
pub(crate) fn mixed_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 300);
    while bytes.len() < length {
        let n = (next() % 200) as usize;
        match next() % 4 {
            0 => bytes.extend((0..n).map(|_| next() as u8)),
            1 if bytes.len() > 300 => {
                let from = bytes.len() - 1 - (next() as usize % 300);
                for i in from..from + n {
                    bytes.push(bytes[i.min(bytes.len() - 1)]);
                }
            }
            2 => bytes.extend_from_slice(b"\xE8\x10\x20\x00\x00mov eax, ebx; call function_table_entry"),
            _ => bytes.extend((0..n).map(|_| b"aeinorst ,.\n"[next() as usize % 12])),
        }
    }
    bytes.truncate(length);
    bytes
}

/// Bytes that do not compress.
pub(crate) fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0xD134_2543_DE82_EF95) | 1;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// A file or folder of the real test data; none, with a message, when the data is not there.
pub(crate) fn real_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WIM_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {name} of the real test data is absent (set WIM_TEST_DATA)");
    None
}
