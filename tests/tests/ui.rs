//! What the compiler says of each mistake.
//!
//! `TRYBUILD=overwrite` writes the expected texts anew.

/// The texts are those of one compiler; another words its own differently.
#[rustversion::attr(not(stable(1.95)), ignore = "the expected texts are those of rust 1.95")]
#[test]
fn every_mistake_has_one_clear_error() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*/*.rs");
}
