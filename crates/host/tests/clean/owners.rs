//! Hosts with logs as their owners leave them: what logrotate and newsyslog rotate by all kinds of rules, and what auditd,
//! journald, databases, svlogd and people leave in names that look like rotations. Only what an owner's own rule gives up
//! is given up.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ansai_host::linux::domain::disk::clean::files::Job;
use ansai_model::{action::ActionOutcome, domain::disk::Cleaning};
use proptest::{prelude::*, strategy::Strategy as Generated};

use super::{ALL, DAY, bare, done};

/// What is younger is not given up.
const DAYS_MIN: u64 = 30;

/// How a log's rotations are called.
#[derive(Clone, Copy, Debug)]
enum Names {
    Numbers { start: u64 },
    Dates,
    DatesWithHours,
}

/// A log that logrotate rotates.
#[derive(Clone, Debug)]
struct Rotated {
    names: Names,
    /// `rotate`; -1 keeps all.
    rotate: i64,
    maxage: Option<u64>,
    /// Whether logrotate has run once since `rotate` became smaller, and left the place behind the kept ones empty.
    has_gap: bool,
    /// How many rotations are there, and how many days lie between two.
    there: u64,
    days: u64,
    suffix: &'static str,
    /// Lines of the block that change where they lie or what they are called: with the folder and the tail.
    place: (&'static str, &'static str, &'static str),
    /// Lines of the block that say that the owner wants to do it itself, or that change nothing.
    more: (&'static str, bool),
    /// Whether logrotate made the newest.
    is_made: bool,
}

fn rotated() -> impl Generated<Value = Rotated> {
    let names = prop_oneof![
        3 => (0..3_u64).prop_map(|start| Names::Numbers { start }),
        1 => Just(Names::Dates),
        1 => Just(Names::DatesWithHours),
    ];
    let rotate = prop_oneof![8 => 1..8_i64, 1 => Just(0), 1 => Just(-1), 1 => Just(520)];
    let maxage = prop::option::weighted(0.3, 5..120_u64);
    let suffix = prop::sample::select(vec!["", ".gz", ".xz", ".bz2", ".zst"]);
    let place = prop::sample::select(vec![
        ("", "", ""),
        ("olddir old", "old", ""),
        ("olddir /var/log/elsewhere", "/elsewhere", ""),
        ("extension .log", "", ".log"),
        ("addextension .txt", "", ".txt"),
    ]);
    let more = prop::sample::select(vec![
        ("compress\n  delaycompress\n  notifempty\n  size 10M", true),
        ("nocompress\n  copytruncate", true),
        ("minage 3\n  create 640 root adm", true),
        ("shred", false),
        ("mail root", false),
        ("preremove\n    cp $1 /srv\n  endscript", false),
        ("postrotate\n    rotate 1\n  endscript", true),
    ]);
    let is = (prop::bool::weighted(0.8), any::<bool>());
    (names, rotate, maxage, 0..12_u64, 1..25_u64, suffix, place, more, is).prop_map(
        |(names, rotate, maxage, there, days, suffix, place, more, (is_made, has_gap))| Rotated {
            names,
            rotate,
            maxage,
            has_gap: has_gap && matches!(names, Names::Numbers { .. }),
            there,
            days,
            suffix,
            place,
            more,
            is_made,
        },
    )
}

/// A host whose files are planted, and those of them that may go.
struct Planted {
    root: tempfile::TempDir,
    job: Job,
    config: String,
    state: String,
    going: BTreeSet<PathBuf>,
}

impl Planted {
    fn new() -> Self {
        let (root, job) = bare();
        let path = "/var/log".to_owned();
        let what = Cleaning::Rotated { path, older_than: Duration::from_secs(DAYS_MIN * DAY) };
        let job = Job { what, ..job };
        let state = "logrotate state -- version 2\n".into();
        Self { root, job, config: String::new(), state, going: BTreeSet::new() }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str, days: u64) -> PathBuf {
        let path = self.place(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, text).expect("written");
        let at = SystemTime::now() - Duration::from_secs(days * DAY + 60);
        File::options().write(true).open(&path).and_then(|file| file.set_modified(at)).expect("aged");
        path
    }

    fn rotated(&mut self, index: usize, log: &Rotated) {
        let Rotated { names, rotate, maxage, has_gap, there, days, suffix, place, more, is_made } = log;
        let (folder, name) = (format!("/var/log/app-{index}"), format!("{index}.log"));
        let (line, below, tail) = place;
        let into = match *below {
            "" => folder.clone(),
            "/elsewhere" => "/var/log/elsewhere".to_owned(),
            below => format!("{folder}/{below}"),
        };
        let stem = if *tail == ".log" { format!("{index}") } else { name.clone() };
        self.write(&format!("{folder}/{name}"), "now", 0);
        let scheme = match names {
            Names::Numbers { start } => format!("start {start}"),
            Names::Dates => "dateext\n  daily".into(),
            Names::DatesWithHours => "dateext\n  dateformat .%Y%m%d%H".into(),
        };
        let age = maxage.map_or(String::new(), |days| format!("maxage {days}\n"));
        self.config +=
            &format!("{folder}/*.log {{\n  rotate {rotate}\n  {age}\n  {scheme}\n  {line}\n  {}\n}}\n", more.0);
        // It knows of every log that it was told of; the last run is the time at which the files are made here.
        let run = if *is_made { jiff::Zoned::now() } else { jiff::Zoned::now() - jiff::Span::new().hours(60) };
        self.state += &format!("\"{folder}/{name}\" {}\n", run.strftime("%Y-%-m-%-d-%-H:%-M:%-S"));
        for place in 0..*there {
            let old = (place + 1) * days;
            let date = jiff::Zoned::now() - jiff::Span::new().days(i64::try_from(old).expect("small"));
            let middle = match names {
                Names::Numbers { start } => format!(".{}", start + place),
                Names::Dates => date.strftime("-%Y%m%d").to_string(),
                Names::DatesWithHours => date.strftime(".%Y%m%d%H").to_string(),
            };
            let behind = u64::try_from(*rotate).map_or(0, |rotate| there.saturating_sub(rotate + 1));
            let is_behind = u64::try_from(*rotate).is_ok_and(|rotate| place > rotate);
            if *has_gap && u64::try_from(*rotate) == Ok(place) {
                continue;
            }
            let path = self.write(&format!("{into}/{stem}{middle}{tail}{suffix}"), "old", old);
            let is_beyond = u64::try_from(*rotate).is_ok_and(|rotate| place >= rotate);
            let is_aged = maxage.is_some_and(|maxage| old > maxage);
            // What the block's own pattern means is a log, whatever it is called.
            let is_log = *tail == ".log" && suffix.is_empty() && into == folder;
            let is_alone = *has_gap && is_behind && behind < 2;
            if (is_beyond || is_aged) && !is_alone && *rotate != 0 && more.1 && *is_made && old >= DAYS_MIN && !is_log {
                self.going.insert(path);
            }
        }
    }

    fn cleaned(&mut self, includes: bool) -> BTreeSet<PathBuf> {
        let (config, file) = match includes {
            true => ("weekly\nrotate 520\ninclude /etc/logrotate.d\n", "/etc/logrotate.d/all"),
            false => ("", "/etc/logrotate.conf"),
        };
        self.write("/etc/logrotate.conf", config, 0);
        self.write(file, &self.config, 0);
        self.write("/var/lib/logrotate/status", &self.state, 0);
        let before = files(self.root.path());
        // With nothing found, what is not understood is an error.
        let _ = self.job.free(ALL);
        let after = files(self.root.path());
        assert!(after.is_subset(&before));
        before.difference(&after).cloned().collect()
    }
}

fn files(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(path).expect("read").flatten() {
        match entry.file_type().expect("known").is_dir() {
            true => found.extend(files(&entry.path())),
            false => drop(found.insert(entry.path())),
        }
    }
    found
}

/// What others leave, by folder: many names, none of which anybody has promised away.
const OTHERS: &[(&str, &[&str])] = &[
    ("audit", &["audit.log", "audit.log.1", "audit.log.2", "audit.log.9", "audit.log.40", "audit.log-20240101"]),
    ("journal/0123456789abcdef0123456789abcdef", &["system.journal", "system@0005.journal", "user-1000.journal~"]),
    ("postgresql", &["postgresql-15-main.log", "postgresql-15-main.log.1", "postgresql-2024-01-01_000000.log"]),
    (
        "postgresql/archive",
        &["000000010000000000000001", "000000010000000000000002.gz", "000000010000000000000003.00000028.backup"],
    ),
    (
        "mysql",
        &[
            "binlog.000012",
            "binlog.000013",
            "binlog.index",
            "mysql-bin.000001",
            "mysql-bin.index",
            "error.log.1",
            "slow.log.12.gz",
        ],
    ),
    ("svlog", &["@400000006123456789abcdef.s", "@400000006123456789abcdef.u", "current", "config", "lock", "state"]),
    ("multilog", &["@400000006123456789abcdef.s", "current", "previous"]),
    (
        "pgdump",
        &["shop-2.1", "shop-2.2", "shop-3.0", "shop.sql", "shop.sql.1", "shop.sql.2.gz", "shop.dump", "shop.bak.3"],
    ),
    (
        "self",
        &["app.log", "app.log.1", "app.log.2", "app.log.3", "app.log.4.gz", "app.log-20240101", "app.2024-01-01.log"],
    ),
    ("release-1.2", &["app.1", "app-1.2.3", "app-1.2.4"]),
    (
        "",
        &[
            "wtmp",
            "wtmp.1",
            "wtmp.2",
            "btmp",
            "btmp.1",
            "btmp.7",
            "lastlog",
            "lastlog.2",
            "faillog.3",
            "dmesg.0",
            "dmesg.1.gz",
        ],
    ),
];
/// What people leave beside a log that logrotate rotates.
const HAND_MADE: &[&str] = &[
    ".1.save",
    ".2.gz.bak",
    ".3.orig",
    ".bak",
    "~",
    ".1~",
    ".old",
    ".01",
    ".x",
    ".20",
    ".900",
    ".1.2",
    "-copy",
    ".1.tar",
    ".20240101.1",
    "-2024-01-01",
    ".2024",
    ".1 (copy)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Of logs under rules of all kinds that goes, and all of that, which the rule of each does not keep.
    #[test]
    fn only_what_its_owners_own_rule_gives_up_is_given_up(
        logs in prop::collection::vec(rotated(), 1..6),
        includes in any::<bool>(),
        hand_made in prop::collection::vec(prop::sample::select(HAND_MADE), 0..6),
        days in 31..900_u64,
    ) {
        let mut planted = Planted::new();
        for (index, log) in logs.iter().enumerate() {
            planted.rotated(index, log);
            for rest in &hand_made {
                // A number that continues the row cannot be told from one that the owner made.
                planted.write(&format!("/var/log/app-{index}/{index}.log{rest}"), "mine", days);
            }
        }
        for (folder, names) in OTHERS {
            names.iter().for_each(|name| drop(planted.write(&format!("/var/log/{folder}/{name}"), "theirs", days)));
        }
        let going = planted.going.clone();
        prop_assert_eq!(planted.cleaned(includes), going);
    }

    /// A rule that is about them all, and a state that knows them all, is not the word of a trail, a dump or a database.
    #[test]
    fn what_is_precious_stays_even_under_a_rule(rotate in 1..3_u64, days in 31..900_u64) {
        let mut planted = Planted::new();
        planted.config = format!("/var/log/*/*.log /var/log/wtmp /var/log/btmp /var/log/pgdump/* {{\n  rotate {rotate}\n}}\n");
        let now = jiff::Zoned::now().strftime("%Y-%-m-%-d-%-H:%-M:%-S");
        for log in ["audit/audit.log", "mysql/mysql-bin.log", "wtmp", "btmp", "pgdump/shop.sql", "backups/a.log"] {
            planted.state += &format!("\"/var/log/{log}\" {now}\n");
            planted.write(&format!("/var/log/{log}"), "now", 0);
            (1..9).for_each(|number| drop(planted.write(&format!("/var/log/{log}.{number}"), "old", days)));
        }
        prop_assert_eq!(planted.cleaned(false), BTreeSet::new());
    }

    /// newsyslog keeps what its column says, of logs that it began.
    #[test]
    fn what_newsyslog_does_not_keep_is_given_up(
        count in 0..5_u64, there in 0..12_u64, is_marked in any::<bool>(), suffix in prop::sample::select(vec!["", ".gz", ".bz2"]),
    ) {
        let mut planted = Planted::new();
        let mark = "Nov  1 00:00:00 host newsyslog[71]: logfile turned over\n";
        let begins = if is_marked { mark } else { "Nov  1 00:00:00 host app[7]: begun\n" };
        planted.write("/var/log/app/a.log", begins, 0);
        planted.write("/etc/newsyslog.conf", &format!("<default> 600 1 * $D0\n/var/log/app/a.log root:adm 640 {count} 100 @T00 JC\n"), 0);
        for number in 0..there {
            let path = planted.write(&format!("/var/log/app/a.log.{number}{suffix}"), "old", 31 + number);
            if is_marked && count > 0 && number > count {
                planted.going.insert(path);
            }
        }
        let going = planted.going.clone();
        prop_assert_eq!(planted.cleaned(false), going);
    }

    /// Whatever stands in the files that owners write, what is not beyond a rule stays.
    #[test]
    fn torn_configurations_and_states_give_up_nothing_else(cut in 0..400_usize, which in 0..2_usize, byte in any::<u8>()) {
        let mut planted = Planted::new();
        let log = Rotated {
            names: Names::Numbers { start: 1 }, rotate: 2, maxage: None, has_gap: false, there: 8, days: 40, suffix: ".gz",
            place: ("", "", ""), more: ("compress\n  missingok", true), is_made: true,
        };
        planted.rotated(0, &log);
        let text = if which == 0 { &mut planted.config } else { &mut planted.state };
        let mut bytes = text.clone().into_bytes();
        let at = cut % bytes.len();
        if byte == 0 { bytes.truncate(at) } else { bytes[at] = b' ' + byte % 90 }
        let was_rotate = text.clone();
        *text = String::from_utf8(bytes).expect("text");
        // A rule that was torn into a smaller one is a rule.
        prop_assume!(!text.contains("rotate 1") && !text.contains("rotate 0") || was_rotate.contains("rotate 1"));
        let going = planted.going.clone();
        let gone = planted.cleaned(false);
        prop_assert!(gone.is_subset(&going), "{:?}", gone);
    }
}

#[test]
fn the_plan_and_the_outcome_name_the_rule_that_gave_each_file_up() {
    let mut planted = Planted::new();
    let log = Rotated {
        names: Names::Numbers { start: 1 },
        rotate: 2,
        maxage: None,
        has_gap: false,
        there: 4,
        days: 40,
        suffix: ".gz",
        place: ("", "", ""),
        more: ("compress", true),
        is_made: true,
    };
    planted.rotated(0, &log);
    planted.write("/etc/logrotate.conf", &planted.config, 0);
    planted.write("/var/lib/logrotate/status", &planted.state, 0);
    let before = files(planted.root.path());
    let plan = planted.job.plan().expect("planned").lines.join("\n");
    assert_eq!(files(planted.root.path()), before, "{plan}");
    assert!(plan.contains("/var/log: delete 2 of 2 rotations that their owners' rules do not keep"), "{plan}");
    let why = "beyond `rotate 2` of /etc/logrotate.conf, line 1";
    assert!(plan.contains(&format!("/var/log/app-0/0.log.4.gz (4.0 KiB, 160d old), {why}")), "{plan}");
    assert!(plan.find("0.log.4.gz") < plan.find("0.log.3.gz"), "{plan}");
    let ActionOutcome::Succeeded { note } = done(&planted.job) else { panic!("nothing was done") };
    let note = note.as_str();
    assert!(note.contains(&format!("deleted /var/log/app-0/0.log.4.gz, {why} (4.0 KiB, 160d old)")), "{note}");
    // What is not understood is kept, and that is said.
    planted.write("/var/log/app-0/0.log.3.gz", "old", 120);
    planted.write("/etc/logrotate.conf", &format!("{}keepforever\n", planted.config), 0);
    let ActionOutcome::NotNeeded { why } = done(&planted.job) else { panic!("something was done") };
    assert!(why.as_str().contains("what it made is kept: /etc/logrotate.conf, line"), "{why}");
    assert!(planted.job.plan().expect("planned").lines.join("\n").contains("is kept"));
}

#[test]
fn a_plan_says_that_owners_keep_all_only_where_it_has_seen_that() {
    let nothing = |there: u64, days: u64, is_linked: bool| {
        let mut planted = Planted::new();
        let log = Rotated {
            names: Names::Numbers { start: 1 },
            rotate: 2,
            maxage: None,
            has_gap: false,
            there,
            days,
            suffix: ".gz",
            place: ("", "", ""),
            more: ("compress", true),
            is_made: true,
        };
        planted.rotated(0, &log);
        planted.write("/etc/logrotate.conf", &planted.config, 0);
        planted.write("/var/lib/logrotate/status", &planted.state, 0);
        if is_linked {
            let linked = planted.place("/var/log/app-0/0.log.3.gz");
            fs::hard_link(&linked, planted.place("/var/log/other")).expect("linked");
        }
        let plan = planted.job.plan().expect("planned").lines;
        plan.into_iter().find(|line| line.contains("delete")).expect("a line")
    };
    assert_eq!(nothing(2, 40, false), "/var/log: delete nothing, for its owners' rules keep all rotations");
    assert_eq!(nothing(0, 40, false), "/var/log: delete nothing", "there is none");
    assert_eq!(nothing(3, 5, false), "/var/log: delete nothing", "one is too young");
    assert_eq!(nothing(3, 40, true), "/var/log: delete nothing", "one is linked elsewhere");
}

#[test]
fn nothing_goes_while_logrotate_is_at_work() {
    let mut planted = Planted::new();
    planted.write("/var/log/a.log", "now", 0);
    planted.write("/var/lib/logrotate/status", "logrotate state -- version 2\n", 0);
    let state = File::open(planted.place("/var/lib/logrotate/status")).expect("opened");
    rustix::fs::flock(&state, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    // The list of locks is the kernel's own.
    fs::copy("/proc/locks", planted.place("/proc/locks")).expect("copied");
    let ActionOutcome::NotNeeded { why } = done(&planted.job) else { panic!("something was done") };
    assert!(why.as_str().contains("logrotate is at work"), "{why}");
    fs::write(planted.place("/proc/locks"), "").expect("written");
    assert_eq!(planted.cleaned(false), BTreeSet::new());
}
