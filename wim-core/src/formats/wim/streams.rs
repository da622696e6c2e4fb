//! The streams of a file and how a dentry stores them.
//!
//! A dentry does not store the type of a stream: the attributes and the order of the main hash and the extra stream
//! entries tell it (wimlib's `inode.c`, `dentry.c`). This module turns both into each other and knows no blobs.

use super::attributes::{DIRECTORY, ENCRYPTED, REPARSE_POINT};
use super::dentry::ExtraStream;
use crate::base::{Sha1Digest, WimString};

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// The reparse data of a reparse point, without its first eight bytes.
    Reparse,
    /// The unnamed data stream: the file's content.
    Data,
    /// A named data stream; the name has no colon and no type.
    Named(WimString),
    /// The encrypted file as `ReadEncryptedFileRaw` gives it; such a file has no other stream.
    Efs,
}

/// One stream of a file. A zero digest stands for no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// What it is.
    pub kind: StreamKind,
    /// SHA-1 of its bytes; zeros when it is empty.
    pub digest: Sha1Digest,
}

/// Streams as a dentry stores them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StoredStreams {
    /// The hash field of the dentry.
    pub main_hash: Sha1Digest,
    /// The entries that follow it.
    pub extra: Vec<ExtraStream>,
}

/// What [`interpret`] makes of a dentry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Interpreted {
    /// Reparse stream, unnamed data, then named streams in their stored order. Empty unnamed ones are left out: every
    /// file that is not a directory has unnamed data, and nothing is lost by not saying so.
    pub streams: Vec<Stream>,
    /// Streams with content that no rule has a place for; they are dropped.
    pub ignored: usize,
}

/// Tells the streams of a file with `attributes` from its main hash and extra stream entries.
///
/// Named entries are named data. Of the unnamed ones, a nonzero main hash first, the first is the reparse stream of a
/// reparse point and the next the data; a zero main hash counts only when there is no unnamed entry. An encrypted file
/// has its first nonzero unnamed stream only (WIMGAPI of Windows 8.1 stored others, which cannot be restored).
#[must_use]
pub fn interpret(attributes: u32, main_hash: Sha1Digest, extra: Vec<ExtraStream>) -> Interpreted {
    let main = Some(main_hash).filter(|hash| !hash.is_zero());
    if attributes & ENCRYPTED != 0 {
        let unnamed = extra.iter().filter(|entry| entry.name.is_empty() && !entry.digest.is_zero());
        let efs = main.or(unnamed.map(|entry| entry.digest).next());
        return Interpreted {
            streams: efs.map(|digest| Stream { kind: StreamKind::Efs, digest }).into_iter().collect(),
            ignored: 0,
        };
    }
    let mut out = Interpreted::default();
    let (mut reparse, mut data) = (None, None);
    let mut unnamed = |digest: Sha1Digest, ignored: &mut usize| {
        if attributes & REPARSE_POINT != 0 && reparse.is_none() {
            reparse = Some(digest);
        } else if attributes & DIRECTORY == 0 && data.is_none() {
            data = Some(digest);
        } else if !digest.is_zero() {
            *ignored += 1;
        }
    };
    if let Some(digest) = main {
        unnamed(digest, &mut out.ignored);
    }
    let mut named = Vec::new();
    for entry in extra {
        if entry.name.is_empty() {
            unnamed(entry.digest, &mut out.ignored);
        } else {
            named.push(Stream { kind: StreamKind::Named(entry.name), digest: entry.digest });
        }
    }
    for (kind, digest) in [(StreamKind::Reparse, reparse), (StreamKind::Data, data)] {
        if let Some(digest) = digest.filter(|digest| !digest.is_zero()) {
            out.streams.push(Stream { kind, digest });
        }
    }
    out.streams.append(&mut named);
    out
}

/// Lays out the streams of a file with `attributes` as DISM and wimlib from 1.14.2 do.
///
/// A single unnamed stream goes into the main hash. Otherwise all go into extra entries, reparse stream first, then the
/// unnamed data even when it is empty, then the named ones, and the main hash is zero. A directory never has an entry for
/// unnamed data (DISM refuses such images), and one with nothing but its reparse stream has it in the main hash (an extra
/// entry broke Windows 8's Setup).
#[must_use]
pub fn lay_out<'a>(
    attributes: u32,
    streams: impl Iterator<Item = (&'a StreamKind, Sha1Digest)>,
) -> StoredStreams {
    let (mut reparse, mut data) = (Sha1Digest::ZERO, Sha1Digest::ZERO);
    let mut named = Vec::new();
    for (kind, digest) in streams {
        match kind {
            StreamKind::Efs if attributes & ENCRYPTED != 0 => {
                return StoredStreams { main_hash: digest, extra: Vec::new() };
            }
            StreamKind::Efs => {}
            StreamKind::Reparse => reparse = digest,
            StreamKind::Data => data = digest,
            StreamKind::Named(name) => named.push(ExtraStream { name: name.clone(), digest }),
        }
    }
    if attributes & ENCRYPTED != 0 {
        return StoredStreams::default();
    }
    let mut extra = Vec::new();
    if attributes & REPARSE_POINT != 0 {
        extra.push(ExtraStream { name: WimString::default(), digest: reparse });
    }
    if attributes & DIRECTORY == 0 {
        extra.push(ExtraStream { name: WimString::default(), digest: data });
    }
    extra.append(&mut named);
    match extra.as_slice() {
        [] => StoredStreams::default(),
        [only] if only.name.is_empty() => StoredStreams { main_hash: only.digest, extra: Vec::new() },
        _ => StoredStreams { main_hash: Sha1Digest::ZERO, extra },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Sha1Digest = Sha1Digest([0xA; 20]);
    const B: Sha1Digest = Sha1Digest([0xB; 20]);
    const C: Sha1Digest = Sha1Digest([0xC; 20]);
    const ZERO: Sha1Digest = Sha1Digest::ZERO;

    fn extra(entries: &[(&str, Sha1Digest)]) -> Vec<ExtraStream> {
        entries.iter().map(|&(name, digest)| ExtraStream { name: name.into(), digest }).collect()
    }

    fn streams(list: &[(StreamKind, Sha1Digest)]) -> Vec<Stream> {
        list.iter().map(|(kind, digest)| Stream { kind: kind.clone(), digest: *digest }).collect()
    }

    fn stored(attributes: u32, list: &[(StreamKind, Sha1Digest)]) -> StoredStreams {
        lay_out(attributes, list.iter().map(|(kind, digest)| (kind, *digest)))
    }

    #[test]
    fn the_main_hash_of_a_plain_file_is_its_data() {
        let got = interpret(0x20, A, vec![]);
        assert_eq!(got.streams, streams(&[(StreamKind::Data, A)]));
        assert_eq!(stored(0x20, &[(StreamKind::Data, A)]), StoredStreams { main_hash: A, extra: vec![] });
        assert_eq!(interpret(0x20, ZERO, vec![]).streams, vec![]);
    }

    #[test]
    fn a_zero_main_hash_gives_way_to_an_unnamed_entry() {
        let named = StreamKind::Named("Zone.Identifier".into());
        let got = interpret(0x20, ZERO, extra(&[("", A), ("Zone.Identifier", B)]));
        assert_eq!(got.streams, streams(&[(StreamKind::Data, A), (named.clone(), B)]));
        // As DISM orders them: named streams between the unnamed ones.
        let got = interpret(0x420, ZERO, extra(&[("", C), ("Zone.Identifier", B), ("", A)]));
        let all = [(StreamKind::Reparse, C), (StreamKind::Data, A), (named.clone(), B)];
        assert_eq!(got.streams, streams(&all));
        // As older writers did: data in the main hash, named streams behind it.
        let got = interpret(0x20, A, extra(&[("Zone.Identifier", B)]));
        assert_eq!(got.streams, streams(&[(StreamKind::Data, A), (named, B)]));
    }

    #[test]
    fn reparse_points_are_stored_as_dism_does() {
        let link = [(StreamKind::Reparse, A)];
        assert_eq!(stored(0x410, &link), StoredStreams { main_hash: A, extra: vec![] });
        let file = StoredStreams { main_hash: ZERO, extra: extra(&[("", A), ("", ZERO)]) };
        assert_eq!(stored(0x400, &link), file);
        assert_eq!(interpret(0x400, ZERO, file.extra).streams, streams(&link));
        // wimlib before 1.14.2 and WIMGAPI: the reparse data of a file in its main hash.
        assert_eq!(interpret(0x400, A, vec![]).streams, streams(&link));
    }

    #[test]
    fn an_empty_reparse_stream_keeps_its_place_before_the_data() {
        let odd = [(StreamKind::Data, B)];
        let layout = stored(0x400, &odd);
        assert_eq!(layout.extra, extra(&[("", ZERO), ("", B)]));
        assert_eq!(interpret(0x400, layout.main_hash, layout.extra).streams, streams(&odd));
    }

    #[test]
    fn directories_have_no_unnamed_data() {
        assert_eq!(stored(0x10, &[]), StoredStreams::default());
        let named = [(StreamKind::Named("x".into()), A)];
        assert_eq!(stored(0x10, &named), StoredStreams { main_hash: ZERO, extra: extra(&[("x", A)]) });
        let got = interpret(0x10, A, extra(&[("", ZERO)]));
        assert_eq!((got.streams.len(), got.ignored), (0, 1));
    }

    #[test]
    fn encrypted_files_have_one_stream() {
        let got = interpret(0x4020, ZERO, extra(&[("x", B), ("", A), ("", C)]));
        assert_eq!(got.streams, streams(&[(StreamKind::Efs, A)]));
        assert_eq!(stored(0x4020, &[(StreamKind::Efs, A)]), StoredStreams { main_hash: A, extra: vec![] });
    }
}
