//! `ansai check` and `ansai config` as an operator meets them: layers, explanations, warnings, and the same as data.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn ansai(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
    command.env("ANSAI_CONFIG", folder.join("ansai.yaml")).args(arguments);
    command.output().expect("the program runs")
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("layers")).expect("made");
    let files = [
        ("ansai.yaml", "autonomy: approve\nservices:\n  app.service: {probe: {tcp: \"127.0.0.1:80\", every: 1s}}\n"),
        ("layers/site.yaml", "policies: {default: {cooldown: 1m}}\n"),
        ("layers/emergency.toml", "expires = 2020-01-01T00:00:00Z\nautonomy = \"observe\"\n"),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

#[track_caller]
fn check(folder: &Path, arguments: &[&str], code: i32, expected: &[&str]) {
    let output = ansai(folder, arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?} said {said}");
    for part in expected {
        assert!(said.contains(part), "{arguments:?} said {said}");
    }
}

fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&ansai(folder, arguments).stdout).expect("JSON")
}

#[test]
fn warnings_are_said_and_with_strict_they_are_refused() {
    let folder = written();
    let both = ["warning: it looks every 1s and may wait 3s for one answer", "and is ignored"];
    check(folder.path(), &["check"], 0, &[both[0], both[1], "is valid (2 files, 2 warnings)"]);
    check(folder.path(), &["check", "--strict"], 2, &[both[0], "--strict allows no warnings, and there are 2"]);
    let said = json(folder.path(), &["check", "--strict", "--json"]);
    assert_eq!(said["errors"], serde_json::json!([]));
    assert_eq!(said["warnings"][0]["line"], 3);
    assert_eq!(said["warnings"][0]["key"], "services.app.service.probe");
}

#[test]
fn errors_are_the_same_as_data() {
    let folder = written();
    fs::write(folder.path().join("layers/site.yaml"), "servces: {}\nautonomy: akt\n").expect("written");
    check(folder.path(), &["check"], 2, &["did you mean `services`?", "did you mean `act`?", "2 errors"]);
    let output = ansai(folder.path(), &["check", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let errors = said["errors"].as_array().expect("a list");
    assert_eq!(errors.len(), 2);
    assert_eq!((&errors[1]["line"], &errors[1]["column"]), (&2.into(), &11.into()));
    assert_eq!(errors[1]["snippet"], "autonomy: akt");
}

#[test]
fn layers_and_explanations_name_their_files() {
    let folder = written();
    check(folder.path(), &["config", "layers"], 0, &["shipped", "layers/site.yaml", "ignored: it has expired"]);
    let said = json(folder.path(), &["config", "layers", "--json"]);
    let layers: Vec<_> = said["layers"].as_array().expect("a list").iter().map(|found| &found["layer"]).collect();
    assert_eq!(layers, ["site", "host", "emergency"]);
    let cooldown = [
        "`policies.default.cooldown` holds",
        "cooldown = 1m",
        "set by   site",
        "site.yaml:1",
        "replaces the shipped defaults: 30s",
    ];
    check(folder.path(), &["config", "explain", "services.app.service.cooldown"], 0, &cooldown);
    let may = ["The wait before a target", "kind     a duration (write a number and a unit", "default  30s"];
    check(folder.path(), &["config", "explain", "services.app.service.cooldown"], 0, &may);
    // What may be written is known without a file, and for names that nobody has written.
    let route = ["It is not written here.", "smtp", "to "];
    check(folder.path(), &["config", "explain", "notify.NAME"], 0, &route);
    check(folder.path(), &["config", "explain", "maintenance[0].days"], 0, &["mon"]);
    check(Path::new("/nonexistent"), &["config", "explain"], 0, &["services ", "autonomy ", "observe, suggest"]);
    check(folder.path(), &["complete", "keys", "services.app"], 0, &["services.app.service"]);
    check(folder.path(), &["complete", "keys", "services.app.service.pr"], 0, &["services.app.service.probe"]);
    check(folder.path(), &["complete", "incidents"], 0, &[]);
    let said = json(folder.path(), &["config", "explain", "policies.default.cooldown", "--json"]);
    let value = &said["explained"]["values"][0];
    assert_eq!((&value["set"]["value"], &value["shadowed"][0]["value"]), (&"1m".into(), &"30s".into()));
    check(
        folder.path(),
        &["config", "explain", "servces"],
        2,
        &["there is no key `servces`", "config explain services"],
    );
}

/// Every key below which names or items stand says what may stand there, and how more is asked of one of it.
#[test]
fn of_names_and_lists_it_is_said_what_may_stand_below_them() {
    let nowhere = Path::new("/nonexistent");
    let schema = json(nowhere, &["config", "explain", "--json"]);
    let keys = schema["explained"]["may"]["keys"].as_array().expect("a list").clone();
    let mut asked = 0;
    for key in keys.iter().map(|key| key["name"].as_str().expect("a name")) {
        let said = json(nowhere, &["config", "explain", key, "--json"]);
        let may = &said["explained"]["may"];
        let (kind, steps) = (may["kind"].as_str().expect("words"), may["steps"].as_str().expect("words"));
        let inner = may["keys"].as_array().expect("a list");
        let is_named = kind.starts_with("names") || kind.starts_with("a list, each item a mapping");
        assert_eq!(is_named, !steps.is_empty(), "{key}: {kind}");
        let Some(first) = inner.first().filter(|_| is_named) else { continue };
        let first = first["name"].as_str().expect("a name");
        let (whole, next) =
            (format!("What may stand under {key}{steps}:"), format!("config explain {key}{steps}.{first}`"));
        check(nowhere, &["config", "explain", key], 0, &[&whole, &next, first]);
        check(nowhere, &["config", "explain", &format!("{key}{steps}.{first}")], 0, &[]);
        asked += 1;
    }
    assert!(asked > 5, "{asked}");
    check(nowhere, &["config", "explain", "services"], 0, &["What may stand under services.NAME:", "probe "]);
    check(nowhere, &["config", "explain", "maintenance"], 0, &["What may stand under maintenance[0]:", "days "]);
    check(
        nowhere,
        &["config", "explain", "maintenance.days"],
        2,
        &["`maintenance` has no item `days`", "ansai config explain maintenance[0].days"],
    );
    check(nowhere, &["config", "explain", "maintenance.x"], 2, &["write maintenance[0]\n"]);
}

#[test]
fn what_is_expanded_is_a_configuration() {
    let folder = written();
    let output = ansai(folder.path(), &["config", "show", "--expanded"]);
    let path = folder.path().join("expanded.yaml");
    fs::write(&path, &output.stdout).expect("written");
    check(folder.path(), &["check", path.to_str().expect("text")], 0, &["is valid"]);
    assert!(json(folder.path(), &["config", "schema"])["$defs"]["a-service"].is_object());
}
