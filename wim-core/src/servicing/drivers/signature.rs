//! Who vouches for a package: its catalog, checked against every file of the package.
//!
//! Source: drivers.md 7. What is checked is said, and no more: the signature, the chain inside the catalog, and whether it ends in a
//! root of Microsoft's or in one that the caller gives. Roots of vendors' certificates are not shipped; whether to trust a chain that
//! ends elsewhere is left to Windows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::staged::{Staged, StagedFile};
use crate::base::{Architecture, Result};
use crate::formats::catalog::{
    CODE_VERIFICATION_ROOT, Catalog, Certificate, DigestKind, SignatureCheck, Signer,
};
use crate::formats::inf::TargetWindows;
use crate::formats::pe::PeFile;
use crate::servicing::file_digests::FileDigests;
use crate::servicing::package_files::PackageFiles;

/// Extended key usages of Microsoft's own signers.
const WHQL: &str = "1.3.6.1.4.1.311.10.3.5";
const ATTESTED: &str = "1.3.6.1.4.1.311.10.3.5.1";
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";

/// What a package's signature comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureStatus {
    /// Signed by Microsoft after testing.
    Whql,
    /// Signed by Microsoft on the vendor's word: for Windows 10 and later.
    Attested,
    /// Signed under a root of Microsoft's or one that the caller gave, but not as a tested driver.
    Authenticode,
    /// Signed, and the signature holds, but whether the signer's certificate is to be trusted cannot be told: no root of
    /// Microsoft's, and none that the caller gave, stands at the end of its chain, whatever the certificate calls itself.
    ChainNotVerified,
    /// Signed for tests: loads only where test signing is on.
    Test,
    /// The catalog is damaged, or its signature does not hold.
    CatalogInvalid,
    /// The catalog does not vouch for all files.
    NotCovered,
    /// There is no catalog.
    Unsigned,
}

/// Where a root is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RootOrigin {
    /// It is one of Microsoft's, whose keys are built in.
    Microsoft,
    /// Likewise, but the one that vouches for roots of others: kernel drivers with certificates of vendors.
    CrossCertificates,
    /// The caller gave it.
    Given,
}

/// The root up to which a chain was followed, by the signatures of its certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedRoot {
    /// Its name.
    pub name: String,
    /// Where it is known from.
    pub origin: RootOrigin,
}

/// All that is known of a package's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureReport {
    /// What it comes to.
    pub status: SignatureStatus,
    /// Why it is not better, where that needs words.
    pub reason: Option<String>,
    /// Name of the signer.
    pub signer: Option<String>,
    /// Names from the signer's certificate up to the last one named; the last need not be in the catalog.
    pub chain: Vec<String>,
    /// The root up to which the signatures of that chain were checked; none when it does not end in one that is known.
    pub root: Option<VerifiedRoot>,
    /// Digest algorithms of its entries: `sha1`, `sha256`.
    pub digests: Vec<String>,
    /// Algorithm of the signature itself.
    pub signature_digest: Option<String>,
    /// First day of the signer's certificate, UTC.
    pub not_before: Option<String>,
    /// Last day of it.
    pub not_after: Option<String>,
    /// When a time-stamping authority saw the signature, UTC.
    pub time_stamp: Option<String>,
    /// Files the catalog does not vouch for.
    pub not_covered: Vec<String>,
    /// Whether the catalog names the Windows version for all files of the package; none when it names none at all.
    pub os_attribute_fits: Option<bool>,
    /// Nothing in it can be checked by a Windows that knows SHA-1 alone.
    pub needs_sha2: bool,
}

impl SignatureReport {
    fn new(status: SignatureStatus, reason: Option<String>) -> Self {
        Self {
            status,
            reason,
            signer: None,
            chain: Vec::new(),
            root: None,
            digests: Vec::new(),
            signature_digest: None,
            not_before: None,
            not_after: None,
            time_stamp: None,
            not_covered: Vec::new(),
            os_attribute_fits: None,
            needs_sha2: false,
        }
    }

    /// True when Windows of that architecture would load the driver as it is, as far as the catalog tells. Vendors' certificates,
    /// cross-signed by Microsoft, are good for Windows before 10, and later if they are old enough.
    #[must_use]
    pub fn is_accepted(&self, target: &TargetWindows) -> bool {
        match self.status {
            SignatureStatus::Whql => true,
            SignatureStatus::Authenticode => {
                target.arch == Architecture::X86 || target.version() < (10, 0) || !self.is_crossed_too_late()
            }
            SignatureStatus::Attested => target.arch == Architecture::X86 || target.version() >= (10, 0),
            SignatureStatus::ChainNotVerified => {
                target.arch == Architecture::X86 || target.version() < (10, 0)
            }
            _ => target.arch == Architecture::X86,
        }
    }

    /// True when the signer's certificate hangs below a cross-certificate and was issued after Windows 10 came out: that Windows
    /// loads what such certificates sign only if they were issued before.
    #[must_use]
    pub fn is_crossed_too_late(&self) -> bool {
        const LAST_DAY: &str = "2015-07-29";
        let is_crossed = self.root.as_ref().is_some_and(|root| root.origin == RootOrigin::CrossCertificates);
        is_crossed && self.not_before.as_deref().is_none_or(|day| day >= LAST_DAY)
    }

    /// True when somebody signed all of the package and the signature holds, whoever that is.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        use SignatureStatus::{Attested, Authenticode, ChainNotVerified, Test, Whql};
        matches!(self.status, Whql | Attested | Authenticode | ChainNotVerified | Test)
    }

    /// The status as a word or two for people.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self.status {
            SignatureStatus::Whql => "WHQL",
            SignatureStatus::Attested => "attested",
            SignatureStatus::Authenticode => "Authenticode",
            SignatureStatus::ChainNotVerified => "signed, chain not verified",
            SignatureStatus::Test => "test-signed",
            SignatureStatus::CatalogInvalid => "invalid catalog",
            SignatureStatus::NotCovered => "not covered by its catalog",
            SignatureStatus::Unsigned => "unsigned",
        }
    }
}

/// Checks the catalog of a package against its files; `roots` are known beside Microsoft's.
#[must_use]
pub fn check(staged: &Staged, target: &TargetWindows, roots: &[Certificate]) -> SignatureReport {
    let Some(name) = &staged.catalog else {
        return SignatureReport::new(
            SignatureStatus::Unsigned,
            Some("the package has no catalog".to_owned()),
        );
    };
    let parsed = match staged.catalog_bytes() {
        Ok(Some(bytes)) => Catalog::parse(&bytes),
        Ok(None) => {
            return SignatureReport::new(SignatureStatus::Unsigned, Some(format!("{name} is not there")));
        }
        Err(e) => Err(e),
    };
    let catalog = match parsed {
        Ok(catalog) => catalog,
        Err(e) => {
            return SignatureReport::new(SignatureStatus::CatalogInvalid, Some(e.in_file(name).to_string()));
        }
    };
    let mut report = describe(&catalog, roots);
    report.os_attribute_fits = os_attribute_fits(&catalog, staged, target);
    let known: HashSet<&[u8]> = catalog.list.members.iter().map(|member| member.digest.as_slice()).collect();
    let is_of_another =
        |file: &&StagedFile| !staged.copied_infs.iter().any(|inf| inf.eq_ignore_ascii_case(&file.path));
    let others = staged.files.iter().filter(|other| !other.path.eq_ignore_ascii_case(name));
    let others = others.filter(is_of_another);
    report.not_covered =
        others.filter(|other| !is_covered(&other.digests, &known)).map(|other| other.path.clone()).collect();
    if report.status != SignatureStatus::CatalogInvalid && !report.not_covered.is_empty() {
        report.status = SignatureStatus::NotCovered;
        let mut reason = format!("{name} does not vouch for {}", report.not_covered.join(", "));
        let uncovered = staged.files.iter().filter(|other| report.not_covered.contains(&other.path));
        if uncovered.clone().all(|other| with_signed_line_ends(other, &known).is_some()) {
            reason +=
                ", but would if its line ends were CR LF, as the vendor signed it; a tool has changed them";
        }
        report.reason = Some(reason);
    }
    report
}

/// Everything but what the files of the package decide.
fn describe(catalog: &Catalog, roots: &[Certificate]) -> SignatureReport {
    let Some(signer) = catalog.signed.signer() else {
        return SignatureReport::new(
            SignatureStatus::CatalogInvalid,
            Some("nobody signed the catalog".to_owned()),
        );
    };
    let leaf = signer.chain.first();
    let root = root_of(signer, roots);
    let (status, reason) = match (&signer.check, leaf) {
        (SignatureCheck::Invalid(what) | SignatureCheck::Unknown(what), _) => {
            (SignatureStatus::CatalogInvalid, Some(what.clone()))
        }
        (SignatureCheck::Valid, Some(leaf)) => kind_of(leaf, signer, root.as_ref()),
        (SignatureCheck::Valid, None) => (SignatureStatus::CatalogInvalid, None),
    };
    let mut report = SignatureReport::new(status, reason);
    report.root = root.filter(|_| signer.check == SignatureCheck::Valid);
    report.signer = leaf.map(|certificate| certificate.subject.clone());
    report.chain = signer.chain.iter().map(|certificate| certificate.subject.clone()).collect();
    if let Some(last) = signer.chain.last().filter(|last| !last.is_self_issued()) {
        report.chain.push(last.issuer.clone());
    }
    let mut digests: Vec<DigestKind> = catalog.list.members.iter().map(|member| member.digest_kind).collect();
    digests.sort();
    digests.dedup();
    report.digests = digests.iter().map(|kind| kind.name().to_owned()).collect();
    report.signature_digest = signer.digest.map(|kind| kind.name().to_owned());
    report.not_before = leaf.map(|certificate| certificate.not_before.clone());
    report.not_after = leaf.map(|certificate| certificate.not_after.clone());
    report.time_stamp.clone_from(&signer.time_stamp);
    report.needs_sha2 = signer.digest.is_some_and(|kind| kind != DigestKind::Sha1)
        || (!digests.is_empty() && !digests.contains(&DigestKind::Sha1));
    report
}

/// The root in which a signer's chain ends: of Microsoft's, else of those that are `given`.
fn root_of(signer: &Signer, given: &[Certificate]) -> Option<VerifiedRoot> {
    if let Some(name) = signer.root {
        let is_crossed = name == CODE_VERIFICATION_ROOT;
        let origin = if is_crossed { RootOrigin::CrossCertificates } else { RootOrigin::Microsoft };
        return Some(VerifiedRoot { name: name.to_owned(), origin });
    }
    let root = signer.root_among(given)?;
    Some(VerifiedRoot { name: root.subject.clone(), origin: RootOrigin::Given })
}

/// What a signature that holds is worth, and why it is not more.
fn kind_of(
    leaf: &Certificate,
    signer: &Signer,
    root: Option<&VerifiedRoot>,
) -> (SignatureStatus, Option<String>) {
    let has = |usage: &str| leaf.key_usages.iter().any(|known| known == usage);
    let names = signer.chain.iter().flat_map(|certificate| [&certificate.subject, &certificate.issuer]);
    let is_test =
        leaf.is_self_issued() || names.clone().any(|name| name.to_lowercase().contains("wdktestcert"));
    let says_test = names.clone().any(|name| name.contains("Test Root") || name.contains("Test CA"));
    let is_for_code = [WHQL, ATTESTED, CODE_SIGNING].into_iter().any(has) || leaf.key_usages.is_empty();
    // What Microsoft alone says of a driver counts under its own roots alone.
    let is_microsofts = root.is_some_and(|root| root.origin == RootOrigin::Microsoft);
    let status = if is_test || says_test {
        SignatureStatus::Test
    } else if !is_for_code {
        SignatureStatus::CatalogInvalid
    } else if root.is_none() {
        let end = signer.chain.last().map_or(&leaf.issuer, |last| &last.issuer);
        let reason = format!(
            "the chain of its signer, {}, ends in {end}, whose key is none of Microsoft's roots and none that was given: \
             whether to trust it could not be verified",
            leaf.subject
        );
        return (SignatureStatus::ChainNotVerified, Some(reason));
    } else if is_microsofts && has(ATTESTED) {
        SignatureStatus::Attested
    } else if is_microsofts && has(WHQL) {
        SignatureStatus::Whql
    } else {
        SignatureStatus::Authenticode
    };
    (status, None)
}

/// Whether the catalog names the version of `target` for every file for which it names any; none when it names none at all.
fn os_attribute_fits(catalog: &Catalog, staged: &Staged, target: &TargetWindows) -> Option<bool> {
    let mut fits: HashMap<&[u8], bool> = HashMap::new();
    // Digests of one entry share a list, which is then looked through once.
    let mut last: Option<(&Arc<str>, bool)> = None;
    for member in &catalog.list.members {
        if let Some(list) = &member.os_attributes {
            let known = last.filter(|(other, _)| Arc::ptr_eq(other, list)).map(|(_, named)| named);
            let named = known.unwrap_or_else(|| names_version(list, target));
            last = Some((list, named));
            *fits.entry(&member.digest).or_default() |= named;
        }
    }
    let of_file = |file: &StagedFile| {
        let known = file.digests.known_by().filter_map(|digest| fits.get(digest).copied());
        known.reduce(|any, fits| any || fits)
    };
    staged.files.iter().filter_map(of_file).reduce(|all, fits| all && fits)
}

/// True when a member's `OSAttr` has the version of `target`: `2:6.1` is NT 6.1; `2:6.x` and `2:6.1;` with a build occur.
fn names_version(list: &str, target: &TargetWindows) -> bool {
    let wanted = format!("2:{}.{}", target.major, target.minor);
    let any = format!("2:{}.x", target.major);
    list.split(',').map(str::trim).any(|item| {
        item.eq_ignore_ascii_case(&any) || item == wanted || item.starts_with(&format!("{wanted}."))
    })
}

/// The bytes of a text with CR LF line ends, if that is what the catalog vouches for: version control systems change them
/// after a vendor has signed.
fn with_signed_line_ends(file: &StagedFile, known: &HashSet<&[u8]>) -> Option<Vec<u8>> {
    let text = file.text()?;
    if text.contains(&b'\r') || !text.contains(&b'\n') || PeFile::looks_like_one(&text) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() + text.len() / 20);
    for &byte in text.iter() {
        if byte == b'\n' {
            bytes.push(b'\r');
        }
        bytes.push(byte);
    }
    is_covered(&FileDigests::of_bytes(&bytes), known).then_some(bytes)
}

/// Gives files back the line ends with which their catalog vouches for them; names of those files go to `restored`.
///
/// Nothing else ever changes a file of a package: here the catalog's digest proves that the result is the vendor's file.
///
/// # Errors
/// What keeping them in `source`, where the package comes from, gives.
pub fn restore_line_ends(
    staged: Staged,
    source: &dyn PackageFiles,
    restored: &mut Vec<String>,
) -> Result<Staged> {
    let bytes = staged.catalog_bytes().ok().flatten();
    let Some(list) = bytes.and_then(|bytes| Catalog::parse_list(&bytes).ok()) else { return Ok(staged) };
    let known: HashSet<&[u8]> = list.members.iter().map(|member| member.digest.as_slice()).collect();
    let mut changed = Vec::new();
    for (index, file) in staged.files.iter().enumerate() {
        if !is_covered(&file.digests, &known)
            && let Some(bytes) = with_signed_line_ends(file, &known)
        {
            restored.push(file.path.clone());
            changed.push((index, bytes));
        }
    }
    if changed.is_empty() { Ok(staged) } else { staged.with_bytes(changed, source) }
}

/// True when one of the file's digests is known.
fn is_covered(file: &FileDigests, known: &HashSet<&[u8]>) -> bool {
    file.known_by().any(|digest| known.contains(digest))
}
