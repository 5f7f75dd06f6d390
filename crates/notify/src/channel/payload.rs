//! What a web hook or a command is handed: the documented JSON of ansai, Slack's blocks, Discord's embeds.

use ansai_model::{
    incident::Phase,
    notify::{Notice, NoticeKind, WebhookFormat},
    report::Report,
    time::{Shown, WallTime},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::render::{self, RenderOptions, one_line};
use crate::outbox::{Message, TestNotice};

/// The version of the generic JSON; it grows when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// A message in a format.
#[must_use]
pub fn of(format: WebhookFormat, message: &Message, options: &RenderOptions) -> Value {
    match format {
        WebhookFormat::Generic => generic(message, options),
        WebhookFormat::Slack => slack(message, options),
        WebhookFormat::Discord => discord(message, options),
    }
}

fn notices(message: &Message) -> &[Notice] {
    match message {
        Message::One(notice) => std::slice::from_ref(notice),
        Message::Digest(notices) => notices,
        Message::Test(_) => &[],
    }
}

/// Most characters of a subject.
const SUBJECT_MAX: usize = 200;

/// The subject of a message, whatever it is.
#[must_use]
pub fn subject(message: &Message, options: &RenderOptions) -> String {
    let subject = match message {
        Message::One(notice) => render::subject(notice, &options.host),
        Message::Digest(notices) => render::digest_subject(notices, &options.host),
        Message::Test(test) => render::test_subject(test, &options.host),
    };
    told(&subject, options, SUBJECT_MAX)
}

/// Words on one line, of at most so many characters, whose moments are told in the zone of whoever reads them.
fn told(text: &str, options: &RenderOptions, characters_max: usize) -> String {
    one_line(&render::in_zone(text, &options.time_zone), characters_max)
}

/// `{version, host, subject, is_test, notices: [{kind, at, report}]}`; a digest has more than one notice, a test none.
fn generic(message: &Message, options: &RenderOptions) -> Value {
    let notice = |notice: &Notice| {
        let mut said = json!({"kind": notice.kind, "at": rfc3339(notice.at.wall), "report": notice.report});
        if let (Some(hosts), Some(said)) = (&notice.hosts, said.as_object_mut()) {
            said.insert("hosts".to_owned(), json!(hosts));
        }
        said
    };
    json!({
        "version": VERSION,
        "host": options.host,
        "subject": subject(message, options),
        "is_test": matches!(message, Message::Test(_)),
        "notices": notices(message).iter().map(notice).collect::<Vec<_>>(),
    })
}

fn rfc3339(at: WallTime) -> Option<String> {
    Timestamp::from_millisecond(at.0).ok().map(|timestamp| timestamp.to_string())
}

/// The few facts that fit into a chat.
fn facts(report: &Report, options: &RenderOptions) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Target", format!("{} on {}", report.target, options.host)),
        ("Symptom", told(report.symptom.as_str(), options, 300)),
        ("Since", render::moment(report.failing_since.wall, &options.time_zone)),
    ];
    facts.extend(report.downtime.map(|downtime| ("Downtime", Shown(downtime).to_string())));
    facts.extend(report.verified_by.iter().map(|by| ("Verified by", told(by.as_str(), options, 300))));
    if let Phase::Escalated { why } = &report.phase {
        facts.push(("Why a person is needed", told(why.as_str(), options, 300)));
    }
    facts.extend(report.cause.iter().map(|cause| ("Probable cause", told(cause.text.as_str(), options, 300))));
    facts.extend(report.advice.first().map(|advice| ("What to change", one_line(advice.as_str(), 300))));
    let own = |command: &String| if options.is_of_user { render::for_user(command) } else { command.clone() };
    facts.extend(report.commands.first().map(|command| ("Next", one_line(&own(command), 200))));
    facts
}

/// What a digest is about.
fn title(notices: &[Notice], options: &RenderOptions) -> String {
    match render::storm_headline(notices) {
        Some(headline) => format!("{}: {headline}", options.host),
        None => format!("{} messages from {}", notices.len(), options.host),
    }
}

/// One line for each notice of a digest, as many as a chat shows.
fn lines(notices: &[Notice], options: &RenderOptions) -> impl Iterator<Item = String> {
    notices.iter().take(20).map(|notice| {
        let report = &notice.report;
        let headline = told(report.headline.as_str(), options, 120);
        let on = notice.hosts.as_ref().map(|hosts| format!("{}: ", one_line(&hosts.in_words(2), 80)));
        let on = on.unwrap_or_default();
        format!("{on}{} {}: {headline}", report.incident, render::kind_word(notice.kind))
    })
}

fn slack(message: &Message, options: &RenderOptions) -> Value {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (title, body) = match message {
        Message::One(notice) => {
            let facts = facts(&notice.report, options);
            let lines = facts.iter().map(|(label, value)| format!("*{label}*: {}", escaped(value)));
            (told(notice.report.headline.as_str(), options, 150), lines.collect::<Vec<_>>())
        }
        Message::Digest(notices) => {
            (told(&title(notices, options), options, 150), lines(notices, options).map(|l| escaped(&l)).collect())
        }
        Message::Test(test) => {
            (one_line(&format!("A test from {}", options.host), 150), vec![escaped(&asked_by(test))])
        }
    };
    let subject = subject(message, options);
    json!({
        "text": escaped(&subject),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": false}},
            {"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": cut(&body.join("\n"), 3000)}},
            {"type": "context", "elements": [{"type": "plain_text", "text": cut(&subject, 3000), "emoji": false}]},
        ],
    })
}

fn discord(message: &Message, options: &RenderOptions) -> Value {
    let color = |kind: NoticeKind| match kind {
        NoticeKind::Escalated | NoticeKind::HealedTooOften => 0xb3_261e,
        NoticeKind::Recovered | NoticeKind::Healed => 0x2e_7d32,
        NoticeKind::Suggested | NoticeKind::ApprovalWanted | NoticeKind::Foreseen | NoticeKind::Withdrawn => 0x8a_6d00,
    };
    let embed = match message {
        Message::One(notice) => {
            let field = |(label, value): (&str, String)| json!({"name": label, "value": cut(&plain(&value), 1024)});
            json!({
                "title": cut(&plain(&told(notice.report.headline.as_str(), options, 256)), 256),
                "color": color(notice.kind),
                "timestamp": rfc3339(notice.at.wall),
                "fields": facts(&notice.report, options).into_iter().map(field).collect::<Vec<_>>(),
                "footer": {"text": format!("ansai on {}", one_line(&options.sender, 200))},
            })
        }
        Message::Digest(notices) => json!({
            "title": cut(&plain(&told(&title(notices, options), options, 256)), 256),
            "description": cut(&lines(notices, options).map(|line| plain(&line)).collect::<Vec<_>>().join("\n"), 4096),
        }),
        Message::Test(test) => json!({
            "title": cut(&plain(&one_line(&format!("A test from {}", options.host), 256)), 256),
            "description": plain(&asked_by(test)),
        }),
    };
    // What a service logged must not call everybody on a server.
    json!({
        "content": plain(&subject(message, options)),
        "embeds": [embed],
        "allowed_mentions": {"parse": []},
    })
}

/// Text that Discord shows as it is: what it would read as its Markdown, as a link behind other words, or as a mention
/// stands behind a backslash.
fn plain(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '(' | ')' | '#' | '@') {
            written.push('\\');
        }
        written.push(c);
    }
    written
}

fn asked_by(test: &TestNotice) -> String {
    format!("Nothing is wrong: {} asked for this message.", one_line(test.by.as_str(), 100))
}

fn cut(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters_max - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::id::RouteId;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::channel::render::fixtures;

    fn options() -> RenderOptions {
        RenderOptions::new("web-01", TimeZone::UTC)
    }

    fn one(report: Report) -> Message {
        Message::One(Box::new(fixtures::notice(NoticeKind::Healed, report, &["ops"])))
    }

    #[test]
    fn each_format_as_it_is_sent() {
        let message = one(fixtures::healed());
        for (name, format) in
            [("generic", WebhookFormat::Generic), ("slack", WebhookFormat::Slack), ("discord", WebhookFormat::Discord)]
        {
            let shown = serde_json::to_string_pretty(&of(format, &message, &options())).unwrap();
            insta::assert_snapshot!(name, shown);
        }
    }

    #[test]
    fn the_page_shows_the_generic_body() {
        let page = include_str!("../../../../docs/telling.md");
        let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let shown: Value = serde_json::from_str(block).unwrap();
        let sent = of(WebhookFormat::Generic, &one(fixtures::healed()), &options());
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&shown), keys(&sent));
        assert_eq!(keys(&shown["notices"][0]), keys(&sent["notices"][0]));
        for key in ["version", "host", "subject", "is_test"] {
            assert_eq!(shown[key], sent[key], "{key}");
        }
        for header in [super::super::webhook::SIGNATURE_HEADER, super::super::webhook::TIMESTAMP_HEADER] {
            assert!(page.contains(&format!("`{header}`")), "docs/telling.md does not name {header}");
        }
    }

    #[test]
    fn a_test_says_that_nothing_is_wrong_and_who_asked() {
        let test =
            TestNotice { at: fixtures::at(0).wall, by: "<!here> root".into(), route: RouteId::new("ops").unwrap() };
        let message = Message::Test(test);
        let slack = of(WebhookFormat::Slack, &message, &options());
        assert_eq!(slack["text"], "[web-01] test: messages of the route ops arrive here");
        let said = &slack["blocks"][1]["text"]["text"];
        assert_eq!(said, "Nothing is wrong: &lt;!here&gt; root asked for this message.");
        let discord = of(WebhookFormat::Discord, &message, &options());
        assert_eq!(discord["embeds"][0]["title"], "A test from web-01");
        let generic = of(WebhookFormat::Generic, &message, &options());
        assert_eq!((&generic["is_test"], &generic["notices"]), (&json!(true), &json!([])));
    }

    #[test]
    fn a_link_behind_other_words_is_shown_as_it_is_written() {
        let mut report = fixtures::healed();
        report.headline =
            "[log in](https://evil.example.com) <https://evil.example.com|here> <@1> `x` \u{202e}y".into();
        report.symptom = report.headline.clone();
        let link = |text: &str| text.replace("\\[", "").contains('[') || text.replace("\\<", "").contains('<');
        let discord = of(WebhookFormat::Discord, &one(report.clone()), &options());
        let said = [&discord["content"], &discord["embeds"][0]["title"], &discord["embeds"][0]["fields"][1]["value"]];
        for text in said.map(|text| text.as_str().unwrap()) {
            assert!(text.contains("evil") && !link(text), "{text}");
            assert!(!text.contains('\u{202e}'), "{text}");
        }
        let slack = of(WebhookFormat::Slack, &one(report), &options());
        let said = &slack["blocks"][1]["text"];
        assert!(!said["text"].as_str().unwrap().contains('<') && said["verbatim"] == json!(true), "{said}");
        assert_eq!(slack["blocks"][2]["elements"][0]["type"], "plain_text");
    }

    #[test]
    fn chats_are_not_made_to_call_everybody_and_keep_to_their_limits() {
        let mut report = fixtures::healed();
        report.headline = "<!channel> @everyone ".repeat(100).into();
        report.symptom = report.headline.clone();
        let notices: Vec<Notice> =
            (0..60).map(|_| fixtures::notice(NoticeKind::Healed, report.clone(), &["ops"])).collect();
        for message in [one(report), Message::Digest(notices)] {
            let slack = of(WebhookFormat::Slack, &message, &options());
            assert!(!slack["text"].as_str().unwrap().contains("<!"));
            assert!(!slack["blocks"][1]["text"]["text"].as_str().unwrap().contains("<!"));
            assert!(slack["blocks"][0]["text"]["text"].as_str().unwrap().chars().count() <= 150);
            assert!(slack["blocks"][1]["text"]["text"].as_str().unwrap().chars().count() <= 3000);
            let discord = of(WebhookFormat::Discord, &message, &options());
            assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
            assert!(discord["content"].as_str().unwrap().chars().count() <= 2000);
            assert!(discord["embeds"][0]["title"].as_str().unwrap().chars().count() <= 256);
        }
    }
}
