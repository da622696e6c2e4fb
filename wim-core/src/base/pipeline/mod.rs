//! The ordered, memory-bounded pipeline under reading, writing and verifying.
//!
//! [`map_in_order`] runs workers over items on a `rayon` pool and hands the results to one sink in item order. Its five
//! promises: **order** (the sink sees results 0, 1, 2 … on the calling thread), **bound** (scratch and permits stay within
//! the budget), **no deadlock** (permits are granted in item order; no worker waits for another), **stop** (the first
//! error in item order wins; cancelling ends it), **reuse** (each worker keeps its codec and scratch). It does not know
//! what the items are.
//!
//! [`DigestChain`] hashes a blob whose chunks are decoded out of order, without a thread waiting; [`side_by_side`] does two things at a time.

mod budget;
mod buffers;
mod digest_chain;
mod ring;
mod side_by_side;

pub use budget::Budget;
pub use buffers::{BufferPool, PooledBuffer};
pub use digest_chain::DigestChain;
pub use ring::{Cost, map_in_order};
pub use side_by_side::side_by_side;
