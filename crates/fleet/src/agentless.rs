//! Hosts that are kept well over SSH: members like all others, whose agent the controller carries there. They are added by a
//! person and in no other way; each connection has a key of its own, for which the controller alone asks a certificate.

use ansai_model::text::Text;
use ansai_protocol::{
    link::{Held, HostId, RestraintsAt, Short},
    operation::FleetAnswer,
    record::HostRecord,
    ssh::{KEYS_MAX, OverSsh},
};

use crate::{FleetEngine, limits::HOSTS_MAX, words};

/// What an operator wants added.
pub(crate) struct Wanted {
    pub(crate) name: Short,
    pub(crate) role: Option<Short>,
    pub(crate) over: OverSsh,
}

impl FleetEngine {
    /// The hosts that are kept well over SSH, and how each is reached.
    pub fn over_ssh(&self) -> impl Iterator<Item = (HostId, &OverSsh)> {
        self.books.hosts.values().filter_map(|host| Some((host.id, &**host.over_ssh.as_ref()?)))
    }

    /// Whether a host may be added so.
    pub(crate) fn may_add(&self, name: &Short, over: &OverSsh) -> Result<(), FleetAnswer> {
        let refused = |why: String, todo| Err(words::refused(why, todo));
        if !words::is_host_name(name) {
            let todo = "choose another one: --name web-01";
            return refused(format!("`{name}` is no name of a host: letters, digits, dots, - and _ are"), todo);
        }
        let is_line = |line: &Text| !line.as_str().is_empty() && !line.as_str().contains(['\n', '\r']);
        if over.known.is_empty() || over.known.len() > KEYS_MAX || !over.known.iter().all(is_line) {
            let todo = "`ansai hosts add --ssh` looks at its keys and shows them";
            return refused(format!("{name} is known by no key, or by too many"), todo);
        }
        if self.books.names.contains_key(name) {
            let todo = "--name gives it another name; `ansai hosts remove` takes the other one out first";
            return refused(format!("a host is called {name} already"), todo);
        }
        if let Some((host, _)) = self.over_ssh().find(|(_, other)| other.destination == over.destination) {
            let name = self.books.hosts.get(&host).map_or_else(|| host.to_string(), |host| host.name.to_string());
            let todo = "`ansai hosts remove` takes it out first";
            return refused(format!("{name} is reached as {} already", over.destination), todo);
        }
        if self.books.hosts.len() >= HOSTS_MAX {
            let todo = "remove some: `ansai hosts remove`";
            return refused(format!("the fleet has {HOSTS_MAX} hosts, which is the most"), todo);
        }
        Ok(())
    }

    /// Adds a host: from then on its agent is carried there.
    pub(crate) fn add_over_ssh(&mut self, request: u64, by: &Text, wanted: Wanted, fresh: Option<HostId>) {
        let Wanted { name, role, over } = wanted;
        if let Err(refusal) = self.may_add(&name, &over) {
            return self.answer(request, refusal);
        }
        let Some(id) = fresh.filter(|fresh| !self.books.hosts.contains_key(fresh)) else {
            return self.answer(request, words::refused("there is no id for it".into(), "add it again"));
        };
        let text = format!("{name} is added over SSH, as {}", over.destination);
        self.comes_to_be(HostRecord {
            id,
            name,
            role,
            labels: [].into(),
            machine_id: "".into(),
            boot_id: "".into(),
            program: "".into(),
            address: Short::new(over.destination.as_str()),
            joined: self.now.wall,
            heard: None,
            ahead_ms: 0,
            acknowledged: RestraintsAt::default(),
            under_way: Vec::new(),
            configuration: Held::default(),
            refused: None,
            over_ssh: Some(Box::new(over)),
        });
        self.audit(by, &text, 1);
        self.answer(request, words::done(format!("{text}; its agent is carried there now")));
    }
}
