//! Where things are: on the host, or, with `--user`, in the folders of the person who asks.
//! Nothing is guessed: without `--user` the paths are the host's, whoever asks.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args, parser::ValueSource};

use crate::{
    ColorChoice,
    exit::{Code, Failure},
};

/// Where things are.
#[derive(Args, Clone)]
pub(crate) struct Paths {
    /// The configuration: a file, or a folder of files.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/etc/ansai/ansai.yaml",
        env = "ANSAI_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: PathBuf,
    /// Where state outlives the agent.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/var/lib/ansai",
        env = "ANSAI_STATE_DIR",
        hide_env_values = true
    )]
    pub(crate) state_dir: PathBuf,
    /// Where the agent's socket is.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/run/ansai",
        env = "ANSAI_RUNTIME_DIR",
        hide_env_values = true
    )]
    pub(crate) runtime_dir: PathBuf,
    /// The file that stops all action while it is there.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/etc/ansai/HOLD",
        env = "ANSAI_HOLD_FILE",
        hide_env_values = true
    )]
    pub(crate) hold_file: PathBuf,
    /// The controller's configuration. Its places are named by the environment alone, as its unit does.
    #[arg(skip = place("ANSAI_CONTROLLER_CONFIG", "/etc/ansai/controller.yaml"))]
    pub(crate) controller_config: PathBuf,
    /// Where a controller's state is.
    #[arg(skip = place("ANSAI_CONTROLLER_STATE_DIR", "/var/lib/ansai-controller"))]
    pub(crate) controller_state_dir: PathBuf,
    /// Where a controller's socket is.
    #[arg(skip = place("ANSAI_CONTROLLER_RUNTIME_DIR", "/run/ansai-controller"))]
    pub(crate) controller_runtime_dir: PathBuf,
    /// The controller elsewhere that is asked, by the name that `ansai context add` gave it.
    #[arg(long, global = true, value_name = "NAME", env = "ANSAI_CONTEXT", hide_env_values = true)]
    pub(crate) context: Option<String>,
    /// Your own services instead of the host's: the agent of your own systemd, with its files in your home.
    #[arg(long, global = true)]
    pub(crate) user: bool,
    /// Print JSON in its documented shape.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Tell times in UTC instead of the local time zone; a time that you write is a local one in any case.
    #[arg(long, global = true)]
    pub(crate) utc: bool,
    /// Color the output: auto means when a person looks at a terminal that has colors. NO_COLOR is a no, CLICOLOR_FORCE=1 an always.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) color: ColorChoice,
    /// Print nothing that is no error; the exit code says it all.
    #[arg(long, short, global = true, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

/// A place that the environment names, or where it is otherwise.
fn place(variable: &str, otherwise: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| otherwise.into(), PathBuf::from)
}

impl Paths {
    /// The context that was named, when one was.
    pub(crate) fn context(&self) -> Option<&str> {
        self.context.as_deref().filter(|name| !name.is_empty())
    }

    /// Refuses what is about this host alone, when a controller elsewhere was named: nobody is to believe that it was asked.
    ///
    /// # Errors
    /// A context was named.
    pub(crate) fn is_here(&self) -> Result<(), Failure> {
        let Some(name) = self.context() else { return Ok(()) };
        let what = format!("this is about the host on which it is typed, and `{name}` is a controller elsewhere");
        let todo = "add --fleet, --host, --role or --label where the command has them; or leave --context and ANSAI_CONTEXT out";
        Err(Failure::new(Code::Usage, what, todo))
    }

    /// The paths meant: with `--user` those that were not named are the person's own.
    ///
    /// # Errors
    /// `--user` as root, or without a home.
    pub(crate) fn resolved(mut self, given: &ArgMatches) -> Result<Self, Failure> {
        if !self.user {
            return Ok(self);
        }
        let uid = rustix::process::geteuid();
        let home = Home::of(|name| std::env::var_os(name), uid.as_raw())?;
        if uid.is_root() {
            let what = "root's services are the host's";
            return Err(Failure::new(Code::Usage, what, "leave --user out, or ask as the user that is meant"));
        }
        let is_default = |name: &str| given.value_source(name) == Some(ValueSource::DefaultValue);
        let own = [
            ("config", &mut self.config, home.config.join("ansai.yaml")),
            ("state_dir", &mut self.state_dir, home.state),
            ("runtime_dir", &mut self.runtime_dir, home.runtime),
            ("hold_file", &mut self.hold_file, home.config.join("HOLD")),
        ];
        for (name, place, own) in own {
            if is_default(name) {
                *place = own;
            }
        }
        Ok(self)
    }
}

/// The context that was named in the command itself, as an option with its value.
pub(crate) fn given_context(given: &ArgMatches) -> Option<String> {
    let was_typed = given.value_source("context") == Some(ValueSource::CommandLine);
    let name = given.get_one::<String>("context").filter(|_| was_typed)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    is_name.then(|| format!("--context {name}"))
}

/// The places that were named in the command itself, each as an option with its value, as a shell takes it. What the
/// environment names it will name again.
pub(crate) fn given(given: &ArgMatches) -> Vec<String> {
    let options = ["config", "state_dir", "runtime_dir", "hold_file"];
    let was_typed = |name: &&str| given.value_source(name) == Some(ValueSource::CommandLine);
    let option = |name: &str| {
        let value = given.get_one::<PathBuf>(name)?.display().to_string();
        let is_plain = value.chars().all(|c| c.is_alphanumeric() || "/._-+@:,".contains(c));
        let value = if is_plain { value } else { format!("'{}'", value.replace('\'', "'\\''")) };
        Some(format!("--{} {value}", name.replace('_', "-")))
    };
    options.into_iter().filter(was_typed).filter_map(option).collect()
}

/// A person's folders, after the XDG base directory specification.
#[derive(Debug, PartialEq, Eq)]
struct Home {
    config: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
}

impl Home {
    fn of(variable: impl Fn(&str) -> Option<OsString>, uid: u32) -> Result<Self, Failure> {
        // The specification: a path that is not absolute is as none.
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let within = |name: &str, below: &str| absolute(name).or_else(|| Some(home.as_ref()?.join(below)));
        let (Some(config), Some(state)) =
            (within("XDG_CONFIG_HOME", ".config"), within("XDG_STATE_HOME", ".local/state"))
        else {
            return Err(Failure::new(Code::Usage, "HOME is not set, so --user has no place", "set HOME"));
        };
        let runtime = absolute("XDG_RUNTIME_DIR").unwrap_or_else(|| Path::new("/run/user").join(uid.to_string()));
        Ok(Self { config: config.join("ansai"), state: state.join("ansai"), runtime: runtime.join("ansai") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Home> {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Home::of(variable, 1000).ok()
    }

    #[test]
    fn a_persons_folders_follow_the_specification() {
        let home = of(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "relative")]).expect("a home");
        assert_eq!(home.config, Path::new("/home/a/.config/ansai"));
        assert_eq!(home.state, Path::new("/home/a/.local/state/ansai"));
        assert_eq!(home.runtime, Path::new("/run/user/1000/ansai"));
        let set = [("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "/r")];
        let home = of(&set).expect("nothing of the home is needed");
        assert_eq!((home.config, home.state, home.runtime), ("/c/ansai".into(), "/s/ansai".into(), "/r/ansai".into()));
        assert_eq!(of(&[]), None);
    }
}
