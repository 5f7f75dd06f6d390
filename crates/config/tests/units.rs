//! What a host makes of the units that are named: those that it does not have, and those that have two names. Asking the host
//! is the program's.

use std::collections::BTreeMap;

use ansai_model::{id::UnitName, inventory::Standing};

fn unit(name: &str) -> UnitName {
    UnitName::new(name).expect("valid")
}

#[test]
fn w07_a_unit_that_the_host_lacks_is_warned_of_with_the_nearest_name() {
    let yaml =
        "services:\n  ngnix: {}\n  mysql.service: {}\n  mariadb.service: {}\n  sshd: {}\n  asleep: {}\n  'app-*': {}\n";
    let read = ansai_config::parse(&[("ansai.yaml".into(), yaml.into())]).expect("valid");
    assert_eq!(read.units().len(), 5, "a pattern names no unit");
    let standings = BTreeMap::from([
        (unit("ngnix.service"), Standing::Missing),
        (unit("asleep.service"), Standing::Missing),
        (unit("mysql.service"), Standing::AliasOf(unit("mariadb.service"))),
        (unit("mariadb.service"), Standing::Known),
        (unit("sshd.service"), Standing::AliasOf(unit("ssh.service"))),
    ]);
    let found = read.unit_warnings(&standings, &[unit("nginx.service"), unit("mariadb.service")]);
    let said: Vec<_> = found.iter().map(|found| format!("{}: {}", found.line, found.what)).collect();
    let lacks = |line: u32, unit: &str| format!("{line}: this host has no unit `{unit}`");
    let twice = "3: `mysql.service` is another name of `mariadb.service`, which is watched as well".to_owned();
    assert_eq!(said, [lacks(2, "ngnix.service"), twice, lacks(6, "asleep.service")]);
    assert_eq!(found[0].suggestion.as_deref(), Some("did you mean `nginx.service`?"));
    assert!(read.unit_warnings(&BTreeMap::new(), &[]).is_empty(), "of what a host does not say nothing is said");
}
