//! What is read, evaluated, late, refused and left as it is.

use ansai_host::linux::Options;
use ansai_protocol::link::{FleetFile, FleetLayer, HostBundle};

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// What a reading of this text comes to while its folder does not answer, or does.
async fn check(text: &str, hangs: bool) -> Result<Box<Evaluated>, Refused> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ansai.yaml");
    std::fs::write(&path, text).expect("written");
    let options = Options { buses: Vec::new(), ..Options::this_machine(folder.path().to_owned()) };
    let tasks = TaskTracker::new();
    let (news, mut heard) = mpsc::channel(4);
    let mut reader = Reader::new(path.clone(), Folder::of(folder.path()), LinuxHost::new(options, &tasks), tasks, news);
    let (hold, held) = std::sync::mpsc::sync_channel::<()>(0);
    let stuck = Work::new(Kind::Own, format!("the configuration {}", path.display()));
    if hangs {
        let waits = move || {
            let _ = held.recv();
        };
        assert!(aside::run(stuck, Duration::from_millis(1100), waits).await.is_err());
    }
    reader.read(Inventory::default(), Edition::default());
    assert!(reader.is_reading());
    let news = tokio::time::timeout(LONG, heard.recv()).await.expect("in time").expect("told");
    assert!(!reader.has_heard(&news));
    assert!(!reader.is_reading());
    drop(hold);
    match news {
        News::Read(read) => read,
        News::Seen | News::Stamp(_) | News::Inventory(_) | News::Rehearsed(..) | News::Offered(..) => {
            panic!("it was not asked for")
        }
    }
}

/// What these files come to on a host with nothing.
fn evaluated(files: &[(&str, String)]) -> Evaluated {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let inventory = Inventory::default();
    let configuration = ansai_config::load(&folder.path().join("ansai.yaml")).expect("valid");
    let bundle = configuration.bundle(&inventory, 1).expect("a bundle");
    Evaluated { configuration: configuration.rest(&inventory), inventory, bundle }
}

#[test]
fn an_emergency_layer_that_has_ended_is_another_thing_though_the_same_is_looked_at() {
    let own = ("ansai.yaml", "autonomy: act\nservices: {a.service: {}}\n".to_owned());
    let layer =
        |year: u32| ("layers/emergency/a.yaml", format!("autonomy: observe\nexpires: {year}-01-01T00:00:00Z\n"));
    let during = || evaluated(&[own.clone(), layer(2999)]);
    let after = evaluated(&[own.clone(), layer(2020)]);
    let says = |new: &Evaluated, old: &Evaluated| new.says_another_thing(&old.configuration, &old.bundle);
    assert_eq!(after.bundle.parts().checks, during().bundle.parts().checks);
    assert!(says(&after, &during()), "the layer would hold for ever");
    assert!(!says(&during(), &during()));
    let more = ("ansai.yaml", "autonomy: act\nservices: {a.service: {}, b.service: {}}\n".to_owned());
    assert!(says(&evaluated(&[more, layer(2999)]), &during()));
}

/// What comes of an evaluation for what this folder's host has now, when it had that before.
async fn evaluated_after(folder: &Path, text: &str, before: Inventory) -> Option<Box<Evaluated>> {
    evaluated_of(folder, parsed(text), before).await
}

/// The same of a configuration.
async fn evaluated_of(folder: &Path, configuration: Configuration, before: Inventory) -> Option<Box<Evaluated>> {
    let configuration = configuration.rest(&before);
    let tasks = TaskTracker::new();
    let (news, mut heard) = mpsc::channel(4);
    let mut reader = Reader::new(folder.join("ansai.yaml"), Folder::of(folder), host_of(folder, &tasks), tasks, news);
    reader.evaluate(Arc::new(configuration), before, Edition::default());
    let news = tokio::time::timeout(LONG, heard.recv()).await.expect("in time").expect("told");
    assert!(!reader.has_heard(&news) && !reader.is_reading());
    let News::Inventory(evaluated) = news else { panic!("it was not asked for") };
    evaluated.expect("valid")
}

fn host_of(folder: &Path, tasks: &TaskTracker) -> LinuxHost {
    let options = Options::this_machine(folder.to_owned());
    LinuxHost::new(Options { buses: Vec::new(), root: folder.to_owned(), ..options }, tasks)
}

fn parsed(text: &str) -> Configuration {
    ansai_config::parse(&[(PathBuf::from("ansai.yaml"), text.to_owned())]).expect("valid")
}

#[tokio::test]
async fn what_a_host_has_is_evaluated_when_it_is_another_thing_or_the_texts_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (plain, disks) = ("services: {app.service: {}}", "services: {app.service: {}}\ndisks: {\"/srv/*\": {}}");
    let mut now = host_of(folder, &TaskTracker::new()).inventory_of(|_| true).await;
    now.facts.clear();
    assert!(evaluated_after(folder, plain, now.clone()).await.is_none(), "figures are no reason");
    assert!(evaluated_after(folder, disks, now.clone()).await.is_none());
    let layer = "autonomy: observe\nexpires: 2999-01-01T00:00:00Z\n";
    std::fs::create_dir_all(folder.join("layers")).expect("made");
    std::fs::write(folder.join("layers/emergency.yaml"), layer).expect("written");
    std::fs::write(folder.join("ansai.yaml"), plain).expect("written");
    let ends = ansai_config::load(&folder.join("ansai.yaml")).expect("valid");
    assert!(evaluated_of(folder, ends, now.clone()).await.is_some(), "the layer would hold for ever");
    let other = Inventory { hostname: "another".into(), ..now.clone() };
    let evaluated = evaluated_after(folder, plain, other).await.expect("it has another name");
    assert_eq!((evaluated.inventory.hostname, evaluated.bundle.parts().targets.len()), (now.hostname, 1));
}

#[test]
fn what_units_do_is_no_reason_to_evaluate_and_what_they_are_is() {
    use ansai_model::unit::ActiveState;
    let having = |name: &str, active| {
        let unit = UnitFacts::plain(UnitName::new(name).expect("valid"), active);
        Inventory { units: vec![unit], ..Inventory::default() }
    };
    let runs = having("a.service", ActiveState::Active);
    assert!(is_alike(&runs, &having("a.service", ActiveState::Failed)));
    assert!(!is_alike(&runs, &having("b.service", ActiveState::Active)));
    assert!(!is_alike(&runs, &Inventory::default()) && !is_alike(&Inventory::default(), &runs));
    let mut job = runs.clone();
    job.units[0].is_oneshot = true;
    assert!(!is_alike(&runs, &job));
}

#[tokio::test]
async fn an_evaluation_that_was_late_is_asked_for_again_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { buses: Vec::new(), ..Options::this_machine(folder.path().to_owned()) };
    let tasks = TaskTracker::new();
    let host = LinuxHost::new(options, &tasks);
    let mut reader =
        Reader::new(folder.path().join("ansai.yaml"), Folder::of(folder.path()), host, tasks, mpsc::channel(4).0);
    let stamp = News::Stamp(Ok(None));
    let mut after = |refused| {
        let is_at_once = reader.has_heard(&News::Inventory(Err(refused)));
        [is_at_once, reader.has_heard(&stamp), reader.has_heard(&stamp)]
    };
    assert_eq!(after(Refused::Late("it hangs".into())), [false, true, false]);
    assert_eq!(after(Refused::Wrong("no".into())), [false, false, false]);
}

#[tokio::test]
async fn a_configuration_that_is_not_answered_for_is_late_and_one_that_is_wrong_is_wrong() {
    let Err(Refused::Late(why)) = check("services: {}", true).await else { panic!("it was read") };
    assert!(why.contains("ansai.yaml has not answered for "), "{why}");
    let Err(Refused::Wrong(why)) = check("servics: {}", false).await else { panic!("it is valid") };
    assert!(why.contains("ansai.yaml:1"), "{why}");
    let read = check("services: {app.service: {}}", false).await.expect("valid");
    assert_eq!(read.bundle.parts().targets.len(), 1);
}

/// What comes of an offer on a host that has joined, and what is kept of it then.
async fn offered(own: &str, text: &str) -> (Result<Box<Evaluated>, Refused>, Option<HostBundle>) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ansai.yaml"), own).expect("written");
    let (fleet, authority, controller, host) = membership::tests::joined(folder.path());
    let file = FleetFile { layer: FleetLayer::Site, name: "site.yaml".into(), text: text.into() };
    let held = Held { epoch: 1, generation: 3, ..Held::default() };
    let bundle = HostBundle { controller, host, held, files: vec![file] };
    let signed = authority.sign_bundle(&bundle).expect("signed");
    let tasks = TaskTracker::new();
    let (news, mut heard) = mpsc::channel(4);
    let linux = host_of(folder.path(), &tasks);
    let mut reader = Reader::new(folder.path().join("ansai.yaml"), fleet.clone(), linux, tasks, news);
    reader.take(Offered { signed, bundle }, Inventory::default(), Edition::default());
    let news = tokio::time::timeout(LONG, heard.recv()).await.expect("in time").expect("told");
    assert!(!reader.has_heard(&news) && !reader.is_reading());
    let News::Offered(of, read) = news else { panic!("it was not asked for") };
    assert_eq!(of.generation, 3);
    (read, fleet.bundle().expect("readable"))
}

#[tokio::test]
async fn what_the_fleet_says_holds_below_the_hosts_own_and_is_kept_before_it_holds() {
    let own = "services: {own.service: {}}\npolicies: {default: {cooldown: 7s}}\n";
    let text = "services: {fleet.service: {}}\npolicies: {default: {cooldown: 9s, attempts: 2}}\n";
    let (read, kept) = offered(own, text).await;
    let read = read.expect("valid");
    let (targets, policies) = (&read.bundle.parts().targets, &read.bundle.parts().policies);
    let names: Vec<&str> = targets.keys().map(|target| target.name()).collect();
    assert_eq!(names, ["fleet.service", "own.service"]);
    let default = policies.iter().find(|(id, _)| id.as_str() == "default").expect("there").1;
    assert_eq!((default.cooldown, default.attempts_max), (Duration::from_secs(7), 2), "the host's own is stronger");
    assert_eq!(kept.map(|kept| kept.held.generation), Some(3));
}

#[tokio::test]
async fn what_is_not_valid_here_is_not_kept_and_its_place_is_said() {
    let (read, kept) = offered("services: {own.service: {}}\n", "autonomy: act\nservces: {}\n").await;
    let Err(Refused::Wrong(why)) = read else { panic!("it is valid") };
    assert!(why.contains("fleet:site.yaml:2:") && why.contains("services"), "{why}");
    assert_eq!(kept, None);
}
