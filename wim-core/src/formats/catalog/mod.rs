//! Catalog files: signed lists of digests that vouch for the files of a driver package.
//!
//! A catalog is a PKCS#7 `SignedData` (RFC 5652 describes the successor) around Microsoft's certificate trust list; drivers.md 7.1
//! has its fields. The signature and the chain inside the file are checked, and whether it ends in a root of Microsoft's
//! or in one that the caller knows; revocation and dates are not looked at.

mod certificate;
mod der;
mod embedded;
mod microsoft;
mod rsa;
mod signed_data;
mod trust_list;

pub use certificate::{Certificate, MAX_CERTIFICATES_BYTES};
pub use embedded::digests_of_signatures;
pub use microsoft::CODE_VERIFICATION_ROOT;
pub use signed_data::{SignatureCheck, SignedData, Signer};
pub use trust_list::{Member, MemberKind, TrustList};

use crate::base::{Error, Result};

/// Largest catalog that is read.
pub const MAX_BYTES: usize = 64 << 20;

/// A digest algorithm of catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestKind {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestKind {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm of an object identifier: of a digest, or of RSA with one.
    pub(super) fn from_oid(oid: &str) -> Option<Self> {
        match oid {
            "1.3.14.3.2.26" | "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => Some(Self::Sha1),
            "2.16.840.1.101.3.4.2.1" | "1.2.840.113549.1.1.11" => Some(Self::Sha256),
            "2.16.840.1.101.3.4.2.2" | "1.2.840.113549.1.1.12" => Some(Self::Sha384),
            "2.16.840.1.101.3.4.2.3" | "1.2.840.113549.1.1.13" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The digest of the pieces joined.
    pub(super) fn of(self, pieces: &[&[u8]]) -> Vec<u8> {
        fn run<D: sha2::Digest>(pieces: &[&[u8]]) -> Vec<u8> {
            let mut hasher = D::new();
            pieces.iter().for_each(|piece| hasher.update(piece));
            hasher.finalize().to_vec()
        }
        match self {
            Self::Sha1 => run::<sha1::Sha1>(pieces),
            Self::Sha256 => run::<sha2::Sha256>(pieces),
            Self::Sha384 => run::<sha2::Sha384>(pieces),
            Self::Sha512 => run::<sha2::Sha512>(pieces),
        }
    }
}

fn check_size(bytes: &[u8]) -> Result<()> {
    if bytes.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(Error::limit(format!("{} bytes, more than a catalog can have", bytes.len()))
        .remedy("use the vendor's own package"))
}

/// A catalog.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The list of what it vouches for.
    pub list: TrustList,
    /// Who signed it.
    pub signed: SignedData,
}

impl Catalog {
    /// Parses a catalog and checks its signature.
    ///
    /// # Errors
    /// `Format` with the offset when it is none or is damaged, `Limit` when it is larger than [`MAX_BYTES`] or has more signers or
    /// certificates than any vendor's.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_size(bytes)?;
        let signed = SignedData::parse(bytes)?;
        let list = TrustList::parse(signed.content(bytes))?;
        Ok(Self { list, signed })
    }

    /// The list of a catalog alone, whoever signed it.
    ///
    /// # Errors
    /// As [`Self::parse`], but for the signature.
    pub fn parse_list(bytes: &[u8]) -> Result<TrustList> {
        check_size(bytes)?;
        TrustList::parse(signed_data::content_of(bytes)?)
    }
}
