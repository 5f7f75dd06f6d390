//! `ansai token`: what hosts join by, and what people ask the API by from elsewhere. A token's secret is shown once, when it is made, and never again.

use ansai_model::text::Text;
use ansai_protocol::{
    access::Access,
    link::{Short, TokenId},
    operation::FleetOperation,
    views::{FleetTokens, FreshTokenView, TokenAsked, TokenView},
};

use super::fleet;
use crate::{
    Paths, client,
    exit::{Code, Failure},
    fleet::TokenCommand,
    show::{self, Cell},
    when,
};

pub(super) fn run(paths: &Paths, command: TokenCommand) -> Result<Code, Failure> {
    match command {
        TokenCommand::Create { role, uses, api, owner, lasts, rehearsal } => {
            let otherwise = if api.is_some() { "90d" } else { "1h" };
            let lasts = when::when(lasts.as_deref().unwrap_or(otherwise))?.lasts;
            let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
            let owner = || Text::new(owner.unwrap_or_else(own_name));
            let access = api.map(|role| Access { role, owner: owner() });
            let uses = if access.is_some() { 0 } else { uses };
            let asked = TokenAsked { role: role.map(Short::new), uses, lasts_ms, access };
            if rehearsal.dry_run { rehearse(paths, &asked) } else { create(paths, &asked) }
        }
        TokenCommand::List => list(paths),
        TokenCommand::Revoke { id, consent } => {
            let token: TokenId = id.parse().map_err(|_| {
                let what = format!("`{id}` is no name of a token");
                Failure::new(Code::Usage, what, "`ansai token list` shows them: twelve digits")
            })?;
            let what = format!("revoke the token {token}; hosts that have joined by it stay");
            fleet::change(paths, &what, FleetOperation::RevokeToken { id: token }, consent)
        }
    }
}

/// The name of the person who asks, as far as this host knows it.
fn own_name() -> String {
    let named = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
    named("SUDO_USER").or_else(|| named("USER")).unwrap_or_else(|| "root".to_owned())
}

/// What a token is for, in a clause.
fn is_for(uses: u32, role: Option<&Short>, access: Option<&Access>) -> String {
    match access {
        Some(Access { role, owner }) => format!("{owner}, who asks the API as {role}"),
        None => {
            format!("{}{}", show::count(usize::try_from(uses).unwrap_or(usize::MAX), "host"), of_role(role))
        }
    }
}

fn of_role(role: Option<&Short>) -> String {
    role.map_or_else(String::new, |role| format!(" as {role}"))
}

fn all(paths: &Paths) -> Result<FleetTokens, Failure> {
    client::read(client::of_controller(paths, "/v1/tokens")?)
}

fn rehearse(paths: &Paths, asked: &TokenAsked) -> Result<Code, Failure> {
    // Where no controller answers, none would be made.
    all(paths)?;
    let lasts = ansai_model::time::Shown(std::time::Duration::from_millis(asked.lasts_ms));
    let whom = is_for(asked.uses, asked.role.as_ref(), asked.access.as_ref());
    fleet::unchanged(paths, &format!("a token for {whom}, good for {lasts}"));
    Ok(Code::Ok)
}

fn create(paths: &Paths, asked: &TokenAsked) -> Result<Code, Failure> {
    if let Some(context) = paths.context() {
        let whom = is_for(asked.uses, asked.role.as_ref(), asked.access.as_ref());
        show::note(&format!("context {context}: a token for {whom}"));
    }
    let body = serde_json::to_value(asked).unwrap_or_default();
    let fresh: FreshTokenView = client::read(client::tell_controller(paths, "/v1/tokens", &body)?)?;
    if paths.json {
        show::print_json(&serde_json::to_value(&fresh).unwrap_or_default());
        return Ok(Code::Ok);
    }
    // Alone on its line, so that it can be handed on by a pipe; what is said of it goes beside it.
    show::print(&fresh.token);
    let whom = is_for(fresh.uses, asked.role.as_ref(), fresh.access.as_ref());
    let until = show::moment(fresh.until_ms, &show::terminal().zone);
    let then = match &fresh.access {
        None => "on the host: ansai join https://CONTROLLER --token-file -",
        Some(_) => "where it is used: ansai context add prod https://CONTROLLER:7444",
    };
    show::note(&format!("good for {whom} until {until}, and shown this once; {then}"));
    Ok(Code::Ok)
}

fn list(paths: &Paths) -> Result<Code, Failure> {
    let tokens = all(paths)?;
    if paths.json {
        show::print_json(&serde_json::to_value(&tokens).unwrap_or_default());
    } else if tokens.tokens.is_empty() {
        show::print("there is no token; `ansai token create` makes one");
    } else {
        show::print(table(&tokens.tokens, jiff::Timestamp::now().as_millisecond()));
    }
    Ok(Code::Ok)
}

fn table(tokens: &[TokenView], now_ms: i64) -> show::Page {
    let zone = &show::terminal().zone;
    let rows = tokens.iter().map(|token| {
        let may = match &token.access {
            None => token.uses_left.to_string(),
            Some(access) => format!("API, by {}", access.owner),
        };
        let role = match &token.access {
            None => token.role.as_ref().map(ToString::to_string).unwrap_or_default(),
            Some(access) => access.role.to_string(),
        };
        let used = token.used_ms.map_or_else(|| "never".to_owned(), |at| show::moment_in_row(at, now_ms, zone));
        vec![
            Cell::new(token.id),
            Cell::new(role),
            Cell::new(if token.is_good { may } else { "ended".to_owned() }),
            Cell::new(show::moment_in_row(token.until_ms, now_ms, zone)),
            Cell::new(used),
            Cell::new(&token.by),
        ]
    });
    show::table(&["TOKEN", "ROLE", "USES LEFT", "UNTIL", "LAST USED", "MADE BY"], &[5], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_ended_is_told_from_one_that_is_good() {
        let token = |is_good| TokenView {
            id: TokenId([0x1f; 6]),
            role: Some("web".into()),
            uses_left: 4,
            until_ms: 1_700_000_000_000,
            by: "ada".into(),
            used_ms: None,
            is_good,
            access: None,
        };
        let text = table(&[token(true), token(false)], 1_700_000_000_000).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("1f1f1f1f1f1f") && lines[1].contains(" 4 ") && lines[1].contains("never"), "{text}");
        assert!(lines[2].contains("ended") && !lines[2].contains(" 4 "), "{text}");
    }
}
