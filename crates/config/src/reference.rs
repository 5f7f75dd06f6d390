//! The reference page, made from the table of keys. It is compared with the one in `docs/` by a test.

use ansai_keys::page::sections;

use crate::keys::config::CONFIG;

/// The reference of every key, as Markdown.
#[must_use]
pub fn reference() -> String {
    INTRODUCTION.to_owned() + &sections(&CONFIG)
}

const INTRODUCTION: &str = "\
# The configuration

This page is made from the table of keys that also checks every file; do not edit it.
`ansai config schema` prints the same as a JSON schema for editors.

Files are YAML, TOML (`.toml`) or JSON5 (`.json`, `.json5`), up to 1 MiB each.
Durations are written as `500ms`, `5s`, `10m`, `2h` or `7d`, sizes as `512B`, `64KiB`, `16MiB` or `2GiB`.
A key that is not listed here is refused, with the nearest name.
Secrets are written as references: `file:/PATH`, `env:NAME` or `credential:NAME`.

[rules.md](../rules.md) says how a service is healed, how layers are put over each other and what the long form is for; [probes.md](probes.md), [actions.md](actions.md) and [conditions.md](../conditions.md) go into their parts.

The same in the three forms:

```yaml
# ansai.yaml
autonomy: act
services:
  app.service: {probe: \"http://127.0.0.1:5000/\", needs: [db.service]}
  db.service: {port: 5432, policy: {cooldown: 5m}}
```

```toml
# ansai.toml
autonomy = \"act\"

[services.\"app.service\"]
probe = \"http://127.0.0.1:5000/\"
needs = [\"db.service\"]

[services.\"db.service\"]
port = 5432
policy = {cooldown = \"5m\"}
```

```json5
// ansai.json5
{
  autonomy: 'act',
  services: {
    'app.service': {probe: 'http://127.0.0.1:5000/', needs: ['db.service']},
    'db.service': {port: 5432, policy: {cooldown: '5m'}},
  },
}
```
";
