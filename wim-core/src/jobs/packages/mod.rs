//! `package`: updates as people have them, opened, expanded and proved.

pub mod expand;
