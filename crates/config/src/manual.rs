//! The manual page of the configuration file, `ansai.yaml(5)`, made from the table of keys as the reference page is.

use std::fmt::Write as _;

use ansai_keys::page::shapes;

use crate::{
    explain::{MayKey, keys_of},
    keys::config::CONFIG,
};

const BEGIN: &str = r#".SH NAME
ansai.yaml \- what ansai keeps well, how, and whom it tells
.SH SYNOPSIS
.I /etc/ansai/ansai.yaml
.br
.I /etc/ansai/layers/
.br
.I ~/.config/ansai/ansai.yaml
with
.B \-\-user
.SH DESCRIPTION
Files are YAML, TOML
.RI ( .toml )
or JSON5
.RI ( .json ", " .json5 ),
up to 1 MiB each.
A service needs no more than its name: its checks, its ladder of remedies and its limits are deduced.
.PP
Durations are written as 500ms, 5s, 10m, 2h or 7d, sizes as 512B, 64KiB, 16MiB or 2GiB.
Secrets are written as references: file:/PATH, env:NAME or credential:NAME.
A key that is not listed here is refused, with the nearest name.
.PP
.B ansai check
names every mistake at once,
.B ansai config explain KEY
says what may stand under a key and what holds, and
.B systemctl reload ansai
has the agent read the file anew; one that is wrong is never applied.
.SH EXAMPLE
.EX
autonomy: act
notify:
  email: {to: ops@example.com, smtp: "smtp://127.0.0.1:25"}
services:
  nginx.service: {probe: "http://127.0.0.1/"}
  app.service: {port: 5000, needs: [nginx.service], critical: true}
disks: {"*": {}}
.EE
"#;

const END: &str = r#".SH FILES
.TP
.I /usr/share/doc/ansai/docs
The pages about rules, domains, telling people and the rest.
.SH SEE ALSO
.BR ansai (1),
.BR ansai\-check (1),
.BR ansai\-config\-explain (1)
"#;

/// The page, for the version of the program.
#[must_use]
pub fn manual(version: &str) -> String {
    let mut page = format!(".TH ansai.yaml 5 \"\" \"ansai {}\" \"File formats\"\n{BEGIN}", escaped(version));
    for shape in shapes(&CONFIG) {
        // Writing to a string cannot fail.
        let _ = writeln!(page, ".SH {}", escaped(&shape.title.to_uppercase()));
        for MayKey { name, kind, default, meaning } in keys_of(shape) {
            let default = default.map(|default| format!("; default: {default}")).unwrap_or_default();
            let (name, about) = (escaped(&name), escaped(&format!("{kind}{default}")));
            let _ = writeln!(page, ".TP\n.BR {name} \" ({about})\"\n{}.", escaped(&meaning));
        }
    }
    page.push_str(END);
    page
}

/// Text that troff shows as it is: no requests, no escapes, dashes that can be copied.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    if out.starts_with(['.', '\'']) { format!("\\&{out}") } else { out }
}

#[cfg(test)]
mod tests;
