//! Tokens of the API: who is let in by which, that no host joins by one, and when it was used last.

use ansai_fleet::FleetInput;
use ansai_protocol::{
    access::{Access, ApiRole},
    link::{Fingerprint, JoinAnswer, TokenId},
    operation::{FleetAnswer, FleetOperation},
    record::TokenRecord,
};

use crate::paper::{Paper, TOKEN, said, secret, secs};

fn made(fleet: &mut Paper, owner: &str, lasts: u64) -> FleetAnswer {
    let access = Some(Access { role: ApiRole::Viewer, owner: owner.into() });
    let (role, uses, lasts) = (None, 0, secs(lasts));
    fleet.operates(FleetOperation::CreateToken { id: TOKEN, secret: secret(), role, uses, lasts, access })
}

fn refused(fleet: &Paper, id: TokenId, secret: Fingerprint) -> String {
    fleet.engine.access_by(id, secret).expect_err("refused").0.to_string()
}

fn token(fleet: &Paper) -> &TokenRecord {
    &fleet.engine.books().tokens[&TOKEN]
}

#[test]
fn a_token_of_the_api_lets_its_owner_ask_and_no_host_join() {
    let mut fleet = Paper::empty();
    assert!(matches!(made(&mut fleet, "ada", 90 * 86_400), FleetAnswer::Done { .. }));
    let access = fleet.engine.access_by(TOKEN, secret()).expect("good");
    assert_eq!((access.role, access.owner.as_str()), (ApiRole::Viewer, "ada"));
    let joins = fleet.joins(1, "web-1", "web", true);
    assert!(matches!(&joins, JoinAnswer::Refused { what, .. } if what.as_str().contains("no such token")), "{joins:?}");

    // Whoever does not have the secret learns nothing of it.
    let unknown = refused(&fleet, TokenId([9; 6]), secret());
    assert_eq!(refused(&fleet, TOKEN, Fingerprint([1; 32])), unknown);
    fleet.passes(secs(2), &[]);
    fleet.operates(FleetOperation::RevokeToken { id: TOKEN });
    assert!(refused(&fleet, TOKEN, secret()).contains("was revoked"));
    assert_eq!(refused(&fleet, TOKEN, Fingerprint([1; 32])), unknown);

    // A token by which hosts join is none of the API.
    let mut fleet = Paper::empty();
    fleet.token(1);
    assert_eq!(refused(&fleet, TOKEN, secret()), unknown);
}

#[test]
fn a_token_of_the_api_ends_and_its_last_use_is_kept_once_a_minute() {
    let mut fleet = Paper::empty();
    made(&mut fleet, "ada", 600);
    let mut uses = Vec::new();
    for _ in 0..90 {
        fleet.step(FleetInput::TokenUsed { token: TOKEN });
        uses.extend(token(&fleet).used);
        fleet.passes(secs(1), &[]);
    }
    uses.dedup();
    assert_eq!(uses.len(), 2, "{uses:?}");
    assert!(fleet.engine.access_by(TOKEN, secret()).is_ok(), "it is not used up");
    assert_eq!(fleet.replayed().tokens[&TOKEN].used, token(&fleet).used);
    fleet.passes(secs(600), &[]);
    assert!(refused(&fleet, TOKEN, secret()).contains("ended at"));
    // A store that keeps nothing holds up nobody who asks.
    let mut fleet = Paper::empty();
    made(&mut fleet, "ada", 600);
    fleet.disk_is_full = true;
    (0..10).for_each(|_| fleet.step(FleetInput::TokenUsed { token: TOKEN }));
    assert!(fleet.engine.access_by(TOKEN, secret()).is_ok() && token(&fleet).used.is_none());
}

#[test]
fn a_token_without_an_owner_or_an_end_is_not_made() {
    let long = "x".repeat(101);
    for (owner, lasts) in [("", 60), ("  ", 60), (long.as_str(), 60), ("a\nb", 60), ("ada", 0), ("ada", 367 * 86_400)] {
        let mut fleet = Paper::empty();
        let answer = made(&mut fleet, owner, lasts);
        assert!(matches!(answer, FleetAnswer::Refused { .. }), "{owner:?} {lasts}: {}", said(&answer));
        assert!(fleet.engine.books().tokens.is_empty());
    }
}
