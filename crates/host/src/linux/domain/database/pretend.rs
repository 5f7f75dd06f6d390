//! The servers of databases of the fake machine: each answers, with the sessions that a test says.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    action::ActionOutcome,
    domain::database::{DatabaseAction, DatabaseFacts, DatabaseProbe, Session, freeing, judge},
    inventory::Inventory,
    observation::Observation,
    text::Text,
};

use crate::fake::Machine;

/// The servers of the fake machine, by the folder of their sockets.
#[derive(Debug, Default)]
pub struct Databases(BTreeMap<String, Vec<Session>>);

impl Databases {
    /// Makes one with these sessions, or gives it these.
    pub fn set(&mut self, postgresql: &str, sessions: Vec<Session>) {
        self.0.insert(postgresql.to_owned(), sessions);
    }

    /// Adds to the inventory what it has.
    pub(in crate::linux::domain) fn tell(&self, inventory: &mut Inventory) {
        let facts = self.0.keys().map(|postgresql| DatabaseFacts { postgresql: postgresql.clone(), owner: None });
        inventory.databases = facts.collect();
    }
}

/// A session that is idle in a transaction for long, and has written nothing.
#[must_use]
pub fn idle(pid: i32) -> Session {
    let long = Duration::from_secs(3_600);
    Session {
        pid,
        moments: [Some(1), Some(2), Some(3)],
        kind: "client backend".into(),
        state: "idle in transaction".into(),
        in_state: long,
        in_transaction: long,
        database: "app".into(),
        role: "web".into(),
        application: "".into(),
        has_written: false,
        has_snapshot: false,
        has_other_locks: false,
        is_waiting: false,
        waits: None,
        waits_for: Vec::new(),
        statement: "SELECT ? FROM t".into(),
        is_keeper: false,
    }
}

/// One that waits for so long for these.
#[must_use]
pub fn waiter(pid: i32, waits: Duration, waits_for: &[i32]) -> Session {
    let waits_for = waits_for.to_vec();
    Session { state: "active".into(), is_waiting: true, waits: Some(waits), waits_for, ..idle(pid) }
}

/// What a look finds.
pub(super) fn seen(machine: &Machine, probe: &DatabaseProbe) -> Observation {
    match (machine.domains.databases.0.get(&probe.postgresql), probe.locks) {
        (Some(sessions), Some(patience)) => judge(sessions, patience, None),
        (Some(_), None) => Observation::healthy("PostgreSQL 15 answers, a primary"),
        (None, _) => Observation::unknown(format!("nothing has a socket at {}", probe.postgresql)),
    }
}

/// What an end does.
pub(super) fn end(machine: &mut Machine, action: &DatabaseAction) -> ActionOutcome {
    let DatabaseAction::EndIdle { postgresql, patience } = action;
    let Some(sessions) = machine.domains().databases.0.get_mut(postgresql) else {
        return ActionOutcome::Failed { why: Text::new(format!("nothing has a socket at {postgresql}")) };
    };
    let ended: Vec<i32> = freeing(sessions, *patience).into_iter().map(|root| root.pid).collect();
    if ended.is_empty() {
        return ActionOutcome::Refused { why: "nobody may be ended".into() };
    }
    // Whoever waited for them has what it waited for.
    let is_free =
        |session: &Session| session.waits.is_some() && session.waits_for.iter().all(|pid| ended.contains(pid));
    sessions.retain(|session| !ended.contains(&session.pid) && !is_free(session));
    ActionOutcome::Succeeded { note: Text::new(format!("ended {ended:?}")) }
}

#[cfg(test)]
mod tests {
    use ansai_model::observation::Health;

    use super::*;

    #[test]
    fn an_idle_one_is_ended_and_one_that_has_written_is_not() {
        let (patience, long) = (Duration::from_secs(30), Duration::from_secs(60));
        let postgresql = "/run/postgresql".to_owned();
        let probe = DatabaseProbe { postgresql: postgresql.clone(), locks: Some(patience) };
        let end_it = DatabaseAction::EndIdle { postgresql: postgresql.clone(), patience };
        let mut machine = Machine::new();
        assert_eq!(seen(&machine, &probe).health(), Health::Unknown);
        machine.domains().databases.set(&postgresql, vec![idle(1), waiter(2, long, &[1])]);
        assert_eq!(seen(&machine, &probe).health(), Health::Failing);
        assert!(matches!(end(&mut machine, &end_it), ActionOutcome::Succeeded { .. }));
        assert_eq!(seen(&machine, &probe).health(), Health::Healthy);
        let wrote = Session { has_written: true, ..idle(1) };
        machine.domains().databases.set(&postgresql, vec![wrote, idle(4), waiter(2, long, &[1, 4])]);
        assert!(matches!(end(&mut machine, &end_it), ActionOutcome::Refused { .. }));
        assert_eq!(seen(&machine, &probe).health(), Health::Failing);
        assert_eq!(machine.inventory().databases[0].postgresql, postgresql);
    }
}
