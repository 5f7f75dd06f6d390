//! What a look at a certificate means, in the three values of health. Pure: raw findings and a time in, words and
//! figures out. Everything that is wrong is said at once, so that one renewal mends it all.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RENEW_BEFORE, Trust};
use crate::{
    condition::Value,
    observation::Observation,
    text::Text,
    time::{Shown, WallTime},
};

/// Certificates that live shorter than this are renewed, and told of, proportionally later.
const LIFETIME_USUAL: Duration = Duration::from_secs(90 * 86_400);

/// What a certificate must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// Names that it must cover, as `api.example.com` or an address; none are asked for when empty.
    pub names: Vec<String>,
    /// Whose word its chain must lead to.
    pub trust: Trust,
    /// How long before its end it fails. Of one that lives shorter than 90 days, the same share of its life: 30 days
    /// are a third.
    pub renew_before: Duration,
    /// What of it is judged.
    pub aspect: Aspect,
}

/// What of a certificate is judged.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Everything.
    #[default]
    Everything,
    /// Its end alone, which is told in steps: at each of these times before it, the longest first, more urgently.
    EndInSteps(Box<[Duration]>),
}

impl Expectation {
    /// The usual: trusted by the host, renewed [`RENEW_BEFORE`] its end.
    #[must_use]
    pub fn of(names: Vec<String>) -> Self {
        Self { names, trust: Trust::Host, renew_before: RENEW_BEFORE, aspect: Aspect::Everything }
    }

    /// How long before its end a certificate of this lifetime is due.
    #[must_use]
    pub fn due_before(&self, lifetime: Duration) -> Duration {
        of_lifetime(self.renew_before, lifetime)
    }

    /// Whether more than its end is judged.
    #[must_use]
    pub fn is_of_everything(&self) -> bool {
        self.aspect == Aspect::Everything
    }

    /// How many of the times before its end, at which people are told, have come; nothing when it is not told in steps.
    fn steps_taken(&self, seen: &CertificateSeen, now: WallTime) -> Option<(usize, usize)> {
        let Aspect::EndInSteps(steps) = &self.aspect else { return None };
        let (left, lifetime) = (seen.ends().since(now), seen.lifetime());
        Some((steps.iter().filter(|before| left <= of_lifetime(**before, lifetime)).count(), steps.len()))
    }
}

/// A time before the end, shortened for a certificate that lives shorter than usual.
fn of_lifetime(before: Duration, lifetime: Duration) -> Duration {
    if lifetime >= LIFETIME_USUAL {
        return before.min(lifetime);
    }
    let share = before.as_secs_f64() / LIFETIME_USUAL.as_secs_f64();
    lifetime.mul_f64(share.min(1.0))
}

/// Whether a signature or a key resists today's attacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// It does.
    Strong,
    /// It does not; what it is, as `signed with SHA-1`.
    Weak(Text),
}

/// Whether the chain leads to a trusted authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainState {
    /// It does.
    Trusted,
    /// It does not, and why.
    Broken(Text),
    /// One of its certificates is not valid yet.
    NotYet,
    /// The authorities could not be read, so it cannot be told.
    Unreadable(Text),
    /// Nobody asked.
    NotAsked,
}

/// Another certificate of a chain, which ends before the server's own does and is needed until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearerEnd {
    /// Whom it is for.
    pub subject: Text,
    /// Valid until then.
    pub not_after: WallTime,
}

/// Whether the key belongs to the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyMatch {
    /// It does.
    Matches,
    /// It belongs to another one.
    Differs,
    /// It is not where it should be.
    Missing(Text),
    /// It cannot be read (no leave, or encrypted).
    Unreadable(Text),
    /// No key was asked for.
    NotAsked,
}

/// Whether this is the same certificate as the one in the declared file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sameness {
    /// It is.
    Same,
    /// It is another one.
    Differs {
        /// The path of the file.
        file: Text,
        /// Whether the one in the file is itself in need of being renewed: then taking it over would mend nothing.
        is_due: bool,
    },
    /// The file could not be read; its own check says so.
    Unreadable(Text),
    /// Nobody asked.
    NotAsked,
}

/// One look at one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSeen {
    /// Whom it is for.
    pub subject: Text,
    /// Who signed it.
    pub issuer: Text,
    /// Hexadecimal.
    pub serial: Text,
    /// Valid from then.
    pub not_before: WallTime,
    /// Valid until then.
    pub not_after: WallTime,
    /// What of its chain ends before.
    pub nearer_end: Option<NearerEnd>,
    /// DNS names and addresses that it covers.
    pub names: Vec<String>,
    /// Its signatures, those of the chain included, and its key.
    pub strength: Strength,
    /// What the chain above it is like.
    pub chain: ChainState,
    /// Whether the key belongs to it.
    pub key: KeyMatch,
    /// Compared with the file that it should be equal to.
    pub sameness: Sameness,
}

impl CertificateSeen {
    /// Until when clients take it: a chain is as near its end as its nearest certificate.
    fn ends(&self) -> WallTime {
        self.nearer_end.as_ref().map_or(self.not_after, |nearer| nearer.not_after.min(self.not_after))
    }

    /// When it ends, in words behind a time, when that is not its own end.
    fn ends_with(&self, before: &str) -> String {
        self.nearer_end
            .as_ref()
            .map_or(String::new(), |nearer| format!(", {before} {} of its chain ends", nearer.subject))
    }

    fn lifetime(&self) -> Duration {
        self.not_after.since(self.not_before)
    }
}

/// Whether one of the names of a certificate covers a wanted one; `*.` stands for exactly one label (RFC 6125).
#[must_use]
pub fn covers(names: &[String], wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches('.');
    names.iter().any(|name| {
        let name = name.trim_end_matches('.');
        match name.strip_prefix("*.") {
            Some(parent) => {
                wanted
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(parent))
                // A wanted wildcard is covered by itself only.
                || wanted.eq_ignore_ascii_case(name)
            }
            None => name.eq_ignore_ascii_case(wanted),
        }
    })
}

/// What a look means. `place` says what was looked at: a path or an address.
#[must_use]
pub fn judge(place: &str, expect: &Expectation, seen: &CertificateSeen, now: WallTime) -> Observation {
    let mut of_itself = end_problems(expect, seen, now);
    if expect.is_of_everything() {
        of_itself.extend(own_problems(expect, seen));
    }
    let differs = match &seen.sameness {
        Sameness::Differs { file, is_due } if expect.is_of_everything() => Some((file, *is_due)),
        Sameness::Differs { .. } | Sameness::Same | Sameness::Unreadable(_) | Sameness::NotAsked => None,
    };
    let is_stale = differs.is_some_and(|(_, is_due)| !is_due);
    // Before its time a certificate is right and the clock is not, or it was put in place too early: another one would end
    // no sooner being too early.
    let is_early = now < seen.not_before || (expect.is_of_everything() && seen.chain == ChainState::NotYet);
    let is_due = !is_stale && !is_early && (differs.is_some() || !of_itself.is_empty());
    let expires_in = seen.ends().since(now);
    let figures = |observation: Observation| {
        let observation = observation
            .with_figure("certificate.expires_in", Value::Duration(expires_in))
            .with_figure("certificate.lifetime", Value::Duration(seen.lifetime()))
            .with_figure("certificate.is_due", Value::Bool(is_due))
            .with_figure("certificate.is_stale", Value::Bool(is_stale));
        let Some((step, steps)) = expect.steps_taken(seen, now) else { return observation };
        let number = u32::try_from(step).map_or(f64::MAX, f64::from);
        observation
            .with_figure(Observation::STEP, Value::Number(number))
            .with_figure(Observation::IS_LAST_STEP, Value::Bool(step == steps))
    };
    let mut problems = of_itself;
    if let Some((file, is_due)) = differs {
        let why = if is_due { "" } else { ": renewed there, but not taken over here" };
        problems.insert(0, format!("is not the certificate in {file}{why}"));
    }
    if !problems.is_empty() {
        return figures(Observation::failing(format!("{place} {}", problems.join("; "))));
    }
    if let Some(why) = doubt(expect, seen) {
        return figures(Observation::unknown(format!("{place}: {why}")));
    }
    figures(Observation::healthy(format!("{place} is good for {}{}", Shown(expires_in), seen.ends_with("until"))))
}

/// What is wrong with its time.
fn end_problems(expect: &Expectation, seen: &CertificateSeen, now: WallTime) -> Vec<String> {
    let expires_in = seen.ends().since(now);
    if seen.not_after <= now {
        return Vec::from([format!("expired {} ago", Shown(now.since(seen.not_after)))]);
    }
    if now < seen.not_before {
        let wait = Shown(seen.not_before.since(now));
        return Vec::from([format!("is not valid yet, only in {wait}: is the clock of this host right?")]);
    }
    if let Some(nearer) = seen.nearer_end.as_ref().filter(|nearer| nearer.not_after <= now) {
        // A chain that was followed has said so itself.
        let is_said = expect.is_of_everything() && matches!(seen.chain, ChainState::Broken(_));
        let ago = Shown(now.since(nearer.not_after));
        let said = (!is_said).then(|| format!("has a chain of which {} expired {ago} ago", nearer.subject));
        return said.into_iter().collect();
    }
    let with = seen.ends_with("when");
    if let Some((steps, _)) = expect.steps_taken(seen, now) {
        return if steps > 0 { Vec::from([format!("expires in {}{with}", Shown(expires_in))]) } else { Vec::new() };
    }
    let due_before = expect.due_before(seen.lifetime());
    if expires_in > due_before {
        return Vec::new();
    }
    let (left, due) = (Shown(expires_in), Shown(due_before));
    Vec::from([format!("expires in {left}{with} (it should be renewed {due} before its end)")])
}

/// What is wrong with it whatever the time.
fn own_problems(expect: &Expectation, seen: &CertificateSeen) -> Vec<String> {
    let mut problems = Vec::new();
    match &seen.key {
        KeyMatch::Differs => problems.push(String::from("does not belong to its key")),
        KeyMatch::Missing(why) => problems.push(format!("has no key: {why}")),
        KeyMatch::Matches | KeyMatch::Unreadable(_) | KeyMatch::NotAsked => {}
    }
    let missing: Vec<&str> =
        expect.names.iter().filter(|name| !covers(&seen.names, name)).map(String::as_str).collect();
    if !missing.is_empty() {
        let names = if seen.names.is_empty() { String::from("no name") } else { seen.names.join(", ") };
        problems.push(format!("does not cover {} (it covers {names})", missing.join(", ")));
    }
    match &seen.chain {
        ChainState::Broken(why) => problems.push(format!("is not trusted: {why}")),
        ChainState::NotYet => {
            problems.push("is not trusted yet: its chain is not valid yet: is the clock of this host right?".into());
        }
        ChainState::Trusted | ChainState::Unreadable(_) | ChainState::NotAsked => {}
    }
    if let Strength::Weak(what) = &seen.strength {
        problems.push(format!("is weak: {what}"));
    }
    problems
}

/// What could not be told, when nothing that could be told is wrong.
fn doubt(expect: &Expectation, seen: &CertificateSeen) -> Option<String> {
    if !expect.is_of_everything() {
        return None;
    }
    if let KeyMatch::Unreadable(why) = &seen.key {
        return Some(format!("its key cannot be read: {why}"));
    }
    if let ChainState::Unreadable(why) = &seen.chain {
        return Some(format!("its chain cannot be followed: {why}"));
    }
    match &seen.sameness {
        Sameness::Unreadable(why) => Some(format!("it cannot be compared with its file: {why}")),
        Sameness::Same | Sameness::Differs { .. } | Sameness::NotAsked => None,
    }
}

#[cfg(test)]
mod tests;
