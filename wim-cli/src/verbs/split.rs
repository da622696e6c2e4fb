//! `wim split`: a file made into parts.

use std::path::PathBuf;

use clap::Args;
use wim_core::base::Error;
use wim_core::jobs::split::{self, PartSize};

use crate::arguments::IntegrityArguments;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Split a WIM file into parts, such as install.swm, install2.swm, install3.swm
///
/// PART_SIZE is in MiB and may have a fraction; 4294967295 bytes, the most that FAT32 holds, are a little less than 4096.
/// No part becomes larger unless a single resource is. Files of the parts' names are replaced. With --json: path, and
/// parts, each with path, file_bytes and resources.
#[derive(Args, Debug)]
#[command(override_usage = "wim split [OPTIONS] <WIMFILE> <SPLIT_WIM_PART_1> <PART_SIZE>\n       \
                            wim split [OPTIONS] <WIMFILE> <SPLIT_WIM_PART_1> --parts=<N>")]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// The first part; the others get numbers before the extension
    split_wim_part_1: PathBuf,
    /// Largest size of a part in MiB
    #[arg(value_parser = parse_part_size, required_unless_present = "parts")]
    part_size: Option<u64>,
    /// Make at most N parts, about equally large
    #[arg(long, value_name = "N", conflicts_with = "part_size", value_parser = clap::value_parser!(u16).range(1..))]
    parts: Option<u16>,
    #[command(flatten)]
    integrity: IntegrityArguments,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let size = match (self.parts, self.part_size) {
            (Some(count), _) => PartSize::Count(count),
            (None, Some(bytes)) => PartSize::Bytes(bytes),
            (None, None) => return Err(Error::invalid_input("give the size of a part in MiB").into()),
        };
        let (integrity, check) = (self.integrity.choice(), self.integrity.check());
        let done = session
            .run(|cx| split::run(cx, &self.wimfile, &self.split_wim_part_1, size, integrity, check))?;
        if session.shell.is_json() {
            session.shell.json("split", &done)?;
        }
        Ok(Outcome::Done)
    }
}

/// MiB with a fraction, as wimlib takes them, in bytes.
fn parse_part_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size in MiB");
    let text = text.trim_start();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return Err(wrong());
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| wrong())? };
    let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
    let bytes = whole.checked_mul(1 << 20).and_then(|b| b.checked_add((fraction << 20) / 1_000_000_000));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_mebibytes_with_fractions() {
        for (text, bytes) in [("1", 1 << 20), (" 4096", 4096 << 20), ("0.5", 1 << 19), (".25", 1 << 18)] {
            assert_eq!(parse_part_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", ".", "0", "0.0", "-1", "1K", "1e3", "99999999999999"] {
            assert!(parse_part_size(bad).is_err(), "{bad}");
        }
    }
}
