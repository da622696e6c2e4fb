//! Buffers that go round: taken by workers, given back when the last user drops them.
//!
//! A fresh megabyte costs hundreds of page faults; a reused one none. A buffer is not cleared between uses.

use std::sync::{Arc, Mutex, PoisonError};

/// A stock of buffers shared by the workers of one job.
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer on loan; its contents are whatever its last user left until they are overwritten.
pub struct PooledBuffer {
    bytes: Vec<u8>,
    length: usize,
    pool: BufferPool,
}

impl BufferPool {
    /// An empty stock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer of `length` bytes with arbitrary contents.
    #[must_use]
    pub fn take(&self, length: usize) -> PooledBuffer {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        PooledBuffer { bytes, length, pool: self.clone() }
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl AsMut<[u8]> for PooledBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_taken_again() {
        let pool = BufferPool::new();
        let mut first = pool.take(1000);
        first.as_mut().fill(7);
        let address = first.as_ref().as_ptr();
        drop(first);
        let again = pool.take(10);
        assert_eq!((again.as_ref().as_ptr(), again.as_ref().len()), (address, 10));
        assert_eq!(pool.take(3).as_ref(), [0; 3]);
    }
}
