//! A configuration that is refused, in few lines: the first thing that is wrong, where, and how much more there is.
//! All of it is for `ansai check` to say.

/// The first error of those that an agent told of, with its place, and how many more there are.
pub(crate) fn brief(why: &str) -> Vec<String> {
    let is_error = |line: &&str| line.starts_with("error: ");
    let mut lines = why.lines().skip_while(|line| !is_error(line));
    // What cannot be read at all is told in words.
    let Some(first) = lines.next() else {
        return vec![why.lines().next().unwrap_or_default().to_owned()];
    };
    let place =
        lines.clone().take_while(|line| !is_error(line)).map(str::trim_start).find(|line| line.starts_with("--> "));
    let more = match lines.filter(is_error).count() {
        0 => "`ansai check` says more".to_owned(),
        1 => "1 more error: `ansai check` shows both".to_owned(),
        many => format!("{many} more errors: `ansai check` shows all"),
    };
    std::iter::once(first.to_owned()).chain(place.map(|place| format!("  {place}"))).chain([more]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_errors_the_first_is_told_with_its_place_and_the_rest_is_counted() {
        let wrong = |text: &str| {
            let read = ansai_config::parse(&[("ansai.yaml".into(), text.to_owned())]);
            brief(&read.err().map(|wrong| wrong.to_string()).unwrap_or_default())
        };
        let first = ["error: there is no key `servces` here", "  --> ansai.yaml:1:1"];
        assert_eq!(wrong("servces: {}\n"), [first[0], first[1], "`ansai check` says more"]);
        let two = wrong("servces: {}\nautonomy: akt\n");
        assert_eq!(two, [first[0], first[1], "1 more error: `ansai check` shows both"]);
        let three = wrong("servces: {}\nautonomy: akt\nflapp: {}\n");
        assert_eq!(three[2], "2 more errors: `ansai check` shows all");
        assert_eq!(
            brief("/etc/ansai/ansai.yaml has not been read within 60s"),
            ["/etc/ansai/ansai.yaml has not been read within 60s"]
        );
    }
}
