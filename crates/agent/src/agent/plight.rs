//! What people are told of the agent itself: that it cannot answer for what it would do, so nothing is healed. It goes
//! through the outbox as everything else does; what is told of targets is the engine's.

use std::time::Duration;

use ansai_model::{
    bundle::Bundle,
    domain::OF_UNITS,
    id::{CheckId, IncidentId, TargetId},
    incident::Phase,
    notify::{Notice, NoticeKind},
    report::Report,
    text::Text,
    time::Now,
};
use ansai_notify::outbox::Outbox;

/// How long the ledger cannot be saved before people are told: a disk that is full for a moment is everyday.
const LASTS_MIN: Duration = Duration::from_secs(60);

/// Follows whether the agent may act at all.
#[derive(Debug, Default)]
pub(super) struct Plight {
    since: Option<Now>,
    is_told: bool,
}

impl Plight {
    /// One that people have been told of already.
    pub(super) fn told(is_told: bool) -> Self {
        Self { since: None, is_told }
    }

    /// What people are to be told now, once for each time that lasts.
    pub(super) fn follow(&mut self, now: Now, ledger_error: Option<&str>) -> Option<String> {
        let Some(why) = ledger_error else {
            *self = Self::default();
            return None;
        };
        let since = *self.since.get_or_insert(now);
        if self.is_told || now.mono.since(since.mono) < LASTS_MIN {
            return None;
        }
        self.is_told = true;
        Some(format!("the ledger cannot be saved, so nothing is done until it can be: {why}"))
    }
}

/// Puts it into the outbox, for every route.
pub(super) fn tell(outbox: &Outbox, bundle: &Bundle, now: Now, what: &str) {
    let told = notice(bundle, now, what).map(|notice| outbox.put(0, &notice));
    match told {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::warn!("it is told from memory, for it cannot be kept: {error}"),
        None => tracing::error!("nobody can be told, since no route is configured: {what}"),
    }
}

/// The message; none without a route. It is about no incident, so its number is none that an incident has.
fn notice(bundle: &Bundle, now: Now, what: &str) -> Option<Notice> {
    let routes: Vec<_> = bundle.parts().routes.keys().cloned().collect();
    let target = TargetId::of(OF_UNITS, "ansai.service").ok()?;
    let why = Text::new(what);
    let check = CheckId::of(&target, "ledger").ok()?;
    let report = Report {
        headline: "ansai heals nothing on this host until a person sees to its ledger".into(),
        symptom: why.clone(),
        advice: vec![
            "/usr/share/doc/ansai/docs/troubleshooting.md says what each file in the state directory is for".into(),
        ],
        commands: vec!["ansai status".into(), "ansai doctor".into(), "journalctl -u ansai".into()],
        ..Report::bare(IncidentId(0), target, check, now, Phase::Escalated { why })
    };
    (!routes.is_empty()).then_some(Notice { at: now, kind: NoticeKind::Escalated, routes, report, hosts: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_every_route_and_there_is_none_without_one() {
        let bundle = |text: &str| {
            let configuration = ansai_config::parse(&[("ansai.yaml".into(), text.to_owned())]).expect("valid");
            configuration.bundle(&ansai_model::inventory::Inventory::default(), 1).expect("a bundle")
        };
        let routes = "notify: {desk: {webhook: \"http://127.0.0.1:9000/\"}, hall: {exec: [/bin/true]}}\n";
        let notice = notice(&bundle(routes), Now::default(), "it is lost").expect("a message");
        assert_eq!((notice.routes.len(), notice.report.symptom.as_str()), (2, "it is lost"));
        assert_eq!(super::notice(&bundle("services: {}\n"), Now::default(), "it is lost"), None);
    }

    #[test]
    fn people_are_told_once_of_a_ledger_that_cannot_be_saved_for_a_minute() {
        let (mut plight, begun) = (Plight::default(), Now::default());
        let mut told = Vec::new();
        for second in 0..200 {
            // It can be saved for a moment amid the second minute.
            let error = (second != 100).then_some("the disk is full");
            told.extend(plight.follow(begun.plus(Duration::from_secs(second)), error).map(|_| second));
        }
        assert_eq!(told, [60, 161]);
    }
}
