//! Tokens, by which hosts join without being asked about: who may make which, and when one is good. Their secrets are not here,
//! only digests of them.

use std::time::Duration;

use ansai_model::{
    text::Text,
    time::{Shown, WallTime},
};
use ansai_protocol::{
    link::{Fingerprint, Short, TokenId},
    operation::FleetAnswer,
    record::{Record, TokenRecord},
};

use crate::{
    FleetEngine,
    limits::{TOKEN_LASTS_MAX, TOKEN_USES_MAX, TOKENS_MAX},
    words,
};

/// A token as somebody wants it.
pub(crate) struct Wanted {
    pub(crate) id: TokenId,
    pub(crate) secret: Fingerprint,
    pub(crate) role: Option<Short>,
    pub(crate) uses: u32,
    pub(crate) lasts: Duration,
}

/// Since when a token is good for nothing, when it is.
pub(crate) fn ended(token: &TokenRecord, now: WallTime) -> Option<WallTime> {
    let used_up = token.used.filter(|_| token.uses_left == 0);
    let over = Some(token.until).filter(|until| *until <= now);
    [token.revoked, used_up, over].into_iter().flatten().min()
}

impl FleetEngine {
    /// Makes a token good.
    pub(crate) fn create_token(&mut self, request: u64, by: &Text, wanted: Wanted) {
        if let Some(refusal) = self.objection_to_token(&wanted) {
            return self.answer(request, refusal);
        }
        let Wanted { id, secret, role, uses, lasts } = wanted;
        let now = self.now.wall;
        let until = now.plus(lasts);
        let hosts = words::count(uses as usize, "host");
        let of_role = role.as_ref().map(|role| format!(" of role {role}")).unwrap_or_default();
        let text = format!("token {id}: {hosts}{of_role} may join by it until {until}");
        let (by_whom, made) = (by.clone(), now);
        self.put(Record::Token(TokenRecord {
            id,
            secret,
            role,
            uses_left: uses,
            until,
            by: by_whom,
            made,
            used: None,
            revoked: None,
        }));
        self.audit(by, format!("created {text}"), 0);
        self.answer(request, words::done(text));
    }

    fn objection_to_token(&self, wanted: &Wanted) -> Option<FleetAnswer> {
        let Wanted { uses, lasts, .. } = wanted;
        if self.books.tokens.contains_key(&wanted.id) || self.books.tokens.len() >= TOKENS_MAX {
            let what =
                format!("there are {} tokens already, of which none may have this number", self.books.tokens.len());
            return Some(words::refused(what, "`ansai token list` shows them; one of them may do"));
        }
        if *uses == 0 || *uses > TOKEN_USES_MAX {
            let what = format!("a token is for 1 to {TOKEN_USES_MAX} hosts, not for {uses}");
            return Some(words::refused(what, "write how many hosts may join by it, as --uses 10"));
        }
        (lasts.is_zero() || *lasts > TOKEN_LASTS_MAX).then(|| {
            let what = format!("a token lasts for at most {}, not for {}", Shown(TOKEN_LASTS_MAX), Shown(*lasts));
            words::refused(what, "write for how long it is good, as --for 1h")
        })
    }

    /// The token of this name, good or not.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn token_named(&self, id: TokenId) -> Result<&TokenRecord, FleetAnswer> {
        self.books.tokens.get(&id).ok_or_else(|| FleetAnswer::NotFound {
            what: Text::new(format!("there is no token {id}")),
            suggestion: "`ansai token list` shows them".into(),
        })
    }

    /// Makes a token good for nothing.
    pub(crate) fn revoke_token(&mut self, request: u64, by: &Text, id: TokenId) {
        let token = match self.token_named(id) {
            Ok(token) => token,
            Err(refusal) => return self.answer(request, refusal),
        };
        let revoked = token.revoked.or(Some(self.now.wall));
        let record = TokenRecord { revoked, ..token.clone() };
        self.put(Record::Token(record));
        self.audit(by, format!("revoked token {id}"), 0);
        self.answer(request, words::done(format!("no host joins by token {id} any more; those that have stay")));
    }

    /// The token that a host shows, when it is good.
    ///
    /// # Errors
    /// What is wrong with it, and what to do; nothing of a token is told to whoever does not have its secret.
    pub(crate) fn good_token(&self, id: TokenId, secret: Fingerprint) -> Result<&TokenRecord, (Text, &'static str)> {
        const ANEW: &str = "`ansai token create` on the controller makes another";
        let known = self.books.tokens.get(&id).filter(|token| token.secret == secret);
        let Some(token) = known else {
            return Err(("this controller knows no such token".into(), "copy the token whole, or have another made"));
        };
        if token.revoked.is_some() {
            return Err(("this token was revoked".into(), ANEW));
        }
        if token.until <= self.now.wall {
            return Err((Text::new(format!("this token ended {} ago", Shown(self.now.wall.since(token.until)))), ANEW));
        }
        if token.uses_left == 0 {
            return Err(("this token is used up: as many hosts have joined by it as may".into(), ANEW));
        }
        Ok(token)
    }
}
