//! Which of some names was meant by one that is none of them.

/// The most work to find a name that was meant, in pairs of bytes: some thousands of names of usual length.
const COMPARED_MAX: usize = 1 << 19;

/// The nearest of some names, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest_name(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The nearest of some names itself, when one is near enough to be meant.
pub fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 256 || name.is_empty() {
        return None;
    }
    // What nearly every name ends with says nothing about which one is meant.
    let stem = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_owned();
    let asked = stem(name);
    let distance = |candidate: &str| {
        let known = stem(candidate);
        // In a short word two slips make another word.
        let is_near =
            |distance: usize, length: usize| distance <= 1 + length / 5 && distance * 2 <= length.max(asked.len());
        let short =
            Some(strsim::damerau_levenshtein(&asked, &known)).filter(|distance| is_near(*distance, known.len()));
        // A mistake may be in the ending.
        let whole = (asked == name).then(|| strsim::damerau_levenshtein(name, candidate));
        short.or(whole.filter(|distance| is_near(*distance, candidate.len())))
    };
    let known: Vec<&str> = known.into_iter().collect();
    // Of very many names as many are compared as nobody has to wait for.
    let mut work = 0;
    let is_tried = |candidate: &&&str| {
        work += name.len() * candidate.len();
        work <= COMPARED_MAX
    };
    let near = known.iter().take_while(is_tried);
    let near = near.filter_map(|candidate| Some((distance(candidate)?, *candidate))).min();
    let begins = || known.iter().copied().find(|candidate| name.len() >= 3 && candidate.starts_with(name));
    let (slip, further) = (near.filter(|(distance, _)| *distance <= 1), near);
    slip.map(|(_, candidate)| candidate).or_else(begins).or(further.map(|(_, candidate)| candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest_name("evry", ["every", "exec"]), Some("every"));
        assert_eq!(nearest_name("frobnicate", ["every", "exec"]), None);
        assert_eq!(nearest_name("cert", ["test", "certificates"]), Some("certificates"));
        assert_eq!(nearest_name("cert", ["test"]), None, "two slips in four letters");
        assert_eq!(nearest_name("conf", ["cond", "configuration"]), Some("cond"), "one slip goes before a beginning");
    }
}
