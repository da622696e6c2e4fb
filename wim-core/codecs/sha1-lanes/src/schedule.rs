//! Messages shared out to lanes: a lane that is done takes the next message, and what is left runs in fewer lanes.
//!
//! A message is its whole blocks, then one or two blocks with its padding. Lanes go on together for as many blocks as each of
//! them has left of the part that it is in.

use crate::Sha1;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;
/// Most lanes.
pub(crate) const LANES: usize = 4;
/// What a digest starts from (FIPS 180-4, 5.3.1).
const START: State = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];

/// The five words of a running digest.
pub(crate) type State = [u32; 5];

/// Hashes the same number of blocks for several messages at once.
pub(crate) trait Compress {
    /// Takes the first `blocks` blocks of each of `N` inputs, which are that long, into their states.
    fn compress<const N: usize>(&self, states: &mut [State; N], inputs: [&[u8]; N], blocks: usize);
}

/// A message on its way.
struct Lane<'m> {
    /// Its place in the list.
    number: usize,
    state: State,
    /// Whole blocks that are left of the message itself.
    rest: &'m [u8],
    /// Padding, with the bytes behind the last whole block.
    tail: [u8; 2 * BLOCK],
    /// Bytes of the padding that are left, at its end.
    tail_left: usize,
    tail_length: usize,
}

impl<'m> Lane<'m> {
    fn new(number: usize, message: &'m [u8]) -> Self {
        let (rest, odd) = message.split_at(message.len() / BLOCK * BLOCK);
        let mut tail = [0; 2 * BLOCK];
        tail[..odd.len()].copy_from_slice(odd);
        tail[odd.len()] = 0x80;
        // The mark and the length in bits take nine bytes.
        let tail_length = if odd.len() + 9 <= BLOCK { BLOCK } else { 2 * BLOCK };
        tail[tail_length - 8..tail_length].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
        Self { number, state: START, rest, tail, tail_left: tail_length, tail_length }
    }

    /// Bytes that can be hashed in one go.
    fn next(&self) -> &[u8] {
        match self.rest {
            [] => &self.tail[self.tail_length - self.tail_left..self.tail_length],
            rest => rest,
        }
    }

    fn advance(&mut self, bytes: usize) {
        match self.rest {
            [] => self.tail_left -= bytes,
            rest => self.rest = &rest[bytes..],
        }
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty() && self.tail_left == 0
    }

    fn digest(&self) -> Sha1 {
        let mut digest = [0; 20];
        for (to, word) in digest.chunks_exact_mut(4).zip(self.state) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

/// The digests of `messages`, in their order.
pub(crate) fn digests(messages: &[&[u8]], compress: &impl Compress) -> Vec<Sha1> {
    let mut digests = vec![[0; 20]; messages.len()];
    // The longest first, so that no long one is left to run alone.
    let mut waiting: Vec<usize> = (0..messages.len()).collect();
    waiting.sort_by_key(|&number| messages[number].len());
    let mut lanes: Vec<Lane<'_>> = Vec::with_capacity(LANES);
    loop {
        while lanes.len() < LANES
            && let Some(number) = waiting.pop()
        {
            lanes.push(Lane::new(number, messages[number]));
        }
        match lanes.as_mut_slice() {
            [] => return digests,
            [a] => step(compress, [a]),
            [a, b] => step(compress, [a, b]),
            [a, b, c] => step(compress, [a, b, c]),
            [a, b, c, d, ..] => step(compress, [a, b, c, d]),
        }
        lanes.retain(|lane| {
            if lane.is_done() {
                digests[lane.number] = lane.digest();
            }
            !lane.is_done()
        });
    }
}

/// Goes on with all of `lanes` for as long as none has to change its part.
fn step<const N: usize>(compress: &impl Compress, mut lanes: [&mut Lane<'_>; N]) {
    let blocks = lanes.iter().map(|lane| lane.next().len() / BLOCK).min().unwrap_or(0);
    let mut states: [State; N] = std::array::from_fn(|lane| lanes[lane].state);
    compress.compress(&mut states, std::array::from_fn(|lane| lanes[lane].next()), blocks);
    for (lane, state) in lanes.iter_mut().zip(states) {
        lane.state = state;
        lane.advance(blocks * BLOCK);
    }
}
