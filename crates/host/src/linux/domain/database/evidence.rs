//! What is worth knowing of locks that somebody waits for: the chain, with who holds, who waits for whom and since when, and with
//! which statements, whose values are left out.

use ansai_model::{
    domain::database::{DatabaseProbe, chain},
    incident::{Evidence, EvidenceKind},
};

use super::{Connection, DATABASE, around, look_around, sql};
use crate::linux::probe::Context;

/// What it is called.
const SOURCE: &str = "the server's locks";

/// Collects it.
pub(super) async fn gather(context: &Context, probe: &DatabaseProbe) -> Vec<Evidence> {
    let Some(patience) = probe.locks else { return Vec::new() };
    let told = async {
        let role = look_around(context.root.clone()).await?.role;
        let socket = around::socket(&probe.postgresql);
        let connection = Connection::open(&socket, &role, DATABASE).await.map_err(|trouble| trouble.to_string())?;
        let (rows, _) = connection.ask(&sql::sessions()).await;
        let rows = rows.map_err(|trouble| trouble.to_string())?;
        sql::read_sessions(&rows).ok_or_else(|| "its answer is not understood".to_owned())
    };
    vec![match told.await {
        Ok(sessions) if sessions.is_empty() => Evidence::new(SOURCE, EvidenceKind::Look, "nobody waits any more"),
        Ok(sessions) => Evidence::new(SOURCE, EvidenceKind::Look, chain(&sessions, patience)),
        Err(why) => Evidence::new(SOURCE, EvidenceKind::Missing, why),
    }]
}
