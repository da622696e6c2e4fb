//! The certificate trust list inside a catalog: digests of files, with what is said of each.
//!
//! drivers.md 7.1 describes it. The digest in each entry's indirect data counts; the entry's tag is a hint and not believed.

use super::DigestKind;
use super::certificate::utf16_be;
use super::der::{BMP_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET, context};
use crate::base::Result;

/// What a digest was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberKind {
    /// A program, without its checksum and signatures.
    Program,
    /// The whole file.
    Flat,
    /// Something else, or not said.
    Other,
}

/// One digest that a catalog vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What was digested.
    pub kind: MemberKind,
    /// How.
    pub digest_kind: DigestKind,
    /// The digest.
    pub digest: Vec<u8>,
    /// Name of the file, if it is said.
    pub file: Option<String>,
    /// Versions of Windows it is for (`2:6.1,2:6.2`), if it is said.
    pub os_attributes: Option<String>,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustList {
    /// Digests.
    pub members: Vec<Member>,
    /// Name and value of what is said of the catalog as a whole: `OS`, `HWID1`.
    pub attributes: Vec<(String, String)>,
}

const INDIRECT_DATA: &str = "1.3.6.1.4.1.311.2.1.4";
const PROGRAM: &str = "1.3.6.1.4.1.311.2.1.15";
const FLAT: &str = "1.3.6.1.4.1.311.2.1.25";
const NAME_VALUE: &str = "1.3.6.1.4.1.311.12.2.1";

impl TrustList {
    /// Parses the list; the first item is its bytes (without tag and length), the second where they lie.
    pub(super) fn parse((content, offset): (&[u8], usize)) -> Result<Self> {
        let mut list = Self::default();
        let mut f = Reader::new("certificate trust list", content, offset);
        f.optional("version", INTEGER)?;
        f.expect("subjectUsage", SEQUENCE)?;
        f.optional("listIdentifier", OCTET_STRING)?;
        f.optional("sequenceNumber", INTEGER)?;
        f.any("thisUpdate")?;
        if f.peek().is_some_and(|tag| tag != SEQUENCE) {
            f.any("nextUpdate")?;
        }
        f.algorithm("subjectAlgorithm")?;
        if let Some(entries) = f.optional("trustedSubjects", SEQUENCE)? {
            let mut entries = f.inside(entries);
            while !entries.is_empty() {
                let mut entry = entries.enter("trustedSubject", SEQUENCE)?;
                entry.expect("subjectIdentifier", OCTET_STRING)?;
                if let Some(attributes) = entry.optional("subjectAttributes", SET)? {
                    list.entry(entry.inside(attributes))?;
                }
            }
        }
        if let Some(extensions) = f.optional("ctlExtensions", context(0))? {
            let mut extensions = f.inside(extensions).enter("extensions", SEQUENCE)?;
            while !extensions.is_empty() {
                let mut extension = extensions.enter("extension", SEQUENCE)?;
                if extension.oid("extnID")? != NAME_VALUE {
                    continue;
                }
                while !extension.is_empty() {
                    let element = extension.any("extnValue")?;
                    if element.tag == OCTET_STRING {
                        list.attributes.extend(name_value(extension.inside(element))?);
                    }
                }
            }
        }
        Ok(list)
    }

    /// Adds what the attributes of one entry say.
    fn entry(&mut self, mut attributes: Reader<'_>) -> Result<()> {
        let mut members = Vec::new();
        let (mut file, mut os) = (None, None);
        while !attributes.is_empty() {
            let mut attribute = attributes.enter("attribute", SEQUENCE)?;
            let oid = attribute.oid("type")?;
            let mut values = attribute.enter("values", SET)?;
            while !values.is_empty() {
                match oid.as_str() {
                    INDIRECT_DATA => members.extend(indirect_data(values.enter("indirectData", SEQUENCE)?)?),
                    NAME_VALUE => match name_value(values.clone())? {
                        Some((name, value)) if name.eq_ignore_ascii_case("File") => file = Some(value),
                        Some((name, value)) if name.eq_ignore_ascii_case("OSAttr") => os = Some(value),
                        _ => {}
                    },
                    _ => {}
                }
                if oid != INDIRECT_DATA {
                    values.any("value")?;
                }
            }
        }
        for (kind, digest_kind, digest) in members {
            self.members.push(Member {
                kind,
                digest_kind,
                digest,
                file: file.clone(),
                os_attributes: os.clone(),
            });
        }
        Ok(())
    }
}

/// What, how and the digest itself; none for an algorithm not known here.
fn indirect_data(mut f: Reader<'_>) -> Result<Option<(MemberKind, DigestKind, Vec<u8>)>> {
    let mut data = f.enter("data", SEQUENCE)?;
    let kind = match data.peek() {
        Some(OBJECT_IDENTIFIER) => match data.oid("type")?.as_str() {
            PROGRAM => MemberKind::Program,
            FLAT => MemberKind::Flat,
            _ => MemberKind::Other,
        },
        _ => MemberKind::Other,
    };
    let mut digest_info = f.enter("messageDigest", SEQUENCE)?;
    let digest_kind = DigestKind::from_oid(&digest_info.algorithm("digestAlgorithm")?);
    let digest = digest_info.expect("digest", OCTET_STRING)?.content.to_vec();
    Ok(digest_kind.map(|digest_kind| (kind, digest_kind, digest)))
}

/// A name and its value; none when it has another form.
fn name_value(mut f: Reader<'_>) -> Result<Option<(String, String)>> {
    let mut pair = f.enter("nameValue", SEQUENCE)?;
    let Some(name) = pair.optional("name", BMP_STRING)? else { return Ok(None) };
    pair.expect("flags", INTEGER)?;
    let value = pair.expect("value", OCTET_STRING)?;
    let (pairs, _) = value.content.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    let value = String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned();
    Ok(Some((utf16_be(name.content), value)))
}
