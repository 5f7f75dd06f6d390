//! The configuration as it is written: every key that is understood, and nothing checked but its form.
//! What it means stands in `convert.rs` and `deduce.rs`.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor, value::MapAccessDeserializer},
};

macro_rules! raw {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $($(#[$field_doc])* pub(crate) $field: $type,)*
        }
    };
}

raw! {
    /// A whole file.
    RawConfig {
        autonomy: Option<String>,
        notify: Option<BTreeMap<String, RawChannel>>,
        services: BTreeMap<String, Option<RawService>>,
        policies: BTreeMap<String, RawPolicy>,
        maintenance: Vec<RawWindow>,
        heartbeat: Option<RawHeartbeat>,
        agent: RawAgent,
    }
}
raw! {
    /// A service, a template instance or a glob over units.
    RawService {
        probe: Option<RawProbe>,
        probes: BTreeMap<String, RawProbe>,
        needs: Vec<String>,
        port: Option<u16>,
        critical: bool,
        configuration: Vec<String>,
        validate: Option<Vec<String>>,
        restore_configuration: bool,
        environment: Vec<RawEntry>,
        autonomy: Option<String>,
        policy: Option<RawPolicyRef>,
        severity: Option<String>,
        expect: Option<String>,
    }
}
raw! {
    /// A probe in its long form.
    RawProbeMap {
        http: Option<String>,
        tcp: Option<String>,
        unix: Option<String>,
        exec: Option<Vec<String>>,
        nagios: Option<Vec<String>>,
        file: Option<String>,
        age_max: Option<String>,
        expect: Option<RawExpect>,
        every: Option<String>,
        timeout: Option<String>,
        fail_after: Option<u32>,
        recover_after: Option<u32>,
        insecure: bool,
        ca: Option<String>,
    }
}
raw! {
    /// What an HTTP answer must be.
    RawExpect {
        status: Option<RawStatus>,
        body: Option<String>,
        within: Option<String>,
        header: BTreeMap<String, String>,
    }
}
raw! {
    /// A file, directory or link that a service needs.
    RawEntry {
        file: Option<String>,
        directory: Option<String>,
        symlink: Option<String>,
        to: Option<String>,
        create: bool,
        mode: Option<String>,
        owner: Option<String>,
        group: Option<String>,
    }
}
raw! {
    /// Limits; what is missing is taken from the policy `default`.
    RawPolicy {
        cooldown: Option<String>,
        budget: Option<RawBudget>,
        breaker: Option<RawBreaker>,
        backoff: Option<RawBackoff>,
        attempts: Option<u32>,
        verify_within: Option<String>,
        stable_for: Option<String>,
        approval_expires: Option<String>,
        dependency_wait: Option<String>,
        loud_after: Option<u32>,
    }
}
raw! {
    /// Most actions within a time.
    RawBudget { actions: Option<u32>, per: Option<String>, }
}
raw! {
    /// A circuit breaker.
    RawBreaker { failures: Option<u32>, within: Option<String>, open_for: Option<String>, }
}
raw! {
    /// A back-off.
    RawBackoff {
        initial: Option<String>,
        factor: Option<u32>,
        max: Option<String>,
        jitter: Option<u32>,
        reset_after: Option<String>,
    }
}
raw! {
    /// A way to tell people.
    RawChannel {
        to: Option<RawList>,
        from: Option<String>,
        smtp: Option<String>,
        user: Option<String>,
        password: Option<String>,
        ca: Option<String>,
        webhook: Option<String>,
        format: Option<String>,
        secret: Option<String>,
        exec: Option<Vec<String>>,
        scope: Option<Vec<String>>,
        severity: Option<String>,
        healed: bool,
        fallback: Option<String>,
    }
}
raw! {
    /// A maintenance window.
    RawWindow {
        scope: Option<RawList>,
        reason: Option<String>,
        from: Option<String>,
        until: Option<String>,
    }
}
raw! {
    /// The dead-man's switch.
    RawHeartbeat { url: Option<String>, every: Option<String>, token: Option<String>, }
}
raw! {
    /// The agent's own settings.
    RawAgent {
        role: Option<String>,
        host_budget: Option<RawBudget>,
        remediations_at_once: Option<u32>,
        full_pass_every: Option<String>,
        evidence_lines: Option<u32>,
        metrics_listen: Option<String>,
        journal_bytes: Option<String>,
        reports_kept_for: Option<String>,
        memory_max: Option<String>,
        redact: Option<Vec<String>>,
        labels: BTreeMap<String, String>,
    }
}

/// A value that may be written as one text, or in a longer form.
#[derive(Clone, Debug)]
pub(crate) enum Short<T> {
    Text(String),
    Long(T),
}

/// A probe as `http://…`, or in its long form.
pub(crate) type RawProbe = Short<RawProbeMap>;
/// A policy by its name, or written out.
pub(crate) type RawPolicyRef = Short<RawPolicy>;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Forms<T> {
            type Value = Short<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a mapping")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Short::Text(text.to_owned()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short::Long)
            }
        }
        deserializer.deserialize_any(Forms(PhantomData))
    }
}

/// One text, or several.
#[derive(Clone, Debug)]
pub(crate) struct RawList(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for RawList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = RawList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawList(vec![text.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(text) = seq.next_element()? {
                    list.push(text);
                }
                Ok(RawList(list))
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

/// A status code, or several codes and ranges: `200`, `[200, 204]`, `200-299`.
#[derive(Clone, Debug)]
pub(crate) struct RawStatus(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for RawStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = RawStatus;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status code, a range as 200-299, or a list of these")
            }
            fn visit_u64<E: de::Error>(self, code: u64) -> Result<Self::Value, E> {
                Ok(RawStatus(vec![code.to_string()]))
            }
            fn visit_i64<E: de::Error>(self, code: i64) -> Result<Self::Value, E> {
                Ok(RawStatus(vec![code.to_string()]))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawStatus(vec![text.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(RawStatus(mut items)) = seq.next_element()? {
                    list.append(&mut items);
                }
                Ok(RawStatus(list))
            }
        }
        deserializer.deserialize_any(Forms)
    }
}
