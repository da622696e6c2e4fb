//! The running SHA-1 of a blob whose pieces arrive out of order.
//!
//! SHA-1 is sequential, and a sink that hashed everything would be slower than four decoding cores. So the pieces of one
//! blob form a chain: whoever brings the piece that is due hashes it and all parked ones behind it. No thread waits.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::base::sha1::{Sha1Digest, Sha1Hasher};

/// A chain of `pieces` pieces, whose payload `B` gives the bytes.
#[derive(Default)]
pub struct DigestChain<B> {
    state: Mutex<State<B>>,
}

struct State<B> {
    /// Taken out while a thread hashes.
    hasher: Option<Sha1Hasher>,
    next: u64,
    parked: BTreeMap<u64, B>,
}

impl<B> Default for State<B> {
    fn default() -> Self {
        Self { hasher: Some(Sha1Hasher::new()), next: 0, parked: BTreeMap::new() }
    }
}

impl<B: AsRef<[u8]>> DigestChain<B> {
    /// A chain that awaits piece 0.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default() }
    }

    /// Brings piece `number`; hashes it now if it is due, or parks it.
    ///
    /// A caller that brings pieces in tasks and looks at the results in piece order finds every piece up to the one it
    /// looks at hashed: an earlier task either has hashed this piece or has not returned yet.
    pub fn bring(&self, number: u64, piece: B) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.parked.insert(number, piece);
        let Some(mut hasher) = state.hasher.take() else { return };
        loop {
            let next = state.next;
            let Some(piece) = state.parked.remove(&next) else { break };
            drop(state);
            hasher.update(piece.as_ref());
            drop(piece);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.next += 1;
        }
        state.hasher = Some(hasher);
    }

    /// The digest of the pieces hashed so far, and their number.
    #[must_use]
    pub fn digest(&self) -> (Sha1Digest, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.hasher.clone().unwrap_or_default().finish(), state.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_of_arrival_gives_the_digest_of_the_whole() {
        let data: Vec<u8> = (0..10_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let pieces: Vec<Vec<u8>> = data.chunks(97).map(<[u8]>::to_vec).collect();
        for stride in [1usize, 7, 13] {
            let chain = DigestChain::new();
            for start in 0..stride {
                for i in (start..pieces.len()).step_by(stride) {
                    chain.bring(i as u64, pieces[i].clone());
                }
            }
            assert_eq!(chain.digest(), (Sha1Digest::of(&data), pieces.len() as u64));
        }
    }

    #[test]
    fn threads_bring_pieces_at_once() {
        let data = vec![7u8; 1 << 20];
        let chain = DigestChain::new();
        std::thread::scope(|scope| {
            for t in 0..4usize {
                let (chain, data) = (&chain, &data);
                scope.spawn(move || {
                    for i in (t..256).step_by(4) {
                        chain.bring(i as u64, data[i * 4096..(i + 1) * 4096].to_vec());
                    }
                });
            }
        });
        assert_eq!(chain.digest(), (Sha1Digest::of(&data), 256));
    }
}
