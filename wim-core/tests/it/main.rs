//! Integration tests of the library, one module per subject, in one binary so that they link once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests stop at the first surprise and say what they skip"
)]

mod inf_corpus;
mod test_data;
