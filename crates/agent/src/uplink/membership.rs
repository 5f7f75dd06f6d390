//! What a host has once it has joined a controller, in the folder `fleet` of its state: its key with its certificate, the CAs
//! that it trusts, and where the controller is. Each file is whole or not there; nothing is thrown away because of an error.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ansai_link::{
    Trouble,
    certificate::{Facts, Owner, check_roots},
    dial::{Caller, Route},
    key::Key,
};
use ansai_model::time::WallTime;
use ansai_notify::durable::{create_private_dir, read_bounded, sync_dir, write_atomically};
use ansai_protocol::link::{Certificate, ControllerId, HostId, Identity, Roots, Short};
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod bundle;

use bundle::BUNDLE;
pub(crate) use bundle::texts_of;

/// Most bytes of any of the files.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The file that says that the host has joined; it is written last and removed first.
const CONTROLLER: &str = "controller.json";
/// The key and its certificate, in one file: a crash cannot part them.
const IDENTITY: &str = "identity.pem";
const ROOTS: &str = "roots.pem";
/// The key with which the host has asked to join and is not answered yet.
const JOINING: &str = "joining.pem";
/// Up to where the controller has what outlives the agent's process.
const TOLD: &str = "told.json";

/// Why the folder could not be used.
#[derive(Debug, Error)]
pub enum MembershipError {
    /// The system refused.
    #[error("{}: {}", path.display(), ansai_files::said(source))]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Where the controller is, and who the host is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The controller's address.
    pub address: String,
    /// The proxy on the way to it.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Which controller it is.
    pub controller: ControllerId,
    /// Who the host is.
    pub host: HostId,
    /// What the controller called it when it joined.
    pub name: Short,
    /// When it joined, in milliseconds since 1970.
    pub joined_ms: i64,
}

/// Up to where a controller has the reports of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Which controller.
    pub(crate) controller: ControllerId,
    /// In which of its lives.
    pub(crate) epoch: u64,
    /// When the last report was made that it has, in milliseconds since 1970.
    pub(crate) reports_ms: i64,
}

/// A host that has joined, ready to dial.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) joined: Joined,
    pub(crate) route: Route,
    pub(crate) caller: Caller,
    /// What its certificate says.
    pub(crate) facts: Facts,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// That of a state folder; it is made by the first that is written there.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self(state_dir.join("fleet"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// When the host joined, by the file that says so; nothing when it has surely joined none.
    ///
    /// # Errors
    /// When that cannot be known.
    pub fn stamp(&self) -> io::Result<Option<SystemTime>> {
        match fs::metadata(self.path(CONTROLLER)).and_then(|file| file.modified()) {
            Ok(stamp) => Ok(Some(stamp)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether anything is there: the host has joined, or has begun to.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        [CONTROLLER, IDENTITY, JOINING].iter().any(|name| self.path(name).symlink_metadata().is_ok())
    }

    /// Where the controller is; nothing when the host has joined none.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn joined(&self) -> Result<Option<Joined>, MembershipError> {
        let Some(bytes) = self.read_if_any(CONTROLLER)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.unreadable(CONTROLLER, error))
    }

    /// All of it; nothing when the host has joined none.
    ///
    /// # Errors
    /// When one of the files cannot be used.
    pub(crate) fn read(&self) -> Result<Option<Membership>, MembershipError> {
        let Some(joined) = self.joined()? else { return Ok(None) };
        let identity = self.text(IDENTITY)?;
        let (key, certificate) = parts(&identity).map_err(|why| self.unreadable(IDENTITY, why))?;
        let facts = Facts::of_pem(certificate.as_str()).map_err(|why| self.unreadable(IDENTITY, why))?;
        let roots = Roots::new(self.text(ROOTS)?).ok_or_else(|| self.unreadable(ROOTS, "it is too long"))?;
        check_roots(&roots).map_err(|why| self.unreadable(ROOTS, why))?;
        let caller = Caller::new(&key, &certificate, joined.controller, &roots);
        let caller = caller.map_err(|why| self.unreadable(IDENTITY, why))?;
        let route = Route::new(&joined.address, joined.proxy.as_deref());
        let route = route.map_err(|why| self.unreadable(CONTROLLER, why))?;
        Ok(Some(Membership { joined, route, caller, facts }))
    }

    /// The key with which the host asks to join: the one with which it asked before and got no answer, or a new one. Whoever
    /// asks again with the same key is the same host.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn joining_key(&self) -> Result<Key, MembershipError> {
        if let Some(kept) = self.read_if_any(JOINING)? {
            let pem = String::from_utf8_lossy(&kept);
            return Key::from_pem(&pem).map_err(|why| self.unreadable(JOINING, why));
        }
        let key = Key::generate().map_err(|why| self.unreadable(JOINING, why))?;
        self.write(JOINING, &key.expose_pem())?;
        Ok(key)
    }

    /// The host has joined.
    ///
    /// # Errors
    /// When what was given does not belong to the key, or cannot be kept; the host is then what it was.
    pub fn keep(&self, key: &Key, joined: &Joined, identity: &Identity) -> Result<(), MembershipError> {
        self.renew(key, joined.host, &identity.certificate, &identity.roots)?;
        let text = serde_json::to_string_pretty(joined).map_err(|error| self.unreadable(CONTROLLER, error))?;
        // What another controller has, this one has not.
        self.remove(TOLD)?;
        self.remove(BUNDLE)?;
        self.write(CONTROLLER, &text)?;
        self.remove(JOINING)
    }

    /// It has another certificate from now on, for another key.
    ///
    /// # Errors
    /// When the certificate is not for this key and this host, or cannot be kept; the old one then stays.
    pub(crate) fn renew(
        &self,
        key: &Key,
        host: HostId,
        certificate: &Certificate,
        roots: &Roots,
    ) -> Result<(), MembershipError> {
        let facts = Facts::of_pem(certificate.as_str()).map_err(|why| self.unreadable(IDENTITY, why))?;
        if facts.key != key.fingerprint() || facts.owner != Some(Owner::Host(host)) {
            return Err(self.unreadable(IDENTITY, "the certificate that was given is another host's"));
        }
        // Roots that cannot be used would cut the host off for good.
        check_roots(roots).map_err(|why| self.unreadable(ROOTS, why))?;
        self.write(ROOTS, roots.as_str())?;
        self.write(IDENTITY, &format!("{}{}", key.expose_pem(), certificate.as_str()))
    }

    /// The host is nobody's any more: nothing of it is left. Says whose it was.
    ///
    /// # Errors
    /// When something is left; it has then left all the same, if the first file is gone.
    pub fn leave(&self) -> Result<Option<Joined>, MembershipError> {
        // Whoever leaves because it cannot be read leaves too.
        let joined = self.joined().ok().flatten();
        for name in [CONTROLLER, IDENTITY, ROOTS, JOINING, TOLD, BUNDLE] {
            self.remove(name)?;
        }
        Ok(joined)
    }

    /// Up to where the controller has what outlives the process.
    pub(crate) fn told(&self) -> Option<Told> {
        // It is only how much need not be told again.
        serde_json::from_slice(&self.read_if_any(TOLD).ok()??).ok()
    }

    pub(crate) fn keep_told(&self, told: &Told) -> Result<(), MembershipError> {
        let text = serde_json::to_string(told).map_err(|error| self.unreadable(TOLD, error))?;
        self.write(TOLD, &text)
    }

    fn text(&self, name: &str) -> Result<String, MembershipError> {
        let bytes = read_bounded(&self.path(name), FILE_BYTES_MAX).map_err(|error| self.io(name, error))?;
        String::from_utf8(bytes).map_err(|_| self.unreadable(name, "it is no text"))
    }

    fn read_if_any(&self, name: &str) -> Result<Option<Vec<u8>>, MembershipError> {
        match read_bounded(&self.path(name), FILE_BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.io(name, error)),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), MembershipError> {
        let kept = create_private_dir(&self.0).and_then(|()| write_atomically(&self.path(name), text.as_bytes()));
        kept.map_err(|error| self.io(name, error))
    }

    fn remove(&self, name: &str) -> Result<(), MembershipError> {
        match fs::remove_file(self.path(name)).and_then(|()| sync_dir(&self.0)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(name, error)),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    fn io(&self, name: &str, source: io::Error) -> MembershipError {
        MembershipError::Io { path: self.path(name), source }
    }

    fn unreadable(&self, name: &str, why: impl ToString) -> MembershipError {
        MembershipError::Unreadable { path: self.path(name), why: why.to_string() }
    }
}

/// A key and the certificate behind it.
fn parts(identity: &str) -> Result<(Key, Certificate), Trouble> {
    let nothing = || Trouble::Settings("it holds no key with a certificate".into());
    let at = identity.find("-----BEGIN CERTIFICATE-----").ok_or_else(nothing)?;
    let (key, certificate) = identity.split_at(at);
    Ok((Key::from_pem(key)?, Certificate::new(certificate).ok_or_else(nothing)?))
}

impl Joined {
    /// Of what a controller at this address has given.
    #[must_use]
    pub fn new(route: &Route, identity: &Identity, now: WallTime) -> Self {
        Self {
            address: route.controller.to_string(),
            proxy: route.proxy.as_ref().map(ToString::to_string),
            controller: identity.controller,
            host: identity.host,
            name: identity.name.clone(),
            joined_ms: now.0,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ansai_link::authority::Authority;

    use super::*;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    /// A host that has joined, with its controller's CA, the controller and itself.
    pub(crate) fn joined(state_dir: &Path) -> (Folder, Authority, ControllerId, HostId) {
        let folder = Folder::of(state_dir);
        let key = folder.joining_key().unwrap();
        let authority = Authority::create(NOW).unwrap();
        let (joined, identity) = given_by(&authority, &key);
        folder.keep(&key, &joined, &identity).unwrap();
        (folder, authority, joined.controller, joined.host)
    }

    fn given(key: &Key) -> (Joined, Identity) {
        given_by(&Authority::create(NOW).unwrap(), key)
    }

    fn given_by(authority: &Authority, key: &Key) -> (Joined, Identity) {
        let host = HostId::of_chance([1; 16]);
        let signed = authority.sign_host(&key.request().unwrap(), host, NOW).unwrap();
        let identity = Identity {
            host,
            name: "web-01".into(),
            controller: ControllerId::of_chance([2; 16]),
            certificate: signed.certificate,
            roots: authority.roots().unwrap(),
            now_ms: NOW.0,
        };
        let route = Route::new("https://ctl.example.com", None).unwrap();
        (Joined::new(&route, &identity, NOW), identity)
    }

    #[test]
    fn a_host_that_joins_is_read_as_it_was_kept_and_leaves_nothing_behind() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(state.path());
        assert!(folder.read().unwrap().is_none() && folder.stamp().unwrap().is_none() && !folder.is_begun());
        let key = folder.joining_key().unwrap();
        assert_eq!(folder.joining_key().unwrap().fingerprint(), key.fingerprint(), "asked again with the same key");
        assert!(folder.stamp().unwrap().is_none(), "it has not joined yet");
        let (joined, identity) = given(&key);
        folder.keep(&key, &joined, &identity).unwrap();
        let read = folder.read().unwrap().unwrap();
        assert_eq!((read.joined, read.facts.key), (joined.clone(), key.fingerprint()));
        assert!(folder.stamp().unwrap().is_some());
        let mode = |name: &str| fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode(IDENTITY)), (0o700, 0o600));
        assert_ne!(folder.joining_key().unwrap().fingerprint(), key.fingerprint(), "another join has another key");
        assert_eq!(folder.leave().unwrap(), Some(joined));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
        assert_eq!(folder.leave().unwrap(), None);
    }

    #[test]
    fn a_certificate_of_somebody_else_is_not_kept() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(state.path());
        let key = folder.joining_key().unwrap();
        let (joined, identity) = given(&key);
        folder.keep(&key, &joined, &identity).unwrap();
        let other = Key::generate().unwrap();
        assert!(folder.renew(&other, joined.host, &identity.certificate, &identity.roots).is_err());
        let host = HostId::of_chance([9; 16]);
        assert!(folder.renew(&key, host, &identity.certificate, &identity.roots).is_err());
        let nothing = Roots::new("").unwrap();
        assert!(folder.renew(&key, joined.host, &identity.certificate, &nothing).is_err());
        assert_eq!(folder.read().unwrap().unwrap().facts.key, key.fingerprint(), "the old one stays");
    }

    #[test]
    fn what_cannot_be_read_stays_where_it_is() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(state.path());
        let key = folder.joining_key().unwrap();
        let (joined, identity) = given(&key);
        folder.keep(&key, &joined, &identity).unwrap();
        for name in [CONTROLLER, IDENTITY, ROOTS] {
            let before = fs::read(folder.path(name)).unwrap();
            fs::write(folder.path(name), "{").unwrap();
            let error = folder.read().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            assert_eq!(fs::read(folder.path(name)).unwrap(), b"{");
            fs::write(folder.path(name), before).unwrap();
        }
        assert!(folder.read().unwrap().is_some());
    }

    #[test]
    fn what_was_told_counts_for_the_controller_that_was_told_it() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(state.path());
        let told = Told { controller: ControllerId::of_chance([2; 16]), epoch: 3, reports_ms: 7 };
        folder.keep_told(&told).unwrap();
        assert_eq!(folder.told(), Some(told));
        let key = folder.joining_key().unwrap();
        let (joined, identity) = given(&key);
        folder.keep(&key, &joined, &identity).unwrap();
        assert_eq!(folder.told(), None, "it has joined anew");
    }
}
