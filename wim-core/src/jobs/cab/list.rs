//! What is in a cabinet.

use std::path::Path;

use serde::Serialize;

use super::open::{OpenOptions, open};
use crate::base::{Context, Result};
use crate::formats::cab::{Attributes, Cabinet, Member};
use crate::jobs::clock::ReportTime;

/// A cabinet.
#[derive(Clone, Debug, Serialize)]
pub struct CabinetInfo {
    /// What messages call it: the path, with an offset for one inside a program.
    pub name: String,
    /// Its place in its set, counted from 0.
    pub number_in_set: u16,
    /// Equal in all cabinets of a set.
    pub set_id: u16,
    /// Cabinets of the set that are at hand, this one included.
    pub parts: usize,
    /// File name of the cabinet before the first one at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// File name of the cabinet after the last one at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Its folders.
    pub folders: Vec<FolderInfo>,
    /// Its members.
    pub members: Vec<MemberInfo>,
}

/// A folder.
#[derive(Clone, Debug, Serialize)]
pub struct FolderInfo {
    /// `stored`, `MSZIP`, `Quantum:18`, `LZX:21`.
    pub method: String,
    /// Number of data blocks.
    pub blocks: u64,
    /// Whether all its data are at hand.
    pub complete: bool,
}

/// A member.
#[derive(Clone, Debug, Serialize)]
pub struct MemberInfo {
    /// Its name as stored, with control characters and all.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Index of its folder.
    pub folder: usize,
    /// Offset in the folder's data.
    pub offset: u64,
    /// Last write; absent when the field holds no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<ReportTime>,
    /// `read_only`, `hidden`, `system`, `archive`, `run`, `utf8_name`.
    pub attributes: Vec<&'static str>,
}

impl MemberInfo {
    fn of(member: &Member) -> Self {
        const NAMES: [(u16, &str); 6] = [
            (Attributes::READ_ONLY, "read_only"),
            (Attributes::HIDDEN, "hidden"),
            (Attributes::SYSTEM, "system"),
            (Attributes::ARCHIVE, "archive"),
            (Attributes::RUN, "run"),
            (Attributes::UTF8_NAME, "utf8_name"),
        ];
        let attributes = NAMES.iter().filter(|(bit, _)| member.attributes.has(*bit)).map(|(_, name)| *name);
        Self {
            name: member.name.clone(),
            size: member.size,
            folder: member.folder,
            offset: member.offset,
            modified: member.modified.to_file_time().map(ReportTime),
            attributes: attributes.collect(),
        }
    }
}

impl CabinetInfo {
    fn of(cabinet: &Cabinet) -> Self {
        let folders = cabinet.folders().iter().map(|folder| FolderInfo {
            method: folder.method.to_string(),
            blocks: folder.blocks(),
            complete: folder.is_complete(),
        });
        Self {
            name: cabinet.name().to_owned(),
            number_in_set: cabinet.header().number_in_set,
            set_id: cabinet.header().set_id,
            parts: cabinet.part_count(),
            previous: cabinet.header().previous.as_ref().map(|neighbour| neighbour.file.clone()),
            next: cabinet.last_header().next.as_ref().map(|neighbour| neighbour.file.clone()),
            folders: folders.collect(),
            members: cabinet.members().iter().map(MemberInfo::of).collect(),
        }
    }
}

/// What is in the cabinets of the file at `path`.
///
/// # Errors
/// As [`open`].
pub fn list(cx: &Context<'_>, path: &Path, options: OpenOptions) -> Result<Vec<CabinetInfo>> {
    Ok(open(cx, path, options)?.iter().map(CabinetInfo::of).collect())
}
