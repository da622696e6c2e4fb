//! Rivals in process: the same work done by other libraries, for the same bench.

#[cfg(feature = "peer-nt-hive")]
pub mod nt_hive;
#[cfg(feature = "peer-wimlib")]
pub mod wimlib;

/// What a walk over a hive met: every reader must come to the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Keys, the root included.
    pub keys: u64,
    /// UTF-16 units of all names of keys.
    pub name_units: u64,
    /// Values.
    pub values: u64,
    /// Bytes of all data.
    pub data_bytes: u64,
    /// Sum of the first and last byte of each value's data.
    pub edges: u64,
}

impl Walked {
    /// Counts the data of a value.
    pub fn data(&mut self, data: &[u8]) {
        self.data_bytes += data.len() as u64;
        let ends = [data.first(), data.last()];
        self.edges += ends.into_iter().flatten().map(|&byte| u64::from(byte)).sum::<u64>();
    }
}
