//! Directory entries of a metadata resource, one at a time.
//!
//! Described in Microsoft's "Windows Imaging File Format" paper, corrected by wimlib's `dentry.c` where the paper puts the
//! reparse tag and the hard-link id at wrong offsets. Following children and linking names to files is `image::load`'s.

use crate::base::{Fields, FileTime, Result, SecurityId, Sha1Digest, WimString};

/// Name of the structure in errors.
const STRUCTURE: &str = "dentry";
/// Bytes before the names.
pub const FIXED_BYTES: usize = 0x66;
/// Bytes of an extra stream entry before its name.
const STREAM_FIXED_BYTES: usize = 0x26;
/// Bytes of the mark that ends a directory.
pub const END_BYTES: u64 = 8;
/// "No security descriptor".
const NO_SECURITY: u32 = u32::MAX;
/// Longest name in UTF-16 units: its length is a 16-bit number of bytes.
pub const MAX_NAME_UNITS: usize = 0x7FFF;

/// The fields of a dentry before its names, without the number of extra streams and the lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DentryFields {
    /// `FILE_ATTRIBUTE_*` bits.
    pub attributes: u32,
    /// Index into the security table, not yet checked against it.
    pub security: Option<SecurityId>,
    /// Offset in the metadata resource of the first child; 0 for none.
    pub subdir_offset: u64,
    /// Creation time.
    pub creation: FileTime,
    /// Time of the last access.
    pub last_access: FileTime,
    /// Time of the last write.
    pub last_write: FileTime,
    /// The hash field; what it means depends on the extra streams.
    pub main_hash: Sha1Digest,
    /// The field at 0x54, usually 0, kept as it is.
    pub unknown_54: u32,
    /// The union at 0x58: tag, reserved and flags of a reparse point, else the hard-link group id.
    pub union_58: u64,
}

/// An extra stream entry; an empty name is an unnamed stream.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ExtraStream {
    /// Name without colons.
    pub name: WimString,
    /// SHA-1, zeros for an empty stream.
    pub digest: Sha1Digest,
}

/// A dentry as parsed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Dentry<'a> {
    /// The fields before the names.
    pub fields: DentryFields,
    /// Long name; empty for the root.
    pub name: WimString,
    /// 8.3 name, or empty.
    pub short_name: WimString,
    /// Tagged items behind the names, byte for byte.
    pub tagged_items: &'a [u8],
    /// Extra stream entries.
    pub streams: Vec<ExtraStream>,
    /// Offset in the metadata resource behind this dentry and its stream entries.
    pub end: u64,
}

/// Parses the dentry at `offset` of `metadata`; none for the mark that ends a directory.
///
/// # Errors
/// `Format` when it does not fit into the resource, its names do not fit into its length, or a stream entry is short.
pub fn parse(metadata: &[u8], offset: u64) -> Result<Option<Dentry<'_>>> {
    let bytes = usize::try_from(offset).ok().and_then(|start| metadata.get(start..)).unwrap_or(&[]);
    let mut f = Fields::new(STRUCTURE, bytes, offset);
    let length = f.u64("length")?;
    if length <= END_BYTES {
        return Ok(None);
    }
    // The last dentry may stop short of the padding that its length leaves out.
    let length =
        usize::try_from(length).ok().filter(|&length| length >= FIXED_BYTES && length <= bytes.len());
    let own = length.and_then(|length| bytes.get(..length)).ok_or_else(|| {
        let text = "shorter than a dentry or larger than the rest of the metadata resource";
        f.error_before("length", 8, text)
    })?;
    let mut dentry = parse_own(own, offset)?;
    let extra = dentry_stream_count(own);
    let mut position = own.len().next_multiple_of(8);
    for _ in 0..extra {
        let (stream, stream_bytes) = parse_stream(bytes, position, offset)?;
        dentry.streams.push(stream);
        position += stream_bytes.next_multiple_of(8);
    }
    dentry.end = offset + position as u64;
    Ok(Some(dentry))
}

/// Parses what lies within the dentry's own length.
fn parse_own(own: &[u8], offset: u64) -> Result<Dentry<'_>> {
    let mut f = Fields::new(STRUCTURE, own, offset);
    f.skip("length", 8)?;
    let mut fields = DentryFields {
        attributes: f.u32("attributes")?,
        security: Some(f.u32("security id")?).filter(|&id| id != NO_SECURITY).map(SecurityId),
        subdir_offset: f.u64("subdir offset")?,
        ..DentryFields::default()
    };
    f.skip("unused", 16)?;
    fields.creation = FileTime(f.u64("creation time")?);
    fields.last_access = FileTime(f.u64("last access time")?);
    fields.last_write = FileTime(f.u64("last write time")?);
    fields.main_hash = Sha1Digest(f.array("hash")?);
    fields.unknown_54 = f.u32("unknown")?;
    fields.union_58 = f.u64("reparse tag or link group")?;
    f.skip("number of streams", 2)?;
    let short_name_bytes = usize::from(f.u16("short name length")?);
    let name_bytes = usize::from(f.u16("name length")?);
    let name = parse_name(&mut f, "name", name_bytes)?;
    let short_name = parse_name(&mut f, "short name", short_name_bytes)?;
    let padding = f.position().next_multiple_of(8) - f.position();
    let tagged_items = f.rest().get(padding..).unwrap_or(&[]);
    Ok(Dentry { fields, name, short_name, tagged_items, streams: Vec::new(), end: 0 })
}

fn dentry_stream_count(own: &[u8]) -> u16 {
    own.get(0x60..0x62).and_then(|pair| pair.try_into().ok()).map_or(0, u16::from_le_bytes)
}

/// A name and its NUL, which has no place in the length; nothing at all for length 0.
fn parse_name(f: &mut Fields<'_>, field: &'static str, name_bytes: usize) -> Result<WimString> {
    if name_bytes == 0 {
        return Ok(WimString::default());
    }
    let name = WimString::from_le_bytes(f.bytes(field, name_bytes)?)
        .ok_or_else(|| f.error_before(field, name_bytes, format!("an odd length of {name_bytes} bytes")))?;
    f.skip(field, 2)?;
    Ok(name)
}

/// Parses the stream entry at `position` of the bytes from the dentry on; gives its length too.
fn parse_stream(bytes: &[u8], position: usize, base: u64) -> Result<(ExtraStream, usize)> {
    const STREAM: &str = "stream entry";
    let rest = bytes.get(position..).unwrap_or(&[]);
    let mut f = Fields::new(STREAM, rest, base + position as u64);
    let length = f.u64("length")?;
    let checked = usize::try_from(length).ok().filter(|&l| l >= STREAM_FIXED_BYTES && l <= rest.len());
    let Some(length) = checked else {
        let text = format!("{length} bytes, of {} that are left", rest.len());
        return Err(f.error_before("length", 8, text));
    };
    let mut f = Fields::new(STREAM, rest.get(..length).unwrap_or(rest), base + position as u64);
    f.skip("length", 8)?;
    f.skip("reserved", 8)?;
    let digest = Sha1Digest(f.array("hash")?);
    let name_bytes = usize::from(f.u16("name length")?);
    let name = WimString::from_le_bytes(f.bytes("name", name_bytes)?)
        .ok_or_else(|| f.error_before("name", name_bytes, format!("an odd length of {name_bytes} bytes")))?;
    Ok((ExtraStream { name, digest }, length))
}

/// Bytes of a name on disk with its NUL.
fn stored_name_bytes(name: &[u16]) -> usize {
    if name.is_empty() { 0 } else { (name.len() + 1) * 2 }
}

/// The length field of a dentry with these names and tagged items.
fn own_bytes(name: &[u16], short_name: &[u16], tagged_items: &[u8]) -> usize {
    let names = FIXED_BYTES + stored_name_bytes(name) + stored_name_bytes(short_name);
    names.next_multiple_of(8) + tagged_items.len().next_multiple_of(8)
}

fn stream_bytes(name: &[u16]) -> usize {
    (STREAM_FIXED_BYTES + stored_name_bytes(name)).next_multiple_of(8)
}

/// Bytes that [`write_to`] appends for a dentry with these names, items and streams.
#[must_use]
pub fn stored_bytes(name: &[u16], short_name: &[u16], tagged_items: &[u8], streams: &[ExtraStream]) -> u64 {
    let extra: usize = streams.iter().map(|stream| stream_bytes(&stream.name)).sum();
    (own_bytes(name, short_name, tagged_items) + extra) as u64
}

/// Appends a dentry and its stream entries to `out`, whose length is a multiple of 8.
///
/// The caller keeps names within [`MAX_NAME_UNITS`] and streams within 65,535, the largest numbers that the fields hold.
pub fn write_to(
    out: &mut Vec<u8>,
    fields: &DentryFields,
    names: (&[u16], &[u16]),
    tagged_items: &[u8],
    streams: &[ExtraStream],
) {
    let (name, short_name) = names;
    out.extend_from_slice(&(own_bytes(name, short_name, tagged_items) as u64).to_le_bytes());
    out.extend_from_slice(&fields.attributes.to_le_bytes());
    out.extend_from_slice(&fields.security.map_or(NO_SECURITY, |id| id.0).to_le_bytes());
    out.extend_from_slice(&fields.subdir_offset.to_le_bytes());
    out.extend_from_slice(&[0; 16]);
    for time in [fields.creation, fields.last_access, fields.last_write] {
        out.extend_from_slice(&time.0.to_le_bytes());
    }
    out.extend_from_slice(&fields.main_hash.0);
    out.extend_from_slice(&fields.unknown_54.to_le_bytes());
    out.extend_from_slice(&fields.union_58.to_le_bytes());
    out.extend_from_slice(&u16::try_from(streams.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&length_field(short_name).to_le_bytes());
    out.extend_from_slice(&length_field(name).to_le_bytes());
    write_name(out, name);
    write_name(out, short_name);
    pad(out);
    out.extend_from_slice(tagged_items);
    pad(out);
    for stream in streams {
        out.extend_from_slice(&(stream_bytes(&stream.name) as u64).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&stream.digest.0);
        out.extend_from_slice(&length_field(&stream.name).to_le_bytes());
        write_name(out, &stream.name);
        pad(out);
    }
}

fn length_field(name: &[u16]) -> u16 {
    u16::try_from(name.len() * 2).unwrap_or(u16::MAX - 1)
}

fn write_name(out: &mut Vec<u8>, name: &[u16]) {
    if !name.is_empty() {
        out.extend(name.iter().chain(&[0]).flat_map(|unit| unit.to_le_bytes()));
    }
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (DentryFields, WimString, WimString, Vec<u8>, Vec<ExtraStream>) {
        let fields = DentryFields {
            attributes: 0x21,
            security: Some(SecurityId(3)),
            subdir_offset: 0,
            creation: FileTime(1),
            last_access: FileTime(2),
            last_write: FileTime(3),
            main_hash: Sha1Digest([9; 20]),
            unknown_54: 0xDEAD,
            union_58: 7,
        };
        let streams = vec![
            ExtraStream { name: WimString::default(), digest: Sha1Digest([1; 20]) },
            ExtraStream { name: "Zone.Identifier".into(), digest: Sha1Digest([2; 20]) },
        ];
        (
            fields,
            "Program Files".into(),
            "PROGRA~1".into(),
            b"\x02\0\0\0\x04\0\0\0abcd\0\0\0\0".to_vec(),
            streams,
        )
    }

    fn written() -> Vec<u8> {
        let (fields, name, short_name, items, streams) = sample();
        let mut out = Vec::new();
        write_to(&mut out, &fields, (&name, &short_name), &items, &streams);
        assert_eq!(out.len() as u64, stored_bytes(&name, &short_name, &items, &streams));
        out
    }

    #[test]
    fn a_dentry_comes_back_as_it_was_written() {
        let (fields, name, short_name, items, streams) = sample();
        let mut bytes = vec![0xEE; 16];
        bytes.extend(written());
        let dentry = parse(&bytes, 16).unwrap().unwrap();
        let end = bytes.len() as u64;
        assert_eq!(dentry, Dentry { fields, name, short_name, tagged_items: &items, streams, end });
    }

    #[test]
    fn every_truncation_is_an_error_and_nothing_panics() {
        let good = written();
        for length in 0..good.len() {
            // Only a stream entry's padding may be missing at the very end.
            let parsed = parse(good.get(..length).unwrap(), 0);
            assert!(parsed.is_err() || length + 8 > good.len(), "{length} bytes");
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut bad = good.clone();
                if let Some(byte) = bad.get_mut(at) {
                    *byte = value;
                }
                let _ = parse(&bad, 0);
            }
        }
        assert!(parse(&good, u64::MAX).is_err());
        assert!(parse(&good, good.len() as u64).is_err());
    }

    #[test]
    fn names_must_be_whole_units_inside_the_length() {
        let good = written();
        for (at, value) in [(0x64usize, 25u8), (0x62, 15), (0x65, 1), (0, 0x60), (0, 0x98)] {
            let mut bad = good.clone();
            if let Some(byte) = bad.get_mut(at) {
                *byte = value;
            }
            assert!(parse(&bad, 0).is_err(), "byte {at:#x} = {value}");
        }
    }

    #[test]
    fn a_short_length_ends_the_directory() {
        assert_eq!(parse(&[0; 8], 0).unwrap(), None);
        assert_eq!(parse(&[8, 0, 0, 0, 0, 0, 0, 0], 0).unwrap(), None);
        assert!(parse(&[9, 0, 0, 0, 0, 0, 0, 0], 0).is_err());
    }
}
