//! `wim cab`: cabinets listed, extracted, tested and made.
//!
//! The names of members come from outside: on the host they become paths below the target or are refused.

mod member_path;

pub use member_path::member_path;
