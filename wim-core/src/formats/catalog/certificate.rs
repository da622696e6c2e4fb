//! X.509 certificates, as far as a signature's origin is described with them.
//!
//! RFC 5280 describes the format. Names are given as their common name; of extensions the key
//! usages and the right to sign others are read.

use sha2::{Digest, Sha256};

use super::DigestKind;
use super::der::{
    self, BMP_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET, context,
};
use super::rsa;
use crate::base::{Error, Result, base64};

/// Largest file of certificates that is read.
pub const MAX_CERTIFICATES_BYTES: usize = 1 << 20;

/// A certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The whole certificate.
    pub bytes: Vec<u8>,
    /// Common name of whom it is about, else organisation.
    pub subject: String,
    /// Common name of who issued it.
    pub issuer: String,
    /// First day it is valid: `2017-05-11 12:34:56`, UTC.
    pub not_before: String,
    /// Last day it is valid.
    pub not_after: String,
    /// Extended key usages, as dotted numbers.
    pub key_usages: Vec<String>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key_sha256: [u8; 32],
    /// True when it may sign other certificates.
    pub is_authority: bool,
    /// What its signature is made with; none for algorithms not known here, MD5 among them.
    pub digest: Option<DigestKind>,
    pub(super) serial: Vec<u8>,
    pub(super) subject_der: Vec<u8>,
    pub(super) issuer_der: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const RSA: &str = "1.2.840.113549.1.1.1";

impl Certificate {
    /// Parses the certificate whose DER is `bytes`, at `offset` of its file.
    pub(super) fn parse(bytes: &[u8], offset: usize) -> Result<Self> {
        let mut outer = Reader::new("certificate", bytes, offset).enter("Certificate", SEQUENCE)?;
        let tbs = outer.expect("tbsCertificate", SEQUENCE)?;
        let algorithm = outer.algorithm("signatureAlgorithm")?;
        let signature = bit_string(&mut outer, "signatureValue")?;
        let mut f = outer.inside(tbs);
        f.optional("version", context(0))?;
        let serial = f.expect("serialNumber", INTEGER)?.content.to_vec();
        f.expect("signature", SEQUENCE)?;
        let issuer = f.expect("issuer", SEQUENCE)?;
        let mut validity = f.enter("validity", SEQUENCE)?;
        let (not_before, not_after) = (validity.any("notBefore")?, validity.any("notAfter")?);
        let subject = f.expect("subject", SEQUENCE)?;
        let key_info = f.expect("subjectPublicKeyInfo", SEQUENCE)?;
        let mut key = f.inside(key_info);
        let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
        if key.algorithm("algorithm")? == RSA {
            let offset = key.offset();
            let bits = bit_string(&mut key, "subjectPublicKey")?;
            let mut rsa = Reader::new("RSA public key", bits, offset).enter("RSAPublicKey", SEQUENCE)?;
            modulus = rsa.expect("modulus", INTEGER)?.content.to_vec();
            exponent = rsa.expect("publicExponent", INTEGER)?.content.to_vec();
        }
        let mut extensions = Extensions::default();
        while !f.is_empty() {
            let element = f.any("extensions")?;
            if element.tag == context(3) {
                extensions = read_extensions(f.inside(element))?;
            }
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            subject: name(f.inside(subject)),
            issuer: name(f.inside(issuer)),
            not_before: der::time_text(&not_before).unwrap_or_default(),
            not_after: der::time_text(&not_after).unwrap_or_default(),
            key_usages: extensions.key_usages,
            key_sha256: Sha256::digest(key_info.whole).into(),
            is_authority: extensions.is_authority,
            digest: DigestKind::from_oid(&algorithm),
            serial,
            subject_der: subject.whole.to_vec(),
            issuer_der: issuer.whole.to_vec(),
            modulus,
            exponent,
            signed: tbs.whole.to_vec(),
            signature: signature.to_vec(),
        })
    }

    /// Reads the certificates of a file: one in DER (`.cer`, `.crt`), or any number in PEM, as text (RFC 7468).
    ///
    /// # Errors
    /// `Format` when there is none or one is damaged, `Limit` for a file of more than [`MAX_CERTIFICATES_BYTES`].
    pub fn read_file(bytes: &[u8]) -> Result<Vec<Self>> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        const REMEDY: &str = "give a root's certificate in DER or PEM form: .cer, .crt or .pem";
        if bytes.len() > MAX_CERTIFICATES_BYTES {
            return Err(
                Error::limit(format!("{} bytes are more than certificates have", bytes.len())).remedy(REMEDY)
            );
        }
        let none = |what: &str| Error::format("certificate", "file", 0, what).remedy(REMEDY);
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN)) else {
            return Self::parse(bytes, 0).map(|one| vec![one]).map_err(|e| e.remedy(REMEDY));
        };
        let mut found = Vec::new();
        for part in text.split(BEGIN).skip(1) {
            let inner = part.split_once(END).map(|(inner, _)| inner);
            let der =
                inner.and_then(base64::decode).ok_or_else(|| none("has a certificate that is no base64"))?;
            found.push(Self::parse(&der, 0).map_err(|e| e.remedy(REMEDY))?);
        }
        Ok(found)
    }

    /// True when it names itself as its issuer.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject_der == self.issuer_der
    }

    /// True when the key of `issuer` signed it.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        self.digest.is_some_and(|kind| issuer.has_signed(&self.signature, kind, &kind.of(&[&self.signed])))
    }

    /// True when its key made `signature` of a digest.
    pub(super) fn has_signed(&self, signature: &[u8], kind: DigestKind, digest: &[u8]) -> bool {
        rsa::is_signed(&self.modulus, &self.exponent, signature, kind, digest)
    }

    /// True when a key that stands in no certificate signed it.
    pub(super) fn is_signed_with(&self, modulus: &[u8], exponent: &[u8]) -> bool {
        self.digest.is_some_and(|kind| {
            rsa::is_signed(modulus, exponent, &self.signature, kind, &kind.of(&[&self.signed]))
        })
    }

    /// True when both have the same key.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.key_sha256 == other.key_sha256
    }

    /// True when this is its key.
    pub(super) fn has_key(&self, modulus: &[u8], exponent: &[u8]) -> bool {
        rsa::strip(&self.modulus) == modulus && rsa::strip(&self.exponent) == exponent
    }

    /// SHA-1 of the certificate: its thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> Vec<u8> {
        DigestKind::Sha1.of(&[&self.bytes])
    }
}

fn bit_string<'a>(r: &mut Reader<'a>, field: &'static str) -> Result<&'a [u8]> {
    const BIT_STRING: u8 = 0x03;
    let element = r.expect(field, BIT_STRING)?;
    // The first byte counts unused bits, of which there are none here.
    Ok(element.content.get(1..).unwrap_or(&[]))
}

#[derive(Default)]
struct Extensions {
    key_usages: Vec<String>,
    is_authority: bool,
}

fn read_extensions(mut extensions: Reader<'_>) -> Result<Extensions> {
    const BOOLEAN: u8 = 0x01;
    let mut found = Extensions::default();
    let mut list = extensions.enter("extensions", SEQUENCE)?;
    while !list.is_empty() {
        let mut extension = list.enter("extension", SEQUENCE)?;
        let id = extension.oid("extnID")?;
        if ![EXTENDED_KEY_USAGE, BASIC_CONSTRAINTS].contains(&id.as_str()) {
            continue;
        }
        while let Ok(element) = extension.any("extnValue") {
            if element.tag != OCTET_STRING {
                continue;
            }
            let mut value = extension.inside(element).enter("extnValue", SEQUENCE)?;
            if id == BASIC_CONSTRAINTS {
                let flag = value.optional("cA", BOOLEAN)?;
                found.is_authority = flag.is_some_and(|flag| flag.content.iter().any(|&byte| byte != 0));
                continue;
            }
            while value.peek() == Some(OBJECT_IDENTIFIER) {
                found.key_usages.push(value.oid("KeyPurposeId")?);
            }
        }
    }
    Ok(found)
}

/// The common name of a distinguished name, else its organisational unit (as old roots have), else its organisation.
fn name(mut rdns: Reader<'_>) -> String {
    const COMMON_NAME: &str = "2.5.4.3";
    const UNIT: &str = "2.5.4.11";
    const ORGANISATION: &str = "2.5.4.10";
    let mut found: [Option<String>; 3] = [None, None, None];
    while let Ok(mut set) = rdns.enter("RelativeDistinguishedName", SET) {
        while let Ok(mut pair) = set.enter("AttributeTypeAndValue", SEQUENCE) {
            let (Ok(oid), Ok(value)) = (pair.oid("type"), pair.any("value")) else { continue };
            let text = if value.tag == BMP_STRING {
                utf16_be(value.content)
            } else {
                String::from_utf8_lossy(value.content).into_owned()
            };
            let rank = [COMMON_NAME, UNIT, ORGANISATION].iter().position(|known| *known == oid);
            if let Some(slot) = rank.and_then(|rank| found.get_mut(rank)) {
                slot.get_or_insert(text);
            }
        }
    }
    found.into_iter().flatten().next().unwrap_or_default()
}

pub(super) fn utf16_be(bytes: &[u8]) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    String::from_utf16_lossy(&pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect::<Vec<_>>())
}
