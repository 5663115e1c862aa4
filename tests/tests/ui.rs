//! The compile errors for each mistake.
//!
//! `TRYBUILD=overwrite` rewrites the expected errors.

/// The errors are those of one compiler version; others word theirs differently.
#[rustversion::attr(not(stable(1.95)), ignore = "the expected texts are those of rust 1.95")]
#[test]
fn each_mistake_has_the_expected_errors() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*/*.rs");
}
