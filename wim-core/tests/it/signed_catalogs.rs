//! Catalogs signed by a key that was made for these tests: what an own certificate is worth, and what too many signers are.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use sha2::{Digest, Sha256};

use crate::driver_image::{program, seven, ten, unsigned_too};
use crate::driver_packages::{TSTOR, tstor};
use wim_core::base::Architecture::{self, Amd64, X86};
use wim_core::base::{Cancel, ErrorKind};
use wim_core::formats::catalog::{Catalog, Certificate, SignatureCheck, digests_of_signatures};
use wim_core::servicing::drivers::media_folder::{MediaOutcome, plan_media};
use wim_core::servicing::drivers::signature::{RootOrigin, SignatureReport, SignatureStatus, VerifiedRoot};
use wim_core::servicing::drivers::{BootStart, DriverOptions, Newer, Outcome};
use wim_core::servicing::hive_set::HiveName::System;
use wim_core::servicing::package_files::MemoryFiles;

/// 512 bits, the least that is taken: this key guards nothing.
const MODULUS: &str = "b10b686b8962e95e191aecff26d47de99b3e01689cd3b965e86aed7a1055a24d\
                       59039fa7112a08fb3eec068f9cab98415eb053a4fc9a65917959282508e24cc9";
const PRIVATE: &str = "40960ccdce1ccb4d8c930a0a3abc2202eaa340184dbddf5091ed101d0b8071e8\
                       724be7bf6e28250b381f0bc1d2388cbf28275206247d7f29865b60b637f7f1d1";

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTETS: u8 = 0x04;
pub(crate) const WHQL: &str = "1.3.6.1.4.1.311.10.3.5";

pub(crate) fn bytes(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// One element of DER.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, &content].concat()
}

fn oid(text: &str) -> Vec<u8> {
    let mut numbers = text.split('.').map(|part| part.parse::<u32>().unwrap());
    let first = numbers.next().unwrap() * 40 + numbers.next().unwrap();
    let mut out = vec![u8::try_from(first).unwrap()];
    for number in numbers {
        let groups: Vec<u8> = (0..5).rev().map(|n| u8::try_from(number >> (7 * n) & 0x7F).unwrap()).collect();
        let used = groups.iter().position(|&group| group != 0).unwrap_or(4);
        out.extend(groups[used..4].iter().map(|group| group | 0x80));
        out.push(groups[4]);
    }
    tlv(0x06, &[&out])
}

fn algorithm(id: &str) -> Vec<u8> {
    tlv(SEQUENCE, &[&oid(id), &[5, 0]])
}

const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const SHA256_RSA: &str = "1.2.840.113549.1.1.11";

/// 512-bit numbers, the least significant part first.
type Number = [u64; 8];

fn number(bytes: &[u8]) -> Number {
    let mut number = [0; 8];
    for (n, &byte) in bytes.iter().rev().enumerate() {
        number[n / 8] |= u64::from(byte) << (8 * (n % 8));
    }
    number
}

fn times(a: &Number, b: &Number, n: &Number) -> Number {
    let mut product = [0_u64; 8];
    let add = |to: &mut Number, what: Number| {
        let mut carry = false;
        for (to, what) in to.iter_mut().zip(what) {
            let (sum, over) = to.overflowing_add(what);
            let (sum, more) = sum.overflowing_add(u64::from(carry));
            (*to, carry) = (sum, over || more);
        }
        if carry || to.iter().rev().ge(n.iter().rev()) {
            let mut borrow = false;
            for (to, n) in to.iter_mut().zip(n) {
                let (rest, under) = to.overflowing_sub(*n);
                let (rest, more) = rest.overflowing_sub(u64::from(borrow));
                (*to, borrow) = (rest, under || more);
            }
        }
    };
    for bit in (0..512).rev() {
        let double = product;
        add(&mut product, double);
        if b[bit / 64] >> (bit % 64) & 1 == 1 {
            add(&mut product, *a);
        }
    }
    product
}

/// The signature of `content` with the key of these tests.
fn sign(content: &[u8]) -> Vec<u8> {
    let info = [&bytes("3031300d060960864801650304020105000420")[..], &Sha256::digest(content)].concat();
    let padded = [&[0, 1][..], &vec![0xFF; 64 - 3 - info.len()], &[0], &info].concat();
    let (base, n, exponent) = (number(&padded), number(&bytes(MODULUS)), number(&bytes(PRIVATE)));
    let mut result = number(&[1]);
    for bit in (0..512).rev() {
        result = times(&result, &result, &n);
        if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
            result = times(&result, &base, &n);
        }
    }
    result.iter().rev().flat_map(|part| part.to_be_bytes()).collect()
}

fn name(text: &str) -> Vec<u8> {
    let pair = tlv(SEQUENCE, &[&oid("2.5.4.3"), &tlv(0x0C, &[text.as_bytes()])]);
    tlv(SEQUENCE, &[&tlv(SET, &[&pair])])
}

/// A certificate for `subject`, signed as `issuer`; all have the same key.
pub(crate) fn certificate(subject: &str, issuer: &str, usage: &str) -> Vec<u8> {
    let modulus = [&[0][..], &bytes(MODULUS)].concat();
    let key = tlv(SEQUENCE, &[&tlv(2, &[&modulus]), &tlv(2, &[&[1, 0, 1]])]);
    let key = tlv(SEQUENCE, &[&algorithm("1.2.840.113549.1.1.1"), &tlv(3, &[&[0], &key])]);
    let usages = tlv(OCTETS, &[&tlv(SEQUENCE, &[&oid(usage)])]);
    let authority = tlv(OCTETS, &[&tlv(SEQUENCE, &[&[1, 1, 0xFF]])]);
    let extensions = tlv(
        SEQUENCE,
        &[&tlv(SEQUENCE, &[&oid("2.5.29.37"), &usages]), &tlv(SEQUENCE, &[&oid("2.5.29.19"), &authority])],
    );
    let validity = tlv(SEQUENCE, &[&tlv(0x17, &[b"200101000000Z"]), &tlv(0x17, &[b"400101000000Z"])]);
    let signed = tlv(
        SEQUENCE,
        &[
            &tlv(0xA0, &[&[2, 1, 2]]),
            &tlv(2, &[subject.as_bytes()]),
            &algorithm(SHA256_RSA),
            &name(issuer),
            &validity,
            &name(subject),
            &key,
            &tlv(0xA3, &[&extensions]),
        ],
    );
    let signature = sign(&signed);
    tlv(SEQUENCE, &[&signed, &algorithm(SHA256_RSA), &tlv(3, &[&[0], &signature])])
}

/// A catalog for `files` that the owner of the first certificate signed, with its signer named `signers` times.
pub(crate) fn catalog(
    files: &[&[u8]],
    signer: (&str, &str),
    certificates: &[Vec<u8>],
    signers: usize,
) -> Vec<u8> {
    let files: Vec<(&[u8], Option<&str>)> = files.iter().map(|&file| (file, None)).collect();
    catalog_for(&files, signer, certificates, signers)
}

/// [`catalog`] for files with the versions of Windows that each is signed for.
fn catalog_for(
    files: &[(&[u8], Option<&str>)],
    signer: (&str, &str),
    certificates: &[Vec<u8>],
    signers: usize,
) -> Vec<u8> {
    let versions = |list: &str| {
        let name: Vec<u8> = "OSAttr".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let list: Vec<u8> = list.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let pair = tlv(SEQUENCE, &[&tlv(0x1E, &[&name]), &[2, 1, 0], &tlv(OCTETS, &[&list])]);
        tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.12.2.1"), &tlv(SET, &[&pair])])
    };
    let entry = |(file, list): &(&[u8], Option<&str>)| {
        let digest = Sha256::digest(file);
        let flat = tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.2.1.25")]);
        let info = tlv(SEQUENCE, &[&algorithm(SHA256), &tlv(OCTETS, &[&digest])]);
        let value = tlv(SET, &[&tlv(SEQUENCE, &[&flat, &info])]);
        let attribute = tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.2.1.4"), &value]);
        let list = list.map(versions).unwrap_or_default();
        tlv(SEQUENCE, &[&tlv(OCTETS, &[&digest]), &tlv(SET, &[&attribute, &list])])
    };
    let list = [
        tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.12.1.1")]),
        tlv(OCTETS, &[&[7; 16]]),
        tlv(0x17, &[b"200101000000Z"]),
        algorithm("1.3.6.1.4.1.311.12.1.3"),
        tlv(SEQUENCE, &[&files.iter().flat_map(entry).collect::<Vec<u8>>()]),
    ]
    .concat();
    let (subject, issuer) = signer;
    let info = tlv(
        SEQUENCE,
        &[
            &[2, 1, 1],
            &tlv(SEQUENCE, &[&name(issuer), &tlv(2, &[subject.as_bytes()])]),
            &algorithm(SHA256),
            &algorithm("1.2.840.113549.1.1.1"),
            &tlv(OCTETS, &[&sign(&list)]),
        ],
    );
    let content = tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.10.1"), &tlv(0xA0, &[&tlv(SEQUENCE, &[&list])])]);
    let signed = tlv(
        SEQUENCE,
        &[
            &[2, 1, 1],
            &tlv(SET, &[&algorithm(SHA256)]),
            &content,
            &tlv(0xA0, &[&certificates.concat()]),
            &tlv(SET, &[&info.repeat(signers)]),
        ],
    );
    tlv(SEQUENCE, &[&oid("1.2.840.113549.1.7.2"), &tlv(0xA0, &[&signed])])
}

#[test]
fn one_signer_of_eight_is_checked_and_more_are_refused() {
    let certificates = [certificate("Leaf", "Own Root", WHQL), certificate("Own Root", "Own Root", WHQL)];
    let of =
        |certificates: &[Vec<u8>], signers| catalog(&[b"x"], ("Leaf", "Own Root"), certificates, signers);
    let sound = Catalog::parse(&of(&certificates, 8)).unwrap();
    let signer = sound.signed.signer().unwrap();
    assert_eq!(signer.check, SignatureCheck::Valid);
    assert_eq!((signer.chain.len(), signer.root), (2, None));
    assert_eq!(sound.list.members.len(), 1);
    let many = certificates[0].repeat(101);
    for (bytes, what) in [(of(&certificates, 9), "signerInfos"), (of(&[many], 1), "certificates")] {
        let e = Catalog::parse(&bytes).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Limit);
        assert!(e.to_string().contains(what) && e.remedy_text().is_some(), "{e}");
        // The list alone needs no signature.
        assert_eq!(Catalog::parse_list(&bytes).unwrap().members.len(), 1);
    }
}

#[test]
fn an_own_certificate_is_not_microsofts_whatever_it_says() {
    let sys = program(Amd64, [1, 2, 3, 4]);
    let certificates = [
        certificate(
            "Microsoft Windows Hardware Compatibility Publisher",
            "Microsoft Root Certificate Authority",
            WHQL,
        ),
        certificate("Microsoft Root Certificate Authority", "Microsoft Root Certificate Authority", WHQL),
    ];
    let signer =
        ("Microsoft Windows Hardware Compatibility Publisher", "Microsoft Root Certificate Authority");
    let x86 = program(X86, [1, 2, 3, 4]);
    let signed = catalog(&[TSTOR.as_bytes(), &sys, &x86], signer, &certificates, 1);
    let package = tstor().with("tstor.cat", signed);
    let mut image = ten(Amd64);
    let untouched = image.clone();
    let plan = image.add(&[&package], &DriverOptions::default());
    let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(
        reason
            .contains("ends in Microsoft Root Certificate Authority, whose key is none of Microsoft's roots"),
        "{reason}"
    );
    assert_eq!(plan.reports[0].signature.as_ref().unwrap().status, SignatureStatus::ChainNotVerified);
    assert!(image == untouched);
    // Forced, it gets no score of Microsoft's.
    image.add(&[&package], &unsigned_too());
    let packages = "DriverDatabase\\DriverPackages";
    let scores: Vec<_> = image
        .subkeys(System, packages)
        .iter()
        .filter_map(|name| image.value(System, &format!("{packages}\\{name}"), "SignerScore"))
        .collect();
    assert!(scores.iter().all(|score| score.data != 0x0D00_0005_u32.to_le_bytes()), "{scores:?}");
    // Windows before 10 takes cross-signed drivers of vendors, which look the same from here.
    let plan = seven(Amd64).add(&[&package], &DriverOptions::default());
    assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("signed, chain not verified")), "{findings:?}");
    // drivers.md 7.3: told, and no reason to refuse; a signature inside, or none at all, makes nothing of it.
    let bare = "tstor.sys starts with the boot loader and has no signature inside";
    assert!(findings.iter().any(|f| f.starts_with(bare)), "{findings:?}");
    let plan = seven(Amd64).add(&[&tstor()], &unsigned_too());
    assert!(!plan.reports[0].findings.iter().any(|f| f.starts_with(bare)), "{plan:?}");
    let mut sealed = sys.clone();
    sealed[0x98 + 96 + 32..][..8].copy_from_slice(&[0, 4, 0, 0, 8, 0, 0, 0]);
    sealed.extend([8, 0, 0, 0, 0, 2, 2, 0]);
    let signed = catalog(&[TSTOR.as_bytes(), &sealed], signer, &certificates, 1);
    let package = tstor().with("x64/tstor.sys", sealed).with("tstor.cat", signed);
    let plan = seven(Amd64).add(&[&package], &DriverOptions::default());
    assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
    assert!(!plan.reports[0].findings.iter().any(|f| f.starts_with(bare)), "{plan:?}");
}

#[test]
fn a_changed_file_is_named_on_x86_too() {
    let certificates = [certificate("Leaf", "Own Root", WHQL)];
    let signed = catalog(&[TSTOR.as_bytes()], ("Leaf", "Own Root"), &certificates, 1);
    let plan = seven(X86).add(&[&tstor().with("tstor.cat", signed)], &DriverOptions::default());
    assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("not covered by its catalog")), "{findings:?}");
}

#[test]
fn the_versions_of_windows_are_those_of_every_file() {
    let sys = program(Amd64, [1, 2, 3, 4]);
    let certificates = [certificate("Leaf", "Own Root", WHQL)];
    let fits = |inf: Option<&str>, driver: Option<&str>| {
        let files = [(TSTOR.as_bytes(), inf), (&sys[..], driver), (&b"another package's"[..], Some("2:6.1"))];
        let package = tstor().with("tstor.cat", catalog_for(&files, ("Leaf", "Own Root"), &certificates, 1));
        let plan = seven(Amd64).add(&[&package], &DriverOptions::default());
        plan.reports[0].signature.clone().unwrap().os_attribute_fits
    };
    assert_eq!(fits(None, None), None);
    assert_eq!(fits(Some("2:6.1,2:6.2"), Some("2:6.x")), Some(true));
    assert_eq!(fits(Some("2:6.1"), None), Some(true));
    // Once one file's list was taken for all.
    assert_eq!(fits(Some("2:6.1"), Some("2:10.0")), Some(false));
}

#[test]
fn nothing_lets_a_boot_driver_signed_with_sha_2_alone_into_a_windows_that_cannot_check_it() {
    let certificates = [certificate("Leaf", "Own Root", WHQL)];
    let on_demand = TSTOR.replace("StartType=0", "StartType=3");
    let sys = program(Amd64, [1, 2, 3, 4]);
    let package = |inf: &str| {
        let signed = catalog(&[inf.as_bytes(), &sys], ("Leaf", "Own Root"), &certificates, 1);
        tstor().with("tstor.inf", inf.as_bytes()).with("tstor.cat", signed)
    };
    let mut old = seven(Amd64);
    old.put("\\Windows\\System32\\winload.exe", program(Amd64, [6, 1, 7601, 17514]));
    let added = |inf: &str, options: &DriverOptions| {
        let plan = old.clone().add(&[&package(inf)], options);
        match &plan.reports[0].outcome {
            Outcome::Refused { reason, .. } => Err(reason.clone()),
            Outcome::Added(_) => Ok(plan.reports[0].findings.clone()),
            other => panic!("{other:?}"),
        }
    };
    let usual = DriverOptions::default();
    let replacing = DriverOptions { newer: Newer::Replace, ..usual.clone() };
    let raised = DriverOptions { boot_start: BootStart::Raise, ..usual.clone() };
    for (inf, options) in [(TSTOR, &usual), (TSTOR, &replacing), (on_demand.as_str(), &raised)] {
        let reason = added(inf, options).unwrap_err();
        assert!(reason.contains("SHA-2 alone"), "{reason}");
    }
    let findings = added(&on_demand, &usual).unwrap();
    assert!(findings.iter().any(|f| f.contains("SHA-2 alone")), "{findings:?}");
    let bare = "has no signature inside";
    assert!(!findings.iter().any(|f| f.contains(bare)), "{findings:?}");
    // Raised, it is one that the boot loader reads.
    let plan = seven(Amd64).add(&[&package(&on_demand)], &raised);
    assert!(plan.reports[0].findings.iter().any(|f| f.contains(bare)), "{plan:?}");
}

/// The signature inside a program: what it is digested with, the attributes that are not signed, among them `nested`.
fn inside(digest: &str, nested: &[Vec<u8>]) -> Vec<u8> {
    let program = tlv(SEQUENCE, &[&algorithm(digest), &tlv(OCTETS, &[&[1; 20]])]);
    let data = tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.2.1.15")]);
    let content = tlv(0xA0, &[&tlv(SEQUENCE, &[&data, &program])]);
    let content = tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.2.1.4"), &content]);
    let stamp = tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.3.3.1"), &tlv(SET, &[&tlv(SEQUENCE, &[])])]);
    let values = tlv(SET, &nested.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let nested = tlv(SEQUENCE, &[&oid("1.3.6.1.4.1.311.2.4.1"), &values]);
    let info = tlv(
        SEQUENCE,
        &[
            &[2, 1, 1],
            &tlv(SEQUENCE, &[&name("Root"), &tlv(2, &[b"1"])]),
            &algorithm(digest),
            &tlv(0xA0, &[&tlv(SEQUENCE, &[&oid("1.2.840.113549.1.9.4"), &tlv(SET, &[])])]),
            &algorithm("1.2.840.113549.1.1.1"),
            &tlv(OCTETS, &[b"signature"]),
            &tlv(0xA1, &[&stamp, &nested]),
        ],
    );
    let signed = tlv(
        SEQUENCE,
        &[
            &[2, 1, 1],
            &tlv(SET, &[&algorithm(digest)]),
            &content,
            &tlv(0xA0, &[&certificate("Leaf", "Root", WHQL)]),
            &tlv(SET, &[&info]),
        ],
    );
    tlv(SEQUENCE, &[&oid("1.2.840.113549.1.7.2"), &tlv(0xA0, &[&signed])])
}

const SHA1: &str = "1.3.14.3.2.26";
const MD5: &str = "1.2.840.113549.2.5";

#[test]
fn the_digests_of_signatures_in_programs_are_read_nested_ones_too() {
    let names = |bytes: &[u8]| -> Vec<&'static str> {
        let digests = digests_of_signatures(bytes).unwrap().into_iter();
        digests.map(|digest| digest.map_or("unknown", |digest| digest.name())).collect()
    };
    assert_eq!(names(&inside(SHA1, &[])), ["sha1"]);
    assert_eq!(names(&inside(MD5, &[])), ["unknown"]);
    let deep = inside(SHA1, &[inside(SHA256, &[inside(SHA1, &[])]), inside(MD5, &[])]);
    assert_eq!(names(&deep), ["sha1", "sha256", "sha1", "unknown"]);
    // One within the other without end, as far as it goes.
    let chain = (0..40).fold(inside(SHA256, &[]), |inner, _| inside(SHA256, &[inner]));
    assert_eq!(names(&chain).len(), 16);
    for end in 0..deep.len() {
        assert!(digests_of_signatures(&deep[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_boot_driver_whose_own_signature_is_sha_2_alone_is_kept_from_a_windows_that_cannot_check_it() {
    let with = |signature: Vec<u8>| {
        let mut sys = program(Amd64, [1, 2, 3, 4]);
        let (at, size) = (u32::try_from(sys.len()).unwrap(), u32::try_from(signature.len() + 8).unwrap());
        sys[0x98 + 96 + 32..][..8].copy_from_slice(&[at.to_le_bytes(), size.to_le_bytes()].concat());
        sys.extend([&size.to_le_bytes()[..], &[0, 2, 2, 0], &signature].concat());
        tstor().with("x64/tstor.sys", sys)
    };
    let (new, both) = (with(inside(SHA256, &[])), with(inside(SHA1, &[inside(SHA256, &[])])));
    let mut old = seven(Amd64);
    old.put("\\Windows\\System32\\winload.exe", program(Amd64, [6, 1, 7601, 17514]));
    let plan = old.add(&[&new], &unsigned_too());
    let Outcome::Refused { reason, remedy, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(reason.starts_with("tstor.sys, which starts with the boot loader, is signed inside"), "{reason}");
    assert!(remedy.as_ref().unwrap().contains("KB4474419"));
    let plan = old.add(&[&both], &unsigned_too());
    assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
    let says = |plan: &wim_core::servicing::drivers::DriverPlan| {
        plan.reports[0].findings.iter().any(|finding| finding.contains("SHA-2 alone"))
    };
    assert!(!says(&plan), "{plan:?}");
    // Where nothing tells, it is told; later Windows know SHA-2.
    assert!(says(&seven(Amd64).add(&[&new], &unsigned_too())));
    assert!(!says(&ten(Amd64).add(&[&new], &unsigned_too())));
}

#[test]
fn a_chain_is_verified_up_to_a_root_that_is_given_and_no_further() {
    let sys = program(Amd64, [1, 2, 3, 4]);
    let in_file = [certificate("Leaf", "Middle", WHQL), certificate("Middle", "Vendor Root", WHQL)];
    let signed = catalog(&[TSTOR.as_bytes(), &sys], ("Leaf", "Middle"), &in_file, 1);
    let package = tstor().with("tstor.cat", signed);
    let root = certificate("Vendor Root", "Vendor Root", WHQL);
    let of = |file: &[u8]| {
        let roots = Certificate::read_file(file).unwrap();
        let options = DriverOptions { roots, ..DriverOptions::default() };
        let plan = ten(Amd64).add(&[&package], &options);
        let taken = matches!(plan.reports[0].outcome, Outcome::Added(_));
        (taken, plan.reports[0].signature.clone().unwrap(), plan.reports[0].findings.clone())
    };
    let (taken, report, findings) = of(&root);
    // What it says of itself makes it no driver that Microsoft tested.
    assert!(taken && report.status == SignatureStatus::Authenticode, "{report:?}");
    let verified = report.root.unwrap();
    assert_eq!((verified.name.as_str(), verified.origin), ("Vendor Root", RootOrigin::Given));
    assert!(findings.iter().any(|f| f.contains("that root was given")), "{findings:?}");
    // As text, among others; and a certificate on the way is as good.
    let text = |der: &[u8]| {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::from("0 s:CN = X\n-----BEGIN CERTIFICATE-----\n");
        for group in der.chunks(3) {
            let bits =
                group.iter().chain([&0, &0]).take(3).fold(0, |bits, &byte| bits << 8 | u32::from(byte));
            for place in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
                out.push(char::from(if place <= group.len() { digit } else { b'=' }));
            }
        }
        out + "\n-----END CERTIFICATE-----\n"
    };
    let other = certificate("Another Root", "Another Root", WHQL);
    assert!(of((text(&other) + &text(&root)).as_bytes()).0);
    assert!(of(&in_file[1]).0);
    // Another root, and one that has the name but not the key.
    let mut forged = root.clone();
    let modulus = bytes(MODULUS);
    let at = forged.windows(modulus.len()).position(|window| window == modulus).unwrap();
    forged[at + 10] ^= 1;
    for file in [&other, &forged] {
        let (taken, report, _) = of(file);
        assert!(!taken && report.status == SignatureStatus::ChainNotVerified, "{report:?}");
        assert_eq!(report.root, None);
    }
    for bad in [
        &b""[..],
        b"text",
        b"-----BEGIN CERTIFICATE-----",
        &root[..100],
        b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----",
    ] {
        let e = Certificate::read_file(bad).unwrap_err();
        assert!(e.kind() == ErrorKind::Format && e.remedy_text().unwrap().contains(".pem"), "{e}");
    }
    assert_eq!(Certificate::read_file(&vec![0; 2 << 20]).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn vendors_certificates_below_microsofts_cross_certificates_have_to_be_old_for_windows_10() {
    let mut report = signature_of(&tstor(), X86);
    report.status = SignatureStatus::Authenticode;
    let name = "Microsoft Code Verification Root".to_owned();
    report.root = Some(VerifiedRoot { name, origin: RootOrigin::CrossCertificates });
    for (day, is_accepted) in [("2015-07-28 23:59:59", true), ("2015-07-29 00:00:00", false)] {
        report.not_before = Some(day.to_owned());
        assert_eq!(report.is_accepted(&ten(Amd64).target().windows), is_accepted, "{day}");
        assert!(report.is_accepted(&seven(Amd64).target().windows));
        assert!(report.is_accepted(&ten(X86).target().windows));
    }
}

#[test]
fn what_is_odd_about_a_signature_is_told_of_the_mediums_folder_too() {
    let certificates = [certificate("Leaf", "Own Root", WHQL)];
    let sys = program(Amd64, [1, 2, 3, 4]);
    let signed = catalog(&[TSTOR.as_bytes(), &sys], ("Leaf", "Own Root"), &certificates, 1);
    let targets = [seven(Amd64).target().windows];
    let package = tstor().with("tstor.cat", signed);
    let plan = plan_media(&[&package], &targets, &DriverOptions::default(), &Cancel::new()).unwrap();
    let report = &plan.reports[0];
    assert!(matches!(report.outcome, MediaOutcome::Placed { .. }), "{report:?}");
    let says = |what: &str| report.findings.iter().any(|finding| finding.contains(what));
    assert!(says("signed, chain not verified") && says("KB4474419"), "{report:?}");
    let plan = plan_media(&[&tstor()], &targets, &unsigned_too(), &Cancel::new()).unwrap();
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("will not load it unless test signing")), "{findings:?}");
}

#[test]
fn attested_packages_are_for_windows_10_but_32_bit_windows_asks_for_nothing() {
    let mut report = signature_of(&tstor(), X86);
    report.status = SignatureStatus::Attested;
    for (image, is_accepted) in [(seven(X86), true), (seven(Amd64), false), (ten(Amd64), true)] {
        assert_eq!(report.is_accepted(&image.target().windows), is_accepted);
    }
}

fn signature_of(package: &MemoryFiles, arch: Architecture) -> SignatureReport {
    let plan = seven(arch).add(&[package], &unsigned_too());
    plan.reports[0].signature.clone().unwrap()
}
