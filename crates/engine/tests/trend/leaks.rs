//! Which series of the labelled set are called leaks, and how early.
//! `cargo xtask bench leaks` prints the table.

use std::{collections::BTreeMap, time::Duration};

use ansai_engine::trend::{Series, fill, leak};
use ansai_model::time::MonoTime;

use crate::{
    generate::{self, Labelled},
    recorded, rejected,
};

/// Seeds that thresholds may be chosen on; those after it are for judging alone.
const TUNE: std::ops::Range<u64> = 1..13;
pub(crate) const JUDGE: std::ops::Range<u64> = 301..313;
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

/// A way to tell leaks: whether what was seen since the last restart is called one.
type Teller = dyn Fn(&Series, MonoTime, rejected::Past<'_>) -> bool;

fn ours(series: &Series, now: MonoTime, _past: rejected::Past<'_>) -> bool {
    leak(series, LIMIT, now).is_some_and(|forecast| forecast.is_believed())
}

/// When `labelled` was first called a leak, in hours.
fn called(labelled: &Labelled, teller: &Teller) -> Option<f64> {
    let (mut series, mut past, mut living) = (Series::new(), Vec::new(), 0);
    let stride = labelled.values.len().div_ceil(LOOKS);
    for (index, (at, value, life)) in labelled.values.iter().enumerate() {
        let now = MonoTime(0).plus(Duration::from_secs_f64(at * 3600.0));
        if *life != living {
            living = *life;
            past.clear();
        }
        past.push((*at, *value));
        series.live(f64::from(*life));
        series.push(now, value * LIMIT);
        if index % stride == 0 && teller(&series, now, &past) {
            return Some(*at);
        }
    }
    None
}

/// The recorded programs as series: a reading stands for a minute; where a program's day was 72 s, for ten.
/// A leak's limit is where its recording ended, any other's twice the most that it used.
pub(crate) fn recorded() -> Vec<Labelled> {
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

fn judge(set: &[Labelled], teller: &Teller) -> (BTreeMap<&'static str, Tally>, f64, f64) {
    let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
    for labelled in set {
        let tally = tallies.entry(labelled.class).or_default();
        let at = called(labelled, teller);
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

/// What a look costs when the history is full: printed, and far below what a busy machine could add to it.
#[test]
fn a_look_is_cheap() {
    let (mut series, mut now) = (Series::new(), MonoTime(0));
    for minute in 0..20_000u32 {
        now = MonoTime(0).plus(Duration::from_secs(60) * minute);
        series.push(now, 1e8 + 1e4 * f64::from(minute));
    }
    const TIMES: u32 = 200;
    let time = |look: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        (0..TIMES).filter(|_| look()).count();
        begun.elapsed() / TIMES
    };
    let leak = time(&|| leak(&series, LIMIT, now).is_some());
    let fill = time(&|| fill(&series, LIMIT, now).is_some());
    println!("\na look at a fortnight's history: leak {leak:?}, fill {fill:?}");
    assert!(leak < Duration::from_millis(20) && fill < Duration::from_millis(20));
}

#[test]
fn leaks_are_told_from_what_only_looks_like_one() {
    let mut set = generate::all(JUDGE);
    set.extend(recorded());
    let result = judge(&set, &ours);
    print("judged", &result);
    let (_, precision, recall) = judge(&set, &|_, _, past| rejected::line(past));
    println!("rejected, least squares over 6 h: precision {precision:.3}, recall {recall:.3}");
    let (_, precision, recall) = judge(&set, &|_, _, past| rejected::pairs(past));
    println!("rejected, Mann-Kendall over a day: precision {precision:.3}, recall {recall:.3}");
    assert!(set.len() >= 200, "{} series", set.len());
    assert!(result.1 >= 0.97, "precision {}", result.1);
    assert!(result.2 >= 0.95, "recall {}", result.2);
}

#[test]
fn thresholds_were_chosen_on_other_seeds() {
    let result = judge(&generate::all(TUNE), &ours);
    print("for tuning", &result);
    assert!(result.1 >= 0.97 && result.2 >= 0.95);
}
