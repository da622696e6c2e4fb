//! The signature around a catalog: who signed, when, and whether it holds.
//!
//! RFC 2315 (PKCS #7) and RFC 5652 describe `SignedData`. The content of Microsoft's lists stands there without an octet string
//! around it, and only its inside is digested. The chain is followed through the certificates in the file alone, and only the
//! first signer is checked, since Windows goes by that one.

use super::DigestKind;
use super::certificate::Certificate;
use super::der::{self, Element, INTEGER, OCTET_STRING, Reader, SEQUENCE, SET, context};
use super::microsoft;
use crate::base::{Error, Place, Result};

/// Longest chain of certificates that is followed.
const MAX_CHAIN: usize = 10;
/// Most certificates that one file may have; the most seen are eight.
const MAX_CERTIFICATES: usize = 100;
/// Most signers that one file may have; those of Windows and of vendors have one.
const MAX_SIGNERS: usize = 8;
/// Most signatures of certificates that are checked to find a chain; each takes milliseconds.
const MAX_CHAIN_CHECKS: usize = 32;
/// What to do about a catalog beyond these limits.
const NO_VENDOR: &str = "no catalog of a vendor has as many; use the vendor's own package";

pub(super) const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const TRUST_LIST: &str = "1.3.6.1.4.1.311.10.1";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";
const COUNTER_SIGNATURE: &str = "1.2.840.113549.1.9.6";
const RFC3161_TIME_STAMP: &str = "1.3.6.1.4.1.311.3.3.1";

/// Whether the signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// The signature is that of the content, by the key of the signer's certificate.
    Valid,
    /// It is not; the text says what disagrees.
    Invalid(String),
    /// It could not be checked; the text says why.
    Unknown(String),
}

/// Who signed.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Certificates from the signer's up to the last one in the file; each was signed by the next.
    pub chain: Vec<Certificate>,
    /// Name of the root of Microsoft's in which the chain ends; none when it ends elsewhere, or the file does not show where.
    pub root: Option<&'static str>,
    /// Whether the signature holds.
    pub check: SignatureCheck,
    /// How the content was digested.
    pub digest: Option<DigestKind>,
    /// When a time-stamping authority saw it: `2017-05-11 12:34:56`, UTC. The authority's own signature is not checked.
    pub time_stamp: Option<String>,
}

impl Signer {
    /// The one of `roots` in which the chain ends, or which issued one of its certificates: by the signature of its key, not by
    /// its name. None when whoever signed another certificate on the way is no authority.
    #[must_use]
    pub fn root_among<'r>(&self, roots: &'r [Certificate]) -> Option<&'r Certificate> {
        for (place, certificate) in self.chain.iter().enumerate() {
            if place > 0 && !certificate.is_authority {
                return None;
            }
            let is_root = |root: &&Certificate| {
                certificate.has_key_of(root) && certificate.subject_der == root.subject_der
                    || certificate.issuer_der == root.subject_der && certificate.is_signed_by(root)
            };
            if let Some(root) = roots.iter().find(is_root) {
                return Some(root);
            }
        }
        None
    }
}

/// A signed content.
#[derive(Clone, Debug)]
pub struct SignedData {
    /// Who signed: the first of those who did, which is the one that counts.
    signer: Option<Signer>,
    /// All certificates in the file.
    pub certificates: Vec<Certificate>,
    /// Where the content lies: from, to.
    content: (usize, usize),
}

impl SignedData {
    /// Parses a file and checks its signature.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let (mut f, list) = enter(bytes)?;
        let mut certificates = Vec::new();
        if let Some(set) = f.optional("certificates", context(0))? {
            let mut set = f.inside(set);
            while !set.is_empty() {
                let offset = set.offset();
                let element = set.any("certificate")?;
                if element.tag != SEQUENCE {
                    continue;
                }
                if certificates.len() == MAX_CERTIFICATES {
                    return Err(too_many(&set, "certificates", MAX_CERTIFICATES));
                }
                certificates.push(Certificate::parse(element.whole, offset)?);
            }
        }
        f.optional("crls", context(1))?;
        let mut infos = f.enter("signerInfos", SET)?;
        let mut all = Vec::new();
        while !infos.is_empty() {
            if all.len() == MAX_SIGNERS {
                return Err(too_many(&infos, "signerInfos", MAX_SIGNERS));
            }
            all.push(infos.enter("signerInfo", SEQUENCE)?);
        }
        let first = all.into_iter().next();
        let signer = first.map(|info| signer(info, list.content, &certificates)).transpose()?;
        Ok(Self { signer, certificates, content: (list.offset, list.offset + list.content.len()) })
    }

    /// The content's bytes in `bytes` (the file that was parsed), and their offset.
    pub(super) fn content<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], usize) {
        (bytes.get(self.content.0..self.content.1).unwrap_or(&[]), self.content.0)
    }

    /// The signer that counts.
    #[must_use]
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }
}

/// What is behind the content of the signed data in `bytes`, and the content: the list, without its tag and length.
fn enter(bytes: &[u8]) -> Result<(Reader<'_>, Element<'_>)> {
    let mut outer = Reader::new("catalog", bytes, 0).enter("ContentInfo", SEQUENCE)?;
    if outer.oid("contentType")? != SIGNED_DATA {
        return Err(outer.error("contentType", "is not signed data, so this is no catalog"));
    }
    let mut f = outer.enter("content", context(0))?.enter("SignedData", SEQUENCE)?;
    f.expect("version", INTEGER)?;
    f.expect("digestAlgorithms", SET)?;
    let mut info = f.enter("contentInfo", SEQUENCE)?;
    if info.oid("contentType")? != TRUST_LIST {
        return Err(info.error("contentType", "is no certificate trust list, so this is no catalog"));
    }
    let list = info.enter("content", context(0))?.expect("certificate trust list", SEQUENCE)?;
    Ok((f, list))
}

/// The list in a file, whoever signed it: its bytes without tag and length, and where they lie.
pub(super) fn content_of(bytes: &[u8]) -> Result<(&[u8], usize)> {
    let (_, list) = enter(bytes)?;
    Ok((list.content, list.offset))
}

fn too_many(r: &Reader<'_>, field: &'static str, most: usize) -> Error {
    Error::limit(format!("more than {most} of them"))
        .at(Place::Field { structure: "catalog", field, offset: r.offset() as u64 })
        .remedy(NO_VENDOR)
}

/// What signed attributes say.
#[derive(Default)]
struct Attributes {
    message_digest: Option<Vec<u8>>,
    signing_time: Option<String>,
}

fn signer(mut f: Reader<'_>, content: &[u8], certificates: &[Certificate]) -> Result<Signer> {
    f.expect("version", INTEGER)?;
    let mut id = f.enter("issuerAndSerialNumber", SEQUENCE)?;
    let issuer = id.expect("issuer", SEQUENCE)?;
    let serial = id.expect("serialNumber", INTEGER)?;
    let digest = DigestKind::from_oid(&f.algorithm("digestAlgorithm")?);
    let signed = f.optional("authenticatedAttributes", context(0))?;
    f.algorithm("digestEncryptionAlgorithm")?;
    let signature = f.expect("encryptedDigest", OCTET_STRING)?;
    let time_stamp = match f.optional("unauthenticatedAttributes", context(1))? {
        Some(attributes) => time_stamp(f.inside(attributes))?,
        None => None,
    };
    let certificate =
        certificates.iter().find(|c| c.issuer_der == issuer.whole && c.serial == serial.content);
    let attributes = match signed {
        Some(element) => attributes(f.inside(element))?,
        None => Attributes::default(),
    };
    let check = match (certificate, digest) {
        (None, _) => SignatureCheck::Unknown("the signer's certificate is not in the file".to_owned()),
        (_, None) => SignatureCheck::Unknown("the digest algorithm is not known here".to_owned()),
        (Some(certificate), Some(kind)) => {
            let of_content = kind.of(&[content]);
            // Signed attributes are digested as the set they are, not under the tag they stand with.
            let of_signed = match signed {
                Some(element) => kind.of(&[&[SET], element.whole.get(1..).unwrap_or(&[])]),
                None => of_content.clone(),
            };
            if signed.is_some() && attributes.message_digest.as_ref() != Some(&of_content) {
                SignatureCheck::Invalid("the list of digests was changed after it was signed".to_owned())
            } else if certificate.has_signed(signature.content, kind, &of_signed) {
                SignatureCheck::Valid
            } else {
                SignatureCheck::Invalid("the signature is not that of the signer's certificate".to_owned())
            }
        }
    };
    let chain = certificate.map(|certificate| chain(certificate, certificates)).unwrap_or_default();
    let root = microsoft::root_of(&chain);
    Ok(Signer { chain, root, check, digest, time_stamp })
}

/// The certificates from `leaf` up, each signed by the next.
fn chain(leaf: &Certificate, certificates: &[Certificate]) -> Vec<Certificate> {
    let mut chain = vec![leaf.clone()];
    let mut checks = 0;
    while let Some(last) = chain.last()
        && !last.is_self_issued()
        && chain.len() < MAX_CHAIN
    {
        let is_issuer = |c: &&Certificate| c.subject_der == last.issuer_der;
        // Of a root and the certificate by which another root vouches for its key the latter leads on.
        let crossed = certificates.iter().filter(is_issuer).filter(|c| !c.is_self_issued());
        let roots = certificates.iter().filter(is_issuer).filter(|c| c.is_self_issued());
        let next = crossed.chain(roots).find(|c| {
            checks += 1;
            checks <= MAX_CHAIN_CHECKS && last.is_signed_by(c)
        });
        match next {
            Some(next) => chain.push(next.clone()),
            None => break,
        }
    }
    chain
}

fn attributes(mut f: Reader<'_>) -> Result<Attributes> {
    let mut found = Attributes::default();
    while !f.is_empty() {
        let mut attribute = f.enter("attribute", SEQUENCE)?;
        let oid = attribute.oid("type")?;
        let mut values = attribute.enter("values", SET)?;
        match oid.as_str() {
            MESSAGE_DIGEST => {
                found.message_digest = Some(values.expect("messageDigest", OCTET_STRING)?.content.to_vec());
            }
            SIGNING_TIME => found.signing_time = der::time_text(&values.any("signingTime")?),
            _ => {}
        }
    }
    Ok(found)
}

/// The time of a counter-signature of either kind.
fn time_stamp(mut f: Reader<'_>) -> Result<Option<String>> {
    while !f.is_empty() {
        let mut attribute = f.enter("attribute", SEQUENCE)?;
        let oid = attribute.oid("type")?;
        let mut values = attribute.enter("values", SET)?;
        let time = match oid.as_str() {
            COUNTER_SIGNATURE => counter_signature_time(values.enter("counterSignature", SEQUENCE)?)?,
            RFC3161_TIME_STAMP => token_time(values.enter("timeStampToken", SEQUENCE)?)?,
            _ => None,
        };
        if time.is_some() {
            return Ok(time);
        }
    }
    Ok(None)
}

fn counter_signature_time(mut f: Reader<'_>) -> Result<Option<String>> {
    f.expect("version", INTEGER)?;
    f.expect("issuerAndSerialNumber", SEQUENCE)?;
    f.algorithm("digestAlgorithm")?;
    match f.optional("authenticatedAttributes", context(0))? {
        Some(element) => Ok(attributes(f.inside(element))?.signing_time),
        None => Ok(None),
    }
}

/// The `genTime` of an RFC 3161 token.
fn token_time(mut f: Reader<'_>) -> Result<Option<String>> {
    f.oid("contentType")?;
    let mut signed = f.enter("content", context(0))?.enter("SignedData", SEQUENCE)?;
    signed.expect("version", INTEGER)?;
    signed.expect("digestAlgorithms", SET)?;
    let mut info = signed.enter("encapContentInfo", SEQUENCE)?;
    info.oid("eContentType")?;
    let content = info.enter("eContent", context(0))?.expect("TSTInfo", OCTET_STRING)?;
    let mut token = info.inside(content).enter("TSTInfo", SEQUENCE)?;
    token.expect("version", INTEGER)?;
    token.oid("policy")?;
    token.expect("messageImprint", SEQUENCE)?;
    token.expect("serialNumber", INTEGER)?;
    Ok(der::time_text(&token.expect("genTime", der::GENERALIZED_TIME)?))
}
