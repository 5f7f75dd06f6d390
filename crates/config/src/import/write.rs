//! Our configuration as text, with comments that say where each part comes from. What it may say is decided elsewhere.

use std::{fmt::Write as _, path::Path};

use ansai_model::domain::service::validators;

use super::{
    Fate, Note, certificate, disk,
    old::{Mail, Old},
    service::Service,
    shown,
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
    services(&mut text, old);
    if let Some(disks) = &old.disks {
        disk::write(&mut text, disks);
    }
    certificate::write(&mut text, &old.certificates);
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

fn services(text: &mut String, old: &Old) {
    if old.services.is_empty() {
        text.push_str("\n# The old file watches no service; `ansai init` finds those of this host.\nservices: {}\n");
        return;
    }
    text.push_str("\n# Units are heard of through systemd; probes look besides.\nservices:\n");
    for service in &old.services {
        let _ = writeln!(text, "  {}:  # line {}", quoted(&service.unit), service.line);
        let keys = keys(old, service);
        match keys.is_empty() {
            true => text.push_str("    {}\n"),
            false => keys.iter().for_each(|line| {
                let _ = writeln!(text, "    {line}");
            }),
        }
    }
}

fn keys(old: &Old, service: &Service) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(validator) = validators::for_unit(&service.unit) {
        lines.push(format!("# validated with `{}` before each restart", validator.argv.join(" ")));
    }
    if service.is_critical {
        lines.push("critical: true".to_owned());
    }
    if service.is_only_suggested {
        lines.push("autonomy: suggest  # service_restart was not among its strategies".to_owned());
    }
    if service.is_socket_activated {
        lines.push("expect: not-failed  # socket_activated: it may rest until somebody connects".to_owned());
    }
    lines.extend(service.port.map(|port| format!("port: {port}")));
    if let Some(period) = old.start_period.filter(|_| service.has_probe()) {
        lines.push(format!("start_period: {}  # healthcheck_grace", duration(period)));
    }
    if service.has_probe() {
        let every = old.every.map_or(String::new(), |every| format!(", every: {}", duration(every)));
        let fail_after = old.fail_after.map_or(String::new(), |count| format!(", fail_after: {count}"));
        lines.push("probes:".to_owned());
        let port = service.port.map(|port| format!("  port: {{tcp: \"127.0.0.1:{port}\"{every}{fail_after}}}"));
        lines.extend(port);
        let url = service.url.as_deref().map(quoted);
        lines.extend(url.map(|url| format!("  domain: {{http: {url}{every}{fail_after}}}")));
    }
    // A comment alone is no value.
    if lines.iter().all(|line| line.starts_with('#')) && !lines.is_empty() {
        lines.push("{}".to_owned());
    }
    lines
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

/// Seconds in the largest unit that holds them whole.
pub(super) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let found = units.iter().find(|(_, size)| seconds.is_multiple_of(*size));
    found.map_or_else(|| format!("{seconds}s"), |(unit, size)| format!("{}{unit}", seconds / size))
}

/// A text between quotes; it holds no control characters.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
