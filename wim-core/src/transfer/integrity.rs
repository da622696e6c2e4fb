//! Makes and checks the integrity table, slice by slice on all cores.

use crate::base::pipeline::{Budget, Cost, map_in_order};
use crate::base::read_at::read_exact_at;
use crate::base::{Context, ReadAt, Result, Sha1Digest, Sha1Hasher, Stage};
use crate::formats::wim::integrity::IntegrityTable;

/// Bytes read at once by a worker: stays in its cache while it is hashed.
const STEP_BYTES: u64 = 256 << 10;

/// One slice of the file.
struct Slice {
    offset: u64,
    length: u64,
}

impl Cost for Slice {
    fn cost(&self) -> u64 {
        STEP_BYTES
    }
}

/// Digests of slices of `slice_bytes` over `length` bytes of `source` from `start`.
///
/// # Errors
/// `Io`, `Cancelled`.
pub fn slice_digests(
    cx: &Context<'_>,
    stage: Stage,
    source: &dyn ReadAt,
    (start, length): (u64, u64),
    slice_bytes: u32,
) -> Result<Vec<Sha1Digest>> {
    cx.progress.start(stage, length);
    let step = u64::from(slice_bytes.max(1));
    let slices = (0..length.div_ceil(step))
        .map(|number| Slice { offset: start + number * step, length: step.min(length - number * step) });
    let new_worker = || {
        let mut buffer = vec![0; STEP_BYTES as usize];
        move |slice: Slice| {
            let mut hasher = Sha1Hasher::new();
            let mut done = 0;
            while done < slice.length {
                cx.cancel.check()?;
                let bytes = &mut buffer[..usize::try_from(STEP_BYTES.min(slice.length - done)).unwrap_or(0)];
                read_exact_at(source, bytes, slice.offset + done)?;
                hasher.update(bytes);
                done += bytes.len() as u64;
                cx.progress.advance(bytes.len() as u64);
            }
            Ok(hasher.finish())
        }
    };
    let mut digests = Vec::new();
    map_in_order(
        cx,
        &Budget::split(cx.memory_bytes(), cx.threads(), STEP_BYTES),
        slices,
        new_worker,
        |digest| {
            digests.push(digest);
            Ok(())
        },
    )?;
    Ok(digests)
}

/// Slices of `table` whose digests differ from the file's, as (offset, length).
///
/// # Errors
/// `Io`, `Cancelled`.
pub fn damaged_slices(
    cx: &Context<'_>,
    source: &dyn ReadAt,
    (start, length): (u64, u64),
    table: &IntegrityTable,
) -> Result<Vec<(u64, u64)>> {
    let actual = slice_digests(cx, Stage::CheckingIntegrity, source, (start, length), table.slice_bytes)?;
    let step = u64::from(table.slice_bytes);
    let compared = actual.iter().zip(&table.digests).zip(0u64..);
    let damaged = compared.filter(|((actual, stated), _)| actual != stated);
    Ok(damaged.map(|(_, number)| (start + number * step, step.min(length - number * step))).collect())
}
