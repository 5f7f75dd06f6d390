//! The services of this host as `ansai init` proposes to watch them: by their unit, and by a port that they listen on.

use std::fmt::Write as _;

use ansai_model::domain::service::validators;

use super::{Found, quoted, shown};

// Writing to a string cannot fail, so the results are dropped throughout.
pub(super) fn proposal(found: &Found, text: &mut String) {
    let mut units = found.services().peekable();
    text.push_str(if units.peek().is_none() { "services: {}\n" } else { "services:\n" });
    for unit in units {
        let name = unit.name.as_str();
        let _ = writeln!(text, "  # {}", shown(unit.description.as_str()));
        let validator =
            validators::for_unit(name).map(|validator| format!("  # validated with `{}`", validator.argv.join(" ")));
        let validator = validator.unwrap_or_default();
        let name = quoted(name);
        let _ = match found.ports.get(unit.name.as_str()) {
            Some(port) => writeln!(text, "  {name}: {{probe: \"tcp://127.0.0.1:{port}\"}}{validator}"),
            None => writeln!(text, "  {name}: {{}}{validator}"),
        };
    }
}
