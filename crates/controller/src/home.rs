//! The controller's folder: its store, its CA, and how all of it is made for the first time, copied and brought back. A copy is
//! one file; whoever has it has the CA's key.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_link::{Trouble, address::Address, authority::Authority, chance, digest};
use ansai_model::{text::Text, time::WallTime};
use ansai_notify::durable;
use ansai_protocol::{
    link::{ControllerId, Short, Token, TokenId, TokenSecret},
    record::{Audited, Record, TokenRecord},
};
use ansai_store::{
    Store, StoreError,
    sqlite::{self, SqliteStore},
};

use crate::settings;

/// The names in the folder.
const STORE: &str = "store.sqlite";
const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca-key.pem";
/// The name of the controller's file in a copy.
const SETTINGS: &str = "controller.yaml";
/// Most bytes of a certificate or key.
const PEM_BYTES_MAX: u64 = 64 << 10;
/// How many hosts may join by the token that `init` prints, and for how long.
const FIRST_TOKEN: (u32, Duration) = (10, Duration::from_secs(86_400));

/// Why something is not made, copied or brought back.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Keys and certificates.
    #[error("{0}")]
    Link(#[from] Trouble),
    /// A file.
    #[error("{path}: {why}", path = .0.display(), why = .1)]
    File(PathBuf, String),
}

impl HomeError {
    /// What to do about it.
    #[must_use]
    pub fn suggestion(&self) -> String {
        match self {
            Self::Store(error) => error.suggestion().to_owned(),
            Self::Link(trouble) => trouble.suggestion().to_string(),
            Self::File(..) => "see who may read and write it: ls -l; sudo does as root".to_owned(),
        }
    }
}

/// Where a controller's things are.
#[derive(Clone, Debug)]
pub struct Home {
    /// The folder.
    pub state_dir: PathBuf,
    /// The controller's own file.
    pub settings: PathBuf,
}

/// A controller that has just been made.
#[derive(Debug)]
pub struct Made {
    /// The first token, to be shown once.
    pub token: Token,
    /// For how many hosts, and how long.
    pub uses: u32,
    /// For how long it is good.
    pub lasts: Duration,
    /// Whether its file was there already, and was left as it is.
    pub kept_settings: bool,
}

impl Home {
    /// The file of the store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.state_dir.join(STORE)
    }

    /// The CA.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn authority(&self) -> Result<Authority, HomeError> {
        let read = |name: &str| {
            let path = self.state_dir.join(name);
            ansai_files::text(&path, PEM_BYTES_MAX).map_err(|error| HomeError::File(path, error.to_string()))
        };
        Ok(Authority::from_pem(&read(AUTHORITY)?, &read(AUTHORITY_KEY)?)?)
    }

    /// Makes a controller: CA, store, file with who is expected, and a first token. The store comes last: while there is none, nothing was made.
    ///
    /// # Errors
    /// When there is one, or it cannot be made.
    pub fn make(&self, address: &Address, expected: &[String], by: Text, now: WallTime) -> Result<Made, HomeError> {
        if self.store().exists() {
            return Err(StoreError::There(self.store()).into());
        }
        durable::create_private_dir(&self.state_dir)
            .map_err(|error| HomeError::File(self.state_dir.clone(), ansai_files::said(&error)))?;
        let authority = Authority::create(now)?;
        self.write(AUTHORITY_KEY, authority.expose_key_pem().as_bytes())?;
        self.write(AUTHORITY, authority.certificate_pem().as_bytes())?;
        let kept_settings = self.settings.exists();
        if !kept_settings {
            write(&self.settings, settings::file(address, expected).as_bytes())?;
        }
        let (uses, lasts) = FIRST_TOKEN;
        let fresh = FreshToken::new(&authority)?;
        SqliteStore::create(&self.store(), ControllerId::of_chance(chance()?))?;
        let store = SqliteStore::open(&self.store())?;
        let what = Text::new("made the controller, with a first token");
        store.save(vec![
            Record::Token(fresh.record(None, uses, now.plus(lasts), by.clone(), now)),
            Record::Audit(Audited { at: now, by, what, hosts: 0 }),
        ])?;
        drop(store);
        self.give_to_owner()?;
        Ok(Made { token: fresh.token, uses, lasts, kept_settings })
    }

    /// Copies the controller into one file, while it runs or not.
    ///
    /// # Errors
    /// When there is none, or something is at `to`, or it cannot be written.
    pub fn backup(&self, to: &Path) -> Result<(), HomeError> {
        let read = |name: &str, path: PathBuf| {
            let bytes = ansai_files::bytes(&path, PEM_BYTES_MAX);
            bytes.map(|bytes| (name.to_owned(), bytes)).map_err(|error| HomeError::File(path, error.to_string()))
        };
        let mut files = vec![
            read(AUTHORITY, self.state_dir.join(AUTHORITY))?,
            read(AUTHORITY_KEY, self.state_dir.join(AUTHORITY_KEY))?,
        ];
        if self.settings.exists() {
            files.push(read(SETTINGS, self.settings.clone())?);
        }
        Ok(sqlite::backup(&self.store(), to, &files)?)
    }

    /// Brings a controller back from a copy. Its epoch is higher than before.
    ///
    /// # Errors
    /// When the copy is none or damaged, or a controller runs.
    pub fn restore(&self, from: &Path, now: WallTime) -> Result<sqlite::Restored, HomeError> {
        durable::create_private_dir(&self.state_dir)
            .map_err(|error| HomeError::File(self.state_dir.clone(), ansai_files::said(&error)))?;
        let restored = sqlite::restore(from, &self.store(), now)?;
        for (name, bytes) in &restored.files {
            match name.as_str() {
                AUTHORITY | AUTHORITY_KEY => self.write(name, bytes)?,
                SETTINGS if !self.settings.exists() => write(&self.settings, bytes)?,
                // A file that is there is newer than the copy's; others belong to later versions.
                _ => {}
            }
        }
        self.give_to_owner()?;
        Ok(restored)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        write(&self.state_dir.join(name), bytes)
    }

    /// What root has written into the folder of the service's user is that user's.
    fn give_to_owner(&self) -> Result<(), HomeError> {
        let failed = |error: std::io::Error| HomeError::File(self.state_dir.clone(), ansai_files::said(&error));
        let owner = fs::metadata(&self.state_dir).map_err(failed)?;
        if !rustix::process::geteuid().is_root() || owner.uid() == 0 {
            return Ok(());
        }
        for entry in fs::read_dir(&self.state_dir).map_err(failed)?.flatten() {
            std::os::unix::fs::lchown(entry.path(), Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let written = durable::write_atomically(path, bytes);
    written.map_err(|error| HomeError::File(path.to_owned(), ansai_files::said(&error)))
}

/// A token that nobody has yet.
#[derive(Debug)]
pub(crate) struct FreshToken {
    pub(crate) token: Token,
}

impl FreshToken {
    pub(crate) fn new(authority: &Authority) -> Result<Self, Trouble> {
        let (id, secret) = (TokenId(chance()?), TokenSecret::of_chance(chance()?));
        Ok(Self { token: Token { id, secret, authority: authority.fingerprint() } })
    }

    /// As it is kept: without its secret.
    pub(crate) fn record(
        &self,
        role: Option<Short>,
        uses: u32,
        until: WallTime,
        by: Text,
        now: WallTime,
    ) -> TokenRecord {
        TokenRecord {
            id: self.token.id,
            secret: digest(self.token.secret.expose()),
            role,
            uses_left: uses,
            until,
            by,
            made: now,
            used: None,
            revoked: None,
            access: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    fn home(folder: &Path) -> Home {
        Home { state_dir: folder.join("state"), settings: folder.join("controller.yaml") }
    }

    fn address() -> Address {
        "controller.example.com".parse().expect("an address")
    }

    #[test]
    fn a_controller_is_made_once_and_its_token_is_kept_without_its_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = home(folder.path());
        let made = home.make(&address(), &[], "ada".into(), NOW).expect("made");
        assert_eq!(made.token.authority, home.authority().expect("read").fingerprint());
        assert!(matches!(home.make(&address(), &[], "ada".into(), NOW), Err(HomeError::Store(StoreError::There(_)))));
        let state = SqliteStore::open(&home.store()).expect("opened").state().expect("read");
        let [token] = &state.tokens[..] else { panic!("{:?}", state.tokens) };
        assert_eq!((token.id, token.secret), (made.token.id, digest(made.token.secret.expose())));
        let secret = made.token.expose();
        let secret = secret.split('.').nth(2).expect("its secret");
        for entry in fs::read_dir(&home.state_dir).expect("read").flatten() {
            let bytes = fs::read(entry.path()).expect("read");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(secret), "{} holds the secret", entry.path().display());
            assert_eq!(entry.metadata().expect("known").permissions().mode() & 0o077, 0, "{}", entry.path().display());
        }
    }

    #[test]
    fn a_controller_comes_back_from_one_file_with_its_ca() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = home(folder.path());
        home.make(&address(), &[], "ada".into(), NOW).expect("made");
        let copy = folder.path().join("copy");
        home.backup(&copy).expect("copied");
        assert_eq!(fs::metadata(&copy).expect("known").permissions().mode() & 0o777, 0o600);
        let authority = home.authority().expect("read").fingerprint();
        let elsewhere = Home { state_dir: folder.path().join("new/state"), settings: folder.path().join("new.yaml") };
        let restored = elsewhere.restore(&copy, NOW).expect("restored");
        assert_eq!(restored.epoch, 1_800_000_000);
        assert_eq!(elsewhere.authority().expect("read").fingerprint(), authority);
        let text = fs::read_to_string(&elsewhere.settings).expect("read");
        assert_eq!(text, fs::read_to_string(&home.settings).expect("read"));
    }
}
