//! The security descriptors of an image.
//!
//! Files refer to them by index, so an index never changes its meaning; the bytes are opaque. Equal descriptors are kept
//! once when they are added; a table that was loaded with duplicates keeps them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Error, Result, SecurityId};

/// Largest table: its length is a 32-bit number of bytes.
const MAX_TABLE_BYTES: u64 = u32::MAX as u64 - 8;

/// Self-relative security descriptors by id.
#[derive(Clone, Debug, Default)]
pub struct SecurityDescriptors {
    list: Vec<Arc<[u8]>>,
    /// The first id of each content; made when something is first added.
    ids: Option<HashMap<Arc<[u8]>, SecurityId>>,
    bytes: u64,
}

impl SecurityDescriptors {
    /// A table as loaded; ids are positions.
    #[must_use]
    pub fn from_list<'a>(list: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let list: Vec<Arc<[u8]>> = list.into_iter().map(Arc::from).collect();
        let bytes = list.iter().map(|descriptor| descriptor.len() as u64 + 8).sum();
        Self { list, ids: None, bytes }
    }

    /// Number of descriptors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The descriptor with this id.
    #[must_use]
    pub fn get(&self, id: SecurityId) -> Option<&[u8]> {
        self.list.get(id.0 as usize).map(|descriptor| &**descriptor)
    }

    /// All of them in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.list.iter().map(|descriptor| &**descriptor)
    }

    /// The id of `descriptor`, which is added when it is new.
    ///
    /// # Errors
    /// `Limit` when the table would reach 4 GiB.
    pub fn add(&mut self, descriptor: &[u8]) -> Result<SecurityId> {
        let list = &mut self.list;
        let ids = self.ids.get_or_insert_with(|| {
            let mut ids = HashMap::new();
            for (id, descriptor) in (0u32..).zip(list.iter()) {
                ids.entry(Arc::clone(descriptor)).or_insert(SecurityId(id));
            }
            ids
        });
        if let Some(&id) = ids.get(descriptor) {
            return Ok(id);
        }
        let bytes = self.bytes + descriptor.len() as u64 + 8;
        let id =
            u32::try_from(list.len()).ok().filter(|&id| id < i32::MAX as u32 && bytes <= MAX_TABLE_BYTES);
        let id = id.map(SecurityId).ok_or_else(|| {
            Error::limit(format!(
                "a security table of {} descriptors and {bytes} bytes is too large",
                list.len()
            ))
        })?;
        let descriptor: Arc<[u8]> = descriptor.into();
        list.push(Arc::clone(&descriptor));
        ids.insert(descriptor, id);
        self.bytes = bytes;
        Ok(id)
    }
}

impl PartialEq for SecurityDescriptors {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_descriptors_share_an_id() {
        let mut table = SecurityDescriptors::from_list([&b"a"[..], b"b", b"a"]);
        assert_eq!(table.add(b"b").unwrap(), SecurityId(1));
        assert_eq!(table.add(b"a").unwrap(), SecurityId(0));
        assert_eq!(table.add(b"c").unwrap(), SecurityId(3));
        assert_eq!(table.add(b"c").unwrap(), SecurityId(3));
        assert_eq!(table.get(SecurityId(2)), Some(&b"a"[..]));
        assert_eq!(table.get(SecurityId(4)), None);
        assert_eq!(table.len(), 4);
    }
}
