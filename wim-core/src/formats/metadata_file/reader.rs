//! Reads a side file whole, but for the contents of its blobs, which are only checked.
//!
//! Every number and digest is looked at here: directories and first names come before what refers to them, so that nothing
//! can go round in a circle, and every blob that an entry names is there with its digest. Names are checked by whoever puts
//! them into a tree.

use std::collections::HashMap;

use serde::Deserialize;

use super::entry::Entry;
use super::stored_blob::BlobPlace;
use super::{FORMAT, MAX_LINE_BYTES, PIECE_BYTES, PIECE_END, PIECE_LINE_BYTES, PIECE_START, VERSION};
use crate::base::{Error, ErrorKind, Place, ReadAt, Result, Sha1Digest, Sha1Hasher, hex};

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// What a side file says.
#[derive(Debug, Default)]
pub struct MetadataFile {
    /// Security descriptors by number.
    pub descriptors: Vec<Vec<u8>>,
    /// Entries by number.
    pub entries: Vec<Entry>,
    /// Where the blobs are.
    pub blobs: HashMap<Sha1Digest, BlobPlace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
}

/// Any line but the first and those with data.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Descriptor(DescriptorLine),
    Blob(BlobLine),
    Entry(Box<Entry>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescriptorLine {
    descriptor: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlobLine {
    blob: String,
    size: u64,
}

impl MetadataFile {
    /// Reads the file.
    ///
    /// # Errors
    /// `Format` with the line for what is no such file, is cut off, or refers to what is not there; `Unsupported` for another
    /// version; `Corrupt` for a blob with another digest; `Limit` for a line of more than 16 MiB; `Io`.
    pub fn read(source: &dyn ReadAt) -> Result<Self> {
        let mut lines = Lines::new(source);
        let header = lines.next()?.and_then(|line| serde_json::from_slice::<Header>(line).ok());
        match header {
            Some(header) if header.format == FORMAT && header.version == VERSION => {}
            Some(header) if header.format == FORMAT => {
                return Err(Error::unsupported(format!(
                    "a side file of version {}, and this program reads version {VERSION}",
                    header.version
                )));
            }
            _ => return Err(lines.wrong("not a side file of metadata: its first line does not say so")),
        }
        let mut file = Self::default();
        while let Some(line) = lines.next()? {
            match serde_json::from_slice(line) {
                Ok(Line::Descriptor(line)) => {
                    let bytes = hex::decode(&line.descriptor);
                    file.descriptors.push(bytes.ok_or_else(|| lines.wrong("not hexadecimal digits"))?);
                }
                Ok(Line::Entry(entry)) => {
                    file.check(&entry).map_err(|why| lines.wrong(why))?;
                    file.entries.push(*entry);
                }
                Ok(Line::Blob(line)) => file.blob(&line, &mut lines)?,
                Err(error) => {
                    return Err(lines.wrong(&format!("neither descriptor, entry nor blob: {error}")));
                }
            }
        }
        let missing = |entry: &&Entry| {
            let has = |text: &String| {
                Sha1Digest::from_hex(text).is_some_and(|digest| file.blobs.contains_key(&digest))
            };
            !entry.blobs().all(has)
        };
        match file.entries.iter().find(missing) {
            Some(entry) => {
                Err(lines
                    .wrong(&format!("a stream of {:?} is not in the file, which is cut off", entry.name)))
            }
            None => Ok(file),
        }
    }

    /// What an entry refers to must come before it.
    fn check(&self, entry: &Entry) -> std::result::Result<(), &'static str> {
        let is_known = |number: u32| usize::try_from(number).is_ok_and(|number| number < self.entries.len());
        if !entry.directory.is_none_or(is_known) || !entry.same_as.is_none_or(is_known) {
            return Err("refers to an entry that does not come before it");
        }
        let has_descriptor =
            |number: u32| usize::try_from(number).is_ok_and(|number| number < self.descriptors.len());
        if !entry.security.is_none_or(has_descriptor) {
            return Err("refers to a descriptor that is not there");
        }
        if entry.data.as_ref().is_some_and(|data| Sha1Digest::from_hex(data).is_none()) {
            return Err("its data is no SHA-1");
        }
        Ok(())
    }

    /// Passes the lines of a blob and checks its digest.
    fn blob(&mut self, line: &BlobLine, lines: &mut Lines<'_>) -> Result<()> {
        let digest = Sha1Digest::from_hex(&line.blob).ok_or_else(|| lines.wrong("the blob is no SHA-1"))?;
        let place = BlobPlace { offset: lines.offset, size_bytes: line.size };
        let (mut hasher, mut left) = (Sha1Hasher::new(), line.size);
        while left > 0 {
            let expected = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            let piece = lines.next()?.and_then(piece_of).filter(|piece| piece.len() == expected);
            let piece = piece.ok_or_else(|| lines.wrong("not the data of the blob that begins before it"))?;
            hasher.update(&piece);
            left -= piece.len() as u64;
        }
        if hasher.finish() != digest {
            return Err(Error::corrupt("the data has another SHA-1; the side file is damaged")
                .at(Place::Blob(digest)));
        }
        self.blobs.insert(digest, place);
        Ok(())
    }
}

/// The bytes of a line with data, which is laid out to the byte.
fn piece_of(line: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let end = PIECE_END.trim_end();
    hex::decode(text.strip_prefix(PIECE_START)?.strip_suffix(end)?)
}

/// The lines of a source, one at a time.
struct Lines<'s> {
    source: &'s dyn ReadAt,
    buffer: Vec<u8>,
    /// Start of the next line in the buffer.
    start: usize,
    /// Offset in the source of the next line.
    offset: u64,
    number: u32,
}

impl<'s> Lines<'s> {
    fn new(source: &'s dyn ReadAt) -> Self {
        Self { source, buffer: Vec::new(), start: 0, offset: 0, number: 0 }
    }

    /// The next line without its end; none behind the last.
    fn next(&mut self) -> Result<Option<&[u8]>> {
        let mut searched = 0;
        let length = loop {
            let rest = self.buffer.get(self.start..).unwrap_or(&[]);
            if let Some(at) = rest.iter().skip(searched).position(|&byte| byte == b'\n') {
                break searched + at;
            }
            searched = rest.len();
            if searched > MAX_LINE_BYTES.max(PIECE_LINE_BYTES) {
                return Err(Error::limit(format!(
                    "line {} is longer than {MAX_LINE_BYTES} bytes",
                    self.number + 1
                )));
            }
            if !self.fill()? {
                if searched == 0 {
                    return Ok(None);
                }
                self.number = self.number.saturating_add(1);
                return Err(self.wrong("the line does not end; the file is cut off"));
            }
        };
        let from = self.start;
        self.start += length + 1;
        self.offset += length as u64 + 1;
        self.number = self.number.saturating_add(1);
        Ok(self.buffer.get(from..from + length))
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let at = self.offset + self.buffer.len() as u64;
        let more = self.source.size().saturating_sub(at).min(BUFFER_BYTES as u64);
        let old = self.buffer.len();
        self.buffer.resize(old + usize::try_from(more).unwrap_or(0), 0);
        let room = self.buffer.get_mut(old..).unwrap_or(&mut []);
        crate::base::read_at::read_exact_at(self.source, room, at)?;
        Ok(more > 0)
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(ErrorKind::Format, why)
            .at(Place::Line { line: self.number, column: 0 })
            .remedy("apply the image again to make the side file anew")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LineWriter, NamedStream, StoredBlob};
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn sample() -> Vec<u8> {
        let large: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut writer = LineWriter::new(Vec::new()).unwrap();
        writer.descriptor(&[1, 2, 3]).unwrap();
        let root = Entry { attributes: 16, times: [1, 2, 3], security: Some(0), ..Entry::default() };
        let data = |bytes: &[u8]| Some(Sha1Digest::of(bytes).to_string());
        let streams = vec![
            NamedStream { name: "large".into(), data: data(&large) },
            NamedStream { name: "empty".into(), data: None },
        ];
        let file = Entry { directory: Some(0), name: "a\\d83d".into(), streams, ..Entry::default() };
        let link = Entry { same_as: Some(1), name: "b".into(), ..Entry::default() };
        [&root, &file, &link].into_iter().for_each(|entry| writer.entry(entry).unwrap());
        writer.begin_blob(&Sha1Digest::of(&large), large.len() as u64).unwrap();
        large.chunks(777).for_each(|bytes| writer.blob_bytes(bytes).unwrap());
        writer.end_blob().unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = sample();
        let file = MetadataFile::read(&bytes).unwrap();
        assert_eq!((file.descriptors.len(), file.entries.len(), file.blobs.len()), (1, 3, 1));
        assert_eq!(file.entries[2].same_as, Some(1));
        let (digest, place) = file.blobs.iter().next().unwrap();
        let blob = StoredBlob::new(Arc::new(bytes), *place);
        let mut all = vec![0; 100_000];
        blob.read_exact_at(&mut all, 0).unwrap();
        assert_eq!(Sha1Digest::of(&all), *digest);
        let mut part = vec![0; 40_000];
        blob.read_exact_at(&mut part, 30_000).unwrap();
        assert_eq!(part, all[30_000..70_000]);
        assert!(blob.read_exact_at(&mut part, 70_000).is_err());
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_line() {
        let refused = |lines: &[&str]| {
            let header = "{\"format\":\"wim-metadata\",\"version\":1}\n".to_owned();
            let text = header + &lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            MetadataFile::read(&text.into_bytes()).unwrap_err()
        };
        for lines in [
            &["{\"name\":\"a\",\"in\":0}"][..],
            &["{\"name\":\"a\",\"same_as\":0}"],
            &["{\"name\":\"a\",\"security\":0}"],
            &["{\"name\":\"a\",\"data\":\"xy\"}"],
            &["{\"name\":\"a\",\"unknown\":1}"],
            &["{\"name\":\"a\",\"reparse_data\":\"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\"}"],
            &["{\"descriptor\":\"abc\"}"],
            &[
                "{\"blob\":\"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\",\"size\":5}",
                "{\"data\":\"68656c6c\"}",
            ],
            &["{\"blob\":\"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\",\"size\":18446744073709551615}"],
            &["[]"],
            &[""],
        ] {
            assert_eq!(refused(lines).kind(), ErrorKind::Format, "{lines:?}");
        }
        let other = "{\"blob\":\"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\",\"size\":1}";
        assert_eq!(refused(&[other, "{\"data\":\"68\"}"]).kind(), ErrorKind::Corrupt);
        let newer = b"{\"format\":\"wim-metadata\",\"version\":2}\n".to_vec();
        assert_eq!(MetadataFile::read(&newer).unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(MetadataFile::read(&vec![b' '; MAX_LINE_BYTES + BUFFER_BYTES + 2]).is_err());
        let whole = sample();
        for cut in [0, 10, 60, 200, whole.len() - 3] {
            assert!(MetadataFile::read(&whole[..cut].to_vec()).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn hostile_files_are_refused_or_read(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            let mut bytes = sample();
            for (at, value) in changes {
                let at = at.index(bytes.len().min(900));
                bytes[at] = value;
            }
            let _ = MetadataFile::read(&bytes);
        }
    }
}
