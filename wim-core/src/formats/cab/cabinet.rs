//! A cabinet, or several of a set, opened: folders, members, and the reader of a folder's data.

use std::collections::HashMap;
use std::sync::Arc;

use super::BLOCK_BYTES;
use super::data_block::DataBlocks;
use super::decoder::Decoder;
use super::folder::{Folder, Method};
use super::header::Header;
use super::member::{Member, Span};
use super::source_cursor::SourceCursor;
use crate::base::read_at::read_start;
use crate::base::{Error, ErrorKind, Fields, Place, ReadAt, Result, code_page};

/// Bytes of the member table read at a time.
const TABLE_BYTES: usize = 64 << 10;

/// One file of a set.
pub(super) struct Part {
    pub(super) source: Arc<dyn ReadAt>,
    pub(super) name: String,
    pub(super) header: Header,
}

/// A cabinet with its tables read and checked, or several cabinets of a set joined to one.
pub struct Cabinet {
    parts: Vec<Part>,
    folders: Vec<Folder>,
    members: Vec<Member>,
}

impl Cabinet {
    /// Reads header, folders and members of the cabinet at the start of `source`; `name` is what errors call it.
    ///
    /// What follows the cabinet in the source, a signature say, does not matter.
    ///
    /// # Errors
    /// `Format` for no cabinet or lying tables, `Unsupported` for another version; `Io`.
    pub fn open(source: Arc<dyn ReadAt>, name: &str) -> Result<Self> {
        Self::open_with_code_page(source, name, code_page::WESTERN)
    }

    /// As [`Self::open`], with the ANSI code page of names that are not in UTF-8.
    ///
    /// # Errors
    /// Also `Unsupported` for an unknown code page.
    pub fn open_with_code_page(source: Arc<dyn ReadAt>, name: &str, page: u16) -> Result<Self> {
        let encoding = code_page::encoding(page).ok_or_else(|| {
            Error::unsupported(format!("code page {page}"))
                .remedy(format!("name an ANSI code page: {}", code_page::KNOWN))
        })?;
        let (header, folders, members) = read_tables(&*source, encoding).map_err(|e| e.in_file(name))?;
        Ok(Self { parts: vec![Part { source, name: name.to_owned(), header }], folders, members })
    }

    /// The header of the first cabinet at hand.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.first().header
    }

    /// The header of the last cabinet at hand; the same one unless several were joined.
    #[must_use]
    pub fn last_header(&self) -> &Header {
        &self.parts.last().unwrap_or_else(|| self.first()).header
    }

    /// What errors call the first cabinet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.first().name
    }

    fn first(&self) -> &Part {
        self.parts.first().expect("a cabinet is opened with one part and parts are only added")
    }

    /// Bytes of the files that the cabinets at hand lie in.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.source.size()))
    }

    /// Number of cabinets at hand.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// The folders.
    #[must_use]
    pub fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// The members, in the order of the table.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Adds the next cabinet of the set: a folder that was cut becomes one again.
    ///
    /// # Errors
    /// `InvalidInput` when it is not the next one of this set, `Format` when the two do not fit together.
    pub fn join(mut self, next: Self) -> Result<Self> {
        self.join_parts(next).map(|()| self)
    }

    fn join_parts(&mut self, mut next: Self) -> Result<()> {
        let (ours, theirs) = (self.last_header(), next.header());
        if ours.set_id != theirs.set_id || ours.number_in_set.checked_add(1) != Some(theirs.number_in_set) {
            let message = format!(
                "cabinet {} of set {} cannot follow cabinet {} of set {}",
                theirs.number_in_set, theirs.set_id, ours.number_in_set, ours.set_id
            );
            return Err(Error::invalid_input(message)
                .in_file(&next.first().name)
                .remedy("give the cabinets of one set in their order"));
        }
        let first_part = self.parts.len();
        for folder in &mut next.folders {
            folder.runs.iter_mut().for_each(|run| run.part += first_part);
        }
        let cut_here = self.folders.last().is_some_and(|folder| folder.ends_after);
        let cut_there = next.folders.first().is_some_and(|folder| folder.starts_before);
        if cut_here != cut_there {
            let (with, without) = if cut_here { ("before", "it") } else { ("here", "the one before") };
            let message =
                format!("a folder is cut according to the cabinet {with}, but not according to {without}");
            return Err(next.does_not_fit(message));
        }
        let mut first_folder = self.folders.len();
        if cut_here {
            let second = next.folders.remove(0);
            first_folder -= 1;
            let Some(whole) = self.folders.last_mut() else { return Ok(()) };
            if whole.method != second.method {
                let message = format!("a folder is {} and goes on as {}", whole.method, second.method);
                return Err(next.does_not_fit(message));
            }
            whole.ends_after = second.ends_after;
            whole.runs.extend(second.runs);
        }
        self.folders.append(&mut next.folders);
        self.join_members(&mut next, first_folder)?;
        self.parts.append(&mut next.parts);
        Ok(())
    }

    /// Takes the members of the next cabinet over; those that were cut become one with what they began as.
    fn join_members(&mut self, next: &mut Self, first_folder: usize) -> Result<()> {
        let key = |member: &Member| (member.offset, member.size, member.name.clone());
        let cut = self.members.iter().enumerate().filter(|(_, member)| member.span.ends_after());
        let cut: HashMap<_, _> = cut.map(|(index, member)| (key(member), index)).collect();
        for mut member in std::mem::take(&mut next.members) {
            member.folder += first_folder;
            if !member.span.starts_before() {
                self.members.push(member);
                continue;
            }
            let Some(begun) = cut.get(&key(&member)).and_then(|&index| self.members.get_mut(index)) else {
                let message =
                    format!("{} goes on here, but the cabinet before does not know it", member.name);
                return Err(next.does_not_fit(message));
            };
            begun.span = match (begun.span.starts_before(), member.span.ends_after()) {
                (false, false) => Span::Whole,
                (false, true) => Span::ToNext,
                (true, false) => Span::FromPrevious,
                (true, true) => Span::FromPreviousToNext,
            };
        }
        Ok(())
    }

    fn does_not_fit(&self, message: String) -> Error {
        // Each of the two is sound by itself, so that no field is the wrong one.
        Error::new(ErrorKind::Format, message)
            .in_file(&self.first().name)
            .remedy("put the right parts of the set into one folder, or open them one by one with --single")
    }

    /// A reader at the start of a folder's data.
    ///
    /// # Errors
    /// `NotFound` when its first data lie in a cabinet that is not at hand, or there is no such folder; `Unsupported` for a
    /// method that is not known.
    pub fn open_folder(&self, folder: usize) -> Result<FolderReader<'_>> {
        let Some(found) = self.folders.get(folder) else {
            return Err(Error::not_found(format!("there is no folder {folder}")).in_file(self.name()));
        };
        if found.starts_before {
            let before = self.header().previous.as_ref().map_or("", |neighbour| &neighbour.file);
            return Err(Error::not_found(format!(
                "folder {folder} begins in the cabinet before, {before:?}"
            ))
            .in_file(self.name())
            .remedy("put all cabinets of the set into one folder and open the first"));
        }
        Ok(FolderReader {
            blocks: DataBlocks::new(&self.parts, found),
            decoder: Decoder::new(found.method).map_err(|e| e.in_file(self.name()))?,
            method: found.method,
            stored: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Hands all data of a folder to `sink`, in order, at most 32 KiB at a time.
    ///
    /// # Errors
    /// As [`Self::open_folder`] and [`FolderReader::next_block`], and what the sink gives.
    pub fn unpack_folder(&self, folder: usize, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut reader = self.open_folder(folder)?;
        while let Some(bytes) = reader.next_block()? {
            sink(bytes)?;
        }
        Ok(())
    }

    /// The bytes of one member; its folder is unpacked up to its end.
    ///
    /// # Errors
    /// `Limit` when it has more than `limit` bytes; `Format` when its folder ends before it does; as [`Self::open_folder`]
    /// and [`FolderReader::next_block`].
    pub fn read_member(&self, member: &Member, limit: u64) -> Result<Vec<u8>> {
        if member.size > limit {
            let message = format!("{} has {} bytes, more than {limit}", member.name, member.size);
            return Err(Error::limit(message).in_file(self.name()));
        }
        let mut bytes = Vec::new();
        if member.size == 0 {
            return Ok(bytes);
        }
        let mut reader = self.open_folder(member.folder)?;
        let mut at = 0;
        while at < member.end() {
            let Some(block) = reader.next_block()? else {
                return Err(self.folder_too_short(member, at));
            };
            bytes.extend_from_slice(overlap(block, at, member.offset..member.end()));
            at += block.len() as u64;
        }
        Ok(bytes)
    }

    /// The error of a member whose folder ended after `folder_bytes`.
    #[must_use]
    pub fn folder_too_short(&self, member: &Member, folder_bytes: u64) -> Error {
        let message = format!(
            "{} ends at {} of its folder, which has only {folder_bytes} bytes",
            member.name,
            member.end()
        );
        Error::new(ErrorKind::Format, message)
            .at(Place::Path(member.name.clone()))
            .in_file(self.name())
            .remedy("the cabinet is damaged; get it again from its source")
    }
}

/// The part of `block`, which lies at `at` of a folder, that is in `range` of the folder.
#[must_use]
pub fn overlap(block: &[u8], at: u64, range: std::ops::Range<u64>) -> &[u8] {
    let place = |position: u64| usize::try_from(position.saturating_sub(at)).unwrap_or(usize::MAX);
    let (start, end) = (place(range.start).min(block.len()), place(range.end).min(block.len()));
    block.get(start..end.max(start)).unwrap_or_default()
}

/// Reads the data of one folder, from its start on.
pub struct FolderReader<'a> {
    blocks: DataBlocks<'a>,
    decoder: Decoder,
    method: Method,
    stored: Vec<u8>,
    scratch: Vec<u8>,
}

impl FolderReader<'_> {
    /// The next bytes, at most 32 KiB; none after the last. After an error the folder cannot go on.
    ///
    /// # Errors
    /// `Format` for data that break the rules of the method, `Corrupt` for a wrong checksum, `NotFound` when they go on in
    /// a cabinet that is not at hand, `Io`.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>> {
        let Some(block) = self.blocks.next(&mut self.stored)? else { return Ok(None) };
        let bad = |field: &'static str, distance: u64, message: String| {
            Error::format("CFDATA", field, block.offset + distance, message)
                .in_file(block.file)
                .remedy("the cabinet is damaged; get it again from its source")
        };
        if block.size != BLOCK_BYTES && self.method != Method::Stored && !self.blocks.at_end() {
            let message = format!("{} bytes in a block that is not the last", block.size);
            return Err(bad("cbUncomp", 6, message));
        }
        match self.decoder.decode(&self.stored, block.size, &mut self.scratch) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(message) => Err(bad("ab", 8, format!("{}: {message}", self.method))),
        }
    }
}

/// Header, folders and members of the cabinet at the start of `source`.
pub(super) fn read_tables(
    source: &dyn ReadAt,
    encoding: &'static encoding_rs::Encoding,
) -> Result<(Header, Vec<Folder>, Vec<Member>)> {
    let start = read_start(source, Header::MAX_BYTES)?;
    let (header, header_bytes) = Header::parse(&start)?;

    let entry_bytes = Folder::BYTES + usize::from(header.folder_reserve_bytes);
    let mut cursor = SourceCursor::new(source, header_bytes as u64, TABLE_BYTES);
    let mut folders = Vec::new();
    for _ in 0..header.folder_count {
        let offset = cursor.offset();
        let mut f = Fields::new("CFFOLDER", cursor.peek(entry_bytes)?, offset);
        folders.push(Folder::parse(&mut f, header.folder_reserve_bytes)?);
        cursor.consume(entry_bytes);
    }

    let mut cursor = SourceCursor::new(source, u64::from(header.members_offset), TABLE_BYTES);
    let mut members = Vec::new();
    for _ in 0..header.member_count {
        let offset = cursor.offset();
        let mut f = Fields::new("CFFILE", cursor.peek(Member::MAX_BYTES)?, offset);
        let member = Member::parse(&mut f, header.folder_count, encoding)?;
        if member.span.starts_before() && header.previous.is_none() {
            return Err(f.error(
                "iFolder",
                format!("{} goes on from a cabinet before, but there is none", member.name),
            ));
        }
        if member.span.ends_after() && header.next.is_none() {
            return Err(
                f.error("iFolder", format!("{} goes on in a next cabinet, but there is none", member.name))
            );
        }
        if let Some(folder) = folders.get_mut(member.folder) {
            folder.starts_before |= member.span.starts_before();
            folder.ends_after |= member.span.ends_after();
        }
        let used = f.position();
        cursor.consume(used);
        members.push(member);
    }
    Ok((header, folders, members))
}
