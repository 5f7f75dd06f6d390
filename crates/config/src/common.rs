//! What of a file holds for everything in it unless it says otherwise: autonomy, policies, when probes look, when checks flap;
//! and the agent's settings and the routes, which some domains ask for.

use std::collections::BTreeMap;

use ansai_document::{
    Findings, Node, nearest,
    text::{cut, joined},
};
use ansai_model::{
    check::Flap,
    id::{PolicyId, RouteId},
    notify::Route,
    policy::Policy,
    rule::Autonomy,
    settings::{HostSettings, Settings},
};

use crate::{
    fill::{Filled, section, words::Words},
    keys::agent::ProbeDefaults,
    read::{each, notify, settings},
};

/// The policy that holds for whatever names none.
pub(crate) const DEFAULT: &str = "default";

/// What holds for everything unless it says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) autonomy: Autonomy,
    pub(crate) policies: BTreeMap<PolicyId, Policy>,
    pub(crate) probe_defaults: ProbeDefaults,
    pub(crate) flap: Flap,
    pub(crate) settings: Settings,
    pub(crate) host_settings: HostSettings,
    pub(crate) routes: BTreeMap<RouteId, Route>,
}

impl Common {
    /// What the merged tree says.
    pub(crate) fn read(findings: &mut Findings<'_>, tree: &Node) -> Self {
        Self {
            autonomy: Words::at(tree, "autonomy").unwrap_or_default(),
            policies: policies(findings, tree),
            probe_defaults: section(findings, tree, ("", "probe_defaults"), None).expect("each has a default"),
            flap: section(findings, tree, ("", "flap"), None).expect("both have a default"),
            settings: settings::settings(findings, tree),
            host_settings: settings::host_settings(findings, tree),
            routes: notify::routes(findings, tree),
        }
    }

    /// A policy by its name; the default one when there is none of that name.
    pub(crate) fn policy_named(&self, name: &str) -> Policy {
        let by =
            |name: &str| self.policies.iter().find(|(id, _)| id.as_str() == name).map(|(_, policy)| policy.clone());
        by(name).or_else(|| by(DEFAULT)).or_else(Policy::shipped).expect("each limit has a default")
    }
}

/// The policies: `default` first, the others over it.
fn policies(findings: &mut Findings<'_>, tree: &Node) -> BTreeMap<PolicyId, Policy> {
    let nothing = Node::null(tree.place);
    let node = tree.section("policies").unwrap_or(&nothing);
    let default: Policy = section(findings, node, ("policies", DEFAULT), None).expect("each limit has a default");
    let mut policies = each(findings, tree, "policies", |findings, node, key, id: PolicyId| {
        // What `default` says is heard once.
        let policy = if id == default.id { None } else { Policy::filled(findings, node, key, Some(&default)) };
        policy.map(|policy| Policy { id, ..policy })
    });
    policies.insert(default.id.clone(), default);
    policies
}

/// The limits of one thing.
#[derive(Clone, Debug)]
pub(crate) enum Limits {
    /// A policy by its name.
    Named(PolicyId),
    /// Limits written out, over those that hold otherwise; each thing gets them under its own name.
    Own(Box<Policy>),
}

/// The limits that stand under `policy`: a name, or limits over those of the policy of this name.
pub(crate) fn limits(findings: &mut Findings<'_>, node: &Node, key: &str, common: &Common, default: &str) -> Limits {
    let default = common.policy_named(default);
    let Some(written) = node.get("policy") else { return Limits::Named(default.id) };
    if let Some(text) = written.text() {
        if let Some(id) = common.policies.keys().find(|id| id.as_str() == text) {
            return Limits::Named(id.clone());
        }
        let help = nearest(text, common.policies.keys().map(PolicyId::as_str));
        let help = help.unwrap_or_else(|| format!("define it under `policies: {{{}: …}}`", cut(text)));
        let what = format!("there is no policy `{}`", cut(text));
        findings.error(written.place, &joined(key, "policy"), what, help);
        return Limits::Named(default.id);
    }
    let own = written.map().and_then(|_| Policy::filled(findings, written, &joined(key, "policy"), Some(&default)));
    own.map_or(Limits::Named(default.id), |policy| Limits::Own(Box::new(policy)))
}

impl Limits {
    /// The policy that they are, for a thing under whose name they stand when they are its own.
    pub(crate) fn policy(&self, common: &Common, name: &str) -> Policy {
        match self {
            Self::Named(id) => common.policy_named(id.as_str()),
            Self::Own(policy) => {
                let own = (**policy).clone();
                PolicyId::new(name).map_or(own.clone(), |id| Policy { id, ..own })
            }
        }
    }

    /// Those that are its own.
    pub(crate) fn own(&mut self) -> Option<&mut Policy> {
        match self {
            Self::Named(_) => None,
            Self::Own(policy) => Some(policy),
        }
    }
}
