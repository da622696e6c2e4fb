//! The preprocess stream of a delta: what its target's PE headers hold, and the rifts between reference and target.

use super::bits::BitReader;
use super::pe_transforms::{CliMap, CliMetadata};
use super::rift::Rift;
use crate::base::Result;

/// A preprocess stream.
#[derive(Clone, Debug, Default)]
pub struct Preprocess {
    /// ImageBase of the target.
    pub image_base: u64,
    /// TimeDateStamp of the target.
    pub time_stamp: u32,
    /// Addresses of the target to its file offsets.
    pub file_rift: Rift,
    /// Addresses of the reference to addresses of the target.
    pub address_rift: Rift,
    /// Where the target's managed metadata lies, if the delta says so.
    pub cli_metadata: Option<CliMetadata>,
    /// How the reference's managed metadata is renumbered, if it is.
    pub cli_map: Option<CliMap>,
}

impl Preprocess {
    /// Reads the stream in `bytes`, which begins at `base` of the delta.
    ///
    /// # Errors
    /// `Format` when it breaks its rules.
    pub fn parse(bytes: &[u8], base: u64) -> Result<Self> {
        let mut bits = BitReader::new("preprocess stream", bytes, base)?;
        let image_base = bits.take("ImageBase", 64)?;
        // 0 in all deltas known; the target's own comes with its bytes.
        bits.take32("CheckSum", 32)?;
        let time_stamp = bits.take32("TimeDateStamp", 32)?;
        let file_rift = Rift::read(&mut bits)?;
        let cli_metadata = bits.bit("CLI metadata")?.then(|| CliMetadata::read(&mut bits)).transpose()?;
        let address_rift = Rift::read(&mut bits)?;
        let has_map = bits.bits_left() > 0 && bits.bit("CLI map")?;
        let cli_map = has_map.then(|| CliMap::read(&mut bits)).transpose()?;
        bits.finish("end of the preprocess stream")?;
        Ok(Self { image_base, time_stamp, file_rift, address_rift, cli_metadata, cli_map })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    fn pairs(rift: &Rift) -> Vec<(i64, i64)> {
        rift.entries().iter().map(|e| (e.source, e.target)).collect()
    }

    /// Whole streams of real deltas: between two machines, amd64, i386.
    #[test]
    fn real_streams_are_read() {
        let crossing = Preprocess::parse(&bytes_of("0100000000000000000000000000000000"), 0).unwrap();
        assert_eq!((crossing.image_base, crossing.time_stamp), (0, 0));
        assert!(crossing.file_rift.is_empty() && crossing.address_rift.is_empty());

        let amd64 =
            "020000000c00000000000000903fe83ebb01a02daaaaaaaaaaaaaaaaaaaaaa0a1a1a00600fb83800064001600004";
        let amd64 = Preprocess::parse(&bytes_of(amd64), 0).unwrap();
        assert_eq!((amd64.image_base, amd64.time_stamp), (0x1_8000_0000, 0x67DD_07F2));
        let pages = [0, 0x1000, 0x2000, 0x4000, 0x5000].map(|page| (page, page));
        assert_eq!(pairs(&amd64.file_rift), pages);
        assert!(amd64.address_rift.is_empty() && amd64.cli_map.is_none());

        let i386 = "030000800000000000000000a0fa2dad9a01d01d9999999999999999999999091970e11d9999999999999999\
                    999999904703e0ff01f07f3300b6555555554543555555555535420f08d4555555454341d36029266d4c0a";
        let i386 = Preprocess::parse(&bytes_of(i386), 0).unwrap();
        assert_eq!((i386.image_base, i386.time_stamp), (0x1000_0000, 0x55A5_BF54));
        assert_eq!(pairs(&i386.file_rift), [(0, 0), (0x1000, 0x400), (0x2000, 0x800)]);
        let moved = [(0x1160, 0x115C), (0x1188, 0x1180), (0x119C, 0x1192), (0x1FFF, 0x1FFF)];
        assert_eq!(pairs(&i386.address_rift), moved);
    }

    #[test]
    fn cut_and_overlong_streams_are_refused() {
        let whole = bytes_of("0100000000000000000000000000000000");
        for length in 0..whole.len() {
            assert!(Preprocess::parse(&whole[..length], 0).is_err(), "{length}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(Preprocess::parse(&longer, 0).is_err());
    }
}
