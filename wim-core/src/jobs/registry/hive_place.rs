//! Hives as people name them beside the roots that Windows has: by name, by user, or by their path in the image.
//!
//! These are the words of `--map` and `--user`. What they mean is found out per image, since users and paths differ.

use crate::base::{Error, Result};
use crate::image::WimPath;
use crate::servicing::hive_set::{HiveName, HiveSet};
use crate::servicing::registry::PathMap;

/// A hive that a user names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HivePlace {
    /// One that lies in the same place in every image.
    Hive(HiveName),
    /// The hive of the user whose profile folder has this name.
    User(String),
    /// The hive at this path of the image.
    Path(WimPath),
    /// The one hive of a hive file.
    File,
}

impl HivePlace {
    /// Reads what a prefix is mapped to: `.` for the hive file at hand, a path from the root of the image, or the name of a
    /// hive such as `SYSTEM`.
    ///
    /// # Errors
    /// `InvalidInput` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "." {
            return Ok(Self::File);
        }
        if text.starts_with(['\\', '/']) {
            return Ok(Self::Path(WimPath::parse(text)?));
        }
        let named = HiveName::ALL.into_iter().find(|name| name.label().eq_ignore_ascii_case(text));
        named.map(Self::Hive).ok_or_else(|| {
            let known: Vec<&str> = HiveName::ALL.into_iter().map(HiveName::label).collect();
            Error::invalid_input(format!(
                "{text} is no hive: {}, or a path such as \\Boot\\BCD",
                known.join(", ")
            ))
        })
    }

    /// Reads whose `HKEY_CURRENT_USER` is meant: `default` for the template of new users, `system` for that of services, a
    /// path from the root of the image, else the name of a profile folder.
    ///
    /// # Errors
    /// `InvalidInput` for a path that leads nowhere.
    pub fn parse_user(text: &str) -> Result<Self> {
        Ok(match text {
            _ if text.starts_with(['\\', '/']) => Self::Path(WimPath::parse(text)?),
            _ if text.eq_ignore_ascii_case("default") => Self::Hive(HiveName::DefaultUser),
            _ if text.eq_ignore_ascii_case("system") => Self::Hive(HiveName::Default),
            _ => Self::User(text.to_owned()),
        })
    }

    /// The hive that is meant in the image of `set`.
    pub(super) fn find(&self, set: &mut HiveSet<'_>) -> Result<HiveName> {
        let found = match self {
            Self::Hive(name) => return Ok(*name),
            Self::Path(path) => Some(set.add_path(path)?).filter(|name| set.path(*name).is_some()),
            Self::User(user) => set.user_hive(user)?,
            Self::File => {
                return Err(Error::invalid_input(
                    "\".\" means the hive of a hive file, and this is an image",
                )
                .remedy("name the hive: --map PREFIX=SYSTEM"));
            }
        };
        let shown = match self {
            Self::Path(path) => format!("the image has no hive {path}"),
            Self::User(user) => format!("the image has no user {user:?}"),
            Self::Hive(_) | Self::File => "no hive".to_owned(),
        };
        found.ok_or_else(|| {
            Error::not_found(shown).remedy("see wim reg ls TARGET for the hives that there are")
        })
    }
}

/// How a job reads paths of keys.
#[derive(Clone, Debug, Default)]
pub struct KeyPaths {
    /// Hive of `HKEY_CURRENT_USER`; none refuses such paths.
    pub current_user: Option<HivePlace>,
    /// Prefixes such as `HKEY_LOCAL_MACHINE\OFFLINE` with the hive that is meant; they come first.
    pub prefixes: Vec<(String, HivePlace)>,
}

impl KeyPaths {
    /// What the prefixes mean in the image of `set`.
    pub(super) fn in_image(&self, set: &mut HiveSet<'_>) -> Result<PathMap> {
        let current_user = self.current_user.as_ref().map(|place| place.find(set)).transpose()?;
        let prefixes = self.prefixes.iter();
        let prefixes = prefixes.map(|(prefix, place)| Ok((prefix.clone(), place.find(set)?)));
        Ok(PathMap { current_user, prefixes: prefixes.collect::<Result<_>>()? })
    }

    /// As [`Self::in_image`], for a hive file: everything means `name`. A user's own hive is the current user's.
    pub(super) fn in_file(&self, name: HiveName) -> PathMap {
        let is_user = self.current_user.is_some() || name == HiveName::DefaultUser;
        let prefixes = self.prefixes.iter().map(|(prefix, _)| (prefix.clone(), name)).collect();
        PathMap { current_user: is_user.then_some(name), prefixes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hives_are_named_in_several_ways() {
        assert_eq!(HivePlace::parse(".").unwrap(), HivePlace::File);
        assert_eq!(HivePlace::parse("software").unwrap(), HivePlace::Hive(HiveName::Software));
        let bcd = WimPath::parse("\\Boot\\BCD").unwrap();
        assert_eq!(HivePlace::parse("\\Boot\\BCD").unwrap(), HivePlace::Path(bcd.clone()));
        assert_eq!(HivePlace::parse("/Boot/BCD").unwrap(), HivePlace::Path(bcd));
        assert!(HivePlace::parse("NOSUCH").unwrap_err().to_string().contains("SOFTWARE"));
        assert_eq!(HivePlace::parse_user("Default").unwrap(), HivePlace::Hive(HiveName::DefaultUser));
        assert_eq!(HivePlace::parse_user("Bob").unwrap(), HivePlace::User("Bob".to_owned()));
    }
}
