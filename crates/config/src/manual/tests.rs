//! The manual page has every key, and nothing that troff would take for a request.

use super::*;

#[test]
fn every_key_of_the_table_stands_in_the_page_and_no_line_is_a_request_by_accident() {
    let page = manual("1.0.0");
    for shape in shapes(&CONFIG) {
        for key in shape.keys {
            assert!(page.contains(&format!(".BR {} ", escaped(key.name))), "{}", key.name);
        }
    }
    let known = [".TH ", ".SH ", ".TP", ".BR ", ".B ", ".I ", ".RI ", ".PP", ".br", ".EX", ".EE"];
    let odd =
        page.lines().find(|line| line.starts_with(['.', '\'']) && !known.iter().any(|word| line.starts_with(word)));
    assert_eq!(odd, None);
    assert_eq!(escaped(".a \"b\"\\ -c"), "\\&.a \\(dqb\\(dq\\e \\-c");
}
