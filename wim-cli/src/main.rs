//! The command `wim`.
fn main() {}
