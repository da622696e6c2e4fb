//! Different versions of one driver in the images of one medium.
//!
//! Source: drivers.md 3.4 and 6.5 (KB2686316): Setup loads the first version that it meets, whatever its rank, and the other may be
//! marked as bad. It compares what lists of drivers say; which version is right is the user's choice.

use std::collections::{BTreeMap, BTreeSet};

use super::list::ListedDriver;

/// One text for each third-party driver that several images have in different versions; `images` are names and lists.
#[must_use]
pub fn mixed_versions(images: &[(String, &[ListedDriver])]) -> Vec<String> {
    type Key = (String, Option<String>, Option<String>);
    let mut found: BTreeMap<Key, BTreeMap<String, BTreeSet<&str>>> = BTreeMap::new();
    for (image, drivers) in images {
        for driver in drivers.iter().filter(|driver| !driver.inbox) {
            let provider = driver.provider.as_ref().map(|name| name.to_lowercase());
            let key = (driver.inf.to_lowercase(), provider, driver.arch.clone());
            let version = driver.version.clone().unwrap_or_else(|| "unknown".to_owned());
            found.entry(key).or_default().entry(version).or_default().insert(image);
        }
    }
    // Versions that the same images have side by side are another matter: Windows chooses there.
    let differs = |versions: &BTreeMap<String, BTreeSet<&str>>| {
        let mut sets: Vec<&BTreeSet<&str>> = versions.values().collect();
        sets.dedup();
        sets.len() > 1
    };
    found
        .into_iter()
        .filter(|(_, versions)| differs(versions))
        .map(|((inf, _, arch), versions)| {
            let parts: Vec<String> = versions
                .iter()
                .map(|(version, images)| {
                    let images: Vec<&str> = images.iter().copied().collect();
                    format!("{version} in {}", images.join(", "))
                })
                .collect();
            format!(
                "{inf} ({}) has different versions: {}; Setup loads the first that it meets, so use one everywhere",
                arch.unwrap_or_default(),
                parts.join("; ")
            )
        })
        .collect()
}
