//! The reference page in `docs/` is what the table of keys says.

use std::{fs, path::Path};

#[test]
fn the_reference_page_is_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    let said = ansai_config::reference();
    if std::env::var_os("ANSAI_BLESS").is_some() {
        fs::write(&page, &said).expect("the page can be written");
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    assert!(written == said, "write it anew: ANSAI_BLESS=1 cargo test -p ansai-config --test reference");
}
