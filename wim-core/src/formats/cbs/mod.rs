//! The documents of component-based servicing: packages (`.mum`), deployments and components (`.manifest`).
//!
//! The formats are known from Microsoft's assembly manifest reference and from the real updates of Windows 7 to 8.1
//! (updates.md 4). Documents are read into typed models and never written: catalogs hash them as they are. What an element
//! asks of an image is for `servicing::updates` to judge; elements that are not known here are kept by name.
//!
//! | file | subject |
//! |---|---|
//! | `document.rs` | opening a document safely |
//! | `cix.rs` | container indexes: how a package's files are rebuilt |
//! | `identity.rs` | versions, identities of assemblies, names of packages |
//! | `mum.rs` | packages: parents, updates, what makes each applicable |
//! | `manifest.rs`, `registry.rs` | components: files, directories, registry, memberships, security, what needs an installer |

pub mod cix;
mod document;
mod identity;
mod manifest;
mod mum;
mod registry;

pub use document::MAX_DOCUMENT_BYTES;
pub use identity::{AssemblyIdentity, AssemblyVersion, PackageId};
pub use manifest::{
    ComponentManifest, Dependency, DependencyKind, DirectoryEntry, FileEntry, Membership, SecurityDefinition,
};
pub use mum::{
    Applicable, ChildPackage, Comparison, Condition, DriverEntry, Elevation, PackageManifest, Parent, Update,
    VersionRule,
};
pub use registry::{RegistryKeyEntry, RegistryValueEntry};
