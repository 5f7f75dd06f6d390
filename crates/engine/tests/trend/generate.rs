//! Memory over time as services of many kinds have it, made from a seed: some leak, some only look so.
//! Values are shares of the limit, times are hours; nothing here knows how leaks are looked for.

use std::f64::consts::TAU;

use crate::random::Random;

const DAY: f64 = 24.0;

/// One labelled series.
pub(crate) struct Labelled {
    pub(crate) class: &'static str,
    /// Since when it leaks, in hours; `None` when it does not.
    pub(crate) leaks_since: Option<f64>,
    /// Hours, shares of the limit, and which life of the process it is.
    pub(crate) values: Vec<(f64, f64, u32)>,
}

/// What a series is made of: a shape of the level, and what comes on top of it.
struct Recipe {
    leaks_since: Option<f64>,
    hours: f64,
    level: Box<dyn Fn(f64) -> f64>,
    /// The times at which the process is started anew; the level's time is the service's, not the process's.
    restarts: Vec<f64>,
    sawtooth: Option<(f64, f64)>,
    /// Height of the day's rhythm, and of the week's.
    rhythm: (f64, f64),
    /// Noise, and how much of it stays for the next value.
    noise: (f64, f64),
}

impl Recipe {
    fn new(hours: f64, level: impl Fn(f64) -> f64 + 'static) -> Self {
        Self {
            leaks_since: None,
            hours,
            level: Box::new(level),
            restarts: Vec::new(),
            sawtooth: None,
            rhythm: (0.0, 0.0),
            noise: (0.002, 0.5),
        }
    }

    fn leak(hours: f64, since: f64, level: impl Fn(f64) -> f64 + 'static) -> Self {
        Self { leaks_since: Some(since), ..Self::new(hours, level) }
    }
}

type Maker = fn(&mut Random) -> Recipe;

/// Every class with how its series are made.
const CLASSES: &[(&str, Maker)] = &[
    ("steady, noise", steady),
    ("warm-up", warm_up),
    ("cache fills, then evicts", cache_linear),
    ("cache fills ever slower", cache_slower),
    ("daily rhythm", daily),
    ("weekly rhythm", weekly),
    ("garbage collection", garbage),
    ("garbage collection and rhythm", garbage_daily),
    ("step after a deploy", step),
    ("restarts, warm-up each time", restarts),
    ("wandering", wandering),
    ("batch jobs", batches),
    ("slow leak, 0.1 % an hour", leak_slow),
    ("leak, 0.3 to 3 % an hour", leak_medium),
    ("fast leak, 5 to 40 % an hour", leak_fast),
    ("leak after warm-up", leak_warm),
    ("leak and daily rhythm", leak_daily),
    ("leak and weekly rhythm", leak_weekly),
    ("leak and garbage collection", leak_garbage),
    ("leak by load", leak_load),
    ("leak in steps", leak_steps),
    ("leak that begins late", leak_late),
];

/// All series of the seeds given: one of each class and seed.
pub(crate) fn all(seeds: std::ops::Range<u64>) -> Vec<Labelled> {
    let mut series = Vec::new();
    for (index, (class, maker)) in CLASSES.iter().enumerate() {
        for seed in seeds.clone() {
            let mut random = Random::new(seed * 1000 + index as u64);
            let recipe = maker(&mut random);
            series.push(made(class, &recipe, &mut random));
        }
    }
    series
}

fn made(class: &'static str, recipe: &Recipe, random: &mut Random) -> Labelled {
    let step = if recipe.hours > 2.0 * DAY { 1.0 / 12.0 } else { 1.0 / 60.0 };
    let phase = random.between(0.0, DAY * 7.0);
    let (mut noise, mut tooth, mut at) = (0.0, 0.0, 0.0);
    let mut values = Vec::new();
    while at < recipe.hours {
        let (width, kept) = recipe.noise;
        noise = kept * noise + width * (1.0 - kept * kept).sqrt() * random.bell();
        if let Some((height, period)) = recipe.sawtooth {
            tooth += height * step / period * random.between(0.6, 1.4);
            if tooth > height {
                tooth = 0.0;
            }
        }
        let hour = at + phase;
        let (day, week) = recipe.rhythm;
        let weekday = if hour.rem_euclid(DAY * 7.0) < DAY * 5.0 { 1.0 } else { 0.0 };
        let wave = (1.0 - (TAU * hour / DAY).cos()) / 2.0;
        let load = day * wave * if week > 0.0 { 0.3 + 0.7 * weekday } else { 1.0 } + week * weekday;
        let value = (recipe.level)(at) + load + tooth + noise;
        let life = recipe.restarts.iter().filter(|restart| **restart <= at).count();
        values.push((at, value.max(0.001), u32::try_from(life).expect("few restarts")));
        if recipe.leaks_since.is_some() && value >= 1.0 {
            break;
        }
        at += step;
    }
    Labelled { class, leaks_since: recipe.leaks_since, values }
}

fn steady(random: &mut Random) -> Recipe {
    let level = random.between(0.1, 0.9);
    let noise = (random.scale(0.0005, 0.03), random.between(0.0, 0.95));
    Recipe { noise, ..Recipe::new(DAY * 7.0, move |_| level) }
}

fn warm_up(random: &mut Random) -> Recipe {
    let (base, plateau, time) = (random.between(0.02, 0.15), random.between(0.2, 0.8), random.scale(0.15, 12.0));
    let noise = (random.scale(0.0005, 0.01), 0.5);
    let hours = (time * 14.0).clamp(12.0, DAY * 7.0);
    Recipe { noise, ..Recipe::new(hours, move |at| base + (plateau - base) * (1.0 - (-at / time).exp())) }
}

fn cache_linear(random: &mut Random) -> Recipe {
    let (base, size, time) = (random.between(0.1, 0.4), random.between(0.03, 0.22), random.scale(1.0, 48.0));
    let noise = (random.scale(0.0005, 0.005), 0.5);
    Recipe { noise, ..Recipe::new((time * 4.0).max(24.0), move |at| base + size * (at / time).min(1.0)) }
}

fn cache_slower(random: &mut Random) -> Recipe {
    let (base, size, time) = (random.between(0.1, 0.4), random.between(0.1, 0.4), random.scale(1.0, 60.0));
    let power = random.between(0.35, 0.6);
    let noise = (random.scale(0.0005, 0.005), 0.5);
    Recipe { noise, ..Recipe::new(time * 4.0, move |at| base + size * (at / time).min(1.0).powf(power)) }
}

fn daily(random: &mut Random) -> Recipe {
    let level = random.between(0.1, 0.5);
    let rhythm = (random.between(0.03, 0.3), 0.0);
    Recipe { rhythm, noise: (random.scale(0.001, 0.01), 0.5), ..Recipe::new(DAY * 10.0, move |_| level) }
}

fn weekly(random: &mut Random) -> Recipe {
    let level = random.between(0.1, 0.5);
    let rhythm = (random.between(0.03, 0.2), random.between(0.03, 0.15));
    Recipe { rhythm, noise: (random.scale(0.001, 0.01), 0.5), ..Recipe::new(DAY * 16.0, move |_| level) }
}

fn garbage(random: &mut Random) -> Recipe {
    let level = random.between(0.1, 0.5);
    let sawtooth = Some((random.between(0.03, 0.4), random.scale(0.1, 12.0)));
    Recipe { sawtooth, ..Recipe::new(DAY * 5.0, move |_| level) }
}

fn garbage_daily(random: &mut Random) -> Recipe {
    let level = random.between(0.1, 0.4);
    let sawtooth = Some((random.between(0.03, 0.2), random.scale(0.1, 6.0)));
    Recipe { sawtooth, rhythm: (random.between(0.03, 0.2), 0.0), ..Recipe::new(DAY * 8.0, move |_| level) }
}

fn step(random: &mut Random) -> Recipe {
    let (level, height, when) = (random.between(0.1, 0.5), random.between(0.05, 0.4), random.between(6.0, 90.0));
    let ramp = random.scale(0.02, 2.0);
    Recipe::new(DAY * 6.0, move |at| level + height * ((at - when) / ramp).clamp(0.0, 1.0))
}

fn restarts(random: &mut Random) -> Recipe {
    let (plateau, time, every) = (random.between(0.2, 0.7), random.scale(0.3, 6.0), random.between(8.0, 48.0));
    let restarts = (1..30).map(|count| every * f64::from(count)).collect();
    let level = move |at: f64| 0.05 + plateau * (1.0 - (-(at % every) / time).exp());
    Recipe { restarts, ..Recipe::new(DAY * 6.0, level) }
}

fn wandering(random: &mut Random) -> Recipe {
    let level = random.between(0.2, 0.6);
    let noise = (random.between(0.01, 0.05), random.between(0.98, 0.999));
    Recipe { noise, ..Recipe::new(DAY * 10.0, move |_| level) }
}

fn batches(random: &mut Random) -> Recipe {
    let (level, height) = (random.between(0.1, 0.4), random.between(0.1, 0.5));
    let (every, length) = (random.between(3.0, 30.0), random.between(0.2, 2.5));
    let phase = random.between(0.0, 30.0);
    let level = move |at: f64| {
        let since = (at + phase) % every;
        level + if since < length { height * since / length } else { 0.0 }
    };
    Recipe::new(DAY * 6.0, level)
}

fn leak_slow(random: &mut Random) -> Recipe {
    let level = random.between(0.3, 0.7);
    Recipe { noise: (random.scale(0.001, 0.01), 0.5), ..Recipe::leak(1000.0, 0.0, move |at| level + 0.001 * at) }
}

fn leak_medium(random: &mut Random) -> Recipe {
    let (level, slope) = (random.between(0.1, 0.6), random.scale(0.003, 0.03));
    Recipe { noise: (random.scale(0.001, 0.015), 0.5), ..Recipe::leak(400.0, 0.0, move |at| level + slope * at) }
}

fn leak_fast(random: &mut Random) -> Recipe {
    let (level, slope) = (random.between(0.05, 0.5), random.scale(0.05, 0.4));
    Recipe { noise: (random.scale(0.001, 0.01), 0.5), ..Recipe::leak(40.0, 0.0, move |at| level + slope * at) }
}

fn leak_warm(random: &mut Random) -> Recipe {
    let (plateau, time, slope) = (random.between(0.1, 0.4), random.scale(0.2, 4.0), random.scale(0.002, 0.05));
    Recipe::leak(400.0, 0.0, move |at| 0.05 + plateau * (1.0 - (-at / time).exp()) + slope * at)
}

fn leak_daily(random: &mut Random) -> Recipe {
    let (level, slope) = (random.between(0.1, 0.3), random.scale(0.002, 0.008));
    Recipe { rhythm: (random.between(0.03, 0.2), 0.0), ..Recipe::leak(600.0, 0.0, move |at| level + slope * at) }
}

fn leak_weekly(random: &mut Random) -> Recipe {
    let (level, slope) = (random.between(0.1, 0.3), random.scale(0.001, 0.003));
    let rhythm = (random.between(0.03, 0.1), random.between(0.02, 0.08));
    Recipe { rhythm, ..Recipe::leak(1000.0, 0.0, move |at| level + slope * at) }
}

fn leak_garbage(random: &mut Random) -> Recipe {
    let (level, slope) = (random.between(0.1, 0.4), random.scale(0.002, 0.05));
    let sawtooth = Some((random.between(0.03, 0.25), random.scale(0.05, 0.1 / slope)));
    Recipe { sawtooth, ..Recipe::leak(600.0, 0.0, move |at| level + slope * at) }
}

fn leak_load(random: &mut Random) -> Recipe {
    let (level, slope, phase) = (random.between(0.1, 0.4), random.scale(0.002, 0.008), random.between(0.0, DAY));
    let depth = random.between(0.3, 0.9);
    let level = move |at: f64| {
        let turned = |at: f64| at - depth * DAY / TAU * (TAU * at / DAY).sin();
        level + slope * (turned(at + phase) - turned(phase))
    };
    Recipe::leak(600.0, 0.0, level)
}

fn leak_steps(random: &mut Random) -> Recipe {
    let (level, slope) = (random.between(0.1, 0.5), random.scale(0.002, 0.05));
    let height = random.between(0.005, 0.03);
    Recipe::leak(600.0, 0.0, move |at| level + (slope * at / height).floor() * height)
}

fn leak_late(random: &mut Random) -> Recipe {
    let (level, slope) = (random.between(0.1, 0.5), random.scale(0.003, 0.1));
    let begin = random.between(6.0, 150.0);
    let leak = move |at: f64| level + slope * (at - begin).max(0.0);
    Recipe { noise: (random.scale(0.001, 0.01), 0.5), ..Recipe::leak(600.0, begin, leak) }
}
