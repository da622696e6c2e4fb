//! Encoding speed and size of XPRESS, LZX and LZMS at their three named levels, beside wimlib's where `peer-wimlib` is on.
//!
//! The data is the built-in corpus, or the programs below the folder that `WIM_BENCH_FILES` names, in independent chunks of
//! 32 KiB (LZMS: 128 KiB); a chunk that does not shrink counts as stored raw. Every stream is decoded and compared before it is timed.

#![expect(clippy::print_stdout, reason = "the table is the answer")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lz_kit::Level;
use lzx::WindowOrder;
use wim_benches::corpus::{Kind, files_of, generate};
#[cfg(feature = "peer-wimlib")]
use wim_benches::rivals::wimlib;

/// Codecs with their chunk sizes and the levels of wimlib that ours stand beside.
const CODECS: [(&str, usize, [u32; 3]); 3] =
    [("xpress", 32768, [20, 50, 80]), ("lzx", 32768, [20, 50, 100]), ("lzms", 128 << 10, [20, 50, 100])];
const CORPUS_BYTES: usize = 8 << 20;
/// Each chunk counts with the fastest of this many runs; the encoders take turns.
const ROUNDS: usize = 3;

/// An encoder under test: compresses a chunk, or says that it does not shrink.
type Encode = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>>>;

struct Row {
    name: String,
    encode: Encode,
    best: Vec<Duration>,
    bytes: usize,
}

fn chunks(chunk_bytes: usize) -> Vec<Vec<u8>> {
    if let Some(folder) = std::env::var_os("WIM_BENCH_FILES") {
        return files_of(&PathBuf::from(folder), chunk_bytes, CORPUS_BYTES).expect("a readable folder");
    }
    let kinds = [Kind::Code, Kind::Text, Kind::Tables];
    let parts = kinds.map(|kind| generate(kind, CORPUS_BYTES / kinds.len()));
    parts.iter().flat_map(|data| data.chunks(chunk_bytes).map(<[u8]>::to_vec)).collect()
}

/// Wraps an encoder of ours: output one byte shorter than the chunk, or none.
fn into_vec(mut encode: impl FnMut(&[u8], &mut [u8]) -> Option<usize> + 'static) -> Encode {
    Box::new(move |chunk| {
        let mut out = vec![0; chunk.len().saturating_sub(1)];
        let size = encode(chunk, &mut out)?;
        out.truncate(size);
        Some(out)
    })
}

fn rows(codec: &str, chunk_bytes: usize, peers: [u32; 3]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name: String, encode: Encode| rows.push(Row { name, encode, best: Vec::new(), bytes: 0 });
    for (level, peer) in [Level::FAST, Level::NORMAL, Level::MAX].into_iter().zip(peers) {
        #[cfg(feature = "peer-wimlib")]
        {
            let kind = match codec {
                "lzx" => wimlib::Codec::Lzx,
                "lzms" => wimlib::Codec::Lzms,
                _ => wimlib::Codec::Xpress,
            };
            let mut encoder =
                wimlib::Compressor::new(kind, chunk_bytes, peer).expect("wimlib has this level");
            add(format!("wimlib {codec}:{peer}"), Box::new(move |chunk| encoder.compress(chunk)));
        }
        #[cfg(not(feature = "peer-wimlib"))]
        let _ = peer;
        let encode = match codec {
            "lzx" => {
                let mut encoder = lzx::Encoder::new(WindowOrder::MIN, level);
                into_vec(move |chunk, out| encoder.encode(chunk, out))
            }
            "lzms" => {
                let mut encoder = lzms::Encoder::new(chunk_bytes, level);
                into_vec(move |chunk, out| encoder.encode(chunk, out))
            }
            _ => {
                let mut encoder = xpress::Encoder::new(chunk_bytes, level);
                into_vec(move |chunk, out| encoder.encode(chunk, out))
            }
        };
        add(format!("ours {codec}:{}", level.number()), encode);
    }
    rows
}

fn main() {
    let (mut lzx, mut xpress) = (lzx::Decoder::new(WindowOrder::MIN), xpress::Decoder::new());
    let mut lzms = lzms::Decoder::new();
    for (codec, chunk_bytes, peers) in CODECS {
        let chunks = chunks(chunk_bytes);
        let total: usize = chunks.iter().map(Vec::len).sum();
        let mut rows = rows(codec, chunk_bytes, peers);
        for round in 0..ROUNDS {
            for row in &mut rows {
                row.best.resize(chunks.len(), Duration::MAX);
                for (chunk, best) in chunks.iter().zip(&mut row.best) {
                    let start = Instant::now();
                    let stream = (row.encode)(chunk);
                    *best = start.elapsed().min(*best);
                    if round > 0 {
                        continue;
                    }
                    row.bytes += stream.as_ref().map_or(chunk.len(), Vec::len);
                    if let Some(stream) = stream {
                        let mut out = vec![0; chunk.len()];
                        let result = match codec {
                            "lzx" => lzx.decode(&stream, &mut out),
                            "lzms" => lzms.decode(&stream, &mut out),
                            _ => xpress.decode(&stream, &mut out),
                        };
                        assert!(
                            result.is_ok() && out == *chunk,
                            "{}: the stream does not decode to its chunk",
                            row.name
                        );
                    }
                }
            }
        }
        for row in &rows {
            let seconds = row.best.iter().sum::<Duration>().as_secs_f64();
            let percent = 100.0 * row.bytes as f64 / total as f64;
            println!(
                "{:18} {:>10} bytes {percent:7.3} % {:8.2} MB/s",
                row.name,
                row.bytes,
                total as f64 / seconds / 1e6
            );
        }
    }
}
