//! Secrets by reference: read when they are needed, never kept in a configuration, a ledger or a log.

use std::{
    ffi::OsString,
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ansai_host::linux::aside::{self, Kind, Late, Work};
use ansai_model::notify::{SecretRef, WebhookUrl};
use thiserror::Error;

use crate::durable::read_bounded;

/// A secret is longer than any key that a person was given.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Longest wait for a file with a secret.
const SECRET_TIME: Duration = Duration::from_secs(5);

/// A secret. It is not printed, and its bytes are overwritten when it is dropped (as far as safe code can: a copy that
/// was moved by the allocator is not found again).
pub struct Secret(Vec<u8>);

impl Secret {
    /// Makes a secret of text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into_bytes())
    }

    /// The secret itself, to be handed to what needs it and to nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        // It was made from text, and is not changed.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

/// Why a secret could not be had. The message holds the reference, never the secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file or credential cannot be read.
    #[error("{reference}: it cannot be read")]
    Read {
        /// What was asked for.
        reference: SecretRef,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Other users of the host can read it.
    #[error("{reference}: every user of the host can read it (mode {mode:o}); `chmod 600 {}` and change the secret", path.display())]
    Exposed {
        /// What was asked for.
        reference: SecretRef,
        /// The path of the file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Whoever it lies with does not answer.
    #[error("{reference}: {late}")]
    Late {
        /// What was asked for.
        reference: SecretRef,
        /// What hangs, and for how long.
        late: Late,
    },
    /// There is nothing in it.
    #[error("{reference}: its first line is empty")]
    Empty {
        /// What was asked for.
        reference: SecretRef,
    },
    /// The environment variable is not set, or is not text.
    #[error("{reference}: the agent's environment does not have it; set it in the unit with `systemctl edit ansai`")]
    NotSet {
        /// What was asked for.
        reference: SecretRef,
    },
    /// No credentials were handed over.
    #[error("{reference}: systemd handed no credentials over; add `LoadCredential=` to the unit")]
    NoCredentials {
        /// What was asked for.
        reference: SecretRef,
    },
    /// The name of a credential would lead out of its directory.
    #[error("{reference}: a credential's name holds no `/`")]
    BadName {
        /// What was asked for.
        reference: SecretRef,
    },
}

type Environment = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Finds secrets.
#[derive(Clone)]
pub struct Resolver {
    environment: Environment,
}

impl Default for Resolver {
    /// With the environment of this process.
    fn default() -> Self {
        Self::with_environment(|name| std::env::var_os(name))
    }
}

impl Resolver {
    /// With another environment.
    #[must_use]
    pub fn with_environment(environment: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self { environment: Arc::new(environment) }
    }

    /// The secret behind a reference, read anew each time, so that a changed one is found.
    ///
    /// # Errors
    /// When it is not there, empty, or readable for everybody.
    pub fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match reference {
            SecretRef::File(path) => from_file(reference, Path::new(path)),
            SecretRef::Env(name) => {
                let value = (self.environment)(name).and_then(|value| value.into_string().ok());
                let value = value.ok_or_else(|| SecretError::NotSet { reference: reference.clone() })?;
                first_line(reference, value.into_bytes())
            }
            SecretRef::Credential(name) => {
                if name.contains('/') || name.starts_with('.') || name.is_empty() {
                    return Err(SecretError::BadName { reference: reference.clone() });
                }
                let dir = (self.environment)("CREDENTIALS_DIRECTORY");
                let dir = dir.ok_or_else(|| SecretError::NoCredentials { reference: reference.clone() })?;
                // systemd sets the modes itself.
                read(reference, &Path::new(&dir).join(name))
            }
        }
    }

    /// The secret behind a reference, which is read beside the loop.
    ///
    /// # Errors
    /// As [`Resolver::resolve`], and when its file does not answer.
    pub async fn fetch(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let SecretRef::File(path) = reference else {
            // systemd keeps credentials in memory.
            return self.resolve(reference);
        };
        let work = Work::new(Kind::Own, format!("the secret {path}")).on([path]);
        let (resolver, asked) = (self.clone(), reference.clone());
        match aside::run(work, SECRET_TIME, move || resolver.resolve(&asked)).await {
            Ok(resolved) => resolved,
            Err(late) => Err(SecretError::Late { reference: reference.clone(), late }),
        }
    }

    /// The address of a web hook.
    ///
    /// # Errors
    /// As [`Resolver::fetch`].
    pub async fn url(&self, url: &WebhookUrl) -> Result<Secret, SecretError> {
        match url {
            WebhookUrl::Plain(url) => Ok(Secret::new(url.clone())),
            WebhookUrl::Secret(reference) => self.fetch(reference).await,
        }
    }
}

fn from_file(reference: &SecretRef, path: &Path) -> Result<Secret, SecretError> {
    let metadata = fs::metadata(path).map_err(|source| SecretError::Read { reference: reference.clone(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        return Err(SecretError::Exposed { reference: reference.clone(), path: path.to_owned(), mode });
    }
    read(reference, path)
}

fn read(reference: &SecretRef, path: &Path) -> Result<Secret, SecretError> {
    let bytes = read_bounded(path, SECRET_BYTES_MAX)
        .map_err(|source| SecretError::Read { reference: reference.clone(), source })?;
    first_line(reference, bytes)
}

fn first_line(reference: &SecretRef, mut bytes: Vec<u8>) -> Result<Secret, SecretError> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len());
    bytes[end..].fill(0);
    bytes.truncate(end);
    if bytes.is_empty() {
        return Err(SecretError::Empty { reference: reference.clone() });
    }
    if std::str::from_utf8(&bytes).is_err() {
        bytes.fill(0);
        let source = io::Error::new(io::ErrorKind::InvalidData, "it is not text");
        return Err(SecretError::Read { reference: reference.clone(), source });
    }
    Ok(Secret(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver() -> Resolver {
        Resolver::with_environment(|name| (name == "TOKEN").then(|| "from-environment".into()))
    }

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, SecretRef) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let reference = SecretRef::File(path.display().to_string());
        (dir, reference)
    }

    #[test]
    fn a_secret_is_the_first_line_and_is_never_printed() {
        let (_dir, reference) = file(b"hunter2\r\nsecond line\n", 0o640);
        let secret = resolver().resolve(&reference).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "(redacted) Secret(redacted)");
        assert_eq!(resolver().resolve(&SecretRef::Env("TOKEN".into())).unwrap().expose(), "from-environment");
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_refused_with_what_to_do() {
        let (_dir, reference) = file(b"hunter2", 0o644);
        let error = resolver().resolve(&reference).unwrap_err().to_string();
        assert!(error.contains("mode 644") && error.contains("chmod 600 "), "{error}");
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn what_is_not_there_is_named_by_its_reference() {
        let cases = [
            (SecretRef::File("/nowhere/secret".into()), "file:/nowhere/secret: it cannot be read"),
            (SecretRef::Env("MISSING".into()), "env:MISSING: the agent's environment does not have it"),
            (SecretRef::Credential("smtp".into()), "credential:smtp: systemd handed no credentials over"),
            (SecretRef::Credential("../../etc/shadow".into()), "a credential's name holds no `/`"),
        ];
        for (reference, expected) in cases {
            let error = resolver().resolve(&reference).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let (_dir, empty) = file(b"\nsecond", 0o600);
        assert!(matches!(resolver().resolve(&empty), Err(SecretError::Empty { .. })));
        let (_dir, binary) = file(&[0xff, 0xfe], 0o600);
        assert!(matches!(resolver().resolve(&binary), Err(SecretError::Read { .. })));
    }

    #[tokio::test]
    async fn a_credential_is_read_from_the_directory_of_systemd() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("smtp"), "from-systemd").unwrap();
        let path = dir.path().as_os_str().to_owned();
        let resolver = Resolver::with_environment(move |name| (name == "CREDENTIALS_DIRECTORY").then(|| path.clone()));
        let secret = resolver.url(&WebhookUrl::Secret(SecretRef::Credential("smtp".into()))).await.unwrap();
        assert_eq!(secret.expose(), "from-systemd");
    }
}
