//! Disks end to end, on real filesystems: one that fills up is cleaned to its goal and nothing else on it changes, a service
//! that failed for lack of room is healed after it, one that the kernel stops writing to is told, one that is mounted later
//! is watched, and a real podman gives up the images that nobody needs.
//!
//! Each filesystem is an ext4 in a file of the lab host, on a loop device.

use std::time::Duration;

use ansai_lab::agent::{QUICK, is_in, steps, wait_report};
use ansai_lab::fixture::disk::{fill, mount, room, share, write_logs};
use ansai_lab::{Host, HostOptions, agent, mail};
use anyhow::{Context as _, Result};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// Waits of seconds where there are minutes.
const POLICY: &str = "  disk: {cooldown: 1s, budget: {actions: 20}, breaker: {failures: 20}, stable_for: 2s, \
                      verify_within: 5s, backoff: {initial: 500ms, max: 2s}}\n";

/// What must not change: other files, of any age, also where links lead to them from the scope, and names beside it.
fn write_precious(host: &Host, at: &str) -> Result<()> {
    let script = format!(
        "set -e
         mkdir -p {at}/precious {at}/logs /root/elsewhere
         for n in 1 2 3; do head -c 3000000 /dev/urandom > {at}/precious/$n.log; done
         date > {at}/logs/app-1.log
         date > /root/elsewhere/app.log
         date > {at}/log/other.txt
         ln -s {at}/precious {at}/log/a-link
         ln -s {at}/precious/1.log {at}/log/b.log
         ln {at}/precious/2.log {at}/log/c.log
         touch -h -d '50 days ago' {at}/log/b.log {at}/log/c.log {at}/log/other.txt {at}/precious/* {at}/logs/* /root/elsewhere/*"
    );
    host.run_ok(&["sh", "-c", &script])?;
    Ok(())
}

/// The sums of all files but the old logs, and where the links lead.
fn sums(host: &Host, at: &str) -> Result<String> {
    let script = format!(
        "find {at} /root/elsewhere -type f ! -path '{at}/log/deep/*' -print0 | sort -z | xargs -0 sha256sum; \
         find {at} -type l -printf '%p %l\\n' | sort"
    );
    Ok(host.run_ok(&["sh", "-c", &script])?.stdout)
}

fn disk(at: &str, more: &str) -> String {
    format!(
        "disks:\n  {at}:\n    every: 500ms\n{more}    clean: {{logs: [{{path: {at}/log, pattern: \"*.log\", \
         older_than: 30d, strategy: delete}}]}}\n"
    )
}

fn install(host: &Host, text: &str) -> Result<()> {
    mail::start(host)?;
    let notify = "notify:\n  email: {to: ops@lab.test, smtp: \"smtp://127.0.0.1:25\", healed: true}\n";
    agent::install(host, &format!("{QUICK}{POLICY}{notify}{text}"))?;
    agent::start(host)
}

/// The newest incident that a check of this name opened, when there is one.
fn incident(host: &Host, check: &str) -> Option<String> {
    let incidents = agent::incidents(host).unwrap_or_default();
    let ids = incidents.iter().filter_map(|incident| Some(format!("i{}", incident["id"].as_u64()?)));
    ids.into_iter().find(|id| agent::report(host, id)["check"] == check)
}

fn wait_incident(host: &Host, check: &str) -> Result<String> {
    host.wait_for(&format!("an incident of {check}"), LIMIT, || Ok(incident(host, check)))
        .with_context(|| format!("{:#?}", agent::incidents(host)))
}

/// The text of a report's steps.
fn words(report: &Value) -> String {
    report["steps"].to_string()
}

#[test]
fn a_disk_that_fills_up_is_brought_below_its_goal_and_nothing_else_changes() -> Result<()> {
    let host = Host::boot(&HostOptions::new("disk"))?;
    mount(&host, "/data")?;
    write_logs(&host, "/data", 30)?;
    write_precious(&host, "/data")?;
    install(&host, &disk("/data", ""))?;
    host.wait_until("the disk to be watched", LIMIT, || Ok(!disk_target(&host, "/data").is_null()))?;
    fill(&host, "/data", "precious/fill", 96)?;
    let before = sums(&host, "/data")?;
    let id = wait_incident(&host, "disk//data#space")?;
    let report = wait_report(&host, &id, "healed")?;
    let share = share(&host, "/data")?;
    assert!((75..=80).contains(&share), "to its goal and no further: {share} %\n{report:#}");
    assert_eq!(sums(&host, "/data")?, before, "nothing outside of the scope has changed");
    assert_eq!(report["phase"]["resolved"]["healed"]["rung"], "cleaning", "{report:#}");
    assert_eq!(report["cause"]["rule"], "disk-filled", "{report:#}");
    let largest = report["cause"]["seen_in"].as_str().unwrap_or_default();
    assert!(largest.contains("MiB /data/precious/fill"), "what takes most of the room is named: {report:#}");
    let ended = steps(&report, "ended");
    let cleaned = ended.first().context("a step")?["outcome"]["succeeded"]["note"].as_str().unwrap_or_default();
    assert!(cleaned.contains("MiB freed on /data: 96.") && cleaned.contains("app-"), "{report:#}");
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert!(messages[0].contains("MiB freed on /data"), "{}", messages[0]);
    // Oldest first and no more than needed: some are left.
    let left = host.run_ok(&["sh", "-c", "ls /data/log/deep | wc -l"])?;
    assert!((5..25).contains(&left.text().parse::<u64>()?), "{}", left.text());
    Ok(())
}

#[test]
fn a_service_that_failed_for_lack_of_room_is_healed_after_its_disk_in_one_report() -> Result<()> {
    // It ends by itself once it can write no more, and gives nothing back.
    const APP: &str = "[Service]\nExecStart=/bin/sh -c 'while head -c 16384 /dev/zero >> /data/app.state; \
                       do sleep 1; done; exit 1'\n";
    let host = Host::boot(&HostOptions::new("full"))?;
    mount(&host, "/data")?;
    write_logs(&host, "/data", 30)?;
    host.install_unit("app.service", APP)?;
    host.start("app.service")?;
    let services = "services:\n  app.service: {needs: [disk//data]}\n";
    install(&host, &format!("{}{services}", disk("/data", "")))?;
    agent::wait_health(&host, "app.service", "healthy")?;
    // Nobody makes room before the service has failed.
    agent::ansai(&host, &["hold", "disk//data", "--reason", "test"])?.ok()?;
    host.run(&["sh", "-c", "cat /dev/zero > /data/fill"])?;
    let left = room(&host, "/data")?;
    assert!(left.1 < 1 << 20, "it is full: {left:?} {:#?}", agent::incidents(&host)?);
    wait_incident(&host, "disk//data#full").or_else(|_| wait_incident(&host, "disk//data#space"))?;
    let id = wait_incident(&host, "service/app.service#unit")?;
    host.wait_until("the service to wait for its disk", LIMIT, || {
        Ok(!steps(&agent::report(&host, &id), "cause").is_empty())
    })?;
    assert!(steps(&agent::report(&host, &id), "started").is_empty(), "nothing is done to it before there is room");
    agent::ansai(&host, &["release", "disk//data"])?.ok()?;
    let report = wait_report(&host, &id, "healed")?;
    let told = words(&report);
    let order = [
        "disk//data: /data: ",
        "MiB freed on /data",
        "cleaning: verified",
        "restart app.service",
        "healed by `restart`",
    ];
    let places: Vec<_> = order.iter().map(|words| told.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {report:#}");
    assert!(host.is_active("app.service")? && share(&host, "/data")? <= 80);
    Ok(())
}

#[test]
fn a_disk_that_the_kernel_stops_writing_to_is_told_and_one_that_is_remounted_is_not() -> Result<()> {
    let host = Host::boot(&HostOptions::new("read-only"))?;
    mount(&host, "/data")?;
    mount(&host, "/other")?;
    install(&host, "disks:\n  /data: {every: 500ms}\n  /other: {every: 500ms}\n")?;
    host.run_ok(&["mount", "-o", "remount,ro", "/other"])?;
    let source = host.run_ok(&["findmnt", "-no", "SOURCE", "/data"])?;
    let device = source.text().trim_start_matches("/dev/");
    // The kernel's own way to find an error; it lies outside of what the host may write to.
    std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").context("an error of the filesystem")?;
    let id = host
        .wait_for("the disk to be told of", Duration::from_secs(90), || Ok(incident(&host, "disk//data#read-only")))?;
    let report = wait_report(&host, &id, "escalated")?;
    let symptom = report["symptom"].as_str().unwrap_or_default();
    assert!(symptom.contains("the kernel made /data read-only after an error"), "{report:#}");
    assert_eq!(report["severity"], "now", "{report:#}");
    assert_eq!(incident(&host, "disk//other#read-only"), None);
    assert!(agent::report(&host, &id)["steps"].to_string().contains("nothing heals this by itself"));
    Ok(())
}

/// Whoever asks for it hears at once that nothing can be done, and a full disk costs nothing of what heals it later.
#[test]
fn of_a_full_disk_on_which_nothing_may_be_given_up_a_person_hears_at_once() -> Result<()> {
    let host = Host::boot(&HostOptions::new("nothing-to-give"))?;
    mount(&host, "/data")?;
    let notify = "notify:\n  email: {to: ops@lab.test, smtp: \"smtp://127.0.0.1:25\"}\n";
    agent::install(&host, &format!("{QUICK}{notify}{}", disk("/data", "")))?;
    agent::start(&host)?;
    host.wait_until("the disk to be watched", LIMIT, || Ok(!disk_target(&host, "/data").is_null()))?;
    fill(&host, "/data", "fill", 96)?;
    let id = wait_incident(&host, "disk//data#space")?;
    wait_report(&host, &id, "escalated")?;
    let nothing = "nothing would be done: there is nothing to give up of old logs";
    for more in ["--dry-run", "--yes", "--yes", "--yes", "--yes"] {
        let said = agent::ansai(&host, &["heal", "disk//data", more])?;
        assert!(said.code == 4 && said.stderr.contains(nothing), "{more}: {said:?}");
    }
    let explained = agent::ansai(&host, &["explain", "disk//data"])?.ok()?.stdout;
    assert!(explained.contains("circuit breaker: closed") && !explained.contains("healed last"), "{explained}");
    // As soon as something may go, it goes.
    write_logs(&host, "/data", 1)?;
    agent::ansai(&host, &["heal", "disk//data", "--yes"])?.ok()?;
    Ok(())
}

/// What the agent says of a disk, and null when it watches none there.
fn disk_target(host: &Host, at: &str) -> Value {
    let status = agent::json(host, &["status"]).unwrap_or_default();
    let name = format!("disk/{at}");
    let targets = status["targets"].as_array().cloned().unwrap_or_default();
    targets.into_iter().find(|target| target["target"] == name.as_str()).unwrap_or_default()
}

#[test]
fn a_disk_that_is_mounted_later_is_watched_and_one_that_is_gone_is_not() -> Result<()> {
    let host = Host::boot(&HostOptions::new("later"))?;
    install(&host, "disks:\n  \"/srv/*\": {every: 500ms}\n")?;
    assert!(disk_target(&host, "/srv/late").is_null());
    mount(&host, "/srv/late")?;
    host.wait_until(
        "the new disk to be watched",
        LIMIT,
        || Ok(disk_target(&host, "/srv/late")["health"] == "healthy"),
    )?;
    mount(&host, "/elsewhere")?;
    fill(&host, "/srv/late", "fill", 97)?;
    let id = wait_incident(&host, "disk//srv/late#space")?;
    // Nothing may be given up there, so people are told.
    let report = wait_report(&host, &id, "escalated")?;
    assert!(is_in(&report, "escalated"), "{report:#}");
    assert!(disk_target(&host, "/elsewhere").is_null(), "no pattern fits it");
    // For a moment somebody may still look at what takes its room.
    host.wait_until("the disk to be let go", LIMIT, || Ok(host.run(&["umount", "/srv/late"])?.is_success()))?;
    host.wait_until("the disk to be forgotten", LIMIT, || Ok(disk_target(&host, "/srv/late").is_null()))?;
    Ok(())
}

/// Loads images into podman, of these megabytes and these tags, made on this day.
const IMAGES: &str = r#"
set -e
mkdir -p /etc/containers
printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
    > /etc/containers/storage.conf
load() {
    cd "$(mktemp -d)"
    head -c "$1"000000 /dev/urandom > blob
    tar cf layer.tar blob
    printf '{"architecture":"amd64","os":"linux","created":"%s","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$3" "$(sha256sum layer.tar | cut -d' ' -f1)" > config.json
    printf '[{"Config":"config.json","RepoTags":%s,"Layers":["layer.tar"]}]' "$2" > manifest.json
    tar cf image.tar manifest.json config.json layer.tar
    podman load -q -i image.tar
}
load 3 '["localhost/used:1"]' 2020-01-01T00:00:00Z
load 20 '["localhost/spare:1"]' 2020-01-01T00:00:00Z
load 20 null 2020-01-01T00:00:00Z
load 3 '["localhost/new:1"]' "$(date -u +%FT%TZ)"
podman --cgroup-manager=cgroupfs create --network=none --name keeper localhost/used:1 /blob
"#;

#[test]
fn images_that_no_container_was_made_from_are_given_up_by_their_engine() -> Result<()> {
    const AT: &str = "/var/lib/containers";
    let host = Host::boot(&HostOptions::new("images"))?;
    mount(&host, AT)?;
    host.run_ok(&["sh", "-c", IMAGES])?;
    let images = |format: &str| host.run_ok(&["podman", "images", "--all", "--sort=size", "--format", format]);
    assert_eq!(images("{{.Repository}}")?.stdout.lines().count(), 4);
    install(&host, &format!("disks:\n  {AT}: {{every: 500ms, clean: {{containers: unused}}}}\n"))?;
    host.wait_until("the disk to be watched", LIMIT, || Ok(!disk_target(&host, AT).is_null()))?;
    fill(&host, AT, "fill", 96)?;
    let id = wait_incident(&host, &format!("disk/{AT}#space"))?;
    let report = wait_report(&host, &id, "healed")?;
    let mut left: Vec<_> = images("{{.Repository}}")?.stdout.lines().map(str::to_owned).collect();
    left.sort();
    assert_eq!(left, ["localhost/new", "localhost/used"], "{report:#}");
    assert!(share(&host, AT)? <= 80, "{report:#}");
    let told = words(&report);
    assert!(told.contains("freed on /var/lib/containers: 96."), "{report:#}");
    assert!(told.contains("by `podman image prune --force --filter until=24h --all`"), "{report:#}");
    Ok(())
}

/// Logs as W08 has them, of a megabyte each: trails, dumps, and logs that Debian's own logrotate has rotated by its rules,
/// one of which keeps fewer than it did, and by dates. Every rotation is a month old and more.
const ROTATIONS: &str = r#"
set -e
cd /var/log
mkdir -p audit payments pgdump shop dated
some() { head -c 1048576 /dev/urandom > "$1"; }
for n in $(seq 1 20); do some audit/audit.log.$n; done
for version in shop-2.1 shop-2.2 shop-3.0; do some pgdump/$version; done
some shop/shop.log.1.save
printf '/var/log/payments/tx.log {\n  rotate 520\n  nocompress\n}\n' > /etc/logrotate.d/payments
printf '/var/log/shop/*.log {\n  rotate 12\n  nocompress\n}\n' > /etc/logrotate.d/shop
printf '/var/log/dated/d.log {\n  rotate 9\n  dateext\n  missingok\n  nocompress\n}\n' > /etc/logrotate.d/dated
for n in $(seq 1 12); do
    some payments/tx.log
    some shop/shop.log
    logrotate -f /etc/logrotate.conf
done
for month in 01 02 03 04; do some dated/d.log-2024${month}01; done
some dated/d.log
sed -i 's/rotate 12/rotate 3/' /etc/logrotate.d/shop
logrotate -f /etc/logrotate.conf
sed -i 's/rotate 9/rotate 2/' /etc/logrotate.d/dated
for n in $(seq 1 40); do
    for file in */*.$n; do [ ! -e "$file" ] || touch -d "$((40 + n)) days ago" "$file"; done
done
touch -d '300 days ago' pgdump/* shop/*.save dated/d.log-*
"#;

#[test]
fn w08_of_rotations_only_what_logrotates_own_rule_does_not_keep_is_given_up() -> Result<()> {
    const AT: &str = "/var/log";
    let host = Host::boot(&HostOptions::new("rotated"))?;
    mount(&host, AT)?;
    host.run_ok(&["sh", "-c", ROTATIONS])?;
    let list = |host: &Host| -> Result<Vec<String>> {
        let script = "cd /var/log && find audit payments pgdump shop dated -type f | sort";
        Ok(host.run_ok(&["sh", "-c", script])?.stdout.lines().map(str::to_owned).collect())
    };
    let before = list(&host)?;
    // Its first run under the smaller count took the fourth away itself, and it does not come back for those behind.
    let shop = (5..=12).map(|number| format!("shop/shop.log.{number}"));
    let dated = ["0101", "0201", "0301"].map(|day| format!("dated/d.log-2024{day}"));
    let gone: Vec<String> = shop.chain(dated).collect();
    assert!(gone.iter().all(|name| before.contains(name)) && before.len() > 50, "{before:#?}");
    let kept: Vec<String> = before.into_iter().filter(|name| !gone.contains(name)).collect();
    install(&host, &format!("disks:\n  {AT}: {{every: 500ms}}\n"))?;
    host.wait_until("the disk to be watched", LIMIT, || Ok(!disk_target(&host, AT).is_null()))?;
    fill(&host, AT, "fill", 97)?;
    let id = wait_incident(&host, &format!("disk/{AT}#space"))?;
    let report = wait_report(&host, &id, "healed")?;
    assert_eq!(list(&host)?, kept, "{report:#}");
    let told = words(&report);
    for why in
        ["beyond `rotate 3` of /etc/logrotate.d/shop, line 1", "beyond `rotate 2` of /etc/logrotate.d/dated, line 1"]
    {
        assert!(told.contains(why), "{why}: {report:#}");
    }
    Ok(())
}
