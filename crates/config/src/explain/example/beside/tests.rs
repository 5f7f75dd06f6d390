//! What needs something beside it names mappings and keys that are there.

use super::*;
use crate::keys::config::CONFIG;
use ansai_keys::page::shapes;

#[test]
fn each_line_is_of_a_mapping_and_a_key_that_are_there() {
    let has =
        |title: &str, name: &str| shapes(&CONFIG).iter().any(|shape| shape.title == title && shape.key(name).is_some());
    for (title, keys, _) in BESIDE {
        assert!(shapes(&CONFIG).iter().any(|shape| shape.title == *title), "{title}");
        keys.iter().for_each(|key| assert!(has(title, key), "{title}: {key}"));
    }
    ELSEWHERE.iter().for_each(|(title, key, _)| assert!(has(title, key), "{title}: {key}"));
}
