//! Which targets need themselves through others. It looks at each need twice, however long the way round is, and keeps no
//! stack but its own: a chain is as long as its configuration.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::Target;
use crate::id::TargetId;

/// The targets on a way round, in the order of their names. A need that leads nowhere is none.
pub(super) fn on_cycles(targets: &BTreeMap<TargetId, Target>) -> Vec<&TargetId> {
    let ids: Vec<&TargetId> = targets.keys().collect();
    let numbers: BTreeMap<&TargetId, usize> = ids.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    let numbered = |target: &Target| target.needs.iter().filter_map(|need| numbers.get(need).copied()).collect();
    let needs: Vec<Vec<usize>> = targets.values().map(numbered).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (number, needed) in needs.iter().enumerate() {
        needed.iter().for_each(|need| needed_by[*need].push(number));
    }
    // Kosaraju's way: what is reached against the needs, beginning with what was left last, is reached from each other.
    let mut seen = vec![false; needs.len()];
    let mut left = Vec::with_capacity(needs.len());
    (0..needs.len()).for_each(|from| left.extend(walk(&needs, from, &mut seen)));
    let mut seen = vec![false; needs.len()];
    let mut found = Vec::new();
    for from in left.into_iter().rev() {
        let together = walk(&needed_by, from, &mut seen);
        if together.len() > 1 || (!together.is_empty() && needs[from].contains(&from)) {
            found.extend(together);
        }
    }
    found.sort_unstable();
    found.into_iter().map(|number| ids[number]).collect()
}

/// What is reached from there and was not seen before, each when all that it leads to has been.
fn walk(edges: &[Vec<usize>], from: usize, seen: &mut [bool]) -> Vec<usize> {
    let mut left = Vec::new();
    if core::mem::replace(&mut seen[from], true) {
        return left;
    }
    let mut way = vec![(from, 0)];
    while let Some((at, next)) = way.last_mut() {
        match edges[*at].get(*next) {
            Some(to) => {
                *next += 1;
                if !core::mem::replace(&mut seen[*to], true) {
                    way.push((*to, 0));
                }
            }
            None => {
                left.push(*at);
                way.pop();
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    fn target(name: &str, needs: &[&str]) -> Target {
        let id = |name: &str| TargetId::of("service", name).expect("valid");
        Target {
            id: id(name),
            unit: None,
            process: None,
            port: None,
            configuration: Vec::new(),
            needs: needs.iter().map(|need| id(need)).collect(),
            waits_for: Vec::new(),
            runs_again: false,
            start_period: None,
            is_critical: false,
            is_notifier: false,
            requests: BTreeMap::new(),
        }
    }

    fn found(needs: &[(&str, &[&str])]) -> String {
        let target = |(name, needs): &(&str, &[&str])| {
            let made = target(name, needs);
            (made.id.clone(), made)
        };
        let targets: BTreeMap<TargetId, Target> = needs.iter().map(target).collect();
        on_cycles(&targets).iter().map(|id| id.name()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn those_on_a_way_round_are_named_and_those_that_lead_there_are_not() {
        assert_eq!(found(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]), "");
        assert_eq!(found(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["a"])]), "b c");
        assert_eq!(found(&[("a", &["a"]), ("b", &["a"]), ("c", &["nowhere"])]), "a");
        // What lies between two ways round is on neither.
        let two: &[(&str, &[&str])] =
            &[("a", &["b"]), ("b", &["a", "m"]), ("m", &["x"]), ("x", &["y"]), ("y", &["x", "z"]), ("z", &[])];
        assert_eq!(found(two), "a b x y");
        // Two ways round that share a target.
        assert_eq!(found(&[("a", &["b", "c"]), ("b", &["a"]), ("c", &["a", "d"]), ("d", &[])]), "a b c");
    }

    #[test]
    fn a_chain_of_any_length_needs_no_stack_and_its_end_may_lead_back() {
        let name = |number: usize| format!("t{number:06}");
        let mut targets = BTreeMap::new();
        for number in 0..20_000 {
            let made = target(&name(number), &[&name(number + 1)]);
            targets.insert(made.id.clone(), made);
        }
        assert!(on_cycles(&targets).is_empty());
        let last = target(&name(20_000), &[&name(0)]);
        targets.insert(last.id.clone(), last);
        assert_eq!(on_cycles(&targets).len(), 20_001);
    }
}
