//! The first lines of `ansai status`: which agent it is, what may be done by itself, and how many targets are how. They fit 80
//! columns in any state, also where nobody says how wide the terminal is. What stops the agent stands below them, elsewhere.

use std::time::Duration;

use ansai_model::{observation::Health, rule::Autonomy, time::Shown, units::ByteSize};
use ansai_protocol::{Own, Status, TargetStatus};

use super::{is_stopped, warns};
use crate::show;

/// Columns that every terminal has.
const COLUMNS: usize = 80;
/// Where a line goes on.
const HANG: &str = "  ";

/// Which agent it is, on which host, for how long, what it takes and what it goes by.
pub(super) fn agent(status: &Status) -> Vec<String> {
    let Status { version, host, generation, .. } = status;
    let uptime = Shown(Duration::from_secs(status.uptime_seconds));
    let mut pieces = vec![format!("ansai {version}"), format!("on {host},"), format!("up {uptime},")];
    pieces.extend(status.own.iter().flat_map(own));
    pieces.push(format!("configuration {generation}"));
    packed(&pieces, columns())
}

/// What the agent takes of its host.
fn own(own: &Own) -> Vec<String> {
    let load = own.cpu_percent.map(|percent| format!("{percent:.1} % CPU,"));
    [format!("{},", ByteSize(own.memory_bytes))].into_iter().chain(load).collect()
}

/// What may be done by itself, and how many targets are how: on one line where it has room, else each on its own.
pub(super) fn summary(targets: &[TargetStatus]) -> Vec<String> {
    Counts::of(targets).lines(columns())
}

fn columns() -> usize {
    show::terminal().columns.map_or(COLUMNS, |columns| columns.min(COLUMNS))
}

/// How many targets are how.
#[derive(Debug, Default)]
struct Counts {
    /// How far ansai may go by itself, with how many targets each, those that are.
    modes: Vec<(Autonomy, usize)>,
    all: usize,
    failing: usize,
    warnings: usize,
    unknown: usize,
    healthy: usize,
    stopped: usize,
    held: usize,
}

impl Counts {
    fn of(targets: &[TargetStatus]) -> Self {
        let count = |is_so: &dyn Fn(&TargetStatus) -> bool| targets.iter().filter(|target| is_so(target)).count();
        let modes = [Autonomy::Act, Autonomy::Approve, Autonomy::Suggest, Autonomy::Observe]
            .map(|autonomy| (autonomy, count(&|target| target.autonomy.unwrap_or_default() == autonomy)));
        let health = |health: Health| count(&|target| target.health == health && !is_stopped(target) && !warns(target));
        Self {
            modes: modes.into_iter().filter(|(_, count)| *count > 0).collect(),
            all: targets.len(),
            failing: health(Health::Failing),
            warnings: count(&warns),
            unknown: health(Health::Unknown),
            healthy: health(Health::Healthy),
            stopped: count(&is_stopped),
            held: count(&|target| target.is_held),
        }
    }

    fn lines(&self, columns: usize) -> Vec<String> {
        let (modes, counts) = (self.modes(), self.counts());
        let whole: Vec<String> = modes.iter().chain(&counts).cloned().collect();
        let line = packed(&whole, columns);
        match line.len() {
            1 => line,
            _ => [packed(&modes, columns), packed(&counts, columns)].concat(),
        }
    }

    fn modes(&self) -> Vec<String> {
        let mut pieces = match self.modes.as_slice() {
            [] => vec!["nothing is watched".to_owned()],
            [(Autonomy::Observe, _)] => vec!["observe: nothing is healed".to_owned()],
            [(only, _)] => vec![only.as_str().to_owned()],
            several => several.iter().map(|(mode, count)| format!("{} {count}", mode.as_str())).collect(),
        };
        pieces[0].insert_str(0, "mode ");
        listed(pieces, ";")
    }

    fn counts(&self) -> Vec<String> {
        let mut pieces = vec![format!("{}: {} failing", show::count(self.all, "target"), self.failing)];
        pieces.extend((self.warnings > 0).then(|| show::count(self.warnings, "warning")));
        pieces.extend([format!("{} unknown", self.unknown), format!("{} healthy", self.healthy)]);
        pieces.extend((self.stopped > 0).then(|| format!("{} stopped by an operator", self.stopped)));
        // Whoever is held is counted above as well.
        let held = (self.held > 0).then(|| format!("{} held", self.held));
        let end = if held.is_some() { ";" } else { "" };
        listed(pieces, end).into_iter().chain(held).collect()
    }
}

/// Pieces of which each but the last has a comma behind it, and the last this end.
fn listed(mut pieces: Vec<String>, end: &str) -> Vec<String> {
    let last = pieces.len().saturating_sub(1);
    for (at, piece) in pieces.iter_mut().enumerate() {
        piece.push_str(if at < last { "," } else { end });
    }
    pieces
}

/// As many pieces on a line as have room there; none is broken.
fn packed(pieces: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + piece.chars().count() <= columns => {
                line.push(' ');
                line.push_str(piece);
            }
            Some(_) => lines.push(format!("{HANG}{piece}")),
            None => lines.push(piece.clone()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of one to six digits, each time others, and none now and then.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (size, number) = ((self.0 >> 60) % 7, self.0 >> 33);
            usize::try_from(number % 10_u64.pow(u32::try_from(size).expect("small"))).expect("small")
        }
    }

    fn counts(numbers: &mut Numbers) -> Counts {
        let words = [Autonomy::Act, Autonomy::Approve, Autonomy::Suggest, Autonomy::Observe];
        let modes = words.map(|word| (word, numbers.next())).into_iter().filter(|(_, count)| *count > 0);
        Counts {
            modes: modes.collect(),
            all: numbers.next(),
            failing: numbers.next(),
            warnings: numbers.next(),
            unknown: numbers.next(),
            healthy: numbers.next(),
            stopped: numbers.next(),
            held: numbers.next(),
        }
    }

    #[test]
    fn what_it_counts_fits_80_columns_whatever_is_counted_and_loses_no_word() {
        let mut numbers = Numbers(7);
        let mut seen = [0; 4];
        for _ in 0..20_000 {
            let counts = counts(&mut numbers);
            let lines = counts.lines(COLUMNS);
            seen[lines.len() - 1] += 1;
            assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{counts:?}: {lines:#?}");
            let words: Vec<String> = lines.iter().map(|line| line.trim_start().to_owned()).collect();
            assert_eq!(words.join(" "), [counts.modes(), counts.counts()].concat().join(" "));
        }
        assert!(seen[..3].iter().all(|lines| *lines > 50), "lines of each length are among them: {seen:?}");
    }

    #[test]
    fn what_has_no_room_on_one_line_has_a_line_of_its_own() {
        let of = |modes: &[(Autonomy, usize)], stopped| {
            let (all, failing, unknown, healthy, held) = (300, 12, 1, 287, 2);
            Counts { modes: modes.to_vec(), all, failing, warnings: 0, unknown, healthy, stopped, held }.lines(COLUMNS)
        };
        let counts = "300 targets: 12 failing, 1 unknown, 287 healthy";
        assert_eq!(of(&[(Autonomy::Act, 300)], 0), [format!("mode act; {counts}; 2 held")]);
        let modes = [(Autonomy::Act, 290), (Autonomy::Observe, 10)];
        assert_eq!(
            of(&modes, 3),
            ["mode act 290, observe 10;", &format!("{counts}, 3 stopped by an operator;"), "  2 held"]
        );
        let narrow = Counts { modes: modes.to_vec(), all: 300, ..Counts::default() }.lines(30);
        assert_eq!(narrow, ["mode act 290, observe 10;", "300 targets: 0 failing,", "  0 unknown, 0 healthy"]);
    }

    #[test]
    fn which_agent_it_is_fits_80_columns_with_the_longest_name_of_a_host() {
        let mut numbers = Numbers(11);
        let mut seen = [0; 3];
        for length in 1..=64 {
            for _ in 0..100 {
                let mut status = super::super::tests::status();
                status.version = format!("{}.{}.{}", numbers.next() % 100, numbers.next() % 100, numbers.next() % 100);
                status.host = "h".repeat(length);
                status.uptime_seconds = numbers.next() as u64 * 1_000;
                status.generation = numbers.next() as u64;
                let cpu_percent = Some(numbers.next() as f64 / 1_000.0).filter(|percent| *percent > 0.0);
                let memory_bytes = numbers.next() as u64 * 4_096;
                status.own = Some(Own { memory_bytes, memory_bytes_max: memory_bytes, cpu_ms: 1, cpu_percent });
                let lines = agent(&status);
                seen[lines.len() - 1] += 1;
                assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:#?}");
                assert!(
                    lines[lines.len() - 1].ends_with(&format!("configuration {}", status.generation)),
                    "{lines:#?}"
                );
            }
        }
        assert!(seen[..2].iter().all(|lines| *lines > 100), "lines of each length are among them: {seen:?}");
    }
}
