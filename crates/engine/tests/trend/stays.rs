//! A leak that was called stays called until its limit: an incident does not come and go with the rhythm of a day.

use std::{collections::BTreeMap, time::Duration};

use ansai_engine::trend::{Series, follow};
use ansai_model::{
    check::{Trend, TrendKind},
    observation::Health,
    time::{MonoTime, Now, WallTime},
};

use crate::{
    follow::{seen, trend},
    generate::{self, Labelled},
    leaks,
};

/// The limit of `seen`.
const LIMIT: f64 = 2.0 * (1u64 << 30) as f64;

/// How often the health of `labelled` changed, and which share of its looks after the first call was healthy.
fn changes(labelled: &Labelled) -> (usize, f64) {
    let trend = Trend { horizon: Duration::from_secs(365 * 86_400), ..trend(TrendKind::Leak) };
    let (mut series, mut before) = (Series::new(), Health::Healthy);
    let (mut changes, mut looks, mut healthy) = (0, 0.0, 0.0);
    // Every fourth value is enough to see it come and go.
    for (at, value, _) in labelled.values.iter().step_by(4) {
        let now = Now { mono: MonoTime(0), wall: WallTime(0) }.plus(Duration::from_secs_f64(at * 3600.0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the limit in bytes")]
        let used = (value * LIMIT) as u64;
        let health = follow(&trend, &mut series, now, seen(used, 1.0)).health();
        changes += usize::from(health != before);
        before = health;
        if changes > 0 {
            looks += 1.0;
            healthy += f64::from(u8::from(health == Health::Healthy));
        }
    }
    (changes, healthy / f64::max(looks, 1.0))
}

#[test]
fn a_leak_that_was_called_stays_called() {
    let mut set = generate::all(leaks::JUDGE.start..leaks::JUDGE.start + 4);
    set.extend(leaks::recorded());
    let mut classes: BTreeMap<&str, (usize, usize, f64)> = BTreeMap::new();
    for labelled in set.iter().filter(|labelled| labelled.leaks_since.is_some()) {
        let (changes, healthy) = changes(labelled);
        let class = classes.entry(labelled.class).or_default();
        *class = (class.0 + 1, class.1 + changes, class.2 + healthy);
    }
    println!("\n| class | series | changes a series | time healthy after the first call |\n|---|---|---|---|");
    for (class, (series, changes, healthy)) in &classes {
        let count = *series as f64;
        println!("| {class} | {series} | {:.1} | {:.0} % |", *changes as f64 / count, healthy * 100.0 / count);
    }
    let (series, changes) = classes.values().fold((0, 0), |sum, class| (sum.0 + class.0, sum.1 + class.1));
    assert!(changes * 10 <= series * 14, "{changes} changes of {series} series; one each is the least");
}
