//! New hives: a root key, one security descriptor, nothing else; everything more comes by editing.
//!
//! Used for BCD stores, demo images and tests, and as the start of a rebuild. The result depends on the options alone.

use super::base_block::{self, BASE_BLOCK_BYTES, BaseBlock};
use super::cell::{Bins, put, put_u32};
use super::key::{NewKey, at};
use super::name;
use super::reader::State;
use super::{Hive, HiveVersion, key_flags};
use crate::base::{FileTime, Result};

/// What a new hive is made of.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Name of the root key; Windows never shows it.
    pub root_name: String,
    /// File name in the base block, informational.
    pub file_name: String,
    /// Time of the root key and of the base block.
    pub time: FileTime,
    /// Security descriptor of the root, self-relative; new keys inherit it.
    pub security: Vec<u8>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            root_name: "ROOT".to_owned(),
            file_name: String::new(),
            time: FileTime(0),
            security: default_security(),
        }
    }
}

/// Owner and group Administrators; full access for Administrators and SYSTEM, read for Everyone; all of it inherited by
/// subkeys: what the roots of Windows' own machine hives grant.
pub(super) fn default_security() -> Vec<u8> {
    const KEY_ALL_ACCESS: u32 = 0x000F_003F;
    const KEY_READ: u32 = 0x0002_0019;
    const CONTAINER_INHERIT: u8 = 2;
    let administrators: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
    let system: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    let everyone: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let mut acl = vec![2, 0, 0, 0, 3, 0, 0, 0];
    for (sid, access) in [(administrators, KEY_ALL_ACCESS), (system, KEY_ALL_ACCESS), (everyone, KEY_READ)] {
        let size = u16::try_from(8 + sid.len()).unwrap_or(u16::MAX);
        acl.extend([0, CONTAINER_INHERIT]);
        acl.extend(size.to_le_bytes());
        acl.extend(access.to_le_bytes());
        acl.extend(sid);
    }
    let size = u16::try_from(acl.len()).unwrap_or(u16::MAX);
    put(&mut acl, 2, &size.to_le_bytes());
    // Revision 1; self-relative with a discretionary list.
    let mut descriptor = vec![1, 0, 0x04, 0x80];
    descriptor.resize(20, 0);
    put_u32(&mut descriptor, 16, 20);
    descriptor.extend(&acl);
    for field in [4, 8] {
        let offset = super::cell::len_u32(descriptor.len());
        put_u32(&mut descriptor, field, offset);
        descriptor.extend(administrators);
    }
    descriptor
}

impl Hive {
    /// A hive with a root key and its security descriptor.
    ///
    /// # Errors
    /// `InvalidInput` when the root's name is empty or longer than 255 units, `Limit` when the descriptor is too large.
    pub fn create(version: HiveVersion, options: &CreateOptions) -> Result<Self> {
        /// The root's node comes first in every hive that Windows makes.
        const ROOT: u32 = 0x20;
        let units: Vec<u16> = options.root_name.encode_utf16().collect();
        if units.is_empty() || units.len() > super::key::MAX_KEY_NAME_UNITS {
            return Err(crate::base::Error::invalid_input("the name of a root key has 1 to 255 characters"));
        }
        let mut bytes = base_block::create(version, ROOT, options.time, &options.file_name);
        let base = BaseBlock::parse_new(&bytes)?;
        bytes.resize(BASE_BLOCK_BYTES + 4096, 0);
        put(&mut bytes, BASE_BLOCK_BYTES, b"hbin");
        put_u32(&mut bytes, BASE_BLOCK_BYTES + 8, 4096);
        put(&mut bytes, BASE_BLOCK_BYTES + 20, &options.time.0.to_le_bytes());
        put_u32(&mut bytes, BASE_BLOCK_BYTES + 32, 4096 - 32);
        let mut bins = Bins::parse(bytes, 4096)?;
        let (name, compressed) = name::encode(&units);
        let flags = key_flags::HIVE_ENTRY | key_flags::NO_DELETE;
        let record = NewKey {
            name: &name,
            compressed,
            flags,
            time: options.time,
            parent: super::cell::NIL,
            security: 0,
        };
        let record = record.to_bytes();
        let root = bins.allocate(record.len(), 0)?;
        bins.write(root, 0, &record)?;
        let security = bins.new_security(&options.security, root)?;
        bins.write_u32(root, at::SECURITY, security)?;
        let edit_time = options.time;
        Ok(Self { bins, base, edit_time, state: State::Sound, is_new: true })
    }
}

impl BaseBlock {
    /// Parses a block that was just made; its sequence numbers begin so that the first finish writes 1.
    fn parse_new(bytes: &[u8]) -> Result<Self> {
        let mut base = Self::parse(bytes)?;
        base.primary_sequence = 0;
        base.secondary_sequence = 0;
        Ok(base)
    }
}
