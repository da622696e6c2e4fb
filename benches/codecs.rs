//! Decoding speed of XPRESS, LZX and LZMS, ours beside wimlib's where feature `peer-wimlib` is on.
//!
//! The data is the built-in corpus, or the programs below the folder that `WIM_BENCH_FILES` names. With the feature, wimlib
//! compresses it at level 50, else our encoder does. Every decoder's answer is checked before it is timed.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
#[cfg(not(feature = "peer-wimlib"))]
use lz_kit::Level;
use lzx::WindowOrder;
use wim_benches::corpus::{Kind, files_of, generate};
#[cfg(feature = "peer-wimlib")]
use wim_benches::rivals::wimlib;

/// Data per round: enough that branch predictors do not learn it by heart.
const CORPUS_BYTES: usize = 8 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    Xpress,
    Lzx,
    Lzms,
}

impl Codec {
    /// The chunk size of Windows images; wimlib's usual one for LZMS.
    const fn chunk_bytes(self) -> usize {
        match self {
            Self::Xpress | Self::Lzx => 32768,
            Self::Lzms => 128 << 10,
        }
    }
}

/// A chunk and its compressed form.
type Pair = (Vec<u8>, Vec<u8>);

fn chunks(codec: Codec) -> Vec<Vec<u8>> {
    let chunk_bytes = codec.chunk_bytes();
    if let Some(folder) = std::env::var_os("WIM_BENCH_FILES") {
        return files_of(&PathBuf::from(folder), chunk_bytes, CORPUS_BYTES).expect("a readable folder");
    }
    let kinds = [Kind::Code, Kind::Text, Kind::Tables];
    kinds
        .into_iter()
        .flat_map(|kind| {
            let data = generate(kind, CORPUS_BYTES / kinds.len());
            data.chunks(chunk_bytes).map(<[u8]>::to_vec).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(feature = "peer-wimlib")]
fn compress(codec: Codec, chunks: &[Vec<u8>]) -> Vec<Pair> {
    let chunk_bytes = codec.chunk_bytes();
    let codec = match codec {
        Codec::Xpress => wimlib::Codec::Xpress,
        Codec::Lzx => wimlib::Codec::Lzx,
        Codec::Lzms => wimlib::Codec::Lzms,
    };
    let mut compressor = wimlib::Compressor::new(codec, chunk_bytes, 50).expect("a level of wimlib");
    chunks.iter().filter_map(|chunk| Some((chunk.clone(), compressor.compress(chunk)?))).collect()
}

#[cfg(not(feature = "peer-wimlib"))]
fn compress(codec: Codec, chunks: &[Vec<u8>]) -> Vec<Pair> {
    let chunk_bytes = codec.chunk_bytes();
    let mut xpress = xpress::Encoder::new(chunk_bytes.min(xpress::MAX_CHUNK_BYTES), Level::FAST);
    let mut lzx = lzx::Encoder::new(WindowOrder::MIN, Level::FAST);
    let mut lzms = lzms::Encoder::new(chunk_bytes, Level::FAST);
    let mut out = vec![0; chunk_bytes];
    let mut encode = |chunk: &[u8]| {
        let room = &mut out[..chunk.len() - 1];
        let len = match codec {
            Codec::Xpress => xpress.encode(chunk, room)?,
            Codec::Lzx => lzx.encode(chunk, room)?,
            Codec::Lzms => lzms.encode(chunk, room)?,
        };
        Some(out[..len].to_vec())
    };
    chunks.iter().filter_map(|chunk| Some((chunk.clone(), encode(chunk)?))).collect()
}

/// Times `decode` over all pairs, after one round in which its answers are compared.
fn time(c: &mut Criterion, name: &str, pairs: &[Pair], mut decode: impl FnMut(&[u8], &mut [u8]) -> bool) {
    let mut out = vec![0; pairs.iter().map(|(plain, _)| plain.len()).max().unwrap_or(0)];
    for (plain, compressed) in pairs {
        out.fill(0);
        assert!(
            decode(compressed, &mut out[..plain.len()]) && out[..plain.len()] == **plain,
            "{name}: a wrong answer"
        );
    }
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::BytesDecimal(pairs.iter().map(|(plain, _)| plain.len() as u64).sum()));
    group.sample_size(20);
    group.bench_function(name, |b| {
        b.iter_batched_ref(
            || (),
            |()| {
                for (plain, compressed) in pairs {
                    black_box(decode(black_box(compressed), &mut out[..plain.len()]));
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn decoders(c: &mut Criterion) {
    let pairs = compress(Codec::Xpress, &chunks(Codec::Xpress));
    let mut decoder = xpress::Decoder::new();
    time(c, "xpress/32K/ours", &pairs, |compressed, out| decoder.decode(compressed, out).is_ok());
    #[cfg(feature = "peer-wimlib")]
    {
        let mut decoder = wimlib::Decompressor::new(wimlib::Codec::Xpress, 32768).expect("a chunk size");
        time(c, "xpress/32K/wimlib", &pairs, |compressed, out| decoder.decompress(compressed, out));
    }
    let pairs = compress(Codec::Lzx, &chunks(Codec::Lzx));
    let mut decoder = lzx::Decoder::new(WindowOrder::MIN);
    time(c, "lzx/32K/ours", &pairs, |compressed, out| decoder.decode(compressed, out).is_ok());
    #[cfg(feature = "peer-wimlib")]
    {
        let mut decoder = wimlib::Decompressor::new(wimlib::Codec::Lzx, 32768).expect("a chunk size");
        time(c, "lzx/32K/wimlib", &pairs, |compressed, out| decoder.decompress(compressed, out));
    }
    let pairs = compress(Codec::Lzms, &chunks(Codec::Lzms));
    let mut decoder = lzms::Decoder::new();
    time(c, "lzms/128K/ours", &pairs, |compressed, out| decoder.decode(compressed, out).is_ok());
    #[cfg(feature = "peer-wimlib")]
    {
        let mut decoder =
            wimlib::Decompressor::new(wimlib::Codec::Lzms, Codec::Lzms.chunk_bytes()).expect("a chunk size");
        time(c, "lzms/128K/wimlib", &pairs, |compressed, out| decoder.decompress(compressed, out));
    }
}

criterion_group!(benches, decoders);
criterion_main!(benches);
