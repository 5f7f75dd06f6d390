//! Cleaning does no harm: whatever a tree looks like, and whatever is done to it meanwhile, only what was declared goes.
//!
//! Every tree is a real one on the filesystem of the temporary folder. It needs no privileges; with them, bind mounts
//! are part of it.

mod owners;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use ansai_host::linux::{
    domain::disk::clean::{Need, Pace, files::Job},
    mounts,
};
use ansai_model::{
    action::ActionOutcome,
    domain::disk::{CleanRule, Cleaning, Strategy},
    units::Percent,
};
use proptest::{prelude::*, strategy::Strategy as Generated};

use tree::{Entry, Kind, Tree};

const DAY: u64 = 86_400;
const ALL: Need = Need { bytes: u64::MAX, inodes: 0 };

fn rule(path: &Path, pattern: &str, days: u64, strategy: Strategy) -> CleanRule {
    CleanRule {
        path: path.to_str().expect("text").to_owned(),
        pattern: pattern.to_owned(),
        older_than: Duration::from_secs(days * DAY),
        threshold: None,
        strategy,
    }
}

fn job(rules: Vec<CleanRule>, protect: Vec<String>) -> Job {
    let path = Path::new(&rules[0].path).to_owned();
    let mounts = mounts::read(Path::new("/")).expect("mounts");
    let mount = mounts.iter().filter(|mount| path.starts_with(&mount.path)).max_by_key(|mount| mount.path.len());
    Job {
        root: "/".into(),
        mount: mount.expect("mounted").path.clone(),
        goal: Percent::new(0).expect("a share"),
        what: Cleaning::Logs { rules },
        protect,
        now: SystemTime::now(),
        deadline: Instant::now() + Duration::from_secs(60),
        cancelled: Arc::default(),
        threads: 2,
        pace: Pace::Full,
    }
}

fn done(job: &Job) -> ActionOutcome {
    job.clean().expect("not refused")
}

fn delete(tree: &Tree, pattern: &str, days: u64, need: Need, protect: &[String]) -> (u64, u64) {
    let rules = vec![rule(&tree.scope(), pattern, days, Strategy::Delete)];
    job(rules, protect.to_vec()).free(need).expect("cleaned")
}

fn names() -> impl Generated<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("not in names", |byte| *byte != 0 && *byte != b'/');
    let odd = prop::collection::vec(byte, 1..12).prop_filter("special", |name| name != b"." && name != b"..");
    prop_oneof![Just(b"a.log".to_vec()), Just(b"b.log".to_vec()), Just(b"c.txt".to_vec()), Just(b".log".to_vec()), odd]
}

fn kinds() -> impl Generated<Value = Kind> {
    let file = (0..3_u64, 0..40_000_usize, prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    prop_oneof![
        8 => file.prop_map(|(age, size, is_open, is_linked)| Kind::File { days: age * 20, size, is_open, is_linked }),
        1 => Just(Kind::LinkToFile),
        1 => Just(Kind::LinkToFolder),
        1 => Just(Kind::Pipe),
        1 => Just(Kind::Folder),
    ]
}

fn entries() -> impl Generated<Value = Vec<Entry>> {
    let place = prop::collection::vec(prop_oneof![Just("x"), Just("y"), Just("keep")], 0..4);
    let entry = (place, names(), kinds()).prop_map(|(place, name, kind)| Entry { place, name, kind });
    prop::collection::vec(entry, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// All that may go is gone, and everything else in and around the scope is as it was, byte for byte.
    #[test]
    fn what_may_go_goes_and_all_else_stays(entries in entries(), by_name in any::<bool>()) {
        let tree = Tree::plant(&entries);
        let pattern = if by_name { "*.log" } else { "*" };
        let protect = [tree.scope().join("keep").to_str().expect("text").to_owned()];
        let before = tree.seen();
        let is_kept = |path: &Path| path.starts_with(tree.scope().join("keep"));
        let going: BTreeSet<_> = before.keys().filter(|path| tree.may_go(path, pattern, 10) && !is_kept(path)).collect();
        delete(&tree, pattern, 10, ALL, &protect);
        let after = tree.seen();
        for (path, seen) in &before {
            match going.contains(path) {
                true => prop_assert!(!after.contains_key(path), "{path:?} is still there"),
                false => prop_assert_eq!(after.get(path), Some(seen), "{:?}", path),
            }
        }
        prop_assert!(after.keys().all(|path| before.contains_key(path)));
    }

    /// It stops as soon as enough is free, and what went is older than what stayed.
    #[test]
    fn the_oldest_go_and_no_more_than_needed(ages in prop::collection::vec(1_u64..300, 2..30), share in 1_usize..100) {
        let entries: Vec<Entry> = ages.iter().enumerate().map(|(index, days)| Entry {
            place: vec![["x", "y"][index % 2]],
            name: format!("{index}.log").into_bytes(),
            kind: Kind::File { days: *days, size: 8192, is_open: false, is_linked: false },
        }).collect();
        let tree = Tree::plant(&entries);
        let wanted = u64::try_from((ages.len() * share).div_ceil(100)).expect("small");
        let (_, gone) = delete(&tree, "*", 0, Need { bytes: 0, inodes: wanted }, &[]);
        // Two threads may each have one in hand.
        prop_assert!((wanted..=wanted + 1).contains(&gone), "{gone} of {wanted}");
        let left = tree.seen();
        let days = |is_left: bool| entries.iter().filter_map(|entry| match entry.kind {
            Kind::File { days, .. } if left.contains_key(&tree.path(entry)) == is_left => Some(days),
            _ => None,
        }).collect::<Vec<_>>();
        let (stayed, went) = (days(true), days(false));
        if let (Some(oldest_left), Some(youngest_gone)) = (stayed.iter().max(), went.iter().min()) {
            // Ages are told apart to about two percent.
            prop_assert!(*oldest_left * 97 / 100 <= youngest_gone + 1, "{stayed:?} stayed, {went:?} went");
        }
    }
}

/// Folders that somebody swaps for links, names of files in each.
const SWAPPED: usize = 48;

fn swapped(index: usize) -> &'static str {
    const NAMES: [&str; SWAPPED / 8] = ["a", "b", "c", "d", "e", "f"];
    NAMES[index % NAMES.len()]
}

#[test]
fn while_others_rename_and_swap_folders_for_links_nothing_outside_changes() {
    const INNER: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
    for _ in 0..10 {
        let file = |index: usize, name: usize| Entry {
            place: vec![swapped(index), INNER[index / 6 % 8]],
            name: name.to_string().into_bytes(),
            kind: Kind::File { days: 50, size: 10, is_open: false, is_linked: false },
        };
        let entries: Vec<Entry> = (0..SWAPPED * 8).map(|index| file(index % SWAPPED, index / SWAPPED)).collect();
        let tree = Tree::plant(&entries);
        // The same names outside, as old: whoever follows a link deletes them.
        for name in 0..8 {
            tree.plant_outside(&name.to_string(), 50);
        }
        let outside = |tree: &Tree| -> BTreeMap<_, _> {
            tree.seen().into_iter().filter(|(path, _)| path.starts_with(tree.outside())).collect()
        };
        let before = outside(&tree);
        let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let (scope, aside) = (tree.scope(), tree.scope().join("aside"));
                while !stop.load(Ordering::Relaxed) {
                    let turn = turns.fetch_add(1, Ordering::Relaxed);
                    let place = scope.join(swapped(turn)).join(INNER[turn / 6 % 8]);
                    if fs::rename(&place, &aside).is_ok() {
                        let _ = symlink(tree.outside(), &place);
                        std::thread::yield_now();
                        let _ = fs::remove_file(&place);
                        let _ = fs::rename(&aside, &place);
                    }
                }
            });
            while turns.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            // What was aside when it was looked for is found the next time.
            for _ in 0..8 {
                delete(&tree, "*", 10, ALL, &[]);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(outside(&tree), before);
    }
}

#[test]
fn a_file_that_is_opened_or_written_to_meanwhile_is_not_lost() {
    let entries: Vec<Entry> = (0..400_u32)
        .map(|index| Entry {
            place: vec!["x"],
            name: format!("{index}").into_bytes(),
            kind: Kind::File { days: 50, size: 10, is_open: index % 2 == 0, is_linked: false },
        })
        .collect();
    let tree = Tree::plant(&entries);
    let mut kept = 0;
    let (_, gone) = delete(&tree, "*", 10, ALL, &[]);
    for entry in &entries {
        let Kind::File { is_open, .. } = entry.kind else { continue };
        assert_eq!(tree.path(entry).exists(), is_open);
        kept += u32::from(is_open);
    }
    assert_eq!((gone, kept), (200, 200));
}

/// Something mounted into the scope, unmounted in the end.
struct Bound<'a>(&'a Path);

impl<'a> Bound<'a> {
    fn bind(from: &Path, to: &'a Path) -> Option<Self> {
        let done = Command::new("mount").arg("--bind").arg(from).arg(to).status().ok()?;
        done.success().then_some(Self(to))
    }
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn what_is_mounted_into_the_scope_stays() {
    let file = |place: Vec<&'static str>, name: &str| Entry {
        place,
        name: name.as_bytes().to_vec(),
        kind: Kind::File { days: 50, size: 10, is_open: false, is_linked: false },
    };
    let tree = Tree::plant(&[file(vec!["x"], "gone"), file(vec!["y"], "under"), file(vec!["x"], "file")]);
    tree.plant_outside("data", 50);
    let (folder, name) = (tree.scope().join("y"), tree.scope().join("x/file"));
    let single = tree.outside().join("data");
    // Without privileges nothing can be mounted, and nothing is to be seen.
    let Some(_folder) = Bound::bind(&tree.outside(), &folder) else { return };
    let Some(_file) = Bound::bind(&single, &name) else { return };
    let (_, gone) = delete(&tree, "*", 10, ALL, &[]);
    assert_eq!(gone, 1);
    assert!(single.exists() && folder.join("data").exists() && name.exists());
}

#[test]
fn logs_are_compressed_before_any_is_deleted_and_keep_their_date_and_mode() {
    let log = |name: &str, days| Entry {
        place: vec![],
        name: name.as_bytes().to_vec(),
        kind: Kind::File { days, size: 100_000, is_open: false, is_linked: false },
    };
    let tree = Tree::plant(&[log("a.log", 40), log("b.log", 50), log("young.log", 1)]);
    let compress = || vec![rule(&tree.scope(), "*.log", 10, Strategy::CompressThenDelete)];
    let before = fs::metadata(tree.scope().join("a.log")).expect("there");
    let (freed, gone) = job(compress(), vec![]).free(Need { bytes: 150_000, inodes: 0 }).expect("cleaned");
    assert!(freed >= 150_000 && gone == 0, "{freed} {gone}");
    let after = fs::metadata(tree.scope().join("a.log.gz")).expect("compressed");
    assert_eq!((after.modified().ok(), after.permissions()), (before.modified().ok(), before.permissions()));
    let unpacked = Command::new("gzip").arg("-dc").arg(tree.scope().join("b.log.gz")).output().expect("unpacked");
    assert_eq!(unpacked.stdout.len(), 100_000);
    assert!(!tree.scope().join("a.log").exists() && tree.scope().join("young.log").exists());
    // Only when that is not enough, the oldest goes.
    let (_, gone) = job(compress(), vec![]).free(Need { bytes: 1, inodes: 1 }).expect("cleaned");
    assert_eq!(
        (gone, tree.scope().join("b.log.gz").exists(), tree.scope().join("a.log.gz").exists()),
        (1, false, true)
    );
}

#[test]
fn what_may_not_be_cleaned_is_refused_with_its_reason() {
    let tree = Tree::plant(&[]);
    symlink(tree.outside(), tree.scope().join("link")).expect("linked");
    fs::create_dir(tree.scope().join("base")).expect("made");
    fs::write(tree.scope().join("base/PG_VERSION"), "15").expect("written");
    fs::write(tree.scope().join("base/16384"), "rows").expect("written");
    for (path, reason) in [
        (tree.scope().join("link"), "symbolic link"),
        (tree.scope().join("base"), "database"),
        (tree.scope().join("../outside"), "no absolute path"),
        (Path::new("/etc/cron.d").to_owned(), "protected"),
        (Path::new("/var/lib/mysql/data").to_owned(), "protected"),
        (Path::new("/").to_owned(), "as a whole"),
        (Path::new("/proc/1").to_owned(), "protected"),
    ] {
        let rules = vec![rule(&tree.scope(), "none", 0, Strategy::Delete), rule(&path, "*", 0, Strategy::Delete)];
        let why = job(rules, vec![]).free(ALL).expect_err("refused");
        assert!(why.contains(reason), "{}: {why}", path.display());
    }
    delete(&tree, "*", 0, ALL, &[]);
    assert!(tree.scope().join("base/16384").exists());
}

#[test]
fn a_plan_names_what_would_go_and_touches_nothing() {
    let file = |name: &str, days| Entry {
        place: vec![],
        name: name.as_bytes().to_vec(),
        kind: Kind::File { days, size: 8192, is_open: false, is_linked: false },
    };
    let tree = Tree::plant(&[file("old\n.log", 40), file("young.log", 1)]);
    let before = tree.seen();
    let plan = |days| job(vec![rule(&tree.scope(), "*", days, Strategy::Delete)], vec![]).plan().expect("planned");
    assert_eq!(plan(10).idle, None);
    assert!(plan(50).idle.is_some_and(|why| why.starts_with("there is nothing to give up of ")), "none is as old");
    let text = plan(10).lines.join("\n");
    assert!(text.contains("delete 1 of 1 files") && text.contains("old\\n.log (8.0 KiB, 40d"), "{text}");
    assert_eq!(tree.seen(), before);
    // Whoever has no time to look knows no reason.
    let rules = || vec![rule(&tree.scope(), "*", 50, Strategy::Delete)];
    let nothing = |job: Job| job.plan().expect("planned").lines.into_iter().next_back().expect("a line");
    assert!(nothing(job(rules(), vec![])).ends_with(": delete nothing, for no file of it may go"));
    assert!(nothing(Job { deadline: Instant::now(), ..job(rules(), vec![]) }).ends_with(": delete nothing"));
}

/// Of files of one age as few go as are needed, and those that the plan has named.
#[test]
fn what_a_plan_names_is_what_goes_and_no_more_than_is_needed() {
    let file = |name: String, is_open| Entry {
        place: vec![],
        name: name.into_bytes(),
        kind: Kind::File { days: 40, size: 8192, is_open, is_linked: false },
    };
    let numbers = [4, 1, 6, 3, 5, 2];
    let tree = Tree::plant(&numbers.map(|number| file(format!("{number}.log"), false)));
    let need = Need { bytes: 12_000, inodes: 0 };
    let rules = || vec![rule(&tree.scope(), "*", 10, Strategy::Delete)];
    let plan = job(rules(), vec![]).plan_of(need).expect("planned").lines.join("\n");
    assert!(plan.contains("delete 2 of 6 files that may go, 16.0 KiB of 48.0 KiB"), "{plan}");
    let named = |number: &u32| plan.contains(&format!("/{number}.log ("));
    assert_eq!((1..=6).filter(named).collect::<Vec<_>>(), [1, 2], "{plan}");
    assert_eq!(job(rules(), vec![]).free(need), Ok((16_384, 2)));
    let is_there = |number: &u32| tree.scope().join(format!("{number}.log")).exists();
    assert_eq!((1..=6).filter(is_there).collect::<Vec<_>>(), [3, 4, 5, 6]);
    // What somebody uses is made up for by others.
    let tree = Tree::plant(&[1, 2, 3, 4].map(|number| file(format!("{number}.log"), number < 3)));
    let rules = vec![rule(&tree.scope(), "*", 10, Strategy::Delete)];
    assert_eq!(job(rules, vec![]).free(need), Ok((16_384, 2)));
}

#[test]
fn the_outcome_says_what_became_free_and_names_the_files() {
    let file = |name: &str| Entry {
        place: vec![],
        name: name.as_bytes().to_vec(),
        kind: Kind::File { days: 40, size: 8192, is_open: name == "held.log", is_linked: false },
    };
    let tree = Tree::plant(&[file("a.log"), file("held.log")]);
    // The whole machine's filesystem is above a goal of nothing, so that everything declared goes.
    let rules = vec![rule(&tree.scope(), "*", 10, Strategy::Delete)];
    let ActionOutcome::Succeeded { note } = done(&job(rules, vec![])) else { panic!("nothing was done") };
    let note = note.as_str();
    assert!(note.contains("1 file deleted: 8.0 KiB") && note.contains("a.log (8.0 KiB, 40d"), "{note}");
    assert!(note.contains("in use by somebody: 1, as ") && note.contains("held.log"), "{note}");
    let rules = vec![rule(&tree.scope(), "*", 10, Strategy::Delete)];
    let ActionOutcome::NotNeeded { why } = done(&job(rules, vec![])) else { panic!("something was done") };
    assert!(why.as_str().contains("in use by somebody"), "{why}");
}

/// A machine with nothing on it, whose only filesystem is that of the temporary folder.
fn bare() -> (tempfile::TempDir, Job) {
    let root = tempfile::tempdir().expect("a folder");
    let mounts = mounts::read(Path::new("/")).expect("mounts");
    let mount = mounts.iter().filter(|mount| root.path().starts_with(&mount.path)).max_by_key(|m| m.path.len());
    let id = mount.expect("mounted").id;
    for folder in ["proc/self", "var/log"] {
        fs::create_dir_all(root.path().join(folder)).expect("made");
    }
    let line = format!("{id} 1 0:1 / / rw - ext4 /dev/x rw\n");
    fs::write(root.path().join("proc/self/mountinfo"), line).expect("written");
    let job = job(vec![rule(root.path(), "*", 0, Strategy::Delete)], vec![]);
    let job = Job { root: root.path().to_owned(), mount: "/".into(), ..job };
    (root, job)
}

/// What lies in its caches: the installed version, the one before it, and what is none.
const CACHED: [&str; 5] = [
    "apt/archives/a_1%3a2_all.deb",
    "apt/archives/a_1%3a1_all.deb",
    "apt/archives/lock",
    "apt/archives/note.txt",
    "dnf/base/packages/b.rpm",
];

/// A machine with package caches.
fn machine() -> (tempfile::TempDir, Job) {
    let (root, job) = bare();
    for folder in ["var/cache/apt/archives/partial", "var/cache/dnf/base/packages", "var/lib/dpkg"] {
        fs::create_dir_all(root.path().join(folder)).expect("made");
    }
    for file in CACHED {
        fs::write(root.path().join("var/cache").join(file), "x").expect("written");
    }
    let status = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2\n";
    fs::write(root.path().join("var/lib/dpkg/status"), status).expect("written");
    fs::write(root.path().join("var/lib/dpkg/lock-frontend"), "").expect("written");
    let what = Cleaning::PackageCache;
    let job = Job { what, ..job };
    (root, job)
}

/// Somebody who holds a lock as a package manager does.
struct Locker(std::process::Child);

impl Locker {
    fn lock(path: &Path) -> Self {
        let script = "import fcntl, sys\nf = open(sys.argv[1], 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('held', \
                      flush=True)\nsys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3");
        let mut said = [0; 4];
        std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut said).expect("held");
        Self(child)
    }
}

impl Drop for Locker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn package_caches_are_emptied_of_packages_unless_a_package_manager_is_at_work() {
    let (root, job) = machine();
    for lock in ["var/cache/apt/archives/lock", "var/lib/dpkg/lock-frontend"] {
        let _held = Locker::lock(&root.path().join(lock));
        let why = job.clean().expect_err("refused");
        assert!(why.contains("at work"), "{why}");
    }
    // What was fetched within the hour may be wanted in a moment.
    let ActionOutcome::NotNeeded { why } = done(&job) else { panic!("cleaned what is new") };
    assert!(why.as_str().contains("package caches"), "{why}");
    let left = || CACHED.map(|file| root.path().join("var/cache").join(file).exists());
    assert_eq!(left(), [true; 5]);
    let later = Job { now: SystemTime::now() + Duration::from_secs(2 * 3600), ..job };
    let ActionOutcome::Succeeded { note } = done(&later) else { panic!("nothing was done") };
    assert!(note.as_str().contains("2 files deleted"), "{note}");
    assert_eq!(left(), [false, true, true, true, false]);
}

#[test]
fn a_temporary_file_is_as_old_as_its_last_use_and_not_as_its_date() {
    let unpacked = Entry {
        place: vec![],
        name: b"unpacked".to_vec(),
        kind: Kind::File { days: 300, size: 10, is_open: false, is_linked: false },
    };
    let tree = Tree::plant(&[unpacked]);
    let rules = || vec![rule(&tree.scope(), "*", 7, Strategy::Delete)];
    let temporary = |now| Job { what: Cleaning::Temporary { rules: rules() }, now, ..job(rules(), vec![]) };
    assert_eq!(temporary(SystemTime::now()).free(ALL), Ok((0, 0)));
    let in_a_week = SystemTime::now() + Duration::from_secs(8 * DAY);
    assert_eq!(temporary(in_a_week).free(ALL).map(|(_, gone)| gone), Ok(1));
}
