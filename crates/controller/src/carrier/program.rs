//! Which program is carried to which kind of machine: a static one that the package brings, or the controller's own where the
//! machine is of the same kind.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use ansai_link::digest;
use tokio::sync::Mutex;

use super::{dialogue::Machine, trouble::SshTrouble};

/// Where the package puts static programs, a file a kind of machine.
const FOLDER: &str = "/usr/lib/ansai/carried";
/// The program that runs now, also when its file was replaced.
const OWN: &str = "/proc/self/exe";
/// Most bytes of a program.
const BYTES_MAX: u64 = 1 << 30;

/// A program that can be carried.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// The SHA-256 of it.
    pub(crate) hash: String,
}

/// Those that were looked at, by kinds of machines.
#[derive(Debug, Default)]
pub(crate) struct Programs(Mutex<BTreeMap<String, Arc<Program>>>);

impl Programs {
    /// The program for a machine.
    ///
    /// # Errors
    /// When there is none for its kind.
    pub(crate) async fn of(&self, machine: &Machine) -> Result<Arc<Program>, SshTrouble> {
        let mut known = self.0.lock().await;
        if let Some(program) = known.get(&machine.kind) {
            return Ok(program.clone());
        }
        let path = file_for(&machine.kind)?;
        let unread = |why: String| SshTrouble::new(format!("{}: {why}", path.display()), "install the package again");
        let (read, asked) = (path.clone(), path.clone());
        let hashed = tokio::task::spawn_blocking(move || {
            ansai_files::bytes(&read, BYTES_MAX).map(|bytes| (bytes.len() as u64, digest(&bytes).to_string()))
        });
        let hashed = hashed.await.map_err(|error| unread(error.to_string()))?;
        let (bytes, hash) = hashed.map_err(|error| unread(error.to_string()))?;
        let program = Arc::new(Program { path: asked, bytes, hash });
        known.insert(machine.kind.clone(), program.clone());
        Ok(program)
    }
}

/// The file for a kind of machine, as `uname -sm` says it.
fn file_for(kind: &str) -> Result<PathBuf, SshTrouble> {
    let (system, processor) = kind.split_once(' ').unwrap_or((kind, ""));
    let processor = if processor == "arm64" { "aarch64" } else { processor };
    if system != "Linux" {
        return Err(SshTrouble::new(format!("the machine runs {kind}, and ansai knows Linux only"), "leave it out"));
    }
    let is_plain = !processor.is_empty() && processor.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let carried = PathBuf::from(FOLDER).join(format!("ansai-{processor}"));
    if is_plain && carried.is_file() {
        return Ok(carried);
    }
    if processor == std::env::consts::ARCH {
        return Ok(OWN.into());
    }
    let what =
        format!("the machine is another one than the controller's ({processor}), and no program for it is there");
    Err(SshTrouble::new(what, format!("put one into {}, as `cargo xtask dist` builds it", carried.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_another_kind_gets_no_program_of_this_one() {
        assert_eq!(file_for(&format!("Linux {}", std::env::consts::ARCH)).expect("its own"), PathBuf::from(OWN));
        assert!(ansai_files::open(OWN.as_ref()).is_ok(), "whoever runs can be read");
        for (kind, word) in [("Linux s390x", "s390x"), ("FreeBSD amd64", "Linux only"), ("", "Linux only")] {
            let trouble = file_for(kind).expect_err(kind);
            assert!(trouble.what.contains(word), "{trouble:?}");
        }
        assert!(file_for("Linux ../../etc/x").is_err());
    }
}
