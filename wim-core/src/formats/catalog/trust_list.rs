//! The certificate trust list inside a catalog: digests of files, with what is said of each.
//!
//! drivers.md 7.1 describes it. The digest in each entry's indirect data counts; the entry's tag is a hint and not believed.

use std::sync::Arc;

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
    pub file: Option<Arc<str>>,
    /// Versions of Windows it is for (`2:6.1,2:6.2`), if it is said.
    pub os_attributes: Option<Arc<str>>,
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

/// Longest file name or list of versions that is taken of an entry, in bytes: real ones have some hundreds.
const MAX_TEXT: usize = 8 << 10;

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
        // Shared by all digests of the entry: each having its own would make a small catalog take all memory.
        let (mut file, mut os): (Option<Arc<str>>, Option<Arc<str>>) = (None, None);
        while !attributes.is_empty() {
            let mut attribute = attributes.enter("attribute", SEQUENCE)?;
            let oid = attribute.oid("type")?;
            let mut values = attribute.enter("values", SET)?;
            while !values.is_empty() {
                match oid.as_str() {
                    INDIRECT_DATA => members.extend(indirect_data(values.enter("indirectData", SEQUENCE)?)?),
                    NAME_VALUE => match name_value(values.clone())? {
                        Some((name, value)) if value.len() > MAX_TEXT => {
                            let text =
                                format!("{name:.40} has {} bytes, more than that of any file", value.len());
                            return Err(values.error("value", text));
                        }
                        Some((name, value)) if name.eq_ignore_ascii_case("File") => file = Some(value.into()),
                        Some((name, value)) if name.eq_ignore_ascii_case("OSAttr") => os = Some(value.into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84][..], &length, &content].concat()
    }

    /// An entry with `digests` digests and a file name of `length` letters.
    fn entry(digests: u8, length: usize) -> Vec<u8> {
        let sha1 = tlv(OBJECT_IDENTIFIER, &[&[0x2B, 0x0E, 3, 2, 0x1A]]);
        let one = |digest: u8| {
            let digest = tlv(OCTET_STRING, &[&[digest; 20]]);
            let info = tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&sha1]), &digest]);
            tlv(SEQUENCE, &[&tlv(SEQUENCE, &[]), &info])
        };
        let values: Vec<u8> = (0..digests).flat_map(one).collect();
        let indirect = tlv(OBJECT_IDENTIFIER, &[&[0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 4]]);
        let named = tlv(OBJECT_IDENTIFIER, &[&[0x2B, 6, 1, 4, 1, 0x82, 0x37, 0x0C, 2, 1]]);
        let pair = tlv(
            SEQUENCE,
            &[
                &tlv(BMP_STRING, &[b"\0F\0i\0l\0e"]),
                &tlv(INTEGER, &[&[0]]),
                &tlv(OCTET_STRING, &[&b"a\0".repeat(length)]),
            ],
        );
        [tlv(SEQUENCE, &[&indirect, &tlv(SET, &[&values])]), tlv(SEQUENCE, &[&named, &tlv(SET, &[&pair])])]
            .concat()
    }

    fn parse(attributes: &[u8]) -> Result<TrustList> {
        let mut list = TrustList::default();
        list.entry(Reader::new("attributes", attributes, 0)).map(|()| list)
    }

    #[test]
    fn digests_of_one_entry_share_its_texts() {
        let list = parse(&entry(200, 30)).unwrap();
        assert_eq!(list.members.len(), 200);
        let first = list.members[0].file.clone().unwrap();
        assert_eq!(first.len(), 30);
        assert!(list.members.iter().all(|member| Arc::ptr_eq(member.file.as_ref().unwrap(), &first)));
    }

    #[test]
    fn texts_without_end_are_refused_with_their_place() {
        assert!(parse(&entry(1, MAX_TEXT)).is_ok());
        let e = parse(&entry(1, MAX_TEXT + 1)).unwrap_err().to_string();
        assert!(e.contains("File has 8193 bytes"), "{e}");
    }
}
