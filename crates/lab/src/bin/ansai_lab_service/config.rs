//! The fixture service's flags and its configuration file, which a test breaks on purpose.
//!
//! It deliberately refuses the whole file for one bad line, naming the line, as servers do.

use std::path::Path;

use super::command::Command;

const USAGE: &str = "usage: ansai-lab-service [--host ADDRESS] [--port PORT] [--config FILE] [--check-config] [--state DIR] \
                     [--pid-file FILE] [--do COMMAND]…";

/// What the service runs with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) greeting: String,
    pub(crate) state: Option<String>,
    pub(crate) pid_file: Option<String>,
    pub(crate) commands: Vec<Command>,
    pub(crate) is_check_only: bool,
    pub(crate) is_orphan: bool,
}

impl Settings {
    /// Reads the flags, then the configuration file that they name, whose values win.
    pub(crate) fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut settings = Self {
            host: "127.0.0.1".to_owned(),
            port: 5000,
            greeting: "ok".to_owned(),
            state: None,
            pid_file: None,
            commands: Vec::new(),
            is_check_only: false,
            is_orphan: false,
        };
        while let Some(flag) = arguments.next() {
            match flag.as_str() {
                "--check-config" => settings.is_check_only = true,
                "--orphan" => settings.is_orphan = true,
                _ => settings.take(&flag, arguments.next().ok_or(USAGE)?)?,
            }
        }
        Ok(settings)
    }

    fn take(&mut self, flag: &str, value: String) -> Result<(), String> {
        match flag {
            "--host" => self.host = value,
            "--port" => self.port = value.parse().map_err(|_| format!("`{value}` is no port"))?,
            "--state" => self.state = Some(value),
            "--pid-file" => self.pid_file = Some(value),
            "--do" => self.commands.push(Command::parse(&value)?),
            "--config" => {
                let text = std::fs::read_to_string(&value).map_err(|error| format!("{value}: {error}"))?;
                self.read(&value, &text)?;
            }
            _ => return Err(format!("unknown flag `{flag}`\n{USAGE}")),
        }
        Ok(())
    }

    /// Reads `key = value` lines.
    fn read(&mut self, file: &str, text: &str) -> Result<(), String> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) =
                line.split_once('=').ok_or_else(|| format!("{file}:{number}: expected `key = value`"))?;
            let value = value.trim().to_owned();
            match key.trim() {
                "host" => self.host = value,
                "port" => self.port = value.parse().map_err(|_| format!("{file}:{number}: `{value}` is no port"))?,
                "greeting" => self.greeting = value,
                key => return Err(format!("{file}:{number}: unknown key `{key}`")),
            }
        }
        Ok(())
    }

    /// The commands in the state directory's file `commands`, which outlive a restart; unreadable lines are ignored until whole.
    pub(crate) fn lasting_commands(&self) -> Vec<Command> {
        let Some(state) = &self.state else { return Vec::new() };
        let text = std::fs::read_to_string(Path::new(state).join("commands")).unwrap_or_default();
        text.lines().filter_map(|line| Command::parse(line.trim()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named() {
        let mut settings = Settings::from_arguments(std::iter::empty()).unwrap();
        assert_eq!(
            settings.read("app.conf", "port = 80\n# fine\ngreetnig = x\n").unwrap_err(),
            "app.conf:3: unknown key `greetnig`"
        );
        assert_eq!(settings.read("app.conf", "port = high\n").unwrap_err(), "app.conf:1: `high` is no port");
        assert_eq!(settings.port, 80);
    }
}
