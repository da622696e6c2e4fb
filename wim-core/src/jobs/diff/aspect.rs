//! What two files can differ in, by name, and what of it a comparison looks at.
//!
//! The names are those of the command line and of the JSON; groups such as `times` stand for several of them.

use crate::base::{Error, Result};

/// One thing that two files can differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// The unnamed data.
    Content,
    /// The bytes of a registry hive whose keys and values are the same.
    HiveLayout,
    /// Named streams.
    Streams,
    /// Attributes.
    Attributes,
    /// Time of creation.
    CreationTime,
    /// Time of the last write.
    WriteTime,
    /// Time of the last access.
    AccessTime,
    /// Security descriptor.
    Security,
    /// 8.3 name.
    ShortName,
    /// Tag, flags and data of a reparse point.
    Reparse,
    /// Which names are one file.
    Links,
    /// Tagged items: object ids, extended attributes, Unix data.
    Items,
    /// Spelling of the name: case.
    Case,
    /// The unnamed field of a dentry at 0x54.
    Reserved,
}

/// Words of the command line and what they mean.
const WORDS: [(&str, &[Aspect]); 15] = [
    ("content", &[Aspect::Content, Aspect::HiveLayout]),
    ("hive-layout", &[Aspect::HiveLayout]),
    ("streams", &[Aspect::Streams]),
    ("attributes", &[Aspect::Attributes]),
    ("times", &[Aspect::CreationTime, Aspect::WriteTime, Aspect::AccessTime]),
    ("creation-time", &[Aspect::CreationTime]),
    ("write-time", &[Aspect::WriteTime]),
    ("access-time", &[Aspect::AccessTime]),
    ("security", &[Aspect::Security]),
    ("short-names", &[Aspect::ShortName]),
    ("reparse", &[Aspect::Reparse]),
    ("links", &[Aspect::Links]),
    ("items", &[Aspect::Items]),
    ("case", &[Aspect::Case]),
    ("reserved", &[Aspect::Reserved]),
];

/// A set of aspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Aspects(u32);

impl Aspects {
    /// The aspects that words with commas between them name: `times`, `write-time`, `security` and so on.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown word, with those there are.
    pub fn parse(text: &str) -> Result<Self> {
        let mut set = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let Some((_, aspects)) = WORDS.iter().find(|(name, _)| *name == word) else {
                let known: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
                return Err(Error::invalid_input(format!("{word:?} is nothing that files can differ in"))
                    .remedy(format!("name some of: {}", known.join(", "))));
            };
            set = aspects.iter().fold(set, |set, &aspect| set.with(aspect));
        }
        Ok(set)
    }

    /// This set with one more.
    #[must_use]
    pub fn with(self, aspect: Aspect) -> Self {
        Self(self.0 | 1 << aspect as u32)
    }

    /// Those of either set.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when it is in the set.
    #[must_use]
    pub fn has(self, aspect: Aspect) -> bool {
        self.0 & 1 << aspect as u32 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_groups_are_known() {
        let set = Aspects::parse("times, case").unwrap();
        assert!(set.has(Aspect::AccessTime) && set.has(Aspect::Case) && !set.has(Aspect::Content));
        assert_eq!(set, Aspects::parse("case,creation-time,write-time,access-time").unwrap());
        assert_eq!(Aspects::parse("").unwrap(), Aspects::default());
        let error = Aspects::parse("time").unwrap_err();
        assert!(error.remedy_text().unwrap().contains("write-time"));
    }
}
