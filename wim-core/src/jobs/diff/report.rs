//! What a comparison tells: differences, and their text for people.
//!
//! Values are kept as they are for JSON; the text is one line for a difference and one for each change of it.

use std::fmt;

use serde::Serialize;

use crate::jobs::clock::ReportTime;
use crate::jobs::registry::HiveDifference;

/// One difference between two images.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// `added`, `removed`, `changed`, `renamed`, or `property` for the description of the image in the XML.
    pub change: &'static str,
    /// Path in the new image, in the old one for what was removed, with slashes; of a property its path in the XML.
    pub path: String,
    /// Path in the old image, when it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    /// `file`, `directory`, `symlink`, `junction`, `reparse_point` or `encrypted_file`; none for properties.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Bytes of the unnamed data of a file that was added or removed; none when no file at hand has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What differs in a file that both have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// The content of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamState {
    /// Bytes; none when no file at hand has it.
    pub size: Option<u64>,
    /// SHA-1; none for an empty one.
    pub sha1: Option<String>,
}

/// A reparse point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReparseState {
    /// Its tag.
    pub tag: u32,
    /// `ReparseReserved`.
    pub reserved: u16,
    /// `rp_flags`.
    pub flags: u16,
    /// Where a link leads, as it is written.
    pub target: Option<String>,
    /// SHA-1 of its data; none when there is none.
    pub sha1: Option<String>,
}

/// What something was and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OldNew<T> {
    /// In the old image.
    pub old: T,
    /// In the new image.
    pub new: T,
}

/// The unnamed data of a file that differs.
#[derive(Clone, Debug, Serialize)]
pub struct ContentChange {
    /// In the old image.
    pub old: StreamState,
    /// In the new image.
    pub new: StreamState,
    /// The keys, when both are registry hives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hive: Option<HiveComparison>,
}

/// A named stream that differs, or that one file has not.
#[derive(Clone, Debug, Serialize)]
pub struct StreamChange {
    /// Its name.
    pub name: String,
    /// In the old image.
    pub old: Option<StreamState>,
    /// In the new image.
    pub new: Option<StreamState>,
}

/// A tagged item that differs, or that one file has not.
#[derive(Clone, Debug, Serialize)]
pub struct ItemChange {
    /// Its tag.
    pub tag: u32,
    /// What it is called.
    pub name: &'static str,
    /// In the old image, in hexadecimal.
    pub old: Option<String>,
    /// In the new image, in hexadecimal.
    pub new: Option<String>,
}

/// One thing that differs.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// What the file is.
    Kind(OldNew<&'static str>),
    /// The unnamed data.
    Content(ContentChange),
    /// A named stream.
    Stream(StreamChange),
    /// Attributes.
    Attributes(OldNew<u32>),
    /// Time of creation.
    CreationTime(OldNew<ReportTime>),
    /// Time of the last write.
    LastWriteTime(OldNew<ReportTime>),
    /// Time of the last access.
    LastAccessTime(OldNew<ReportTime>),
    /// Security descriptor as SDDL, in hexadecimal when it has no such text.
    Security(OldNew<Option<String>>),
    /// 8.3 name; empty for none.
    ShortName(OldNew<String>),
    /// Spelling of the name.
    Name(OldNew<String>),
    /// A reparse point.
    ReparsePoint(OldNew<Option<ReparseState>>),
    /// All names of the file.
    Links(OldNew<Vec<String>>),
    /// A tagged item.
    TaggedItem(ItemChange),
    /// The field at 0x54 of the dentry.
    Reserved(OldNew<u32>),
    /// A property of the image.
    Property(OldNew<Option<String>>),
}

/// What differs between two registry hives.
#[derive(Clone, Debug, Serialize)]
pub struct HiveComparison {
    /// Differences of keys and values; none of them when only the layout of the file differs.
    pub differences: Vec<HiveDifference>,
    /// Differences beyond the number that was asked for.
    pub more: usize,
    /// Why the hives could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl HiveComparison {
    /// True when keys and values are the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences.is_empty() && self.more == 0 && self.error.is_none()
    }
}

/// How many differences there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub struct DiffTotals {
    /// Names that only the new image has.
    pub added: u64,
    /// Names that only the old image has.
    pub removed: u64,
    /// Names that both have and that differ.
    pub changed: u64,
    /// Files and directories that are elsewhere now; what lies in such a directory is not counted.
    pub renamed: u64,
    /// Properties that differ.
    pub properties: u64,
}

impl DiffTotals {
    /// True when there is a difference.
    #[must_use]
    pub fn is_different(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Difference {
    /// `renamed   /old -> /new (file)`, and a line for each change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9} ", self.change)?;
        match &self.old_path {
            Some(old) => write!(f, "{old} -> {}", self.path)?,
            None => f.write_str(&self.path)?,
        }
        match (self.kind, self.size) {
            (Some("file"), Some(size)) => write!(f, " ({size} bytes)")?,
            (Some("file") | None, _) => {}
            (Some(kind), _) => write!(f, " ({kind})")?,
        }
        self.changes.iter().try_for_each(|change| write!(f, "\n    {change}"))
    }
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.size, &self.sha1) {
            (Some(size), Some(sha1)) => write!(f, "{size} bytes, {sha1}"),
            (None, Some(sha1)) => f.write_str(sha1),
            _ => f.write_str("empty"),
        }
    }
}

impl fmt::Display for ReparseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tag {:#010x}", self.tag)?;
        if let Some(target) = &self.target {
            write!(f, " to {target}")?;
        }
        if self.flags != 0 || self.reserved != 0 {
            write!(f, ", flags {:#x}, reserved {:#x}", self.flags, self.reserved)?;
        }
        match &self.sha1 {
            Some(sha1) if self.target.is_none() => write!(f, ", {sha1}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(OldNew { old, new }) => write!(f, "was a {old}, is a {new}"),
            Self::Content(ContentChange { old, new, hive }) => {
                write!(f, "content: {old} -> {new}")?;
                hive.as_ref().map_or(Ok(()), |hive| hive.fmt(f))
            }
            Self::Stream(StreamChange { name, old, new }) => {
                write!(f, "stream {name}: {} -> {}", or_none(old.as_ref()), or_none(new.as_ref()))
            }
            Self::Attributes(OldNew { old, new }) => write!(f, "attributes: {old:#010x} -> {new:#010x}"),
            Self::CreationTime(times) => write_times(f, "creation time", times),
            Self::LastWriteTime(times) => write_times(f, "last write time", times),
            Self::LastAccessTime(times) => write_times(f, "last access time", times),
            Self::Security(change) => write_optional(f, "security", change),
            Self::ShortName(OldNew { old, new }) => write!(f, "short name: {old:?} -> {new:?}"),
            Self::Name(OldNew { old, new }) => write!(f, "name: {old} -> {new}"),
            Self::ReparsePoint(change) => write_optional(f, "reparse point", change),
            Self::Links(OldNew { old, new }) => write!(f, "names: {} -> {}", old.join(", "), new.join(", ")),
            Self::TaggedItem(ItemChange { name, old, new, .. }) => {
                write!(f, "{name}: {} -> {}", or_none(old.as_ref()), or_none(new.as_ref()))
            }
            Self::Reserved(OldNew { old, new }) => write!(f, "field at 0x54: {old:#x} -> {new:#x}"),
            Self::Property(change) => write_optional(f, "text", change),
        }
    }
}

impl fmt::Display for HiveComparison {
    /// Lines to stand below the one of the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.error {
            return write!(f, "\n        not compared by key: {error}");
        }
        if self.is_same() {
            return f.write_str("\n        the same keys and values");
        }
        for one in &self.differences {
            write!(f, "\n        {one}")?;
        }
        if self.more > 0 { write!(f, "\n        and {} more", self.more) } else { Ok(()) }
    }
}

fn or_none<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), T::to_string)
}

fn write_optional<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    change: &OldNew<Option<T>>,
) -> fmt::Result {
    write!(f, "{what}: {} -> {}", or_none(change.old.as_ref()), or_none(change.new.as_ref()))
}

fn write_times(f: &mut fmt::Formatter<'_>, what: &str, times: &OldNew<ReportTime>) -> fmt::Result {
    let OldNew { old, new } = times;
    // Times of one second are told apart by their ticks of 100 ns.
    let ticks = if old.to_string() == new.to_string() {
        format!(" (+{} ticks -> +{})", old.0.0 % 10_000_000, new.0.0 % 10_000_000)
    } else {
        String::new()
    };
    write!(f, "{what}: {old} -> {new}{ticks}")
}
