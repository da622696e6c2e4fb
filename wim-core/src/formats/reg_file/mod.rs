//! x
use crate::base::Result;
/// x
pub struct RegFile;
impl RegFile {
    /// x
    pub fn parse(_: &[u8]) -> Result<Self> {
        Ok(Self)
    }
}
