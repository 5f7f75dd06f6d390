//! The predecessor's fleet: one host that manages, and those that it manages. It is carried over in the same words; how a host
//! joins is said in a note, since no file may hold a token.

use std::{collections::BTreeSet, fmt::Write as _};

use ansai_model::cluster::{Cluster, is_host_name};

use crate::{
    notes::{Fate, Notes},
    reader::Reader,
    words::{quoted, shown},
};

/// The section.
pub(crate) const KEY: &str = "ansai_cluster";
const KEYS: &[&str] = &["mode", "management_node", "managed_hosts"];
/// The only way in which fleets were managed, and are.
const CENTRALIZED: &str = "centralized";

/// The fleet as it is written, and where.
#[derive(Debug)]
pub(crate) struct Fleet {
    line: usize,
    node: String,
    hosts: Vec<String>,
}

/// Reads the section; none when it is not there, or does not say who manages.
pub(crate) fn read(reader: &mut Reader<'_, '_, '_>, notes: &mut Notes<'_>) -> Option<Fleet> {
    let section = reader.value(KEY)?;
    let place = reader.key_place(KEY);
    if section.map().is_none() {
        let help = "write mode, management_node and managed_hosts below it";
        reader.wrong(section.place, KEY, format!("`{KEY}` is {}, and must be a mapping", section.kind()), help);
        return None;
    }
    let mut reader = Reader { findings: reader.findings, node: &section, prefix: format!("{KEY}.") };
    reader.strangers(notes, KEYS.iter().copied(), |_| false);
    reader.word("mode", &[CENTRALIZED]);
    let node = reader.text("management_node");
    let hosts = hosts(&mut reader);
    let Some(node) = node else {
        let instead = "write `ansai_cluster: {management_node: NAME, managed_hosts: [NAME]}`";
        notes.add(Fate::Wanted, place, KEY, "it does not say which host manages the others", instead);
        return None;
    };
    if !is_host_name(&node) {
        let place = section.get("management_node").map_or(place, |node| node.place);
        reader.wrong(place, "management_node", no_host(&node), "write ansai-controller.example.com");
    }
    let why = "a host joins by a token, and no file may hold one";
    let instead = format!(
        "on {}: `ansai controller init`, then `ansai token create --uses {}`; on each of its hosts: `ansai join --token-file FILE`",
        shown(&node),
        hosts.len().max(1)
    );
    notes.add(Fate::Wanted, place, KEY, why, instead);
    Some(Fleet { line: notes.line(place), node, hosts })
}

/// The hosts, each once.
fn hosts(reader: &mut Reader<'_, '_, '_>) -> Vec<String> {
    let key = "managed_hosts";
    let Some(list) = reader.value(key) else { return Vec::new() };
    let Some(items) = list.list() else {
        let help = "write [web-01.example.com, db-01.example.com]";
        reader.wrong(list.place, key, format!("`{key}` is {}, and must be a list", list.kind()), help);
        return Vec::new();
    };
    if items.len() > Cluster::HOSTS_MAX {
        let what = format!("`{key}` has {} entries, and at most {} are read", items.len(), Cluster::HOSTS_MAX);
        reader.wrong(list.place, key, what, "leave it out: each host that joins by a token is taken in");
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut hosts = Vec::new();
    for item in items {
        match item.text().filter(|text| is_host_name(text)) {
            Some(host) if seen.insert(host.to_ascii_lowercase()) => hosts.push(host.to_owned()),
            Some(_) => {}
            None => {
                reader.wrong(item.place, key, no_host(item.text().unwrap_or(item.kind())), "write web-01.example.com")
            }
        }
    }
    hosts
}

fn no_host(text: &str) -> String {
    format!("`{}` is no name of a host", shown(text))
}

/// Writes the section.
// Writing to a string cannot fail, so the results are dropped.
pub(crate) fn write(text: &mut String, fleet: &Fleet) {
    let Fleet { line, node, hosts } = fleet;
    let hosts: Vec<String> = hosts.iter().map(|host| quoted(host)).collect();
    let _ = writeln!(text, "\n# The fleet. Each of its hosts heals by itself, whether its controller is there or not.");
    let _ = writeln!(text, "{KEY}:  # line {line}\n  mode: {CENTRALIZED}\n  management_node: {}", quoted(node));
    let _ = writeln!(text, "  managed_hosts: [{}]", hosts.join(", "));
}
