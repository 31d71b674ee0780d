//! What must not compile does not, and the error says why. `docs/types.md` walks through them.
//!
//! After a change: `TRYBUILD=overwrite cargo test -p shootdown-impl --test compile_fail`, then read the difference.

#[test]
fn wrong_code_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
