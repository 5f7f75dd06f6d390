//! The keys of containers: of the section, of the probe and of the action, each with the field that it fills.

use ansai_keys::{Key, Kind, Shape, key};
use ansai_model::domain::container::{ContainerAction, ContainerProbe};

use super::{Container, SECTION as NAME};
use crate::{
    fill::{fills, shape},
    keys::{
        COUNT, PERIOD,
        shared::{AUTONOMIES, SEVERITIES},
    },
};

const RESTARTS_MAX: Key =
    key("restarts_max", COUNT, "More restarts by its engine itself within `within` are failing").default("3");
const WITHIN: Key = key("within", Kind::Duration, "How long a restart by its engine counts").default("10m");

fills! {
    Container {
        every: key("every", PERIOD, "The period; when its engine tells of a change it is looked at at once").default("30s"),
        restarts_max: RESTARTS_MAX,
        within: WITHIN,
        autonomy: key("autonomy", AUTONOMIES, "How much may be done about it").below("autonomy"),
        severity: key("severity", SEVERITIES, "How soon a person must act when it cannot be mended").default("day"),
    }
}

static CONTAINER: Shape = shape::<Container>("A container");

/// The section.
pub(crate) const SECTION: Key = key(
    NAME,
    Kind::Named(const { &Kind::Short(&Kind::Truth, &CONTAINER) }),
    "Containers of Docker and Podman to keep well, by name or by a pattern with * and ?; false is not watched",
)
.example("{\"*\": {}, batch-*: false}");

fills! {
    ContainerProbe {
        name: key("name", Kind::Text, "Its name").example("web").needed("`name` is missing", "write name: web"),
        restarts_max: RESTARTS_MAX,
        within: WITHIN,
    }
}

/// The long form of a look.
pub(crate) static PROBE: Shape = shape::<ContainerProbe>("A look at a container");

/// What is done.
#[derive(Clone)]
pub(super) struct Action {
    pub(super) restart: String,
}

fills! {
    Action {
        restart: key("restart", Kind::Text, "Which container is restarted, within its own stop time-out; by its unit where it has one")
            .example("web").needed("`restart` is missing", "write restart: web"),
    }
}

/// The long form of what is done.
pub(crate) static ACTION: Shape = shape::<Action>("Something about a container");

/// What is done, written out.
pub(crate) fn written(action: &ContainerAction) -> ansai_document::written::Fields {
    use crate::fill::Filled as _;
    match action {
        ContainerAction::Restart { name } => Action { restart: name.clone() }.fields(),
    }
}
