//! What `ansai_cluster` of the configuration means for this host: whom it joins, what it is in the fleet, and what is to be done
//! for that. It only reads: who is taken in is the controller's to say.

use std::path::Path;

use ansai_agent::uplink::membership::Folder;
use ansai_config::Configuration;
use ansai_document::{Diagnostic, Level};
use ansai_model::cluster::{Cluster, Part};

use super::{
    config,
    doctor::{Finding, ok, warn},
};
use crate::{
    Paths,
    exit::{Code, Failure},
};

/// The fleet that this host's configuration names; nothing where there is no configuration, or it names none.
///
/// # Errors
/// When there is a configuration that cannot be read, or is wrong.
pub(super) fn named(paths: &Paths) -> Result<Option<Cluster>, Failure> {
    if !paths.config.exists() {
        return Ok(None);
    }
    config::load(paths).map(|configuration| configuration.host_settings().cluster.clone())
}

/// The controller that this host joins by its configuration.
///
/// # Errors
/// When it names none.
pub(super) fn controller(paths: &Paths) -> Result<String, Failure> {
    match named(paths)? {
        Some(cluster) => Ok(cluster.management_node),
        None => {
            let what =
                format!("which controller to join is not said, and {} has no ansai_cluster", paths.config.display());
            let todo = "ansai join https://controller.example.com:7443 --token-file FILE";
            Err(Failure::new(Code::Usage, what, todo))
        }
    }
}

/// What this host calls itself.
pub(super) fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// That this host is not of the fleet that its configuration names.
pub(super) fn warnings(path: &Path, configuration: &Configuration) -> Vec<Diagnostic> {
    let of = |cluster: &Cluster| stranger(cluster, &own_name());
    let found = configuration.host_settings().cluster.as_ref().and_then(of);
    let warning = |(what, todo): (String, String)| {
        let mut found = Diagnostic::of_file(path.display().to_string(), what, &todo);
        found.level = Level::Warning;
        found.key = "ansai_cluster".to_owned();
        found
    };
    found.map(warning).into_iter().collect()
}

fn stranger(cluster: &Cluster, host: &str) -> Option<(String, String)> {
    let what = || format!("this host, {host}, is neither management_node nor one of managed_hosts");
    let todo = || format!("add {host} to managed_hosts, or leave ansai_cluster out: it heals alone either way");
    (cluster.part_of(host) == Part::None).then(|| (what(), todo()))
}

/// What this host is in the fleet that its configuration names, and what is still to be done for it.
pub(super) fn findings(paths: &Paths, configuration: &Configuration) -> Vec<Finding> {
    let Some(cluster) = &configuration.host_settings().cluster else { return Vec::new() };
    let host = own_name();
    // Who may not look says nothing.
    let found = match cluster.part_of(&host) {
        Part::Manages => super::controller::is_made(paths).map(manages),
        Part::IsManaged => {
            let joined = Folder::of(&paths.state_dir).joined().ok();
            joined.map(|joined| is_managed(cluster, joined.map(|joined| joined.address)))
        }
        Part::None => stranger(cluster, &host).map(|(what, todo)| warn(what, todo)),
    };
    found.into_iter().collect()
}

fn manages(is_made: bool) -> Finding {
    match is_made {
        true => ok("this host is the management_node of ansai_cluster, and has its controller"),
        false => warn(
            "this host is the management_node of ansai_cluster, and has no controller",
            "ansai controller init\nthen: systemctl enable --now ansai-controller",
        ),
    }
}

fn is_managed(cluster: &Cluster, joined: Option<String>) -> Finding {
    match joined {
        Some(address) => ok(format!("this host is one of managed_hosts, and has joined the controller at {address}")),
        None => warn(
            "this host is one of managed_hosts, and has joined no controller: it heals alone",
            format!("on {}: ansai token create\nthen here: ansai join --token-file FILE", cluster.management_node),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_hears_what_it_is_and_what_is_to_be_done() {
        let cluster = Cluster {
            mode: None,
            management_node: "ctl.example.com".to_owned(),
            managed_hosts: vec!["web-01.example.com".to_owned()],
        };
        assert_eq!(stranger(&cluster, "web-01"), None);
        let (what, todo) = stranger(&cluster, "db-09").expect("a stranger");
        assert!(what.contains("db-09") && todo.contains("managed_hosts"), "{what}: {todo}");
        assert!(manages(false).todo().contains("ansai controller init"));
        assert_eq!(manages(true).todo(), "");
        assert!(is_managed(&cluster, None).todo().contains("on ctl.example.com: ansai token create"));
        assert_eq!(is_managed(&cluster, Some("ctl.example.com:7443".to_owned())).todo(), "");
    }
}
