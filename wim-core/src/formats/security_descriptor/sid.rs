//! Security identifiers and their two-letter names ([MS-DTYP] 2.4.2, 2.5.1.1).
//!
//! Only names that mean the same on every machine are known; those that stand for an account of a domain are not.

use std::fmt;

use crate::base::{Fields, Result};

/// Two-letter names by the text of the SID.
const ALIASES: [(&str, &str); 38] = [
    ("S-1-1-0", "WD"),
    ("S-1-3-0", "CO"),
    ("S-1-3-1", "CG"),
    ("S-1-3-4", "OW"),
    ("S-1-5-2", "NU"),
    ("S-1-5-4", "IU"),
    ("S-1-5-6", "SU"),
    ("S-1-5-7", "AN"),
    ("S-1-5-9", "ED"),
    ("S-1-5-10", "PS"),
    ("S-1-5-11", "AU"),
    ("S-1-5-12", "RC"),
    ("S-1-5-18", "SY"),
    ("S-1-5-19", "LS"),
    ("S-1-5-20", "NS"),
    ("S-1-5-33", "WR"),
    ("S-1-5-32-544", "BA"),
    ("S-1-5-32-545", "BU"),
    ("S-1-5-32-546", "BG"),
    ("S-1-5-32-547", "PU"),
    ("S-1-5-32-548", "AO"),
    ("S-1-5-32-549", "SO"),
    ("S-1-5-32-550", "PO"),
    ("S-1-5-32-551", "BO"),
    ("S-1-5-32-552", "RE"),
    ("S-1-5-32-554", "RU"),
    ("S-1-5-32-555", "RD"),
    ("S-1-5-32-556", "NO"),
    ("S-1-5-32-558", "MU"),
    ("S-1-5-32-559", "LU"),
    ("S-1-5-32-568", "IS"),
    ("S-1-5-32-569", "CY"),
    ("S-1-15-2-1", "AC"),
    ("S-1-16-4096", "LW"),
    ("S-1-16-8192", "ME"),
    ("S-1-16-8448", "MP"),
    ("S-1-16-12288", "HI"),
    ("S-1-16-16384", "SI"),
];

/// Most subauthorities of a SID.
const MAX_SUBAUTHORITIES: u8 = 15;

/// A security identifier.
pub(super) struct Sid {
    authority: u64,
    subauthorities: Vec<u32>,
}

impl Sid {
    pub(super) fn parse(f: &mut Fields<'_>) -> Result<Self> {
        let revision = f.u8("SID revision")?;
        let count = f.u8("SID subauthority count")?;
        if revision != 1 || count > MAX_SUBAUTHORITIES {
            return Err(f.error_before("SID", 2, format!("revision {revision} with {count} subauthorities")));
        }
        let authority = f.array::<6>("SID authority")?;
        let authority = authority.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let subauthorities = (0..count).map(|_| f.u32("SID subauthority")).collect::<Result<_>>()?;
        Ok(Self { authority, subauthorities })
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = match self.authority {
            authority if authority <= u64::from(u32::MAX) => format!("S-1-{authority}"),
            authority => format!("S-1-{authority:#014x}"),
        };
        for number in &self.subauthorities {
            text = text + "-" + &number.to_string();
        }
        match ALIASES.iter().find(|(sid, _)| *sid == text) {
            Some((_, alias)) => f.write_str(alias),
            None => f.write_str(&text),
        }
    }
}
