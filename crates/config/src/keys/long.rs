//! The keys of the long form: what the short form is deduced into, and the pieces that both share.

use ansai_keys::{Key, Kind, Shape, count, joined, key};
use ansai_model::{
    bundle::Target,
    check::{Trend, TrendKind},
    id::TargetId,
    runbook::{Entry, Rung, Then},
};

use super::{
    COUNT, PORT,
    action::{ACTION, STEP},
    agent::Schedule,
    limits::FLAP,
    probe::PROBE,
    shared::{AUTONOMIES, CRITICAL, NOTIFIER, PROCESS_DECLARATION, RUN_AGAIN, SEVERITIES, START_PERIOD},
};
use crate::{
    domain::A_TARGET,
    fill::{Filled, fills, shape, words::word},
    keys::{probe::PROBE_TEXT, shared::CONDITION},
    read::rung,
};

pub(crate) static TARGET: Shape = shape::<Target>("Long form: a target").beside("unit: app.service");

fills! {
    Target {
        unit: key("unit", Kind::Text, "Its unit, when it is one").example("nginx.service"),
        process: key("process", Kind::Shape(&PROCESS_DECLARATION), "Its declaration, when ansai itself starts and stops it").beside(""),
        port: key("port", PORT, "The TCP port that it listens on"),
        configuration: key("configuration", Kind::Paths, "Its configuration").example("[/etc/app]").spelled(),
        needs: key("needs", Kind::Texts, "Ids of targets that must be well before it is healed")
            .example("[service/db.service]").spelled(),
        waits_for: key("waits_for", Kind::Texts, "Ids of other targets' checks that explain its failure while they fail")
            .example("[\"disk//var#full\"]"),
        runs_again: RUN_AGAIN,
        start_period: START_PERIOD,
        is_critical: CRITICAL,
        requests: key("requests", Kind::Named(const { &Kind::Shape(&STEP) }), "What is done when an operator asks for it by this name, though nothing is wrong"),
        is_notifier: NOTIFIER.default("false"),
    } besides {
        id: TargetId::new(A_TARGET).expect("a valid name"),
    }
}

const CHECKS: &[&[Key]] = &[
    &[key("probe", Kind::Short(&PROBE_TEXT, &PROBE), "How it looks").example("{unit: app.service}")],
    Schedule::KEYS,
    &[
        key("flap", Kind::Shape(&FLAP), "When it counts as flapping").below("flap"),
        key(
            "trend",
            Kind::Shape(&TREND),
            "What of it is followed over time, so that it fails before its limit is reached",
        ),
    ],
];

pub(crate) static CHECK: Shape =
    Shape::of("Long form: a check", &joined::<{ count(CHECKS) }>(CHECKS)).beside("probe: \"http://127.0.0.1/\"");

static TREND: Shape = shape::<Trend>("Long form: a trend");

fills! {
    Trend {
        figure: key("figure", Kind::Text, "The figure that is followed, a size").example("size")
            .needed("a trend needs its `figure`", "write figure: the name of a figure that the probe reports"),
        limit: key("limit", Kind::Text, "The figure that it must not reach, a size").example("limit")
            .needed("a trend needs its `limit`", "write limit: the name of a figure that the probe reports"),
        life: key("life", Kind::Text, "A figure that changes when what is followed begins anew"),
        kind: key("kind", word::<TrendKind>(), "Whether anything that fills up counts, or only what is never given back")
            .default("fill"),
        horizon: key("horizon", Kind::Duration, "It fails when the limit is forecast to be reached within this time")
            .default("1d"),
    }
}

pub(crate) static RULE: Shape = Shape::of(
    "Long form: a rule",
    &[
        key("target", Kind::Text, "The id of the target that it heals")
            .example(A_TARGET)
            .needed("a rule needs `target`", "write target: service/NAME"),
        key("checks", Kind::Texts, "The checks that trigger it, by id or by the name after #")
            .example("[unit, http]")
            .needed("a rule needs `checks`", "write checks: [unit]"),
        key("when", CONDITION, "What must hold besides; unknown does not heal").example("failing_for > 10s"),
        key("runbook", Kind::Text, "What is run")
            .example("gentle")
            .needed("a rule needs `runbook`", "write runbook: NAME"),
        key("policy", Kind::Text, "Under which limits").default("default"),
        key("autonomy", AUTONOMIES, "How much it may do by itself").below("autonomy"),
        key("severity", SEVERITIES, "How soon a person must act when it cannot be healed").default("day"),
    ],
)
.beside("target: service/app.service, checks: [unit], runbook: gentle");

pub(crate) static RUNG: Shape =
    shape::<Rung>("Long form: a rung").beside("name: restart, steps: [{restart_unit: app.service}]");

fills! {
    Rung {
        id: key("name", Kind::Text, "Its name in its runbook").example("restart").needed("a rung needs a name", "write name: restart"),
        when: key("when", CONDITION, "When it applies; it is skipped when that is false or unknown"),
        entry: key("entry", word::<Entry>(), "How it is reached").default("in-order"),
        steps: key("steps", Kind::List(const { &Kind::Shape(&STEP) }), "What is done, in order")
            .example("[{reset_failed: app.service}, {restart_unit: app.service, timeout: 100s}]").spelled(),
        then: key("then", word::<Then>(), "What follows when all steps succeeded").default("verify"),
        on_failure: key("on_failure", Kind::Text, "What follows when one did not: next-rung, escalate, or the name of a later rung")
            .default("next-rung"),
        attempts_max: key("attempts", COUNT, "How often it is tried").default("1"),
        undo: key("undo", Kind::List(const { &Kind::Shape(&ACTION) }), "What takes its effect back when it did not help"),
    } checked rung::whole
}
