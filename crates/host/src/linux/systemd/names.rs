//! Which watched name is an alias of which unit, and which socket, path or timer starts which: the names that belong together.
//! It asks nobody; what is here was learned by looks.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::id::UnitName;

use super::unit::object_path_of;

/// Most triggers of one unit that are listened to.
const TRIGGERS_MAX: usize = 8;

/// The names of the watched units.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The own name behind each alias.
    aliases: BTreeMap<UnitName, UnitName>,
    /// The unit behind the object path of each socket, path and timer.
    triggers: BTreeMap<String, UnitName>,
}

impl Names {
    /// The own name behind a name.
    pub(super) fn own(&self, name: &UnitName) -> UnitName {
        self.aliases.get(name).unwrap_or(name).clone()
    }

    /// The own name, and every alias of it.
    pub(super) fn of(&self, own: &UnitName) -> Vec<UnitName> {
        let aliases = self.aliases.iter().filter(|(_, of)| *of == own).map(|(alias, _)| alias.clone());
        std::iter::once(own.clone()).chain(aliases).collect()
    }

    /// Keeps an alias; says whether it is news.
    pub(super) fn learn(&mut self, alias: UnitName, own: UnitName) -> bool {
        alias != own && self.aliases.insert(alias, own.clone()).is_none_or(|before| before != own)
    }

    /// Forgets which name is whose, until a look has asked.
    pub(super) fn doubt(&mut self) {
        self.aliases.clear();
    }

    /// Forgets what is about other units than these.
    pub(super) fn keep(&mut self, units: &BTreeSet<UnitName>) {
        self.aliases.retain(|alias, _| units.contains(alias));
        self.triggers.retain(|_, unit| units.contains(unit));
    }

    /// Keeps which sockets, paths and timers start a unit.
    pub(super) fn triggers(&mut self, unit: &UnitName, triggers: &[Box<str>]) {
        self.triggers.retain(|_, of| of != unit);
        let paths = triggers.iter().take(TRIGGERS_MAX).map(|trigger| object_path_of(trigger));
        self.triggers.extend(paths.map(|path| (path, unit.clone())));
    }

    /// The unit that what has this object path starts.
    pub(super) fn by_trigger(&self, path: &str) -> Option<UnitName> {
        self.triggers.get(path).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str) -> UnitName {
        UnitName::new(name).expect("valid")
    }

    #[test]
    fn w07_an_alias_leads_to_the_unit_and_back_until_units_are_read_anew() {
        let (alias, own) = (unit("mysql.service"), unit("mariadb.service"));
        let mut names = Names::default();
        assert!(names.learn(alias.clone(), own.clone()) && !names.learn(alias.clone(), own.clone()));
        assert_eq!(names.own(&alias), own);
        assert_eq!(names.of(&own), [own.clone(), alias.clone()]);
        names.doubt();
        assert_eq!(names.own(&alias), alias);
        assert!(!names.learn(own.clone(), own.clone()), "no unit is its own alias");
    }

    #[test]
    fn w16_a_socket_leads_to_the_unit_that_it_starts() {
        let mut names = Names::default();
        names.triggers(&unit("echo.service"), &["echo.socket".into(), "echo-tls.socket".into()]);
        let path = "/org/freedesktop/systemd1/unit/echo_2dtls_2esocket";
        assert_eq!(names.by_trigger(path), Some(unit("echo.service")));
        names.keep(&BTreeSet::new());
        assert_eq!(names.by_trigger(path), None);
    }
}
