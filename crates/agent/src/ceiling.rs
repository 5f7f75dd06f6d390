//! The host's own ceiling: what its owner allows at most, whatever a configuration says, that of a controller above all. It
//! stands in `limits.yaml` beside the configuration, and lowers what follows from it; it never allows more.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ansai_config::Input;
use ansai_document::{Diagnostic, Diagnostics, Findings, Form, Node, Source, Sources, read_all};
use ansai_files::{ReadError, zone};
use ansai_keys::{Key, Kind, Shape, check, key};
use ansai_model::{bundle::Bundle, id::TargetId, policy::matches, rule::Autonomy};

/// The name of the file.
const NAME: &str = "limits.yaml";
/// Most bytes of it.
const BYTES_MAX: u64 = 256 << 10;
const AUTONOMIES: &[&str] = &["observe", "suggest", "approve", "act"];
const FROM_FLEET: &[&str] = &["everything", "nothing"];

const KEYS: &[Key] = &[
    key(
        "autonomy",
        Kind::Word("how much may be done by itself", AUTONOMIES),
        "The most that any rule may do by itself",
    )
    .default("act"),
    key("untouched", Kind::Texts, "Targets on which nothing is ever done, by names or patterns, as service/db*")
        .otherwise("none"),
    key("fleet", Kind::Word("what is taken", FROM_FLEET), "What is taken of a controller's configuration")
        .default("everything"),
];

const SHAPE: Shape = Shape::of("The ceiling of a host", KEYS);

/// What the owner of a host allows at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    autonomy: Autonomy,
    untouched: Vec<String>,
    takes_of_fleet: bool,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self { autonomy: Autonomy::Act, untouched: Vec::new(), takes_of_fleet: true }
    }
}

/// Where the ceiling of a configuration is.
#[must_use]
pub fn beside(config: &Path) -> PathBuf {
    config.with_file_name(NAME)
}

/// When the configuration, its ceiling or the time zone in which it tells hours was last changed, so that all is read anew;
/// nothing where there is neither of both files.
#[must_use]
pub fn changed_at(config: &Path) -> Option<SystemTime> {
    let own = fs::metadata(beside(config)).and_then(|file| file.modified()).ok();
    ansai_config::changed_at(config).max(own).map(|files| Some(files).max(zone::changed_at())).unwrap_or_default()
}

impl Ceiling {
    /// The ceiling beside a configuration; none when there is no such file.
    ///
    /// # Errors
    /// All that is wrong with it: then nothing is allowed by guessing.
    pub fn of(config: &Path) -> Result<Self, Diagnostics> {
        let path = beside(config);
        let name = path.display().to_string();
        match ansai_files::text(&path, BYTES_MAX) {
            Ok(text) => Self::read(&name, &text),
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(wrong(&name, &error)),
        }
    }

    fn read(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let sources = Sources(vec![Source { name: name.to_owned(), text: text.to_owned(), rank: 0 }]);
        let mut findings = Findings::new(&sources);
        let Some(node) = findings.read(0, read_all(text, Form::Yaml, 0)) else {
            findings.finish()?;
            return Err(Diagnostics(Vec::new()));
        };
        check(&mut findings, &node, &Kind::Shape(&SHAPE), "", &|_, _| None);
        findings.finish()?;
        Ok(Self::filled(&node))
    }

    fn filled(node: &Node) -> Self {
        let autonomy = match node.text_at("autonomy") {
            Some("observe") => Autonomy::Observe,
            Some("suggest") => Autonomy::Suggest,
            Some("approve") => Autonomy::Approve,
            Some(_) | None => Autonomy::Act,
        };
        let untouched = node.texts_at("untouched").into_iter().map(|(text, _)| text).collect();
        Self { autonomy, untouched, takes_of_fleet: node.text_at("fleet") != Some("nothing") }
    }

    /// Of what a controller says for this host, what its owner takes.
    #[must_use]
    pub fn taken(&self, of_fleet: Vec<Input>) -> Vec<Input> {
        if self.takes_of_fleet { of_fleet } else { Vec::new() }
    }

    /// That something new of a controller is taken.
    ///
    /// # Errors
    /// When nothing is.
    pub(crate) fn takes_new(&self, config: &Path) -> Result<(), Diagnostics> {
        if self.takes_of_fleet {
            return Ok(());
        }
        let what = "the owner of this host takes no configuration of a fleet (`fleet: nothing`)";
        let help = "leave it so, or have the owner write `fleet: everything` there";
        Err(Diagnostics(vec![Diagnostic::of_file(beside(config).display().to_string(), what, help)]))
    }

    /// A bundle that allows no more than this. On targets that are not to be touched it only observes.
    #[must_use]
    pub fn over(&self, bundle: Bundle) -> Bundle {
        let mut parts = bundle.clone().into_parts();
        for rule in parts.rules.values_mut() {
            let is_untouched = self.untouched.iter().any(|pattern| is_meant(pattern, &rule.target));
            let most = if is_untouched { Autonomy::Observe } else { self.autonomy };
            rule.autonomy = rule.autonomy.min(most);
        }
        // Only what may be done was changed, so everything still fits together.
        Bundle::new(parts).unwrap_or(bundle)
    }
}

/// Whether a pattern means a target, by its whole name or without its kind.
fn is_meant(pattern: &str, target: &TargetId) -> bool {
    matches(pattern, target.as_str()) || matches(pattern, target.name())
}

fn wrong(name: &str, error: &ReadError) -> Diagnostics {
    Diagnostics(vec![Diagnostic::of_file(name, error.to_string(), "mend it, or remove it to have no ceiling")])
}

#[cfg(test)]
mod tests {
    use ansai_model::inventory::Inventory;

    use super::*;

    fn limited(ceiling: &str) -> Vec<(String, Autonomy)> {
        let ceiling = Ceiling::read("limits.yaml", ceiling).expect("valid");
        let text = "autonomy: act\nservices: {app.service: {}, db.service: {}, web.service: {autonomy: suggest}}\n";
        let configuration = ansai_config::parse(&[("a.yaml".into(), text.to_owned())]).expect("valid");
        let bundle = ceiling.over(configuration.bundle(&Inventory::default(), 1).expect("a bundle"));
        let rules = bundle.parts().rules.values();
        rules.map(|rule| (rule.target.name().to_owned(), rule.autonomy)).collect()
    }

    #[test]
    fn a_ceiling_lowers_what_may_be_done_and_never_allows_more() {
        use Autonomy::{Act, Approve, Observe, Suggest};
        let of = |rules: &[(String, Autonomy)], name: &str| {
            let all: Vec<Autonomy> = rules.iter().filter(|(of, _)| of == name).map(|(_, autonomy)| *autonomy).collect();
            assert!(!all.is_empty() && all.iter().all(|autonomy| *autonomy == all[0]), "{all:?}");
            all[0]
        };
        for (ceiling, expected) in [
            ("", [Act, Act, Suggest]),
            ("autonomy: act\n", [Act, Act, Suggest]),
            ("autonomy: approve\n", [Approve, Approve, Suggest]),
            ("autonomy: observe\n", [Observe, Observe, Observe]),
            ("untouched: [\"db*\"]\n", [Act, Observe, Suggest]),
            ("untouched: service/db.service\nautonomy: approve\n", [Approve, Observe, Suggest]),
        ] {
            let rules = limited(ceiling);
            let got = ["app.service", "db.service", "web.service"].map(|name| of(&rules, name));
            assert_eq!(got, expected, "{ceiling}");
        }
    }

    #[test]
    fn a_ceiling_that_is_not_understood_is_refused_with_its_place() {
        for (text, word) in [("autonmy: act\n", "autonomy"), ("autonomy: all\n", "observe"), ("[\n", "limits.yaml")] {
            let wrong = Ceiling::read("limits.yaml", text).expect_err("refused").text(None);
            assert!(wrong.contains(word), "{wrong}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("ansai.yaml");
        assert_eq!(Ceiling::of(&config), Ok(Ceiling::default()), "there is none");
        std::fs::write(folder.path().join(NAME), "fleet: nothing\n").expect("written");
        let ceiling = Ceiling::of(&config).expect("valid");
        assert!(ceiling.takes_new(&config).expect_err("refused").text(None).contains("limits.yaml"));
        let text =
            Input { layer: ansai_config::Layer::Fleet, role: None, file: "fleet:a.yaml".into(), text: "".into() };
        assert_eq!((ceiling.taken(vec![text.clone()]).len(), Ceiling::default().taken(vec![text]).len()), (0, 1));
        std::fs::remove_file(folder.path().join(NAME)).expect("removed");
        std::fs::create_dir(folder.path().join(NAME)).expect("made");
        assert!(Ceiling::of(&config).is_err(), "it cannot be read");
    }
}
