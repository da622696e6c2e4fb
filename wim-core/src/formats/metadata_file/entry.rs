//! One name and, for the first name of a file, the file.

use serde::{Deserialize, Serialize};

/// An entry of the side file; entries count from 0 in the order of their lines.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The entry of the directory it is in, which comes before it; none right in the directory that was applied to.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<u32>,
    /// Its name in the image, escaped; empty for the directory itself.
    pub name: String,
    /// Its name on the host, escaped, when that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// 8.3 name, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_name: Option<String>,
    /// The entry with the first name of the same file, which comes before it; everything below is that one's then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<u32>,
    /// `FILE_ATTRIBUTE_*` bits.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attributes: u32,
    /// Creation, last write and last access in 100 ns since 1601.
    #[serde(default, skip_serializing_if = "is_default")]
    pub times: [u64; 3],
    /// Last write as the host told it afterwards, when that is another: not every file system has every time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_write: Option<u64>,
    /// Number of its security descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<u32>,
    /// The field at 0x54 of its dentries.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved: u32,
    /// SHA-1 of the unnamed data, which lies on the host; none for an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The tag and flags of a reparse point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reparse: Option<ReparseFields>,
    /// SHA-1 of the reparse data, a blob of the side file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reparse_data: Option<String>,
    /// The text of the symbolic link on the host, escaped; none when an empty file or directory stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// SHA-1 of the raw data of an encrypted file, a blob of the side file; an empty file stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<String>,
    /// Named streams in their order, blobs of the side file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<NamedStream>,
    /// Tagged items, in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub items: String,
}

/// A named stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedStream {
    /// Its name, escaped.
    pub name: String,
    /// SHA-1 of its data; none when it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// What a dentry says of a reparse point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReparseFields {
    /// Reparse tag.
    pub tag: u32,
    /// `ReparseReserved`.
    pub reserved: u16,
    /// `rp_flags`.
    pub flags: u16,
}

impl Entry {
    /// The SHA-1 of every blob that the side file must have for this entry.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &String> {
        let named = self.streams.iter().filter_map(|stream| stream.data.as_ref());
        self.reparse_data.iter().chain(&self.encrypted).chain(named)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_default(times: &[u64; 3]) -> bool {
    *times == [0; 3]
}
