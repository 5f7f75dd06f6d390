//! Servers of databases at the terminal: `ansai init` proposes those that have a socket in the usual place, with the statements
//! that give the least rights for a person to run, and `doctor` says when nobody watches one.

use std::fmt::Write as _;

use ansai_model::{domain::database::DOMAIN, inventory::Inventory};

use super::Domain;
use crate::{
    command::{
        doctor::{self, Finding},
        init::{Found, shown},
    },
    show,
};

/// Servers of databases, each by the name that the configuration gives it.
pub(super) struct Databases;

/// What one is called in a proposal.
fn name(postgresql: &str) -> String {
    match postgresql.rsplit_once(".s.PGSQL.") {
        Some((_, port)) => format!("port-{port}"),
        None => "main".to_owned(),
    }
}

impl Domain for Databases {
    fn model(&self) -> &'static ansai_model::domain::Domain {
        &DOMAIN
    }

    fn plural(&self) -> &'static str {
        "databases"
    }

    fn amiss(&self, watched: usize, inventory: &Inventory, is_user: bool) -> Option<Finding> {
        let first = inventory.databases.first().filter(|_| watched == 0 && !is_user)?;
        let what = format!("{} here, and none is watched", show::count(inventory.databases.len(), "database"));
        let (name, place) = (name(&first.postgresql), &first.postgresql);
        Some(doctor::warn(what, format!("write `databases: {{{name}: {{postgresql: {place}}}}}`")))
    }

    fn counted(&self, found: &Found) -> Option<String> {
        let count = found.inventory.databases.len();
        (count > 0).then(|| show::count(count, "database"))
    }

    // Writing to a string cannot fail, so the results are dropped.
    fn propose(&self, found: &Found, text: &mut String) {
        let databases = &found.inventory.databases;
        if databases.is_empty() {
            text.push_str("# No server of PostgreSQL has a socket here.\n");
            return;
        }
        text.push_str(
            "# Servers of PostgreSQL: whether each answers, and who blocks others. A session that\n\
             # does while it is idle in a transaction may be ended if it has written nothing; no\n\
             # other one ever is. The least rights for that, as a superuser of each (psql):\n\
             #   CREATE ROLE \"root\" LOGIN;\n\
             #   GRANT pg_monitor, pg_signal_backend TO \"root\";\n\
             databases:\n",
        );
        for one in databases {
            if let Some(owner) = &one.owner {
                let _ = writeln!(text, "  # {}: observed only", shown(owner.as_str()));
            }
            let _ = writeln!(text, "  {}: {{postgresql: {}}}", name(&one.postgresql), one.postgresql);
        }
    }
}
