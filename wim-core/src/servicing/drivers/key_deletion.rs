//! Deleting a key of an image's registry so that it can be put back: value by value and key by key, the deepest first.
//!
//! Source: drivers.md 1.9 (DelReg lines without a value) and 3.6. The journal then has all that was there, access lists and class names
//! of the keys too.

use crate::base::{Error, Result};
use crate::servicing::hive_set::{HiveName, HiveSet};

/// How much one package may delete with keys: it all goes on the list of added drivers.
pub(super) struct DeletionBudget {
    /// Keys and values.
    entries: usize,
    /// Bytes of values' data.
    bytes: usize,
}

impl Default for DeletionBudget {
    fn default() -> Self {
        const ENTRIES: usize = 10_000;
        // A sixteenth of what the list may have, where every byte takes two.
        const BYTES: usize = 4 << 20;
        Self { entries: ENTRIES, bytes: BYTES }
    }
}

impl DeletionBudget {
    /// Deletes a key with all below it; how many values that were, none when it is not there.
    ///
    /// # Errors
    /// `Limit` when it holds more than is left of the budget: what was deleted before that is in the journal; else what editing the
    /// hive gives.
    pub(super) fn delete(
        &mut self,
        hives: &mut HiveSet<'_>,
        hive: HiveName,
        key: &str,
        reason: &str,
    ) -> Result<Option<usize>> {
        if !hives.key_exists(hive, key)? {
            return Ok(None);
        }
        let mut keys = vec![key.to_owned()];
        let mut at = 0;
        while let Some(path) = keys.get(at).cloned() {
            at += 1;
            let below = hives.subkeys(hive, &path)?;
            self.spend(hive, key, below.len(), 0)?;
            keys.extend(below.into_iter().map(|name| format!("{path}\\{name}")));
        }
        let mut count = 0;
        // Every key lies behind the one above it.
        for path in keys.iter().rev() {
            let values = hives.values(hive, path)?;
            let traits = hives.traits(hive, path)?.unwrap_or_default();
            let beside =
                traits.security.map_or(0, |bytes| bytes.len()) + traits.class.map_or(0, |text| text.len());
            let bytes = values.iter().map(|(_, value)| value.data.len()).sum::<usize>() + beside;
            self.spend(hive, key, values.len(), bytes)?;
            count += values.len();
            // They are put back the other way round, and so come in the order they have.
            for (name, _) in values.iter().rev() {
                hives.delete_value(hive, path, name, reason)?;
            }
            hives.delete_key(hive, path, reason)?;
        }
        Ok(Some(count))
    }

    fn spend(&mut self, hive: HiveName, key: &str, entries: usize, bytes: usize) -> Result<()> {
        let left = self.entries.checked_sub(entries).zip(self.bytes.checked_sub(bytes));
        let Some((entries, bytes)) = left else {
            let what = format!(
                "it deletes the key {}\\{key}, which holds more than could be put back when the driver goes",
                hive.label()
            );
            return Err(Error::limit(what).remedy("no driver needs that; get the package from its vendor"));
        };
        (self.entries, self.bytes) = (entries, bytes);
        Ok(())
    }
}
