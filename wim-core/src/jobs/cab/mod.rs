//! `wim cab`: cabinets listed, extracted, tested and made.
//!
//! The names of members come from outside: on the host they become paths below the target or are refused.

mod create;
mod extract;
mod list;
mod open;

pub use create::{CreateOptions, CreateReport, create};
pub(in crate::jobs) use extract::make_folder;
pub use extract::{Bound, Existing, ExtractOptions, ExtractReport, extract, test};
pub use list::{CabinetInfo, FolderInfo, MemberInfo, list};
pub use open::{OpenOptions, Set, open};
