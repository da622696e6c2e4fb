//! Which installers of Windows a component needs to run.
//!
//! Source: updates.md 4.3. Files, directories, registry values, links and security are data that can be put in place;
//! anything else is work for a program that only Windows has. What is not known to be harmless counts as such work.

use crate::formats::cbs::{ComponentManifest, Membership};

/// Elements that are records only: nothing runs for them.
const RECORDS: [&str; 7] =
    ["localization", "description", "migration", "configuration", "rescache", "feature", "noInheritable"];
/// Categories that mark a component and run nothing.
const QUIET_CATEGORIES: [&str; 2] = ["SingleInstanceFiles", "BootRecovery"];

/// What elements and categories ask for, in words.
const WORDS: [(&str, &str); 16] = [
    ("instrumentation", "instrumentation (event providers and counters)"),
    ("genericCommands", "generic commands"),
    ("taskScheduler", "scheduled tasks"),
    ("firewallRule", "firewall rules"),
    ("firewallRules", "firewall rules"),
    ("mof", "management objects (WMI)"),
    ("ngen", "native images of .NET"),
    ("urlReservationInstaller", "reservations of URLs"),
    ("unattendActions", "actions of unattended setup"),
    ("Service", "a service"),
    ("SvcHost", "a group of service hosts"),
    ("NetworkComponents", "network components"),
    ("PerformanceCounters", "performance counters"),
    ("EventProviders", "event providers"),
    ("driver", "a driver"),
    ("operationHint", "registry values that are not plainly replaced"),
];

/// The installers that a component needs, in words, each once; none when its content is data alone.
#[must_use]
pub fn installers_needed(manifest: &ComponentManifest) -> Vec<String> {
    let mut needed: Vec<String> = Vec::new();
    let mut add = |what: &str| {
        let word = WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(what));
        let word = word.map_or_else(|| format!("an installer for {what}"), |(_, word)| (*word).to_owned());
        if !needed.contains(&word) {
            needed.push(word);
        }
    };
    let elements = manifest.other_elements.iter();
    elements.filter(|element| !RECORDS.contains(&element.as_str())).for_each(|element| add(element));
    manifest.memberships.iter().filter(|m| !is_quiet(m)).for_each(|m| add(&m.category));
    let mut values = manifest.registry_keys.iter().flat_map(|key| &key.values);
    let is_plain = |hint: &str| hint.eq_ignore_ascii_case("replace");
    if values.any(|value| value.operation_hint.as_deref().is_some_and(|hint| !is_plain(hint))) {
        add("operationHint");
    }
    needed
}

fn is_quiet(membership: &Membership) -> bool {
    !membership.has_data && QUIET_CATEGORIES.iter().any(|quiet| membership.category.starts_with(quiet))
}
