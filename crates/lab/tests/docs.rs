//! What the README, the first pages of one host and of many, and the page of the local API tell a reader to do, done on hosts
//! that are as they say.
//!
//! It deliberately knows no command of them: they stand in the pages. A line `$ …` is run and must end with 0; the lines below
//! it must be in what it prints, `…` being anything.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use ansai_lab::lan::Lan;
use ansai_lab::{Host, HostOptions, agent, fixture, mail, package};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// Where the host has the package, and where commands are run.
const FOLDER: &str = "/root/packages";

fn page(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The blocks of one language, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let found = page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    found.map(str::to_owned).collect()
}

/// A command of a page, with the lines that it is said to print.
struct Step {
    command: String,
    prints: Vec<String>,
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), prints: Vec::new() }),
            (None, Some(step)) => step.prints.push(line.to_owned()),
            (None, None) => {}
        }
    }
    steps
}

/// Whether a line of `printed` is as a page shows it, but for blanks and what stands for `…`.
fn is_printed(printed: &str, shown: &str) -> bool {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_it = |line: &str| {
        let mut rest = line;
        shown.split('…').map(plain).filter(|part| !part.is_empty()).all(|part| {
            let found = rest.split_once(part.as_str()).map(|(_, after)| after);
            rest = found.unwrap_or_default();
            found.is_some()
        })
    };
    printed.lines().any(|line| is_it(&plain(line)))
}

fn run(host: &Host, step: &Step) -> Result<()> {
    run_in(host, FOLDER, step)?;
    after(host, &step.command)
}

/// Runs a command of a page, and returns what it prints.
fn run_in(host: &Host, folder: &str, step: &Step) -> Result<String> {
    let script = format!("cd {folder} && {}", step.command);
    let output = host.run_within(package::LIMIT, &["sh", "-c", &script])?.ok()?;
    for line in &step.prints {
        ensure!(is_printed(&output.stdout, line), "`{}` does not print `{line}` but\n{}", step.command, output.stdout);
    }
    Ok(output.stdout)
}

/// What a reader sees in time before going on.
fn after(host: &Host, command: &str) -> Result<()> {
    let is_held = || Ok(agent::json(host, &["status"])?["held"].is_string());
    match command.split(" --").next().unwrap_or_default() {
        "dpkg" => agent::wait_health(host, "nginx.service", "healthy"),
        "systemctl reload ansai" => {
            host.wait_until("the new configuration", LIMIT, || Ok(agent::json(host, &["status"])?["generation"] != 1))?;
            agent::wait_health(host, "nginx.service", "healthy")?;
            agent::wait_health(host, "app.service", "healthy")?;
            host.wait_until("the last known good configuration", LIMIT, || {
                Ok(host.exists("/var/lib/ansai/configurations/nginx.service"))
            })
        }
        "ansai drill app crash" => healed(host, "service/app.service", "restart"),
        "ansai drill nginx configuration" => healed(host, "service/nginx.service", "restore-configuration"),
        "touch /etc/ansai/HOLD" => host.wait_until("the HOLD file to be seen", LIMIT, is_held),
        "rm /etc/ansai/HOLD" => host.wait_until("the end of it to be seen", LIMIT, || Ok(!is_held()?)),
        _ => Ok(()),
    }
}

/// A drill is healed by the rung that the page names.
fn healed(host: &Host, target: &str, rung: &str) -> Result<()> {
    let of_target = |incident: &Value| incident["target"] == target;
    let incident = host.wait_for(&format!("an incident of {target}"), LIMIT, || {
        Ok(agent::incidents(host)?.into_iter().find(of_target).and_then(|incident| incident["id"].as_u64()))
    })?;
    let report = agent::wait_report(host, &format!("i{incident}"), "healed")?;
    let is_by = agent::steps(&report, "ended").iter().any(|step| step["rung"] == rung);
    ensure!(is_by, "{target} was not healed by {rung}: {report:#}");
    Ok(())
}

/// What `init` has written with the lines of a page in the place of its own: those of the same key, also behind `#`, or else
/// below their section.
fn added(written: &str, page: &str) -> String {
    let key = |line: &str| {
        let line = line.trim_start_matches(['#', ' ']).trim_start_matches('"');
        line.split([':', '"']).next().unwrap_or_default().to_owned()
    };
    let depth = |line: &str| line.trim_start_matches('#').starts_with("  ");
    let mut lines: Vec<String> = written.lines().map(str::to_owned).collect();
    let mut section = 0;
    for line in page.lines().filter(|line| !line.trim_start().starts_with('#')) {
        // What is a remark of `init` stands further in; what it proposes to write stands behind a `#` of the first column.
        let is_it = |other: &String| {
            !other.starts_with("  #") && key(other) == key(line) && depth(other) == depth(line) && !key(line).is_empty()
        };
        let at = match (lines.iter().position(is_it), depth(line)) {
            (Some(at), _) => {
                lines[at] = line.to_owned();
                at
            }
            (None, true) => {
                lines.insert(section + 1, line.to_owned());
                section + 1
            }
            (None, false) => {
                lines.push(line.to_owned());
                lines.len() - 1
            }
        };
        if !depth(line) {
            section = at;
        }
    }
    lines.join("\n") + "\n"
}

/// Asks the local API from outside, and returns what it answers; of a stream, its first line.
fn ask(host: &Host, socket: &str, method: &str, path: &str, body: &str) -> Result<Value> {
    let outside = format!("/proc/{}/root{socket}", host.leader().as_raw_nonzero());
    let mut stream = UnixStream::connect(&outside).with_context(|| outside.clone())?;
    stream.set_read_timeout(Some(LIMIT))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nhost: ansai\r\ncontent-length: {length}\r\n\r\n{body}")?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "{method} {path}: {head}");
    }
    ensure!(head.split(' ').nth(1) == Some("200"), "{method} {path}: {head}");
    let mut text = String::new();
    match path.ends_with("/events") {
        true => reader.read_line(&mut text).map(|_| ())?,
        false => reader.read_to_string(&mut text).map(|_| ())?,
    }
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))?;
    ensure!(value["schema"] == 1, "{method} {path}: {value}");
    Ok(value)
}

/// Does what a command of curl would do, which a host need not have.
fn curl(host: &Host, command: &str) -> Result<Value> {
    let (before, body) = command.split_once(" --data ").unwrap_or((command, ""));
    let words: Vec<&str> = before.split_whitespace().collect();
    let ["curl", "--unix-socket", socket, address] = words[..] else { anyhow::bail!("`{command}` is not understood") };
    let path = address.strip_prefix("http://ansai").with_context(|| address.to_owned())?;
    let method = if body.is_empty() { "GET" } else { "POST" };
    ask(host, socket, method, path, body.trim_matches('\''))
}

/// Every request on the page of the local API is answered with a document, and its examples do what they say.
fn check_api(host: &Host) -> Result<()> {
    let text = page("docs/reference/api.md")?;
    let body = blocks(&text, "json").into_iter().next().context("an example of an operation")?;
    // The controller's requests are made of a controller.
    let own = text.split_once("\n## The controller").map_or(text.as_str(), |(own, _)| own);
    let prose = own.split('`').filter_map(|span| span.split_once(' '));
    let requests: Vec<_> =
        prose.filter(|(method, path)| matches!(*method, "GET" | "POST") && path.starts_with('/')).collect();
    ensure!(requests.len() >= 8, "{requests:?}");
    for (method, path) in requests {
        let is_operation = path.ends_with("/operate") || path.ends_with("/rehearse");
        let body = if is_operation { body.as_str() } else { "" };
        ask(host, "/run/ansai/api.sock", method, &path.replace("i7", "i1"), body)?;
    }
    ensure!(
        !agent::json(host, &["status"])?["holds"].as_array().context("holds")?.is_empty(),
        "the example holds nothing"
    );
    for step in blocks(&text, "console").iter().flat_map(|block| steps(block)) {
        curl(host, &step.command)?;
    }
    ensure!(agent::json(host, &["status"])?["holds"] == Value::Array(Vec::new()), "the example releases nothing");
    Ok(())
}

/// The signature that the page on telling people has a reader compute is the one that is sent.
fn check_signature(host: &Host) -> Result<()> {
    // The same body, time and key as in the test of the agent's own.
    const SIGNATURE: &str = "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
    let snippet = blocks(&page("docs/telling.md")?, "sh").into_iter().next().context("a command")?;
    let output = host.run_ok(&["env", "timestamp=1700000000", "body={\"a\":1}", "secret=key", "sh", "-c", &snippet])?;
    ensure!(output.stdout.contains(SIGNATURE), "{}", output.stdout);
    Ok(())
}

#[test]
fn the_first_pages_and_the_local_api_do_what_they_say() -> Result<()> {
    let folder = package::folder("docs")?;
    let host = Host::boot(&HostOptions::new("docs").bind_read_only(&folder, FOLDER))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    host.start("nginx.service")?;
    mail::start(&host)?;
    let first = blocks(&page("README.md")?, "console");
    let text = page("docs/start.md")?;
    ensure!(!first.is_empty() && blocks(&text, "console").len() >= 6, "the pages have no commands");
    for step in first.iter().flat_map(|block| steps(block)) {
        run(&host, &step)?;
    }
    ensure!(host.read_file(agent::CONFIGURATION)?.contains("autonomy: observe"), "a first start only observes");
    let configuration = blocks(&text, "yaml").into_iter().next().context("a configuration")?;
    for block in text.split("```").skip(1).step_by(2) {
        if block.starts_with("yaml") {
            // A mail for the page's recipient would leave the host, and half minutes are long for a test.
            let own = configuration.replace("ops@example.com", mail::RECIPIENT);
            let own = added(&host.read_file(agent::CONFIGURATION)?, &own);
            let own = format!("{own}policies: {{default: {{stable_for: 3s}}}}\nagent: {{full_pass_every: 2s}}\n");
            host.write_file(agent::CONFIGURATION, own, 0o640)?;
        }
        for step in steps(block.strip_prefix("console\n").unwrap_or_default()) {
            run(&host, &step)?;
        }
    }
    let messages = mail::wait_for(&host, 3, LIMIT)?;
    let is_told = |words: &str| messages.iter().any(|message| message.contains(words));
    ensure!(is_told("app.service was healed by restart"), "{messages:?}");
    check_signature(&host)?;
    check_api(&host)
}

/// A fresh host of a network with the package installed, and nothing else done to it.
fn installed(lan: &Lan, name: &str, number: u8, folder: &Path) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name).bind_read_only(folder, FOLDER))?;
    lan.join(&host, number)?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    let install = ["sh", "-c", &format!("DEBIAN_FRONTEND=noninteractive dpkg --install {FOLDER}/ansai_*.deb")];
    host.run_within(package::LIMIT, &install)?.ok()?;
    Ok(host)
}

/// From two hosts with the package to a host that heals and is seen at the controller: so many commands and seconds at most.
const COMMANDS_MAX: usize = 4;
const SEEN_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn the_page_on_many_hosts_does_what_it_says() -> Result<()> {
    let folder = package::folder("docs-fleet")?;
    let lan = Lan::new()?;
    let controller = installed(&lan, "controller", 1, &folder)?;
    let host = installed(&lan, "web-01", 2, &folder)?;
    let text = page("docs/fleet/start.md")?;
    let blocks = blocks(&text, "console");
    let [make, join, act, token, see, drill, told, hold] = blocks.as_slice() else {
        anyhow::bail!("{} blocks", blocks.len())
    };
    let commands: usize = [make, join, act].iter().map(|block| steps(block).len()).sum();
    ensure!(commands <= COMMANDS_MAX, "{commands} commands until the first host heals");
    let begun = Instant::now();
    let run = |host: &Host, block: &str| steps(block).iter().try_for_each(|step| run_in(host, "/root", step).map(drop));
    let mut made = String::new();
    for step in steps(make) {
        made += &run_in(&controller, "/root", &step)?;
    }
    let printed = made.split_whitespace().find(|word| word.starts_with("ansai1."));
    host.write_file("/root/token", printed.context("`init` prints no token")?, 0o600)?;
    run(&host, join)?;
    run(&host, act)?;
    // As a reader does, who looks before going on.
    host.wait_until("the agent to act", LIMIT, || Ok(agent::target(&host, "app.service")["autonomy"] == "act"))?;
    agent::wait_health(&host, "app.service", "healthy")?;
    run(&controller, see)?;
    run(&host, drill)?;
    let seen = controller.wait_for("the healing to be seen", LIMIT, || {
        let seen = agent::json(&controller, &["report", "--host", "web-01"]).unwrap_or_default()["report"].clone();
        Ok(Some(seen).filter(|seen| !agent::steps(seen, "verified").is_empty()))
    })?;
    let took = begun.elapsed();
    ensure!(seen["phase"]["resolved"].is_null(), "its steps are seen only when it is over: {seen:#}");
    println!("a controller and its first host, healing and seen: {commands} commands, {:.1} s", took.as_secs_f64());
    ensure!(took <= SEEN_WITHIN, "the first host heals and is seen after {took:?}");
    run(&controller, told)?;
    run(&controller, token)?;
    // A status that finds something failing ends with 1, and how a target stands follows its incident's steps.
    controller.wait_until("the host to be well", LIMIT, || {
        let seen = agent::json(&controller, &["status", "--fleet"]).unwrap_or_default();
        Ok(seen["hosts"][0]["health"] == "healthy")
    })?;
    let programs = page("docs/fleet/api.md")?;
    for block in self::blocks(&programs, "console") {
        run(&controller, &block)?;
    }
    for step in self::blocks(&programs, "sh").iter().flat_map(|block| block.lines()) {
        curl(&controller, step)?;
    }
    run(&controller, hold)
}

#[test]
fn what_a_page_shows_is_compared_but_for_blanks_and_gaps() {
    let printed = " TARGET   HEALTH\n app.service   healthy    active\n";
    for shown in ["app.service healthy active", "… app.service … active", "TARGET HEALTH"] {
        assert!(is_printed(printed, shown), "{shown}");
    }
    for shown in ["app.service failing", "… active … app.service", "TARGET app.service"] {
        assert!(!is_printed(printed, shown), "{shown}");
    }
    let found = steps("$ ansai status\nfine\n$ ansai check\n");
    assert_eq!((found.len(), found[0].prints.len(), found[1].prints.len()), (2, 1, 0));
}

#[test]
fn what_a_page_adds_stands_in_the_place_of_what_init_has_written() {
    let written = "autonomy: observe\n\n# notify:\n#   email: {to: a}\n\nservices:\n  # b.service\n  \"b.service\": {probe: x}  # y\n";
    let page = "# ansai.yaml\nautonomy: act\nnotify:\n  email: {to: c}\nservices:\n  # …\n  b.service: {port: 1}\n  d.service: {}\n";
    let expected = "autonomy: act\n\nnotify:\n  email: {to: c}\n\nservices:\n  d.service: {}\n  # b.service\n  b.service: {port: 1}\n";
    assert_eq!(added(written, page), expected);
}
