use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

const EXAMPLE: &str = include_str!("../../config.example.yaml");

#[test]
fn the_example_loads_on_a_fresh_machine() {
    let loaded =
        load(EXAMPLE, "config.example.yaml", &no_env).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    insta::assert_debug_snapshot!(loaded.plan);
}
