//! Runs seeds, or the engine's bench. `cargo xtask sim` and `cargo xtask bench engine` call it.

use std::{process::ExitCode, time::Instant};

use ansai_engine::{HostEngine, Input, State};
use ansai_model::{
    id::CheckId,
    inventory::Inventory,
    observation::Observation,
    time::{MonoTime, Now, WallTime},
};
use anyhow::{Context, Result, bail};

#[expect(clippy::print_stderr, reason = "this is a program for people at a terminal")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", seeds] => {
            let seeds: u64 = seeds.parse().with_context(|| format!("`{seeds}` is no number of seeds"))?;
            let begun = Instant::now();
            let totals = ansai_sim::run(0, seeds)?;
            let rate = totals.seeds as f64 / begun.elapsed().as_secs_f64();
            let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            println!("{totals:#?}\n{rate:.0} seeds/s on {workers} processors; every invariant held");
            Ok(())
        }
        ["fleet", seeds] => {
            let seeds: u64 = seeds.parse().with_context(|| format!("`{seeds}` is no number of seeds"))?;
            let begun = Instant::now();
            let totals = ansai_sim::fleet::run(0, seeds)?;
            let rate = totals.seeds as f64 / begun.elapsed().as_secs_f64();
            println!("{totals:#?}\n{rate:.0} fleets/s; every invariant held");
            Ok(())
        }
        ["fleet-seed", seed] => {
            let seed: u64 = seed.parse().with_context(|| format!("`{seed}` is no seed"))?;
            println!("{:#?}", ansai_sim::fleet::run(seed, seed + 1)?);
            Ok(())
        }
        ["seed", seed] => {
            let seed: u64 = seed.parse().with_context(|| format!("`{seed}` is no seed"))?;
            println!("{:#?}", ansai_sim::run(seed, seed + 1)?);
            Ok(())
        }
        ["bench"] => {
            println!("{:.0} observations/s on one core with 1,000 checks and rules", observations_a_second()?);
            Ok(())
        }
        _ => bail!("use `run SEEDS`, `seed NUMBER`, `fleet SEEDS`, `fleet-seed NUMBER` or `bench`"),
    }
}

fn observations_a_second() -> Result<f64> {
    const CHECKS: usize = 1_000;
    const ROUNDS: usize = 2_000;
    let mut text = String::from("autonomy: act\nservices:\n");
    for number in 0..CHECKS / 2 {
        text.push_str(&format!("  app-{number}.service: {{probe: \"tcp://127.0.0.1:5000\"}}\n"));
    }
    let configuration = ansai_config::parse(&[("bench.yaml".into(), text)])?;
    let bundle = configuration.bundle(&Inventory::default(), 1)?;
    let checks: Vec<CheckId> = bundle.parts().checks.keys().cloned().collect();
    let mut now = Now { mono: MonoTime(0), wall: WallTime(0) };
    let mut engine = HostEngine::new(bundle, State::default(), now);
    drop(engine.step(now, Input::Started));
    let seen = Observation::healthy("well");
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        now = now.plus(std::time::Duration::from_millis(1));
        for check in &checks {
            drop(engine.step(now, Input::Observed { check: check.clone(), observation: seen.clone() }));
        }
    }
    Ok((checks.len() * ROUNDS) as f64 / begun.elapsed().as_secs_f64())
}
