//! Our configuration as text, with comments that say where each part comes from. What it may say is decided elsewhere.

use std::{fmt::Write as _, path::Path};

use crate::{
    cluster, domain,
    notes::{Fate, Note},
    old::{Mail, Old},
    words::{duration, quoted, shown},
};

// Writing to a string cannot fail, so the results are dropped throughout.
pub(super) fn configuration(old: &Old, notes: &[Note], file: &Path) -> String {
    let mut text = String::from("# ansai.yaml\n");
    let name = shown(&file.file_name().unwrap_or_default().to_string_lossy());
    let _ = writeln!(
        text,
        "# Carried over from {name} by `ansai import ansai`, whose lines are named; the end lists what was not."
    );
    text.push_str("# Read it, then: ansai check, and ansai explain SERVICE once the agent runs.\n\n");
    autonomy(&mut text, old);
    people(&mut text, old);
    if let Some(every) = old.heartbeat {
        let every = every.map_or(String::new(), |every| format!(", every: {}", duration(every)));
        let _ = writeln!(text, "\n# The dead-man's switch: healthcheck_ping_url stands in that file.");
        let _ = writeln!(text, "heartbeat: {{url: \"file:/etc/ansai/heartbeat-url\"{every}}}");
    }
    if let Some(fleet) = &old.fleet {
        cluster::write(&mut text, fleet);
    }
    domain::write(&mut text, &old.domains, &old.timing);
    lost(&mut text, notes);
    text
}

fn autonomy(text: &mut String, old: &Old) {
    text.push_str(match old.heals {
        Some(true) => {
            "# self_healing_enabled: true. With `observe` ansai first only says what it would do.\nautonomy: act\n"
        }
        Some(false) => "# self_healing_enabled: false. `act` lets ansai heal.\nautonomy: observe\n",
        None => {
            "# self_healing_enabled was not said, so nothing is healed until `act` stands here.\nautonomy: observe\n"
        }
    });
}

fn people(text: &mut String, old: &Old) {
    if old.mail.is_none() && old.hook.is_none() {
        text.push_str("\n# Nobody is told of anything: the old file names no way. `notify:` would.\n");
        return;
    }
    text.push_str("\nnotify:\n");
    let healed = |text: &mut String| {
        if let Some(is_told) = old.tells_healed {
            let _ = writeln!(text, "    healed: {is_told}  # alert_on_success");
        }
    };
    if let Some(mail) = &old.mail {
        let to: Vec<String> = mail.to.iter().map(|to| quoted(to)).collect();
        let _ = writeln!(text, "  email:\n    to: [{}]", to.join(", "));
        let _ = writeln!(text, "    smtp: {}", quoted(&server(mail)));
        if let Some(user) = &mail.user {
            let _ = writeln!(text, "    user: {}", quoted(user));
            if user.contains('@') {
                let _ = writeln!(text, "    from: {}  # many servers take mail only from who logs in", quoted(user));
            }
        }
        if mail.has_password {
            text.push_str("    password: \"file:/etc/ansai/smtp-password\"\n");
        }
        healed(text);
    }
    if let Some(hook) = &old.hook {
        let _ = writeln!(text, "  webhook:\n    webhook: \"file:/etc/ansai/webhook-url\"\n    format: {}", hook.format);
        healed(text);
    }
}

/// The mail server with the protection that its port and a login ask for.
fn server(mail: &Mail) -> String {
    let host = mail.server.as_deref().unwrap_or("127.0.0.1");
    let port = mail.port.unwrap_or(if mail.user.is_some() { 587 } else { 25 });
    let scheme = match port {
        465 => "smtps",
        587 => "smtp+starttls",
        // Nobody logs in without protection.
        _ if mail.user.is_some() => "smtp+starttls",
        _ => "smtp",
    };
    format!("{scheme}://{host}:{port}")
}

/// What was not simply carried over.
fn lost(text: &mut String, notes: &[Note]) {
    let parts = [
        (Fate::Wanted, "To be completed by you"),
        (Fate::NotYet, "Not done by ansai yet"),
        (Fate::Dropped, "Not carried over"),
        (Fate::Changed, "Carried over differently"),
    ];
    for (fate, title) in parts {
        let notes: Vec<&Note> = notes.iter().filter(|note| note.fate == fate).collect();
        if notes.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n# {title}:");
        for same in notes.chunk_by(|a, b| (&a.why, &a.instead) == (&b.why, &b.instead)) {
            let Note { why, instead, .. } = same[0];
            let keys: Vec<String> = same.iter().map(|note| format!("line {}, {}", note.line, note.key)).collect();
            let _ = writeln!(text, "# - {}:\n#   {why}.\n#   Instead: {instead}.", keys.join("; "));
        }
    }
}
