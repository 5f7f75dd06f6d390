//! Tokens, by which hosts join without being asked about, or by which people ask the API from elsewhere: who may make which, and
//! when one is good. Their secrets are not here, only digests of them.

use std::time::Duration;

use ansai_model::{
    text::Text,
    time::{Shown, WallTime},
};
use ansai_protocol::{
    access::Access,
    link::{Fingerprint, Short, TokenId},
    operation::FleetAnswer,
    record::{Record, TokenRecord},
};

use crate::{
    FleetEngine,
    limits::{API_TOKEN_LASTS_MAX, OWNER_BYTES_MAX, TOKEN_LASTS_MAX, TOKEN_USES_MAX, TOKENS_MAX, USED_EVERY},
    words,
};

/// A token as somebody wants it.
pub(crate) struct Wanted {
    pub(crate) id: TokenId,
    pub(crate) secret: Fingerprint,
    pub(crate) role: Option<Short>,
    pub(crate) uses: u32,
    pub(crate) lasts: Duration,
    pub(crate) access: Option<Access>,
}

/// Since when a token is good for nothing, when it is.
pub(crate) fn ended(token: &TokenRecord, now: WallTime) -> Option<WallTime> {
    let used_up = token.used.filter(|_| token.uses_left == 0 && token.access.is_none());
    let over = Some(token.until).filter(|until| *until <= now);
    [token.revoked, used_up, over].into_iter().flatten().min()
}

impl FleetEngine {
    /// Makes a token good.
    pub(crate) fn create_token(&mut self, request: u64, by: &Text, wanted: Wanted) {
        if let Some(refusal) = self.objection_to_token(&wanted) {
            return self.answer(request, refusal);
        }
        let Wanted { id, secret, role, uses, lasts, access } = wanted;
        let now = self.now.wall;
        let until = now.plus(lasts);
        let hosts = words::count(uses as usize, "host");
        let of_role = role.as_ref().map(|role| format!(" of role {role}")).unwrap_or_default();
        let text = match &access {
            None => format!("token {id}: {hosts}{of_role} may join by it until {until}"),
            Some(Access { role, owner }) => {
                format!("token {id} of the API: {owner} asks by it as {role} until {until}")
            }
        };
        let uses_left = if access.is_some() { 0 } else { uses };
        let (by_whom, made) = (by.clone(), now);
        self.put(Record::Token(TokenRecord {
            id,
            secret,
            role,
            uses_left,
            until,
            by: by_whom,
            made,
            used: None,
            revoked: None,
            access,
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
        if let Some(access) = &wanted.access {
            return objection_to_access(access, *lasts);
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
        let text = match &token.access {
            None => format!("no host joins by token {id} any more; those that have stay"),
            Some(Access { owner, .. }) => format!("{owner} asks the API by token {id} no more"),
        };
        let record = TokenRecord { revoked, ..token.clone() };
        self.put(Record::Token(record));
        self.audit(by, format!("revoked token {id}"), 0);
        self.answer(request, words::done(text));
    }

    /// The token that a host shows, when it is good.
    ///
    /// # Errors
    /// What is wrong with it, and what to do; nothing of a token is told to whoever does not have its secret.
    pub(crate) fn good_token(&self, id: TokenId, secret: Fingerprint) -> Result<&TokenRecord, (Text, &'static str)> {
        const ANEW: &str = "`ansai token create` on the controller makes another";
        let known = self.books.tokens.get(&id).filter(|token| token.secret == secret && token.access.is_none());
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

    /// Who asks the API by a token, and what they may, when it is good.
    ///
    /// # Errors
    /// What is wrong with it, and what to do; nothing of a token is told to whoever does not have its secret.
    pub fn access_by(&self, id: TokenId, secret: Fingerprint) -> Result<&Access, (Text, &'static str)> {
        const ANEW: &str = "`ansai token create --api viewer` on the controller makes another";
        let known = self.books.tokens.get(&id).filter(|token| token.secret == secret);
        let Some((token, access)) = known.and_then(|token| Some((token, token.access.as_ref()?))) else {
            return Err(("this controller knows no such token of its API".into(), ANEW));
        };
        if token.revoked.is_some() {
            return Err(("this token was revoked".into(), ANEW));
        }
        if token.until <= self.now.wall {
            return Err((Text::new(format!("this token ended at {}", token.until)), ANEW));
        }
        Ok(access)
    }

    /// Notes that a token of the API was used, when that is worth keeping. It never holds up who asks.
    pub(crate) fn token_used(&mut self, id: TokenId) {
        let now = self.now.wall;
        let Some(token) = self.books.tokens.get(&id) else { return };
        let is_news = token.used.is_none_or(|used| used > now || now.since(used) >= USED_EVERY);
        if is_news && self.objection_to_saving().is_none() {
            self.put(Record::Token(TokenRecord { used: Some(now), ..token.clone() }));
        }
    }
}

fn objection_to_access(access: &Access, lasts: Duration) -> Option<FleetAnswer> {
    let owner = access.owner.as_str();
    let is_name = !owner.trim().is_empty() && owner.len() <= OWNER_BYTES_MAX && !owner.chars().any(char::is_control);
    if !is_name {
        let what = format!("the owner of a token is named, in at most {OWNER_BYTES_MAX} bytes");
        return Some(words::refused(what, "write whose it is, as --owner ada"));
    }
    (lasts.is_zero() || lasts > API_TOKEN_LASTS_MAX).then(|| {
        let what =
            format!("a token of the API lasts for at most {}, not for {}", Shown(API_TOKEN_LASTS_MAX), Shown(lasts));
        words::refused(what, "write for how long it is good, as --for 90d")
    })
}
