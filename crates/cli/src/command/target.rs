//! From what a person writes to targets and scopes: `nginx` is enough when it is unique, and near names are suggested.

use std::{collections::BTreeSet, path::Path};

use ansai_model::{
    id::{IncidentId, TargetId},
    policy::Scope,
};
use ansai_protocol::Status;

use crate::{
    Paths, ScopeArgs, client, domain,
    exit::{Code, Failure},
};

/// The whole name of a target of the running agent.
pub(super) fn resolve(paths: &Paths, name: &str) -> Result<String, Failure> {
    among(&names(&client::status(paths)?), name)
}

/// A target of the running agent.
pub(super) fn target_id(paths: &Paths, name: &str) -> Result<TargetId, Failure> {
    TargetId::new(resolve(paths, name)?).map_err(|error| Failure::new(Code::Usage, error.to_string(), ""))
}

/// The whole names of all targets.
pub(super) fn names(status: &Status) -> Vec<String> {
    status.targets.iter().map(|target| target.target.to_string()).collect()
}

/// All of `all` that are meant by names or parts of them; every name means at least one.
pub(crate) fn wanted(all: impl IntoIterator<Item = String>, names: &[String]) -> Result<BTreeSet<String>, Failure> {
    let all: BTreeSet<String> = all.into_iter().collect();
    let all: Vec<String> = all.into_iter().collect();
    let found: Vec<Vec<String>> = names.iter().map(|name| holding(&all, name)).collect::<Result<_, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// All of `all` that hold `name`, or match it where it has * or ?; at least one.
pub(super) fn holding(all: &[String], name: &str) -> Result<Vec<String>, Failure> {
    // A pattern means what it means to a hold.
    let scope = name.contains(['*', '?']).then(|| Scope::Matching(vec![name.to_owned()]));
    let is_meant = |target: &&String| match &scope {
        Some(scope) => TargetId::new(target.as_str()).is_ok_and(|target| scope.holds(&target)),
        None => !name.is_empty() && target.contains(name),
    };
    let found: Vec<String> = all.iter().filter(is_meant).cloned().collect();
    // The same words as for one that is meant.
    if found.is_empty() { among(all, name).map(|one| vec![one]) } else { Ok(found) }
}

/// The one of `all` that is meant by `name`: its whole name, its name without the domain, or a part of it that no other
/// one has. What is a place is meant by its path, what is a unit also without the ending of its name.
pub(crate) fn among(all: &[String], name: &str) -> Result<String, Failure> {
    if name.trim().is_empty() {
        // Every name holds it, so on a host with one target it would mean that one.
        let what = "an empty name means no target";
        return Err(Failure::new(
            Code::Usage,
            what,
            "`ansai status` lists them; --all is every one where many are meant",
        ));
    }
    let name = without_last_slash(name);
    if let Some(found) = all.iter().find(|target| *target == name) {
        return Ok(found.clone());
    }
    let is_meant = |target: &&str| {
        let is_its_place = |(domain, place, _): (&str, &str, &str)| name.strip_prefix(domain) == Some(place);
        bare(target) == name || short(target) == name || place(target).is_some_and(is_its_place)
    };
    let whole: Vec<&str> = all.iter().map(String::as_str).filter(is_meant).collect();
    let part: Vec<&str> = all.iter().map(String::as_str).filter(|target| target.contains(name)).collect();
    let found = if whole.is_empty() { part } else { whole };
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let suggestion = match (nearest(all, name), holder(all, name)) {
                _ if name.parse::<IncidentId>().is_ok() => format!("that is an incident: `ansai report {name}`"),
                (Some(near), _) => format!("did you mean `{near}`? `ansai status` lists them"),
                (None, Some((kind, holder))) => format!("it lies on the {kind} `{holder}`"),
                (None, None) => "`ansai status` lists them".to_owned(),
            };
            Err(Failure::new(Code::Usage, format!("there is no target `{name}`"), suggestion))
        }
        several => {
            let what = format!("`{name}` could be {}", several.join(", "));
            Err(Failure::new(Code::Usage, what, "write more of the name"))
        }
    }
}

/// The scope of a hold, a silence or a window, by the words in which the agent tells it.
pub(super) fn scope_in_words(words: &str) -> Scope {
    match words == Scope::All.to_string() {
        true => Scope::All,
        false => Scope::Matching(words.split(", ").map(str::to_owned).collect()),
    }
}

/// Whether people want to know of what fails how bad it is, before what is done about it.
pub(super) fn has_degrees(target: &TargetId) -> bool {
    domain::split(target.as_str()).is_some_and(|(domain, _)| domain.has_degrees())
}

/// What stands behind the domain: the name of a unit, the path of a place.
fn bare(target: &str) -> &str {
    target.split_once('/').map_or(target, |(_, name)| name)
}

/// The name by which people call it.
fn short(target: &str) -> &str {
    domain::split(target).map_or(bare(target), |(domain, name)| domain.short(name))
}

/// Of a place: its domain, its path, and what it is called in words.
fn place(target: &str) -> Option<(&'static str, &str, &'static str)> {
    let (domain, path) = domain::split(target)?;
    Some((domain.model().key, path, domain.place()?))
}

fn without_last_slash(name: &str) -> &str {
    // The root is a place as well, and its path is a slash.
    let is_root = |domain: &'static dyn domain::Domain| {
        domain.place().is_some() && matches!(name.strip_prefix(domain.model().key), Some("/" | "//"))
    };
    let is_whole = name == "/" || domain::all().any(is_root);
    name.strip_suffix('/').filter(|_| !is_whole).unwrap_or(name)
}

/// The place that a path lies on, as far as it is watched, with what it is called in words.
fn holder<'a>(all: &'a [String], path: &str) -> Option<(&'static str, &'a str)> {
    let paths = all.iter().filter_map(|target| place(target));
    let holders = paths.filter(|(_, place, _)| path.starts_with('/') && Path::new(path).starts_with(place));
    holders.max_by_key(|(_, place, _)| place.len()).map(|(_, place, kind)| (kind, place))
}

/// The name that is nearest to what was written, when it is near enough to be meant.
fn nearest<'a>(all: &'a [String], name: &str) -> Option<&'a str> {
    let distance = |target: &'a str| {
        strsim::damerau_levenshtein(name, bare(target)).min(strsim::damerau_levenshtein(name, short(target)))
    };
    let near = all.iter().map(|target| (distance(target), bare(target)));
    near.filter(|(distance, _)| *distance <= 1 + name.len() / 4).min().map(|(_, name)| name)
}

/// The scope that is meant, which holds at least one target: a misspelled one would stop nothing. With it, its targets.
pub(super) fn scope(paths: &Paths, args: &ScopeArgs) -> Result<(Scope, Vec<String>), Failure> {
    let all = names(&client::status(paths)?);
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

    #[test]
    fn a_pattern_means_what_it_means_to_a_hold() {
        let all = ["service/svc23.service", "service/svc230.service", "service/web.service"].map(str::to_owned);
        assert_eq!(holding(&all, "svc23*").ok().as_deref(), Some(&all[..2]));
        assert_eq!(holding(&all, "svc23?.service").ok().as_deref(), Some(&all[1..2]));
        assert!(holding(&all, "nginx*").is_err());
    }

    fn check(name: &str) -> String {
        let all = [
            "certificate/api.example.com",
            "certificate/shop",
            "disk//",
            "disk//var",
            "disk//var/lib",
            "service/app@1.service",
            "service/app@2.service",
            "service/nginx.service",
            "service/shop.service",
        ];
        let all: Vec<String> = all.map(str::to_owned).into();
        among(&all, name).unwrap_or_else(|failure| failure.text())
    }

    #[test]
    fn a_part_of_a_name_is_enough_when_it_is_unique() {
        for name in ["nginx", "nginx.service", "service/nginx.service", "ngin"] {
            assert_eq!(check(name), "service/nginx.service");
        }
        assert_eq!(
            check("app"),
            "ansai: `app` could be service/app@1.service, service/app@2.service\n  help: write more of the name"
        );
    }

    #[test]
    fn a_filesystem_is_meant_by_its_place_and_a_certificate_by_its_name() {
        for (name, target) in [
            ("/", "disk//"),
            ("disk/", "disk//"),
            ("disk//", "disk//"),
            ("/var", "disk//var"),
            ("/var/", "disk//var"),
            ("disk/var", "disk//var"),
            ("disk//var/", "disk//var"),
            ("/var/lib", "disk//var/lib"),
            ("var/lib", "disk//var/lib"),
            ("api.example.com", "certificate/api.example.com"),
            ("certificate/api.example.com", "certificate/api.example.com"),
            ("api", "certificate/api.example.com"),
            ("shop.service", "service/shop.service"),
        ] {
            assert_eq!(check(name), target, "{name}");
        }
        assert_eq!(
            check("shop"),
            "ansai: `shop` could be certificate/shop, service/shop.service\n  help: write more of the name"
        );
        assert_eq!(
            check("/var/library/x"),
            "ansai: there is no target `/var/library/x`\n  help: it lies on the filesystem `/var`"
        );
        assert!(check("/vat").contains("did you mean `/var`?"), "{}", check("/vat"));
    }

    #[test]
    fn an_empty_name_means_nothing_where_there_is_one_target_as_well() {
        for name in ["", " "] {
            let one = among(&["service/app.service".to_owned()], name).expect_err("nothing is meant");
            assert_eq!((one.code, one.what()), (Code::Usage, "an empty name means no target"));
        }
    }

    #[test]
    fn a_misspelled_name_is_told_the_nearest() {
        assert_eq!(
            check("ngnix"),
            "ansai: there is no target `ngnix`\n  help: did you mean `nginx.service`? `ansai status` lists them"
        );
        assert_eq!(check("i7"), "ansai: there is no target `i7`\n  help: that is an incident: `ansai report i7`");
        assert_eq!(check("redis"), "ansai: there is no target `redis`\n  help: `ansai status` lists them");
    }
}
