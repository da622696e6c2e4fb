//! AddReg, DelReg and BitReg lines as values that a registry takes.
//!
//! Source: drivers.md 1.9. Types are the `REG_*` numbers and data the bytes that a hive stores; which key `HKR` means is the
//! caller's knowledge.

use super::lexer::{Entry, Position};
use super::section::{Inf, parse_number};
use crate::base::Error;
use crate::base::hex;

/// Most bytes of one value.
const MAX_DATA: usize = 1 << 20;

/// Where a registry line's key begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegRoot {
    /// `HKCR`: `HKLM\SOFTWARE\Classes`.
    ClassesRoot,
    /// `HKCU`.
    CurrentUser,
    /// `HKLM`.
    LocalMachine,
    /// `HKU`.
    Users,
    /// `HKR`: what the section it stands in is about.
    Relative,
}

/// What a line does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegAction {
    /// Creates the key and nothing else.
    CreateKey,
    /// Sets a value.
    Set {
        /// `REG_*` number.
        kind: u32,
        /// The data as a hive stores it.
        data: Vec<u8>,
        /// Only when the value is absent (or the condition says otherwise).
        condition: SetCondition,
    },
    /// Appends strings to a REG_MULTI_SZ, without doubling one.
    Append(Vec<String>),
    /// Removes one string from a REG_MULTI_SZ.
    RemoveString(String),
    /// Deletes the value.
    DeleteValue,
    /// Deletes the key.
    DeleteKey,
    /// Sets or clears bits of one byte of a binary value (four bytes of a DWORD count as binary).
    Bits {
        /// True sets, false clears.
        set: bool,
        /// The bits.
        mask: u8,
        /// Index of the byte.
        byte: u32,
    },
}

/// When a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCondition {
    /// Always.
    Always,
    /// When it is absent (NOCLOBBER).
    IfAbsent,
    /// When it is there (OVERWRITEONLY).
    IfPresent,
}

/// One registry line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegLine {
    /// Where the key begins.
    pub root: RegRoot,
    /// The key below it; may be empty.
    pub key: String,
    /// The value's name; none for the key's default value (or the key as a whole).
    pub value: Option<String>,
    /// What is done.
    pub action: RegAction,
    /// In the 32-bit view of a 64-bit Windows.
    pub wow64: bool,
    /// Where the line is.
    pub position: Position,
}

const REG_SZ: u32 = 1;
const REG_EXPAND_SZ: u32 = 2;
const REG_BINARY: u32 = 3;
const REG_DWORD: u32 = 4;
const REG_MULTI_SZ: u32 = 7;
const REG_QWORD: u32 = 11;

const FLAG_BINARY: u32 = 0x1;
const FLAG_NOCLOBBER: u32 = 0x2;
const FLAG_DELETE: u32 = 0x4;
const FLAG_APPEND: u32 = 0x8;
const FLAG_KEY_ONLY: u32 = 0x10;
const FLAG_OVERWRITE_ONLY: u32 = 0x20;
const FLAG_KEY_ONLY_COMMON: u32 = 0x2000;
const FLAG_32_BIT: u32 = 0x4000;
/// DelReg: remove one string from a REG_MULTI_SZ.
const DELETE_STRING: u32 = 0x0001_8002;

/// The first four fields, common to all three kinds of line.
struct Head {
    root: RegRoot,
    key: String,
    value: Option<String>,
    flags: Option<u32>,
}

fn head(inf: &Inf, entry: &Entry) -> Result<Head, Error> {
    let text = |index| inf.field(entry, index).map(std::borrow::Cow::into_owned);
    let name = text(0).unwrap_or_default();
    let root = match name.trim().to_ascii_uppercase().as_str() {
        "HKCR" => RegRoot::ClassesRoot,
        "HKCU" => RegRoot::CurrentUser,
        "HKLM" => RegRoot::LocalMachine,
        "HKU" => RegRoot::Users,
        "HKR" => RegRoot::Relative,
        _ => return Err(inf.error(entry.position, format!("{name:?} is no registry root"))),
    };
    let flags = match text(3) {
        None => None,
        Some(flags) => Some(parse_number(&flags).ok_or_else(|| {
            let at = entry.values.get(3).map_or(entry.position, |field| field.position);
            inf.error(at, format!("{flags:?} is no number for registry flags"))
        })?),
    };
    let key = text(1).unwrap_or_default().trim_matches('\\').to_owned();
    Ok(Head { root, key, value: text(2), flags })
}

/// An AddReg line.
///
/// # Errors
/// `Format` with its place when root, flags or data cannot be understood.
pub fn add_line(inf: &Inf, entry: &Entry) -> Result<RegLine, Error> {
    let Head { root, key, value, flags } = head(inf, entry)?;
    let bits = flags.unwrap_or(0);
    let action = if bits & (FLAG_KEY_ONLY | FLAG_KEY_ONLY_COMMON) != 0
        || (value.is_none() && flags.is_none() && entry.values.len() <= 4)
    {
        RegAction::CreateKey
    } else if bits & FLAG_DELETE != 0 {
        if value.is_some() { RegAction::DeleteValue } else { RegAction::DeleteKey }
    } else if bits & FLAG_APPEND != 0 {
        RegAction::Append(strings(inf, entry)?)
    } else {
        let condition = match bits {
            _ if bits & FLAG_NOCLOBBER != 0 => SetCondition::IfAbsent,
            _ if bits & FLAG_OVERWRITE_ONLY != 0 => SetCondition::IfPresent,
            _ => SetCondition::Always,
        };
        let (kind, data) = data(inf, entry, bits)?;
        RegAction::Set { kind, data, condition }
    };
    Ok(RegLine { root, key, value, action, wow64: bits & FLAG_32_BIT != 0, position: entry.position })
}

/// A DelReg line.
///
/// # Errors
/// `Format` with its place.
pub fn delete_line(inf: &Inf, entry: &Entry) -> Result<RegLine, Error> {
    let Head { root, key, value, flags } = head(inf, entry)?;
    let bits = flags.unwrap_or(0);
    let action = match (&value, bits & DELETE_STRING == DELETE_STRING) {
        (Some(_), true) => {
            RegAction::RemoveString(strings(inf, entry)?.into_iter().next().unwrap_or_default())
        }
        (Some(_), false) => RegAction::DeleteValue,
        (None, _) => RegAction::DeleteKey,
    };
    Ok(RegLine { root, key, value, action, wow64: bits & FLAG_32_BIT != 0, position: entry.position })
}

/// A BitReg line.
///
/// # Errors
/// `Format` with its place.
pub fn bit_line(inf: &Inf, entry: &Entry) -> Result<RegLine, Error> {
    let Head { root, key, value, flags } = head(inf, entry)?;
    let number = |index| inf.field(entry, index).and_then(|text| parse_number(&text));
    let mask = number(4).and_then(|mask| u8::try_from(mask).ok());
    let (Some(mask), Some(byte)) = (mask, number(5)) else {
        return Err(
            inf.error(entry.position, "a BitReg line needs a mask of one byte and the index of a byte")
        );
    };
    let bits = flags.unwrap_or(0);
    let action = RegAction::Bits { set: bits & 1 != 0, mask, byte };
    Ok(RegLine { root, key, value, action, wow64: bits & FLAG_32_BIT != 0, position: entry.position })
}

/// The strings of a list; bounded, since a short token can stand for a long text many times over.
fn strings(inf: &Inf, entry: &Entry) -> Result<Vec<String>, Error> {
    let (mut texts, mut total) = (Vec::new(), 0);
    for field in entry.values.iter().skip(4) {
        let text = inf.expand(field).into_owned();
        total += 2 * text.len();
        if total > MAX_DATA {
            return Err(inf.error(field.position, "a registry value larger than 1 MiB"));
        }
        if !text.is_empty() {
            texts.push(text);
        }
    }
    Ok(texts)
}

/// The type and the data of a value.
fn data(inf: &Inf, entry: &Entry, flags: u32) -> Result<(u32, Vec<u8>), Error> {
    let first = entry.values.get(4).map(|field| inf.expand(field).into_owned());
    let high = flags >> 16;
    if flags & FLAG_BINARY == 0 {
        return match high {
            0 => Ok((REG_SZ, string_data(&first.unwrap_or_default()))),
            2 => Ok((REG_EXPAND_SZ, string_data(&first.unwrap_or_default()))),
            1 => {
                let mut data = Vec::new();
                for text in strings(inf, entry)? {
                    data.extend(string_data(&text));
                }
                data.extend([0, 0]);
                Ok((REG_MULTI_SZ, data))
            }
            _ => Err(inf.error(entry.position, format!("registry flags {flags:#010x} name no string type"))),
        };
    }
    match high {
        0 => Ok((REG_BINARY, bytes(inf, entry)?)),
        1 if entry.values.len() <= 5 => {
            let text = first.unwrap_or_default();
            let number = if text.trim().is_empty() { Some(0) } else { parse_number(&text) };
            let number = number.ok_or_else(|| {
                let at = entry.values.get(4).map_or(entry.position, |field| field.position);
                inf.error(at, format!("{text:?} is no 32-bit number"))
            })?;
            Ok((REG_DWORD, number.to_le_bytes().to_vec()))
        }
        1 => Ok((REG_DWORD, bytes(inf, entry)?)),
        2 => Ok((0, bytes(inf, entry)?)),
        0xB if entry.values.len() <= 5 => {
            let text = first.unwrap_or_default();
            let number = quad(text.trim())
                .ok_or_else(|| inf.error(entry.position, format!("{text:?} is no 64-bit number")))?;
            Ok((REG_QWORD, number.to_le_bytes().to_vec()))
        }
        kind => Ok((kind, bytes(inf, entry)?)),
    }
}

fn quad(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if text.is_empty() => Some(0),
        None => text.parse().ok(),
    }
}

fn string_data(text: &str) -> Vec<u8> {
    let mut data = Vec::with_capacity(2 * text.len() + 2);
    for unit in text.encode_utf16() {
        data.extend_from_slice(&unit.to_le_bytes());
    }
    data.extend_from_slice(&[0, 0]);
    data
}

/// Bytes of a binary value: hexadecimal, each in a field of its own; `0x` before one is tolerated, as is one long run of
/// digits in a single field.
fn bytes(inf: &Inf, entry: &Entry) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    for field in entry.values.iter().skip(4) {
        let text = inf.expand(field);
        let text = text.trim();
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let bad = || inf.error(field.position, format!("{text:?} is no hexadecimal byte"));
        if digits.len() > 2 && digits.len().is_multiple_of(2) && digits.len() == text.len() {
            out.extend(hex::decode(digits).ok_or_else(bad)?);
        } else if digits.is_empty() {
            out.push(0);
        } else {
            let number = u32::from_str_radix(digits, 16).map_err(|_| bad())?;
            out.push(u8::try_from(number).map_err(|_| bad())?);
        }
        if out.len() > MAX_DATA {
            return Err(inf.error(field.position, "a registry value larger than 1 MiB"));
        }
    }
    Ok(out)
}
