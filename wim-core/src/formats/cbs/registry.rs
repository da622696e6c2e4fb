//! Registry keys and values of a component manifest.

use roxmltree::Node;

use super::document::{attribute, child, named, text};

/// A `registryKey` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryKeyEntry {
    /// Its path from the root, as written: `HKEY_LOCAL_MACHINE\SOFTWARE\…`.
    pub path: String,
    /// `true` when this component owns it.
    pub owner: Option<String>,
    /// Name of its security descriptor among the definitions.
    pub security: Option<String>,
    /// Its values.
    pub values: Vec<RegistryValueEntry>,
}

/// A `registryValue` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryValueEntry {
    /// Its name; empty for the default value.
    pub name: String,
    /// `REG_SZ` and the like, as written.
    pub kind: String,
    /// Its data as text; none when the attribute is absent.
    pub data: Option<String>,
    /// `replace`, `append` …; none when the element does not say, which means replace.
    pub operation_hint: Option<String>,
    /// True for a value that others may change afterwards.
    pub is_mutable: bool,
}

/// Reads all keys of the `registryKeys` elements of an assembly.
pub(super) fn read_keys(root: Node<'_, '_>) -> Vec<RegistryKeyEntry> {
    named(root, "registryKeys").flat_map(|keys| named(keys, "registryKey")).map(read_key).collect()
}

fn read_key(node: Node<'_, '_>) -> RegistryKeyEntry {
    RegistryKeyEntry {
        path: text(node, "keyName"),
        owner: attribute(node, "owner"),
        security: child(node, "securityDescriptor").map(|security| text(security, "name")),
        values: named(node, "registryValue").map(read_value).collect(),
    }
}

fn read_value(node: Node<'_, '_>) -> RegistryValueEntry {
    RegistryValueEntry {
        name: text(node, "name"),
        kind: text(node, "valueType"),
        data: attribute(node, "value"),
        operation_hint: attribute(node, "operationHint"),
        is_mutable: text(node, "mutable").eq_ignore_ascii_case("true"),
    }
}
