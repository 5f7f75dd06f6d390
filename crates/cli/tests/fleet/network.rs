//! The API over the network, asked by programs that speak HTTPS and by the program itself with a context: who may what with
//! which token, what is refused and how, and that no secret lies anywhere.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use ansai_link::https::{self, Trust};
use ansai_protocol::link::ApiToken;
use serde_json::{Value, json};

use super::{Controller, Host, LIMIT, command, runtime};

/// A controller whose API is asked over the network as well.
struct Open {
    controller: Controller,
    port: u16,
}

impl Open {
    fn begin() -> Self {
        let mut controller = Controller::begin();
        controller.kill();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("known").port();
        let settings = controller.folder.path().join("controller.yaml");
        let text = std::fs::read_to_string(&settings).expect("read");
        std::fs::write(&settings, format!("{text}\napi: {{listen: \"127.0.0.1:{port}\"}}\n")).expect("written");
        drop(taken);
        controller.start();
        Self { controller, port }
    }

    fn token(&self, role: &str, owner: &str) -> ApiToken {
        let made = self.controller.json(&["token", "create", "--api", role, "--owner", owner, "--for", "90d"]);
        made["token"].as_str().expect("a token").parse().expect("a token")
    }

    /// What is answered: its status code, its head and its document.
    fn ask(&self, token: &ApiToken, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
        self.ask_with(&format!("authorization: Bearer {}\r\n", token.expose()), token, method, path, &body.to_string())
    }

    fn ask_with(&self, head: &str, known: &ApiToken, method: &str, path: &str, body: &str) -> (u16, String, Value) {
        let (head, document) = self.exchanged(head, known, method, path, body);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head, serde_json::from_str(&document).expect("JSON"))
    }

    /// What is answered that is no document: its head and its text.
    fn text(&self, head: &str, known: &ApiToken, path: &str) -> (String, String) {
        self.exchanged(head, known, "GET", path, "")
    }

    fn exchanged(&self, head: &str, known: &ApiToken, method: &str, path: &str, body: &str) -> (String, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: ctl\r\n{head}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let route = https::route(&format!("https://127.0.0.1:{}", self.port), None).expect("a route");
        let trust = Trust::Digest(known.0.authority);
        let answer = runtime().block_on(https::exchange(&route, &trust, request.as_bytes(), 1 << 20, LIMIT));
        let answer = String::from_utf8(answer.expect("answered")).expect("text");
        let (head, document) = answer.split_once("\r\n\r\n").expect("an answer");
        (head.to_ascii_lowercase(), document.to_owned())
    }

    /// The program, as a person elsewhere runs it: nothing of the controller lies there.
    fn elsewhere(home: &Path, words: &[&str], input: &str) -> Output {
        let mut child = command(Path::new("/nowhere"))
            .env("HOME", home)
            .env_remove("XDG_CONFIG_HOME")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        // A program that needs no input may have ended.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("ended")
    }

    /// Whether a token's secret lies in a file of the controller.
    fn holds(&self, token: &ApiToken) -> bool {
        let secret = token.expose().split('.').nth(2).expect("a secret").to_owned();
        let holds = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).contains(&secret);
        let state = std::fs::read_dir(self.controller.folder.path().join("state")).expect("read").flatten();
        holds(&self.controller.log()) || state.map(|entry| entry.path()).any(|path| holds(&path))
    }
}

fn hold() -> Value {
    json!({"operation": {"restrain": {"kind": "hold", "over": "fleet", "scope": "all", "reason": "moving"}}})
}

#[test]
fn who_asks_over_the_network_may_what_the_token_says_and_nothing_without_one() {
    let mut open = Open::begin();
    runtime().block_on(Host::join(&open.controller, "web-01"));
    let [viewer, operator, admin] =
        [("viewer", "vera"), ("operator", "olga"), ("admin", "ada")].map(|(role, owner)| open.token(role, owner));

    // What is read is what the socket answers.
    let (status, head, hosts) = open.ask(&viewer, "GET", "/api/v1/hosts", &Value::Null);
    assert_eq!((status, hosts["hosts"][0]["name"].as_str()), (200, Some("web-01")), "{hosts}");
    assert!(head.contains("content-type: application/json"), "{head}");

    // A viewer's token changes nothing, and an operator's makes no token.
    let token = json!({"lasts_ms": 60_000, "access": {"role": "viewer", "owner": "eve"}});
    let revoke = json!({"operation": {"revoke-token": {"id": admin.0.id}}});
    for (who, path, body) in [
        (&viewer, "/api/v1/operate", &hold()),
        (&viewer, "/api/v1/operate", &revoke),
        (&viewer, "/api/v1/tokens", &token),
        (&operator, "/api/v1/tokens", &token),
        (&operator, "/api/v1/operate", &revoke),
    ] {
        let (status, head, problem) = open.ask(who, "POST", path, body);
        assert_eq!((status, &problem["status"]), (403, &json!(403)), "{path} {body}: {problem}");
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        for key in ["type", "title", "detail", "suggestion"] {
            assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {problem}");
        }
    }
    assert_eq!(open.ask(&viewer, "GET", "/api/v1/tokens", &Value::Null).0, 403);
    let before = open.controller.json(&["status", "--fleet"]);
    assert_eq!(before["restraints"], json!([]), "{before}");

    let (status, _, done) = open.ask(&operator, "POST", "/api/v1/operate", &hold());
    assert_eq!(status, 200, "{done}");
    let after = open.controller.json(&["status", "--fleet"]);
    assert_eq!(after["restraints"][0]["by"], "olga", "{after}");
    let (_, _, audit) = open.ask(&viewer, "GET", "/api/v1/audit", &Value::Null);
    assert!(audit["entries"][0][1]["by"] == "olga", "{audit}");
    let (status, _, made) = open.ask(&admin, "POST", "/api/v1/tokens", &token);
    assert_eq!(status, 200, "{made}");
    assert!(made["token"].as_str().is_some_and(|token| token.starts_with("ansai-api1.")), "{made}");

    // Prometheus asks for figures, and for whom to scrape.
    let bearer = format!("authorization: Bearer {}\r\n", viewer.expose());
    let (head, page) = open.text(&bearer, &viewer, "/metrics");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for line in ["ansai_fleet_hosts{state=\"connected\"} 0", "ansai_fleet_restraints{kind=\"hold\"} 1"] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert!(page.contains("ansai_fleet_host_info{host=\"web-01\",role=\"web\""), "{page}");
    let (_, _, found) = open.ask(&viewer, "GET", "/api/v1/prometheus/targets?port=9100", &Value::Null);
    assert_eq!(found[0]["targets"], json!(["127.0.0.1:9100"]), "{found}");
    assert_eq!(found[0]["labels"]["__meta_ansai_host"], "web-01", "{found}");

    // They outlive the controller, with when they were last used; their secrets lie nowhere.
    open.controller.kill();
    open.controller.start();
    assert_eq!(open.ask(&viewer, "GET", "/v1/hosts", &Value::Null).0, 200, "the path of the socket is understood");
    let listed = open.controller.json(&["token", "list"]);
    let used: Vec<&Value> = listed["tokens"].as_array().expect("a list").iter().collect();
    let of = |owner: &str| used.iter().find(|token| token["access"]["owner"] == owner).map(|token| &token["used_ms"]);
    assert!(of("vera").is_some_and(Value::is_i64) && of("eve").is_some_and(Value::is_null), "{listed}");
    assert!(![&viewer, &operator, &admin].into_iter().any(|token| open.holds(token)));

    // A token that is taken back is good for nothing at once.
    let id = viewer.0.id.to_string();
    assert!(open.controller.run(&["token", "revoke", &id, "--yes"]).status.success());
    let (status, head, problem) = open.ask(&viewer, "GET", "/api/v1/hosts", &Value::Null);
    assert_eq!(status, 401, "{problem}");
    assert!(head.contains("www-authenticate: bearer") && problem["suggestion"].is_string(), "{head} {problem}");
}

#[test]
fn strangers_are_refused_slowed_and_hold_nobody_up() {
    let open = Open::begin();
    let good = open.token("viewer", "vera");
    // Who says nothing, or no TLS, is let go, and others are answered meanwhile.
    let silent: Vec<TcpStream> =
        (0..8).map(|_| TcpStream::connect(("127.0.0.1", open.port)).expect("connected")).collect();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3], &[0; 70_000], b"\xff"] {
        let mut stream = TcpStream::connect(("127.0.0.1", open.port)).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("set");
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(!said.starts_with(b"HTTP"), "nothing is answered without TLS");
    }
    assert_eq!(open.ask(&good, "GET", "/api/v1/status", &Value::Null).0, 200);
    drop(silent);

    // Whoever has a token may ask nonsense, and hears what is wrong with it.
    let bearer = format!("authorization: Bearer {}\r\n", good.expose());
    let deep = "[".repeat(50_000);
    let long = format!("/api/v1/reports/{}/i1", "x".repeat(300));
    for (method, path, body, expected) in [
        ("GET", "/api/v1/nothing", "", 404),
        ("DELETE", "/api/v1/hosts", "", 404),
        ("GET", "/api", "", 404),
        ("GET", "/api/v1/reports/web-01/i99999999999999999999", "", 404),
        ("GET", long.as_str(), "", 404),
        ("POST", "/api/v1/hosts", "", 400),
        ("POST", "/api/v1/hosts", "{\"limit\": -1}", 400),
        ("POST", "/api/v1/incidents", "{\"limit\": 1, \"after\": \"\\u0000\"}", 400),
        ("POST", "/api/v1/incidents", deep.as_str(), 400),
        ("POST", "/api/v1/operate", "{\"operation\": {\"restrain\": 1}}", 400),
    ] {
        let (status, _, problem) = open.ask_with(&bearer, &good, method, path, body);
        assert_eq!((status, &problem["status"]), (expected, &json!(expected)), "{method} {path}: {problem}");
    }
    let large = "x".repeat(100 << 10);
    assert_eq!(open.ask_with(&bearer, &good, "POST", "/api/v1/hosts", &large).0, 400, "a body has a bound");

    // Wrong tokens, of which none is repeated or logged; too many of them shut out where they come from.
    let join = good.expose().replace("ansai-api1", "ansai1");
    let other = good.expose().replace(&good.0.id.to_string(), "000000000000");
    let wrong = ["".to_owned(), "authorization: Basic eDp5\r\n".into(), format!("authorization: Bearer {join}\r\n")];
    for head in wrong.iter().chain(std::iter::repeat_n(&format!("authorization: Bearer {other}\r\n"), 7)) {
        let (status, _, problem) = open.ask_with(head, &good, "POST", "/api/v1/operate", &hold().to_string());
        assert_eq!(status, 401, "{problem}");
        let secret = good.expose().split('.').nth(2).expect("a secret").to_owned();
        assert!(!problem.to_string().contains(&secret), "{problem}");
    }
    let (status, head, problem) = open.ask(&good, "GET", "/api/v1/status", &Value::Null);
    assert_eq!(status, 429, "{problem}");
    assert!(head.contains("retry-after: "), "{head}");
    assert!(!open.holds(&good), "the log has no secret");
    assert_eq!(open.controller.json(&["status", "--fleet"])["restraints"], json!([]));
}

#[test]
fn what_is_typed_on_the_controllers_host_is_typed_elsewhere_with_a_context() {
    let (open, home) = (Open::begin(), tempfile::tempdir().expect("a home"));
    runtime().block_on(Host::join(&open.controller, "web-01"));
    let at = format!("https://127.0.0.1:{}", open.port);
    let operator = open.token("operator", "olga").expose();
    let add = ["context", "add", "prod", at.as_str()];
    let run = |words: &[&str], input: &str| Open::elsewhere(home.path(), words, input);

    let rehearsed = run(&[&add[..], &["--dry-run"]].concat(), &operator);
    assert!(rehearsed.status.success(), "{rehearsed:?}");
    assert_eq!(run(&["--context", "prod", "hosts", "list"], "").status.code(), Some(2), "it is not kept yet");
    let added = run(&add, &operator);
    assert!(added.status.success(), "{added:?}");
    let file = home.path().join(".config/ansai/contexts/prod.json");
    assert_eq!(std::fs::metadata(&file).expect("kept").mode() & 0o777, 0o600);
    assert_eq!(run(&add, &operator).status.code(), Some(2), "there is one already");

    // The same is answered.
    let everywhere: &[&[&str]] =
        &[&["hosts", "list"], &["incidents", "--fleet"], &["fleet", "rollouts"], &["fleet", "drift"]];
    for words in everywhere {
        let elsewhere = run(&[&["--json", "--context", "prod"], *words].concat(), "");
        assert_eq!(serde_json::from_slice::<Value>(&elsewhere.stdout).expect("JSON"), open.controller.json(words));
    }

    // What changes something says where, and on how many.
    let held = run(&["--context", "prod", "hold", "--fleet", "--reason", "moving"], "");
    let said = String::from_utf8_lossy(&held.stderr).into_owned();
    assert!(held.status.success() && said.contains("context prod: hold every host: 1 host: web-01"), "{held:?}");
    assert_eq!(open.controller.json(&["status", "--fleet"])["restraints"][0]["by"], "olga");
    let nobody = run(&["--context", "prod", "hosts", "remove", "nobody"], "");
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("`ansai --context prod hosts list`"), "{said}");
    let refused = run(&["--context", "prod", "token", "create"], "");
    assert_eq!(refused.status.code(), Some(5), "an operator makes no token: {refused:?}");

    // What is about this host alone is not taken for what is about a controller.
    for words in [&["status"][..], &["hold", "nginx"], &["controller", "doctor"]] {
        assert_eq!(run(&[&["--context", "prod"], words].concat(), "").status.code(), Some(2), "{words:?}");
    }

    // A token of another controller is sent to nobody.
    let stranger = Open::begin().token("viewer", "eve").expose();
    let other = run(&["context", "add", "other", &at], &stranger);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(3) && said.contains("does not come from the CA"), "{other:?}");
    let listed = run(&["context", "list", "--json"], "");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let secret = operator.split('.').nth(2).expect("a secret");
    assert!(listed.contains("\"prod\"") && !listed.contains("other") && !listed.contains(secret), "{listed}");
    assert!(run(&["context", "remove", "prod", "--yes"], "").status.success());
    assert!(!file.exists());
}
