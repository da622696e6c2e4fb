//! The signature inside a program, as far as which digests it is made with.
//!
//! Microsoft's "Windows Authenticode Portable Executable Signature Format" describes it: PKCS #7 (RFC 2315) around the digest of the
//! program, with further signatures among the attributes that are not signed. Whether it holds is not checked: the catalog of a
//! package vouches for its files.

use super::DigestKind;
use super::der::{INTEGER, OCTET_STRING, Reader, SEQUENCE, SET, context};
use super::signed_data::SIGNED_DATA;
use crate::base::Result;

const INDIRECT_DATA: &str = "1.3.6.1.4.1.311.2.1.4";
const NESTED_SIGNATURE: &str = "1.3.6.1.4.1.311.2.4.1";
/// Most signatures that are looked at; dual-signed programs have two.
const MAX_SIGNATURES: usize = 16;

/// What each signature of `bytes`, the PKCS #7 data in a program, digests the program and its own attributes with, whichever of
/// both is the stronger; none for algorithms not known here. Those nested in the first come after it.
///
/// # Errors
/// `Format` with the offset in `bytes` when it is no such data or is damaged.
pub fn digests_of_signatures(bytes: &[u8]) -> Result<Vec<Option<DigestKind>>> {
    let mut found = Vec::new();
    let mut open = vec![Reader::new("signature of a program", bytes, 0).enter("ContentInfo", SEQUENCE)?];
    while let Some(info) = open.pop() {
        if found.len() == MAX_SIGNATURES {
            break;
        }
        let (kind, nested) = one(info)?;
        found.push(kind);
        // The last that is pushed is looked at first.
        open.extend(nested.into_iter().rev());
    }
    Ok(found)
}

/// The digest of one signature, and the signatures nested in it.
fn one(mut outer: Reader<'_>) -> Result<(Option<DigestKind>, Vec<Reader<'_>>)> {
    if outer.oid("contentType")? != SIGNED_DATA {
        return Err(outer.error("contentType", "is not signed data"));
    }
    let mut f = outer.enter("content", context(0))?.enter("SignedData", SEQUENCE)?;
    f.expect("version", INTEGER)?;
    f.expect("digestAlgorithms", SET)?;
    let mut info = f.enter("contentInfo", SEQUENCE)?;
    if info.oid("contentType")? != INDIRECT_DATA {
        return Err(info.error("contentType", "is not the digest of a program"));
    }
    let mut content = info.enter("content", context(0))?.enter("SpcIndirectDataContent", SEQUENCE)?;
    content.expect("data", SEQUENCE)?;
    let of_program =
        DigestKind::from_oid(&content.enter("messageDigest", SEQUENCE)?.algorithm("digestAlgorithm")?);
    f.optional("certificates", context(0))?;
    f.optional("crls", context(1))?;
    let mut infos = f.enter("signerInfos", SET)?;
    let mut signer = infos.enter("signerInfo", SEQUENCE)?;
    signer.expect("version", INTEGER)?;
    signer.expect("issuerAndSerialNumber", SEQUENCE)?;
    let of_signer = DigestKind::from_oid(&signer.algorithm("digestAlgorithm")?);
    signer.optional("authenticatedAttributes", context(0))?;
    signer.algorithm("digestEncryptionAlgorithm")?;
    signer.expect("encryptedDigest", OCTET_STRING)?;
    let mut nested = Vec::new();
    if let Some(attributes) = signer.optional("unauthenticatedAttributes", context(1))? {
        let mut attributes = signer.inside(attributes);
        while !attributes.is_empty() {
            let mut attribute = attributes.enter("attribute", SEQUENCE)?;
            let is_nested = attribute.oid("type")? == NESTED_SIGNATURE;
            let mut values = attribute.enter("values", SET)?;
            while is_nested && !values.is_empty() && nested.len() < MAX_SIGNATURES {
                nested.push(values.enter("nested signature", SEQUENCE)?);
            }
        }
    }
    Ok((of_program.zip(of_signer).map(|(one, other)| one.max(other)), nested))
}
