//! From what a person writes to targets and scopes: `nginx` is enough when it is unique, and near names are suggested.

use ansai_model::{id::TargetId, policy::Scope};
use ansai_protocol::Status;

use crate::{
    Places, ScopeArgs, client,
    exit::{Code, Failure},
};

/// The whole name of a target of the running agent.
pub(super) fn resolve(places: &Places, name: &str) -> Result<String, Failure> {
    among(&names(&client::status(places)?), name)
}

/// A target of the running agent.
pub(super) fn target_id(places: &Places, name: &str) -> Result<TargetId, Failure> {
    TargetId::new(resolve(places, name)?).map_err(|error| Failure::new(Code::Usage, error.to_string(), ""))
}

fn names(status: &Status) -> Vec<String> {
    status.targets.iter().map(|target| target.target.to_string()).collect()
}

/// The one of `all` that is meant by `name`.
pub(super) fn among(all: &[String], name: &str) -> Result<String, Failure> {
    let candidates = [name.to_owned(), format!("service/{name}"), format!("service/{name}.service")];
    if let Some(found) = candidates.into_iter().find(|candidate| all.contains(candidate)) {
        return Ok(found);
    }
    let part: Vec<&str> = all.iter().map(String::as_str).filter(|target| target.contains(name)).collect();
    match part.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let suggestion = match nearest(all, name) {
                Some(near) => format!("did you mean `{near}`? `ansai status` lists them"),
                None => "`ansai status` lists them".to_owned(),
            };
            Err(Failure::new(Code::Usage, format!("there is no target `{name}`"), suggestion))
        }
        several => {
            let what = format!("`{name}` could be {}", several.join(", "));
            Err(Failure::new(Code::Usage, what, "write more of the name"))
        }
    }
}

/// The name that is nearest to what was written, when it is near enough to be meant.
fn nearest<'a>(all: &'a [String], name: &str) -> Option<&'a str> {
    let bare = |text: &'a str| text.rsplit('/').next().unwrap_or(text);
    let distance = |target: &'a str| {
        let stem = bare(target).trim_end_matches(".service");
        strsim::damerau_levenshtein(name, bare(target)).min(strsim::damerau_levenshtein(name, stem))
    };
    let near = all.iter().map(|target| (distance(target), bare(target)));
    near.filter(|(distance, _)| *distance <= 1 + name.len() / 4).min().map(|(_, name)| name)
}

/// The scope that is meant, which holds at least one target: a misspelled one would stop nothing. With it, its targets.
pub(super) fn scope(places: &Places, args: &ScopeArgs) -> Result<(Scope, Vec<String>), Failure> {
    let all = names(&client::status(places)?);
    if args.all {
        return Ok((Scope::All, all));
    }
    let mut patterns = Vec::new();
    for written in &args.targets {
        let is_pattern = written.contains(['*', '?']);
        patterns.push(if is_pattern { written.clone() } else { among(&all, written)? });
    }
    let scope = Scope::Matching(patterns);
    let held: Vec<String> =
        all.iter().filter(|name| TargetId::new(name).is_ok_and(|target| scope.holds(&target))).cloned().collect();
    if held.is_empty() {
        let what = format!("{scope} holds none of the {} targets", all.len());
        return Err(Failure::new(Code::Usage, what, "`ansai status` lists them; --all is every one"));
    }
    Ok((scope, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> String {
        let all: Vec<String> =
            ["service/nginx.service", "service/app@1.service", "service/app@2.service"].map(str::to_owned).into();
        among(&all, name).unwrap_or_else(|failure| failure.text())
    }

    #[test]
    fn a_part_of_a_name_is_enough_when_it_is_unique() {
        for name in ["nginx", "nginx.service", "service/nginx.service", "ngin"] {
            assert_eq!(check(name), "service/nginx.service");
        }
        assert_eq!(
            check("app"),
            "ansai: `app` could be service/app@1.service, service/app@2.service\n  try: write more of the name"
        );
    }

    #[test]
    fn a_misspelled_name_is_told_the_nearest() {
        assert_eq!(
            check("ngnix"),
            "ansai: there is no target `ngnix`\n  try: did you mean `nginx.service`? `ansai status` lists them"
        );
        assert_eq!(check("redis"), "ansai: there is no target `redis`\n  try: `ansai status` lists them");
    }
}
