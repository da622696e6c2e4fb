//! Decoding speed of XPRESS and LZX, ours beside wimlib's where feature `peer-wimlib` is on.
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

/// The chunk size of Windows images.
const CHUNK_BYTES: usize = 32768;
/// Data per round: enough that branch predictors do not learn it by heart.
const CORPUS_BYTES: usize = 8 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    Xpress,
    Lzx,
}

/// A chunk and its compressed form.
type Pair = (Vec<u8>, Vec<u8>);

fn chunks() -> Vec<Vec<u8>> {
    if let Some(folder) = std::env::var_os("WIM_BENCH_FILES") {
        return files_of(&PathBuf::from(folder), CHUNK_BYTES, CORPUS_BYTES).expect("a readable folder");
    }
    let kinds = [Kind::Code, Kind::Text, Kind::Tables];
    kinds
        .into_iter()
        .flat_map(|kind| {
            let data = generate(kind, CORPUS_BYTES / kinds.len());
            data.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(feature = "peer-wimlib")]
fn compress(codec: Codec, chunks: &[Vec<u8>]) -> Vec<Pair> {
    let codec = if codec == Codec::Xpress { wimlib::Codec::Xpress } else { wimlib::Codec::Lzx };
    let mut compressor = wimlib::Compressor::new(codec, CHUNK_BYTES, 50).expect("a level of wimlib");
    chunks.iter().filter_map(|chunk| Some((chunk.clone(), compressor.compress(chunk)?))).collect()
}

#[cfg(not(feature = "peer-wimlib"))]
fn compress(codec: Codec, chunks: &[Vec<u8>]) -> Vec<Pair> {
    let mut xpress = xpress::Encoder::new(CHUNK_BYTES, Level::FAST);
    let mut lzx = lzx::Encoder::new(WindowOrder::MIN, Level::FAST);
    let mut out = vec![0; CHUNK_BYTES];
    let mut encode = |chunk: &[u8]| {
        let room = &mut out[..chunk.len() - 1];
        let len = match codec {
            Codec::Xpress => xpress.encode(chunk, room)?,
            Codec::Lzx => lzx.encode(chunk, room)?,
        };
        Some(out[..len].to_vec())
    };
    chunks.iter().filter_map(|chunk| Some((chunk.clone(), encode(chunk)?))).collect()
}

/// Times `decode` over all pairs, after one round in which its answers are compared.
fn time(c: &mut Criterion, name: &str, pairs: &[Pair], mut decode: impl FnMut(&[u8], &mut [u8]) -> bool) {
    let mut out = vec![0; CHUNK_BYTES];
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
    let chunks = chunks();
    let pairs = compress(Codec::Xpress, &chunks);
    let mut decoder = xpress::Decoder::new();
    time(c, "xpress/32K/ours", &pairs, |compressed, out| decoder.decode(compressed, out).is_ok());
    #[cfg(feature = "peer-wimlib")]
    {
        let mut decoder =
            wimlib::Decompressor::new(wimlib::Codec::Xpress, CHUNK_BYTES).expect("a chunk size");
        time(c, "xpress/32K/wimlib", &pairs, |compressed, out| decoder.decompress(compressed, out));
    }
    let pairs = compress(Codec::Lzx, &chunks);
    let mut decoder = lzx::Decoder::new(WindowOrder::MIN);
    time(c, "lzx/32K/ours", &pairs, |compressed, out| decoder.decode(compressed, out).is_ok());
    #[cfg(feature = "peer-wimlib")]
    {
        let mut decoder = wimlib::Decompressor::new(wimlib::Codec::Lzx, CHUNK_BYTES).expect("a chunk size");
        time(c, "lzx/32K/wimlib", &pairs, |compressed, out| decoder.decompress(compressed, out));
    }
}

criterion_group!(benches, decoders);
criterion_main!(benches);
