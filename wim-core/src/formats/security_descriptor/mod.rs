//! Self-relative security descriptors as text in the security descriptor definition language (SDDL).
//!
//! The binary form is [MS-DTYP] 2.4.6 with its ACLs, ACEs and SIDs, the text form [MS-DTYP] 2.5.1. Nothing is checked against
//! a system and nothing is read back from text; conditional and resource ACEs, whose text would need an expression
//! language, have none.

mod sid;

use std::fmt::Write as _;

use self::sid::Sid;
use crate::base::{Fields, Guid, Result};

/// Name of the structure in errors, which only say that there is no text.
const STRUCTURE: &str = "security descriptor";

const DACL_PRESENT: u16 = 0x0004;
const SACL_PRESENT: u16 = 0x0010;
/// `P`, `AR`, `AI` of the DACL and of the SACL ([MS-DTYP] 2.4.6).
const DACL_FLAGS: [(u16, &str); 3] = [(0x1000, "P"), (0x0100, "AR"), (0x0400, "AI")];
const SACL_FLAGS: [(u16, &str); 3] = [(0x2000, "P"), (0x0200, "AR"), (0x0800, "AI")];

/// Types of ACEs that are a mask and a SID ([MS-DTYP] 2.4.4.1, 2.5.1.1).
const PLAIN_TYPES: [(u8, &str); 6] =
    [(0x00, "A"), (0x01, "D"), (0x02, "AU"), (0x03, "AL"), (0x11, "ML"), (0x13, "SP")];
/// Types of ACEs with two optional GUIDs before the SID.
const OBJECT_TYPES: [(u8, &str); 4] = [(0x05, "OA"), (0x06, "OD"), (0x07, "OU"), (0x08, "OL")];
const ACE_FLAGS: [(u8, &str); 7] =
    [(0x01, "OI"), (0x02, "CI"), (0x04, "NP"), (0x08, "IO"), (0x10, "ID"), (0x40, "SA"), (0x80, "FA")];
/// Masks that have a name of their own; all others are written as numbers, which SDDL allows.
const RIGHTS: [(u32, &str); 8] = [
    (0x001F_01FF, "FA"),
    (0x0012_0089, "FR"),
    (0x0012_0116, "FW"),
    (0x0012_00A0, "FX"),
    (0x1000_0000, "GA"),
    (0x8000_0000, "GR"),
    (0x4000_0000, "GW"),
    (0x2000_0000, "GX"),
];
/// Rights of mandatory labels.
const LABEL_RIGHTS: [(u32, &str); 3] = [(1, "NW"), (2, "NR"), (4, "NX")];

/// The descriptor as SDDL; none when it is damaged or has an ACE that no plain text stands for.
#[must_use]
pub fn to_sddl(descriptor: &[u8]) -> Option<String> {
    text_of(descriptor).ok().flatten()
}

fn text_of(descriptor: &[u8]) -> Result<Option<String>> {
    let mut f = Fields::new(STRUCTURE, descriptor, 0);
    f.skip("revision", 2)?;
    let control = f.u16("control")?;
    let [owner, group] = [f.u32("owner")?, f.u32("group")?];
    let [sacl, dacl] = [f.u32("SACL")?, f.u32("DACL")?];
    let mut text = String::new();
    for (label, offset) in [("O:", owner), ("G:", group)] {
        if offset != 0 {
            let sid = Sid::parse(&mut at(descriptor, offset)?)?;
            text = text + label + &sid.to_string();
        }
    }
    for (label, present, flags, offset) in
        [("D:", DACL_PRESENT, DACL_FLAGS, dacl), ("S:", SACL_PRESENT, SACL_FLAGS, sacl)]
    {
        if control & present == 0 {
            continue;
        }
        text += label;
        text.extend(flags.iter().filter(|(bit, _)| control & bit != 0).map(|(_, name)| *name));
        if offset == 0 {
            text += "NO_ACCESS_CONTROL";
            continue;
        }
        match acl(at(descriptor, offset)?)? {
            Some(aces) => text += &aces,
            None => return Ok(None),
        }
    }
    Ok(Some(text))
}

fn at(descriptor: &[u8], offset: u32) -> Result<Fields<'_>> {
    let mut f = Fields::new(STRUCTURE, descriptor, 0);
    f.skip("offset", usize::try_from(offset).unwrap_or(usize::MAX))?;
    Ok(f)
}

/// The ACEs of an ACL; none when one of them has no plain text.
fn acl(mut f: Fields<'_>) -> Result<Option<String>> {
    f.skip("revision", 4)?;
    let count = f.u16("ACE count")?;
    f.skip("padding", 2)?;
    let mut text = String::new();
    // Each takes four bytes at least, so that the count cannot lead far beyond the descriptor.
    for _ in 0..count {
        let (kind, flags) = (f.u8("ACE type")?, f.u8("ACE flags")?);
        let body = usize::from(f.u16("ACE size")?).checked_sub(4);
        let body =
            f.bytes("ACE", body.ok_or_else(|| f.error_before("ACE size", 2, "less than its header"))?)?;
        match ace(kind, flags, Fields::new(STRUCTURE, body, 0))? {
            Some(ace) => text += &ace,
            None => return Ok(None),
        }
    }
    Ok(Some(text))
}

fn ace(kind: u8, flags: u8, mut f: Fields<'_>) -> Result<Option<String>> {
    let named = |types: &[(u8, &'static str)]| types.iter().find(|(t, _)| *t == kind).map(|(_, name)| *name);
    let (name, has_guids) = match (named(&PLAIN_TYPES), named(&OBJECT_TYPES)) {
        (Some(name), _) => (name, false),
        (None, Some(name)) => (name, true),
        (None, None) => return Ok(None),
    };
    let mask = f.u32("access mask")?;
    let present = if has_guids { f.u32("object flags")? } else { 0 };
    let mut guid = |bit: u32| -> Result<String> {
        match present & bit {
            0 => Ok(String::new()),
            _ => Ok(Guid(f.array("object type")?).to_string()),
        }
    };
    let (object, inherited) = (guid(1)?, guid(2)?);
    let sid = Sid::parse(&mut f)?;
    let flags: String = ACE_FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    Ok(Some(format!("({name};{flags};{};{object};{inherited};{sid})", rights(mask, name == "ML"))))
}

fn rights(mask: u32, is_label: bool) -> String {
    let mut text = String::new();
    if is_label {
        let named = LABEL_RIGHTS.iter().filter(|(bit, _)| mask & bit != 0);
        text.extend(named.map(|(_, name)| *name));
        return text;
    }
    match RIGHTS.iter().find(|(value, _)| *value == mask) {
        Some((_, name)) => text += name,
        // Writing to a String cannot fail.
        None => _ = write!(text, "{mask:#x}"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hex;
    use proptest::prelude::*;

    /// Owner and group Administrators, system and administrators with full access, users read and execute, inherited.
    fn sample() -> Vec<u8> {
        let ace = |flags: u8, mask: u32, sid: &str| {
            let sid = hex::decode(sid).unwrap();
            let mut out = vec![0, flags];
            out.extend(u16::try_from(8 + sid.len()).unwrap().to_le_bytes());
            out.extend(mask.to_le_bytes());
            out.extend(sid);
            out
        };
        let administrators = "01020000000000052000000020020000";
        let aces = [
            ace(0x13, 0x1F01FF, "010100000000000512000000"),
            ace(0x10, 0x1F01FF, administrators),
            ace(0x10, 0x1200A9, "01020000000000052000000021020000"),
        ]
        .concat();
        let mut out = hex::decode("01000494").unwrap();
        for offset in [20u32, 36, 0, 52] {
            out.extend(offset.to_le_bytes());
        }
        out.extend(hex::decode(administrators).unwrap().repeat(2));
        out.extend([2, 0]);
        out.extend(u16::try_from(8 + aces.len()).unwrap().to_le_bytes());
        out.extend([3, 0, 0, 0]);
        out.extend(aces);
        out
    }

    #[test]
    fn descriptors_read_as_windows_shows_them() {
        let text = to_sddl(&sample()).unwrap();
        assert_eq!(text, "O:BAG:BAD:PAI(A;OICIID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)");
        let empty = hex::decode("0100048000000000000000000000000000000000").unwrap();
        assert_eq!(to_sddl(&empty).unwrap(), "D:NO_ACCESS_CONTROL");
    }

    #[test]
    fn what_has_no_text_gives_none() {
        let mut conditional = sample();
        // The first ACE becomes one with a condition.
        conditional[60] = 9;
        assert_eq!(to_sddl(&conditional), None);
        assert_eq!(to_sddl(b""), None);
        for length in 0..sample().len() {
            assert_eq!(to_sddl(&sample()[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn hostile_descriptors_end(change in 0usize..120, value: u8, rest: Vec<u8>) {
            let mut bytes = sample();
            let change = change % bytes.len();
            bytes[change] = value;
            let _ = to_sddl(&bytes);
            let _ = to_sddl(&rest);
        }
    }
}
