//! A name finds the patterns that it fits.

use super::*;

fn patterns(names: &[&str]) -> Patterns {
    Patterns::among(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_name_finds_the_patterns_that_it_fits_and_the_one_that_says_most_of_it() {
    let known = patterns(&["*", "app", "app-*", "app-?", "*-1", "b*", "ä*"]);
    let fitting = |name: &str| known.fitting(name).map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(fitting("app-1"), "* *-1 app-* app-?");
    assert_eq!(fitting("app"), "*");
    assert_eq!(fitting("äö"), "* ä*");
    assert_eq!(fitting(""), "*");
    assert_eq!(known.strongest("app-1").map(String::as_str), Some("app-*"));
    assert_eq!(known.strongest("x-1").map(String::as_str), Some("*-1"));
    assert_eq!((known.all().count(), known.fits("b")), (6, true));
    assert!(!patterns(&["app"]).fits("app"), "a name is no pattern");
}
