//! `wim reg set`.

use clap::Args;
use wim_core::base::{Error, hex};
use wim_core::formats::hive::{RegValue, reg_type};

use super::edits::{Editing, edit};
use super::paths::{Paths, TargetArguments, parse_kind};
use crate::exit::Verdict;
use crate::session::Session;

/// Set a value, and make its key where that is missing
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Path of the key, as in HKLM\SOFTWARE\Microsoft; in a hive file also from its root
    key: String,
    /// Name of the value; empty for the default value; without it, only the key is made
    value: Option<String>,
    /// Text, number, or hexadecimal digits, by the type; several texts of a REG_MULTI_SZ as several arguments; put
    /// -- before data that begins with a hyphen
    data: Vec<String>,
    /// REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ, REG_DWORD, REG_DWORD_BIG_ENDIAN, REG_QWORD, REG_LINK, REG_NONE, REG_BINARY, or
    /// any other type by name or number with hexadecimal data
    #[arg(long = "type", default_value = "REG_SZ", value_parser = parse_kind)]
    kind: u32,
    #[command(flatten)]
    paths: Paths,
    #[command(flatten)]
    editing: Editing,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let value = match self.value {
            Some(name) => Some((name, parse_data(self.kind, &self.data)?)),
            None => None,
        };
        edit(session, &self.target, &self.paths, &self.editing, |registry| {
            for (hive, key) in registry.places(&self.key)? {
                match &value {
                    Some((name, data)) => registry.set.set(hive, &key, name, data.clone(), "wim reg set")?,
                    None => registry.set.create_key(hive, &key, "wim reg set")?,
                }
            }
            Ok(())
        })
    }
}

/// The bytes of a value of this type from what the user wrote.
fn parse_data(kind: u32, data: &[String]) -> Result<RegValue, Error> {
    let joined = data.join(" ");
    let number = || match joined.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => joined.parse(),
    };
    let bad = |what: &str| Error::invalid_input(format!("{joined:?} is no {what}"));
    let small = || {
        let number = number().ok().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| bad("number below 2^32"))
    };
    Ok(match kind {
        reg_type::SZ => RegValue::sz(&joined),
        reg_type::EXPAND_SZ => RegValue::expand_sz(&joined),
        reg_type::MULTI_SZ => RegValue::multi_sz(data),
        // The target of a link has no terminator.
        reg_type::LINK => {
            RegValue::new(kind, joined.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
        }
        reg_type::DWORD => RegValue::dword(small()?),
        reg_type::DWORD_BIG_ENDIAN => RegValue::new(kind, small()?.to_be_bytes()),
        reg_type::QWORD => RegValue::qword(number().map_err(|_| bad("number below 2^64"))?),
        _ => {
            let digits: String = joined.chars().filter(|c| !matches!(c, ' ' | ',' | ':')).collect();
            RegValue::new(kind, hex::decode(&digits).ok_or_else(|| bad("sequence of hexadecimal bytes"))?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(kind: u32, data: &[&str]) -> Option<Vec<u8>> {
        let data: Vec<String> = data.iter().map(|&text| text.to_owned()).collect();
        parse_data(kind, &data).ok().map(|value| value.data)
    }

    #[test]
    fn data_is_read_by_its_type() {
        assert_eq!(data(reg_type::SZ, &["a", "b"]).unwrap().len(), 8);
        assert_eq!(data(reg_type::MULTI_SZ, &["a", "b"]).unwrap().len(), 10);
        assert_eq!(data(reg_type::LINK, &["a"]).unwrap(), [b'a', 0]);
        assert_eq!(data(reg_type::DWORD, &["0x102"]).unwrap(), [2, 1, 0, 0]);
        assert_eq!(data(reg_type::DWORD_BIG_ENDIAN, &["258"]).unwrap(), [0, 0, 1, 2]);
        assert_eq!(data(reg_type::QWORD, &["18446744073709551615"]).unwrap(), [0xFF; 8]);
        assert_eq!(data(reg_type::BINARY, &["01,ff", "0A"]).unwrap(), [1, 0xFF, 10]);
        assert_eq!(data(reg_type::NONE, &[]).unwrap(), [0u8; 0]);
        assert_eq!(data(reg_type::DWORD, &["4294967296"]), None);
        assert_eq!(data(reg_type::DWORD, &[]), None);
        assert_eq!(data(reg_type::BINARY, &["123"]), None);
        assert_eq!(data(reg_type::BINARY, &["+1"]), None);
        assert_eq!(data(0xFFFF_0012, &["zz"]), None);
    }
}
