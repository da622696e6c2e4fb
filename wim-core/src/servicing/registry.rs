//! x
use crate::base::Result;
use crate::formats::reg_file::RegFile;
use crate::servicing::hive_set::HiveSet;
/// x
pub fn import(_: &RegFile, _: &mut HiveSet<'_>, _: &str) -> Result<()> {
    Ok(())
}
