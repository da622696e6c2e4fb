//! The digest by which signatures and catalogs know a program: its bytes without what a signature changes.
//!
//! Microsoft's "Windows Authenticode Portable Executable Signature Format" describes it. Checksum, the directory entry of the
//! certificate table and the table itself are left out; data behind the table counts again.

use super::PeFile;

/// Signers pad what they digest to whole blocks of this size.
const PADDING: usize = 8;

impl<'a> PeFile<'a> {
    /// The pieces of the file that are digested, in order; none when the headers lie about where the pieces are.
    #[must_use]
    pub fn authenticode_pieces(&self) -> Option<Vec<&'a [u8]>> {
        const ZEROS: [u8; PADDING] = [0; PADDING];
        let checksum = self.checksum_offset();
        let mut pieces = vec![self.bytes.get(..checksum)?];
        let (table, size) = self.certificate_table().unwrap_or((0, 0));
        let end = if size == 0 { self.bytes.len() } else { (table as usize).min(self.bytes.len()) };
        match self.certificate_directory_offset() {
            Some(entry) => {
                pieces.push(self.bytes.get(checksum + 4..entry)?);
                pieces.push(self.bytes.get(entry + 8..end)?);
            }
            None => pieces.push(self.bytes.get(checksum + 4..end)?),
        }
        if size == 0 {
            let rest = self.bytes.len() % PADDING;
            if rest != 0 {
                pieces.push(ZEROS.get(rest..)?);
            }
        } else {
            let after = (table as usize).checked_add(size as usize)?;
            pieces.push(self.bytes.get(after..).unwrap_or(&[]));
        }
        Some(pieces)
    }
}
