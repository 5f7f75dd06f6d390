//! Which series of the labelled set are called leaks, and how early.
//! `cargo xtask bench leaks` prints the table.

use std::{collections::BTreeMap, time::Duration};

use ansai_engine::trend::{Series, leak};
use ansai_model::time::MonoTime;

use crate::{
    generate::{self, Labelled},
    recorded,
};

/// Seeds that thresholds may be chosen on; those after it are for judging alone.
const TUNE: std::ops::Range<u64> = 1..13;
const JUDGE: std::ops::Range<u64> = 101..113;
const LIMIT: f64 = 2.0 * (1u64 << 30) as f64;
/// At most so many looks at a series are judged, evenly over its time.
const LOOKS: usize = 250;

/// What became of the series of one class.
#[derive(Default)]
struct Tally {
    series: usize,
    leaks: usize,
    called: usize,
    wrong: usize,
    missed: usize,
    /// How much of the time from its begin to the limit was left when a leak was called.
    left: Vec<f64>,
}

/// When `labelled` was first called a leak, in hours.
fn called(labelled: &Labelled) -> Option<f64> {
    let mut series = Series::new();
    let stride = labelled.values.len().div_ceil(LOOKS);
    for (index, (at, value, life)) in labelled.values.iter().enumerate() {
        let now = MonoTime(0).plus(Duration::from_secs_f64(at * 3600.0));
        series.live(f64::from(*life));
        series.push(now, value * LIMIT);
        if index % stride == 0 && leak(&series, LIMIT, now).is_some_and(|forecast| forecast.is_believed()) {
            return Some(*at);
        }
    }
    None
}

/// The recorded programs as series: a reading stands for a minute; where a program's day was 72 s, for ten.
/// A leak's limit is where its recording ended, any other's twice the most that it used.
fn recorded() -> Vec<Labelled> {
    let labelled = |curve: recorded::Recorded| {
        let hours = if curve.name.contains("rhythm") { 1.0 / 6.0 } else { 1.0 / 60.0 };
        let top = curve.values.iter().copied().fold(1.0, f64::max);
        let limit = if curve.leaks { top } else { top * 2.0 };
        let values = curve.values.iter().enumerate().map(|(index, value)| (index as f64 * hours, value / limit, 0));
        let begin = if curve.name.contains("late") { 220.0 * hours } else { 0.0 };
        Labelled {
            class: if curve.leaks { "recorded, leaking" } else { "recorded, sound" },
            leaks_since: curve.leaks.then_some(begin),
            values: values.collect(),
        }
    };
    recorded::all("memory").into_iter().map(labelled).collect()
}

fn judge(set: &[Labelled]) -> (BTreeMap<&'static str, Tally>, f64, f64) {
    let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
    for labelled in set {
        let tally = tallies.entry(labelled.class).or_default();
        let at = called(labelled);
        let end = labelled.values.last().expect("there are values").0;
        tally.series += 1;
        tally.called += usize::from(at.is_some());
        match (labelled.leaks_since, at) {
            (Some(begin), Some(at)) if at >= begin => {
                tally.leaks += 1;
                tally.left.push((end - at) / (end - begin));
            }
            (Some(_), Some(_)) => {
                tally.leaks += 1;
                tally.wrong += 1;
            }
            (Some(_), None) => {
                tally.leaks += 1;
                tally.missed += 1;
            }
            (None, Some(_)) => tally.wrong += 1,
            (None, None) => {}
        }
    }
    let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum::<usize>() as f64;
    let right = sum(|tally| tally.left.len());
    let (precision, recall) = (right / (right + sum(|tally| tally.wrong)), right / sum(|tally| tally.leaks));
    (tallies, precision, recall)
}

#[expect(clippy::print_stdout, reason = "the table is for people")]
fn print(title: &str, (tallies, precision, recall): &(BTreeMap<&'static str, Tally>, f64, f64)) {
    println!("\n{title}");
    println!("| class | series | called | wrongly | missed | time left when called: median | least |");
    println!("|---|---|---|---|---|---|---|");
    for (class, tally) in tallies {
        let mut left = tally.left.clone();
        left.sort_by(f64::total_cmp);
        let share = |value: Option<&f64>| value.map_or("–".to_owned(), |value| format!("{:.0} %", value * 100.0));
        let (median, least) = (share(left.get(left.len() / 2)), share(left.first()));
        let Tally { series, called, wrong, missed, .. } = tally;
        println!("| {class} | {series} | {called} | {wrong} | {missed} | {median} | {least} |");
    }
    let series: usize = tallies.values().map(|tally| tally.series).sum();
    println!("{series} series: precision {precision:.3}, recall {recall:.3}");
}

#[test]
fn leaks_are_told_from_what_only_looks_like_one() {
    let mut set = generate::all(JUDGE);
    set.extend(recorded());
    let result = judge(&set);
    print("judged", &result);
    assert!(set.len() >= 200, "{} series", set.len());
    assert!(result.1 >= 0.97, "precision {}", result.1);
    assert!(result.2 >= 0.95, "recall {}", result.2);
}

#[test]
fn thresholds_were_chosen_on_other_seeds() {
    let result = judge(&generate::all(TUNE));
    print("for tuning", &result);
    assert!(result.1 >= 0.97 && result.2 >= 0.95);
}
