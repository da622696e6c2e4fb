//! Tiny odd files of driver packages, kept in `tests/driver_corpus`, with one sentence each and the generator here.
//!
//! `good-` files are taken, `bad-` files are refused or left out with a reason and a remedy, `unsupported-` files are refused by name.
//! `UPDATE_CORPUS=1 cargo test -p wim-core --test it driver_corpus` writes the files and their README, with what is answered, anew.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::path::PathBuf;

use wim_core::base::Architecture::Amd64;
use wim_core::base::{Error, ErrorKind};
use wim_core::formats::catalog::{Catalog, SignatureCheck};
use wim_core::formats::szdd;
use wim_core::servicing::drivers::Outcome;
use wim_core::servicing::file_digests::FileDigests;

use crate::driver_image::{program, seven, unsigned_too};
use crate::driver_packages::{TSTOR, tstor};
use crate::signed_catalogs::{WHQL, bytes, catalog, certificate};

/// T1 with one thing changed.
fn tstor_with(from: &str, to: &str) -> Vec<u8> {
    let text = TSTOR.replacen(from, to, 1);
    assert!(text != TSTOR, "{from:?} is not in it");
    text.into_bytes()
}

/// A file compressed by method `method` of KWAJ, without a length.
fn kwaj(method: u8) -> Vec<u8> {
    [&b"KWAJ\x88\xF0\x27\xD1"[..], &[method, 0, 14, 0, 0, 0], b"data"].concat()
}

/// A program that says that its certificates are the `size` bytes at `offset`, and ends with 32 bytes behind its section.
fn with_certificates(offset: u32, size: u32) -> Vec<u8> {
    let mut bytes = program(Amd64, [1, 2, 3, 4]);
    let entry = 0x98 + 96 + 8 * 4;
    bytes[entry..entry + 4].copy_from_slice(&offset.to_le_bytes());
    bytes[entry + 4..entry + 8].copy_from_slice(&size.to_le_bytes());
    [&bytes[..], &[0xCC; 32]].concat()
}

/// Name, sentence, bytes.
fn corpus() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let utf16 = |text: &str| -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    let own = [certificate("Leaf", "Own Root", WHQL), certificate("Own Root", "Own Root", WHQL)];
    let signed = catalog(&[b"a file"], ("Leaf", "Own Root"), &own, 1);
    let changed = {
        let mut bytes = signed.clone();
        // In the list's identifier.
        let at = bytes.windows(2).position(|pair| pair == [7, 7]).unwrap();
        bytes[at] ^= 1;
        bytes
    };
    let mut files = vec![
        ("good-plain.inf", "A storage driver in ASCII.", TSTOR.as_bytes().to_vec()),
        ("good-utf16.inf", "The same in UTF-16 with a mark.", utf16(TSTOR)),
        (
            "good-continued.inf",
            "A line that goes on in the next, a comment, a Ctrl-Z at the end.",
            [&tstor_with("Class=SCSIAdapter", "Class= \\ ; why not\n  SCSIAdapter")[..], &[0x1A]].concat(),
        ),
        (
            "good-twice.inf",
            "A section that stands there twice.",
            tstor_with("[I]\nCopyFiles", "[I]\nReboot\n[Strings]\nP2=\"x\"\n[I]\nCopyFiles"),
        ),
        ("bad-empty.inf", "No byte at all.", Vec::new()),
        ("bad-no-version.inf", "No [Version].", tstor_with("[Version]", "[Virsion]")),
        ("bad-signature.inf", "For no Windows.", tstor_with("$WINDOWS NT$", "$OS/2$")),
        (
            "bad-no-class.inf",
            "Neither a class nor its GUID.",
            tstor_with("Class=SCSIAdapter\nClassGuid={4D36E97B-E325-11CE-BFC1-08002BE10318}\n", ""),
        ),
        ("bad-template.inf", "A kit's template.", TSTOR.replace("NTamd64.6.1", "NT$ARCH$.6.1").into_bytes()),
        (
            "bad-other-windows.inf",
            "For Windows 10 alone.",
            TSTOR.replace("NTamd64.6.1", "NTamd64.10.0").into_bytes(),
        ),
        (
            "bad-no-install.inf",
            "Its device has no install section.",
            TSTOR.replace("%Dev%=I,PCI", "%Dev%=J,PCI").into_bytes(),
        ),
        (
            "bad-outside.inf",
            "A file from above its folder.",
            tstor_with("tstor.sys=1,\\x64", "tstor.sys=1,..\\..\\x64"),
        ),
        (
            "bad-missing.inf",
            "A file that is not there.",
            tstor_with("CopyFiles=@tstor.sys", "CopyFiles=@tstor.sys,@gone.sys"),
        ),
        (
            "bad-store.inf",
            "Runs from a driver store that Windows 7 has not.",
            tstor_with("DefaultDestDir=12", "DefaultDestDir=13"),
        ),
        ("good-own-root.cat", "Signed by a key made for tests.", signed.clone()),
        ("bad-changed.cat", "The same with one byte of its list changed.", changed),
        ("bad-cut.cat", "The same without its second half.", signed[..signed.len() / 2].to_vec()),
        ("bad-signers.cat", "Signed nine times.", catalog(&[b"a file"], ("Leaf", "Own Root"), &own, 9)),
        ("bad-no-catalog.cat", "Another structure of DER.", certificate("Leaf", "Own Root", WHQL)),
        ("good-literals.sy_", "SZDD: three literals.", b"SZDD\x88\xF0\x27\x33A\0\x03\0\0\0\x07abc".to_vec()),
        ("good-xor.sy_", "KWAJ: every bit turned over.", kwaj(1)),
        (
            "bad-cut.sy_",
            "SZDD: more is promised than there is.",
            b"SZDD\x88\xF0\x27\x33A\0\xFF\0\0\0\x07abc".to_vec(),
        ),
        ("bad-mode.sy_", "SZDD: another mode than A.", b"SZDD\x88\xF0\x27\x33B\0\x03\0\0\0\x07abc".to_vec()),
        ("good-certificates.sys", "A driver with certificates at its end.", with_certificates(0x400, 32)),
        (
            "bad-certificates-in-code.sys",
            "What it calls its certificates lies in what runs.",
            with_certificates(0x200, 0x220),
        ),
        (
            "bad-certificates-inside.sys",
            "The same without reaching the end of the file.",
            with_certificates(0x300, 32),
        ),
        ("bad-lzh.sy_", "KWAJ: LZ with Huffman codes, written in a way that is none.", kwaj(3)),
        ("bad-mszip.sy_", "KWAJ: MSZIP, a block that is longer than the file.", kwaj(4)),
        ("good-lzh.sy_", "KWAJ: LZ with Huffman codes, written in all four ways.", bytes(LZH)),
        ("good-mszip.sy_", "KWAJ: MSZIP, a stored block of three bytes.", bytes(MSZIP)),
        ("unsupported-cabinet.sy_", "A cabinet, which is opened as one.", b"MSCF\0\0\0\0".to_vec()),
    ];
    files.sort_by_key(|(name, _, _)| *name);
    files
}

/// KWAJ files that no writer here makes.
const LZH: &str = "4b57414a88f027d103001200010013000000312000449534675529255846da\
                   2d2d0596da2b09726b03ceda2d73b719f1a7269b95567f5f8c7e2fd65b50";
const MSZIP: &str = "4b57414a88f027d104000e0000000a00434b010300fcff6162630000";

/// What becomes of a file: a word that it is taken, or what is wrong with it.
fn answer(name: &str, bytes: &[u8]) -> Result<String, (ErrorKind, String)> {
    let told = |e: Error| (e.kind(), e.text_with_remedy());
    match name.rsplit('.').next().unwrap() {
        "inf" => {
            let package = tstor().with("tstor.inf", bytes.to_vec());
            let plan = seven(Amd64).add(&[&package], &unsigned_too());
            match &plan.reports[0].outcome {
                Outcome::Added(_) => Ok("added".to_owned()),
                Outcome::Refused { kind, reason, remedy } => {
                    let remedy = remedy.as_deref().expect("a refusal says what can be done");
                    Err((*kind, format!("{reason}; {remedy}")))
                }
                Outcome::Skipped { reason, .. } => Err((ErrorKind::NotFound, format!("left out: {reason}"))),
                other => panic!("{name}: {other:?}"),
            }
        }
        "cat" => match Catalog::parse(bytes).map_err(told)?.signed.signer().map(|s| s.check.clone()) {
            Some(SignatureCheck::Valid) => Ok("the signature holds".to_owned()),
            Some(SignatureCheck::Invalid(what) | SignatureCheck::Unknown(what)) => {
                Err((ErrorKind::Corrupt, what))
            }
            None => Err((ErrorKind::Corrupt, "nobody signed it".to_owned())),
        },
        "sys" => match FileDigests::of_bytes(bytes).program.unwrap().signed {
            Some(_) => Ok("known by a digest without its certificates".to_owned()),
            None => Err((ErrorKind::Corrupt, "no signature covers all that runs".to_owned())),
        },
        _ => szdd::expand(bytes).map(|out| format!("{} bytes", out.len())).map_err(told),
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/driver_corpus")
}

#[test]
fn odd_files_of_packages_are_answered_as_their_names_say() {
    let is_update = std::env::var_os("UPDATE_CORPUS").is_some();
    let mut readme = "# Tiny odd files of driver packages\n\nMade by `tests/it/driver_corpus.rs`; `good-` is taken, `bad-` is refused or \
                      left out, `unsupported-` is refused by name. INFs are tried on a Windows 7 for amd64.\n\n\
                      | file | what it is | answer |\n|---|---|---|\n"
        .to_owned();
    if is_update {
        std::fs::create_dir_all(folder()).unwrap();
    }
    for (name, sentence, bytes) in corpus() {
        let path = folder().join(name);
        if is_update {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{name} is not what the generator makes; see its head"
        );
        let answer = answer(name, &bytes);
        match (name.split('-').next().unwrap(), &answer) {
            ("good", Ok(_)) => {}
            ("bad", Err((kind, _))) => assert!(*kind != ErrorKind::Unsupported, "{name}: {answer:?}"),
            ("unsupported", Err((kind, _))) => {
                assert_eq!(*kind, ErrorKind::Unsupported, "{name}: {answer:?}");
            }
            _ => panic!("{name}: {answer:?}"),
        }
        let text = answer.unwrap_or_else(|(_, text)| text).replace('|', "\\|");
        writeln!(readme, "| `{name}` | {sentence} | {text} |").unwrap();
    }
    if is_update {
        std::fs::write(folder().join("README.md"), &readme).unwrap();
    }
    assert_eq!(std::fs::read_to_string(folder().join("README.md")).unwrap(), readme);
}
