//! Differences between two hives, by meaning: keys, values, class names, descriptors, flags; layout does not count.
//!
//! Both trees are walked together in their common order. Times differ in every edited hive, so they are looked at
//! only when asked for.

use std::cmp::Ordering;

use super::reader::MAX_DEPTH;
use super::{Hive, KeyRef, RegValue};
use crate::base::{Error, Result};

/// Something a key has besides values and subkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPart {
    /// Spelling of its name: case.
    Name,
    /// Class name.
    Class,
    /// Security descriptor.
    Security,
    /// Flags, virtualization and access bits.
    Flags,
    /// Time of the last write.
    LastWritten,
}

/// One difference between an old and a new hive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A key that only the new hive has; its subkeys and values are not listed again.
    KeyAdded {
        /// Path below the root.
        key: String,
    },
    /// A key that only the old hive has, with everything below.
    KeyRemoved {
        /// Path below the root.
        key: String,
    },
    /// A key that both have, and that differs in this.
    KeyChanged {
        /// Path below the root.
        key: String,
        /// In what.
        part: KeyPart,
    },
    /// A value that differs, or that one of them has not.
    Value {
        /// Path of its key below the root.
        key: String,
        /// Its name; empty for the default value.
        value: String,
        /// What it was.
        old: Option<RegValue>,
        /// What it is.
        new: Option<RegValue>,
    },
}

/// Whether times of keys are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareTimes {
    /// Yes.
    Yes,
    /// No: only what programs see.
    No,
}

impl Hive {
    /// What is different in `new`, in the order of the keys.
    ///
    /// # Errors
    /// `Format` when a record of either hive is damaged, or keys lie deeper than 512 levels.
    pub fn diff(&self, new: &Self, times: CompareTimes) -> Result<Vec<Difference>> {
        let mut walk = Walk { out: Vec::new(), path: Vec::new(), times, keys: 0 };
        // A list that leads back up would go on for ever; no tree has more keys than both hives have cells.
        walk.keys = (self.bins.size / 80 + new.bins.size / 80).saturating_add(1);
        walk.key(&self.root()?, &new.root()?)?;
        Ok(walk.out)
    }
}

struct Walk {
    out: Vec<Difference>,
    path: Vec<String>,
    times: CompareTimes,
    /// Keys that may still be visited.
    keys: u32,
}

impl Walk {
    fn path_text(&self) -> String {
        self.path.join("\\")
    }

    fn changed(&mut self, part: KeyPart) {
        let key = self.path_text();
        self.out.push(Difference::KeyChanged { key, part });
    }

    fn key(&mut self, old: &KeyRef<'_>, new: &KeyRef<'_>) -> Result<()> {
        self.keys = self.keys.checked_sub(1).ok_or_else(|| Error::corrupt("keys are reached twice"))?;
        if self.path.len() >= MAX_DEPTH {
            return Err(Error::limit("keys deeper than 512 levels"));
        }
        if !self.path.is_empty() && old.name().units() != new.name().units() {
            self.changed(KeyPart::Name);
        }
        if old.class()? != new.class()? {
            self.changed(KeyPart::Class);
        }
        if old.security()? != new.security()? {
            self.changed(KeyPart::Security);
        }
        let compressed = !super::key_flags::COMPRESSED_NAME;
        if (old.flags() ^ new.flags()) & compressed != 0 || old.other_bits() != new.other_bits() {
            self.changed(KeyPart::Flags);
        }
        if self.times == CompareTimes::Yes && old.last_written() != new.last_written() {
            self.changed(KeyPart::LastWritten);
        }
        self.values(old, new)?;
        self.subkeys(old, new)
    }

    fn values(&mut self, old: &KeyRef<'_>, new: &KeyRef<'_>) -> Result<()> {
        let mut news: std::collections::BTreeMap<Vec<u16>, _> = std::collections::BTreeMap::new();
        for value in new.values() {
            let value = value?;
            news.insert(value.name().upcased(), value);
        }
        for before in old.values() {
            let before = before?;
            let after = news.remove(&before.name().upcased());
            let is_same = match &after {
                Some(after) => {
                    after.kind() == before.kind()
                        && after.name().units() == before.name().units()
                        && after.data()? == before.data()?
                }
                None => false,
            };
            if !is_same {
                let new = after.map(|after| after.to_reg_value()).transpose()?;
                self.value(before.name().to_text(), Some(before.to_reg_value()?), new);
            }
        }
        for after in new.values() {
            let after = after?;
            if news.contains_key(&after.name().upcased()) {
                self.value(after.name().to_text(), None, Some(after.to_reg_value()?));
            }
        }
        Ok(())
    }

    fn value(&mut self, value: String, old: Option<RegValue>, new: Option<RegValue>) {
        let key = self.path_text();
        self.out.push(Difference::Value { key, value, old, new });
    }

    fn subkeys(&mut self, old: &KeyRef<'_>, new: &KeyRef<'_>) -> Result<()> {
        let (mut olds, mut news) = (old.subkeys(), new.subkeys());
        let (mut before, mut after) = (olds.next().transpose()?, news.next().transpose()?);
        loop {
            let order = match (&before, &after) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.name().cmp_upcased(&after.name().upcased()),
            };
            let name = match (&before, &after) {
                (Some(before), _) if order.is_le() => before.name(),
                (_, Some(after)) => after.name(),
                _ => return Ok(()),
            };
            self.path.push(name.to_text());
            match (&before, &after) {
                (Some(before), Some(after)) if order.is_eq() => self.key(before, after)?,
                _ if order.is_lt() => {
                    let key = self.path_text();
                    self.out.push(Difference::KeyRemoved { key });
                }
                _ => {
                    let key = self.path_text();
                    self.out.push(Difference::KeyAdded { key });
                }
            }
            self.path.pop();
            if order.is_le() {
                before = olds.next().transpose()?;
            }
            if order.is_ge() {
                after = news.next().transpose()?;
            }
        }
    }
}
