//! What systemd knows of names: whether there is such a unit, and whether it is one's own name. It judges nothing.

use std::collections::BTreeMap;

use ansai_model::{id::UnitName, inventory::Standing};
use futures_util::{StreamExt, stream};

use super::{
    bus::{Bus, CallError, UNIT},
    unit::property,
};

/// Most units that are asked about at once.
const UNITS_AT_ONCE: usize = 32;

/// How these names stand; one of which systemd does not say is left out.
///
/// # Errors
/// When systemd does not answer.
pub async fn standings(bus: &Bus, units: &[UnitName]) -> Result<BTreeMap<UnitName, Standing>, CallError> {
    let asked = stream::iter(units).map(|unit| async move { (unit, standing(bus, unit).await) });
    let answers: Vec<_> = asked.buffered(UNITS_AT_ONCE).collect().await;
    let mut found = BTreeMap::new();
    for (unit, answer) in answers {
        match answer {
            Ok(standing) => found.extend(standing.map(|standing| (unit.clone(), standing))),
            // A name that systemd takes for none, as a template's.
            Err(CallError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn standing(bus: &Bus, unit: &UnitName) -> Result<Option<Standing>, CallError> {
    let (load, own) = tokio::join!(property(bus, unit, UNIT, "LoadState"), property(bus, unit, UNIT, "Id"));
    let (load, own) = (load?, own?);
    let own = own.downcast_ref::<&str>().ok().and_then(|own| UnitName::new(own).ok());
    Ok(match (load.downcast_ref::<&str>(), own) {
        (Ok("not-found"), _) => Some(Standing::Missing),
        (Ok(_), Some(own)) if own != *unit => Some(Standing::AliasOf(own)),
        (Ok(_), _) => Some(Standing::Known),
        (Err(_), _) => None,
    })
}
