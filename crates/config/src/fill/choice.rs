//! A mapping that says one of several things: each has a key of its own, and perhaps others that belong to it. Which one is
//! meant is an enum before anything is read, so that whoever reads or writes it cannot forget one.

use ansai_document::{Findings, Node, place_of, text::joined};
use ansai_keys::Key;

/// What a mapping may say, of which it says one.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    /// Each of them.
    fn every() -> Vec<Self>;

    /// The keys of one: its own first, then those that belong to it.
    fn keys(self) -> &'static [Key];

    /// What is wrong when it says nothing, or several of them.
    fn wrong(several: &[&str]) -> String;

    /// What is wrong, and what to do, when a key stands there that belongs to others.
    fn foreign(self, name: &str, owners: &str) -> (String, String);

    /// Its own key.
    fn name(self) -> &'static str {
        self.keys().first().map_or("", |key| key.name)
    }

    /// What to name when it says nothing or several.
    fn names() -> String {
        Self::every().into_iter().map(Self::name).collect::<Vec<_>>().join(", ")
    }

    /// The one that is written.
    fn one(findings: &mut Findings<'_>, node: &Node, path: &str) -> Option<Self> {
        let every = Self::every();
        let written: Vec<Self> = every.iter().copied().filter(|way| node.has(way.name())).collect();
        let [way] = written[..] else {
            let names: Vec<&str> = written.iter().map(|way| way.name()).collect();
            let place = names.get(1).map_or(node.place, |name| place_of(node, name));
            let (what, help) = (Self::wrong(&names), format!("name exactly one of {}", Self::names()));
            match names[..] {
                [] => findings.nothing(place, path, what, help),
                _ => findings.error(place, path, what, help),
            }
            return None;
        };
        let has = |way: &Self, name: &str| way.keys().iter().any(|key| key.name == name);
        let mut said: Vec<&str> = Vec::new();
        for name in every.iter().flat_map(|way| way.keys().iter().skip(1)).map(|key| key.name) {
            if has(&way, name) || !node.has(name) || said.contains(&name) {
                continue;
            }
            said.push(name);
            let owners = every.iter().filter(|way| has(way, name)).map(|way| way.name());
            let (what, help) = way.foreign(name, &owners.collect::<Vec<_>>().join("` and `"));
            findings.error(place_of(node, name), &joined(path, name), what, help);
        }
        Some(way)
    }
}

/// For ways to which no other key belongs.
pub(crate) fn alone(name: &str, way: &str, owners: &str) -> (String, String) {
    (format!("`{name}` says nothing about `{way}`"), format!("it belongs to `{owners}`; delete it"))
}

/// An enum of what a mapping may say, each with its keys; what the domains add has a variant of its own behind `or`.
/// Behind `of` stands what is made of it: each way has its keys with what they fill, and the value that follows, as it is
/// both made and taken apart; then how what the domains add is read, and how values are written that are made elsewhere.
macro_rules! ways {
    (
        $(#[$doc:meta])* $name:ident of $type:ident {
            $($way:ident { $(($($bind:tt)+): $key:expr),+ $(,)? } => ($($made:tt)+)),* $(,)?
        } $(or $domain:ident = $others:expr, read $reader:path { $($elsewhere:pat => $written:expr),* $(,)? })?;
        $($rest:tt)*
    ) => {
        $crate::fill::choice::ways! {
            $(#[$doc])* $name { $($way: &[$($key),+]),* } $(or $domain = $others)?; $($rest)*
        }

        impl $crate::fill::Filled for $type {
            const KEYS: &'static [ansai_keys::Key] = &ansai_keys::joined::<{ ansai_keys::count($name::OWN) }>($name::OWN);

            fn filled(
                findings: &mut ansai_document::Findings<'_>,
                node: &ansai_document::Node,
                path: &str,
                _: Option<&Self>,
            ) -> Option<Self> {
                node.map()?;
                Some(match <$name as $crate::fill::choice::Choice>::one(findings, node, path)? {
                    $($name::$way => {
                        $(let $($bind)+ = $crate::fill::field(findings, node, path, const { &$key }, None)?;)+
                        $($made)+
                    })*
                    $($name::$domain(at) => {
                        let name = $crate::fill::choice::Choice::name($name::$domain(at));
                        return $reader(at, findings, node.get(name)?, &ansai_document::text::joined(path, name));
                    })?
                })
            }

            fn fields(&self) -> ansai_document::written::Fields {
                let fields = ansai_document::written::Fields::default();
                match self.clone() {
                    $($($made)+ => {
                        $(let fields = $crate::fill::with(fields, &$($bind)+, const { &$key });)+
                        fields
                    })*
                    $($($elsewhere => fields.and($written),)*)?
                }
            }
        }

        $crate::fill::held_by_keys! { $type }
    };
    (
        $(#[$doc:meta])* $name:ident { $($way:ident: $keys:expr),* $(,)? } $(or $domain:ident = $others:expr)?;
        wrong $wrong:expr; foreign $foreign:expr; $(names $names:expr;)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($way,)*
            $($domain(usize),)?
        }

        impl $name {
            /// The keys of all.
            pub(crate) const OWN: &'static [&'static [ansai_keys::Key]] = &[$($keys,)* $(&$others)?];
        }

        impl $crate::fill::choice::Choice for $name {
            fn every() -> Vec<Self> {
                let every = vec![$(Self::$way),*];
                $(let every = every.into_iter().chain((0..$others.len()).map(Self::$domain)).collect();)?
                every
            }

            fn keys(self) -> &'static [ansai_keys::Key] {
                match self {
                    $(Self::$way => const { $keys },)*
                    $(Self::$domain(at) => std::slice::from_ref(&const { &$others }[at]),)?
                }
            }

            $(fn names() -> String {
                $names.to_owned()
            })?

            fn wrong(several: &[&str]) -> String {
                let wrong: fn(&[&str]) -> String = $wrong;
                wrong(several)
            }

            fn foreign(self, name: &str, owners: &str) -> (String, String) {
                let foreign: fn(&str, &str, &str) -> (String, String) = $foreign;
                foreign(name, $crate::fill::choice::Choice::name(self), owners)
            }
        }
    };
}
pub(crate) use ways;
