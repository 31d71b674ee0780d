//! What reads a kernel's words shares no code with what it is held against.

/// A reader that knew the protocol could see it where it is not.
#[test]
fn the_crate_depends_on_neither_protocol_nor_implementation() {
    let manifest = include_str!("../Cargo.toml");
    for other in ["shootdown-spec", "shootdown-impl", "shootdown-refinement"] {
        assert!(!manifest.contains(other), "{other}");
    }
}
