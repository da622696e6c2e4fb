//! nt-hive in process: the same walk over a hive with its zero-copy reader.

use nt_hive::{Hive, KeyNode, KeyValueData, NtHiveError, NtHiveNameString};

use super::Walked;

/// Opens the hive and visits every key and value, all data read.
///
/// # Errors
/// Those of nt-hive.
pub fn walk(bytes: &[u8]) -> Result<Walked, NtHiveError> {
    let mut walked = Walked::default();
    key(&Hive::new(bytes)?.root_key_node()?, &mut walked)?;
    Ok(walked)
}

/// Opens the hive: its base block is validated, bins and cells are not.
///
/// # Errors
/// Those of nt-hive.
pub fn open(bytes: &[u8]) -> Result<(), NtHiveError> {
    Hive::new(bytes).map(drop)
}

fn key(node: &KeyNode<'_, &[u8]>, walked: &mut Walked) -> Result<(), NtHiveError> {
    walked.keys += 1;
    walked.name_units += match node.name()? {
        NtHiveNameString::Latin1(name) => name.len() as u64,
        NtHiveNameString::Utf16LE(name) => name.len() as u64 / 2,
    };
    if let Some(values) = node.values() {
        for value in values? {
            let value = value?;
            walked.values += 1;
            match value.data()? {
                KeyValueData::Small(data) => walked.data(data),
                KeyValueData::Big(parts) => {
                    let mut data = Vec::new();
                    for part in parts {
                        data.extend_from_slice(part?);
                    }
                    walked.data(&data);
                }
            }
        }
    }
    if let Some(subkeys) = node.subkeys() {
        for subkey in subkeys? {
            key(&subkey?, walked)?;
        }
    }
    Ok(())
}
