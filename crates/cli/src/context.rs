//! Controllers elsewhere, by names that a person gave them: a file each in the person's own configuration folder, which holds
//! where the controller is, by what it is known, and the token. There is no current one: each command names its own, or the
//! environment does.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ansai_link::{
    dial::Route,
    https::{self, Trust},
};
use ansai_notify::durable;
use ansai_protocol::{SCHEMA, link::ApiToken};
use serde::{Deserialize, Serialize};

use crate::exit::{Code, Failure};

/// Most bytes of a context's file.
const BYTES_MAX: u64 = 16 << 10;
/// Longest name.
const NAME_MAX: usize = 64;
/// Most contexts that are listed.
const CONTEXTS_MAX: usize = 1_000;

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    schema: u32,
    address: String,
    token: String,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    proxy: Option<String>,
}

/// A controller elsewhere, and as whom it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) name: String,
    /// Where it is, as a person wrote it.
    pub(crate) address: String,
    pub(crate) token: ApiToken,
    /// A file of CAs by which it is known, in place of the CA that the token names.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) proxy: Option<String>,
}

impl Context {
    /// The way there.
    ///
    /// # Errors
    /// What was written is no address.
    pub(crate) fn route(&self) -> Result<Route, Failure> {
        https::route(&self.address, self.proxy.as_deref()).map_err(|trouble| {
            Failure::new(Code::Usage, trouble.to_string(), "write it as https://controller.example.com:7444")
        })
    }

    /// By what it is known.
    pub(crate) fn trust(&self) -> Trust<'_> {
        self.ca.as_deref().map_or(Trust::Digest(self.token.0.authority), Trust::File)
    }
}

/// Where contexts are kept.
#[derive(Debug)]
pub(crate) struct Contexts(PathBuf);

impl Contexts {
    /// Those of the person who asks.
    ///
    /// # Errors
    /// A person without a home.
    pub(crate) fn own() -> Result<Self, Failure> {
        Self::of(|name| std::env::var_os(name).map(PathBuf::from))
    }

    fn of(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, Failure> {
        let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
        let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
        let none = || Failure::new(Code::Usage, "HOME is not set, so there is no place for contexts", "set HOME");
        config.map(|config| Self(config.join("ansai/contexts"))).ok_or_else(none)
    }

    /// Where the one of a name is.
    ///
    /// # Errors
    /// What is no name.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf, Failure> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.chars().all(is_fine);
        let wrong = || {
            Failure::new(
                Code::Usage,
                format!("`{name}` is no name of a context"),
                "write letters, digits, dots, - and _",
            )
        };
        is_name.then(|| self.0.join(format!("{name}.json"))).ok_or_else(wrong)
    }

    /// The one of a name.
    ///
    /// # Errors
    /// There is none, others can read it, or it cannot be read.
    pub(crate) fn named(&self, name: &str) -> Result<Context, Failure> {
        let path = self.file(name)?;
        let unread = |why: String| {
            let todo = format!("`ansai context remove {name}` and `ansai context add {name} https://…` make it anew");
            Failure::new(Code::Usage, format!("{}: {why}", path.display()), todo)
        };
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let known: Vec<String> = self.names();
                let near = ansai_document::nearest_name(name, known.iter().map(String::as_str));
                let todo = near.map_or_else(
                    || "`ansai context list` lists them; `ansai context add` makes one".to_owned(),
                    |near| format!("did you mean `{near}`? `ansai context list` lists them"),
                );
                return Err(Failure::new(Code::Usage, format!("there is no context `{name}`"), todo));
            }
            Err(error) => return Err(unread(ansai_files::said(&error))),
            Ok(found) if found.mode() & 0o077 != 0 => {
                let what = format!("{} holds a token, and others than its owner may read or change it", path.display());
                return Err(Failure::new(Code::Forbidden, what, format!("chmod 600 {}", path.display())));
            }
            Ok(_) => {}
        }
        let text = ansai_files::text(&path, BYTES_MAX).map_err(|error| unread(error.why.to_string()))?;
        // What the parser says could hold a piece of the token.
        let written: Written = serde_json::from_str(&text).map_err(|_| unread("it is no context".into()))?;
        let token = written.token.parse().map_err(|error: ansai_protocol::link::NoToken| unread(error.to_string()))?;
        Ok(Context { name: name.to_owned(), address: written.address, token, ca: written.ca, proxy: written.proxy })
    }

    /// The names of all, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten().take(CONTEXTS_MAX);
        let name = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned);
        let mut names: Vec<String> = entries.filter_map(name).filter(|name| self.file(name).is_ok()).collect();
        names.sort();
        names
    }

    /// Keeps one where only its owner reads it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep(&self, context: &Context) -> Result<(), Failure> {
        let path = self.file(&context.name)?;
        let Context { address, token, ca, proxy, .. } = context.clone();
        let written = Written { schema: SCHEMA, address, token: token.expose(), ca, proxy };
        let bytes = serde_json::to_vec(&written).unwrap_or_default();
        let kept = durable::create_private_dir(&self.0).and_then(|()| durable::write_atomically(&path, &bytes));
        kept.map_err(|error| unwritten(&path, &error))
    }

    /// Forgets one.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.file(name)?;
        fs::remove_file(&path).map_err(|error| unwritten(&path, &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    let what = format!("{}: {}", path.display(), ansai_files::said(error));
    Failure::new(Code::Failing, what, "see who may write there: ls -l")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ansai_protocol::link::{Fingerprint, Token, TokenId, TokenSecret};

    use super::*;

    fn contexts(folder: &Path) -> Contexts {
        let home = folder.to_owned();
        Contexts::of(|name| (name == "HOME").then(|| home.clone())).expect("a home")
    }

    fn context(name: &str) -> Context {
        let token =
            Token { id: TokenId([1; 6]), secret: TokenSecret::of_chance([0xab; 32]), authority: Fingerprint([2; 32]) };
        let (name, address) = (name.to_owned(), "https://ctl:7444".to_owned());
        Context { name, address, token: ApiToken(token), ca: None, proxy: None }
    }

    #[test]
    fn a_context_is_kept_for_its_owner_alone_and_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let contexts = contexts(folder.path());
        contexts.keep(&context("prod")).expect("kept");
        let path = folder.path().join(".config/ansai/contexts/prod.json");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().expect("a folder")).expect("there").mode() & 0o777, 0o700);
        let read = contexts.named("prod").expect("read");
        assert_eq!((read.address.as_str(), &read.token), ("https://ctl:7444", &context("prod").token));
        assert_eq!(contexts.names(), ["prod"]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        assert_eq!(contexts.named("prod").expect_err("others can read it").code, Code::Forbidden);
        contexts.remove("prod").expect("removed");
        assert!(contexts.names().is_empty() && contexts.named("prod").is_err());
    }

    #[test]
    fn what_is_no_context_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let contexts = contexts(folder.path());
        for name in ["", ".", "..", "a/b", "a b", ".hidden", &"x".repeat(65), "prod\n"] {
            assert!(contexts.file(name).is_err(), "{name:?}");
        }
        contexts.keep(&context("prod")).expect("kept");
        let path = contexts.file("prod").expect("a name");
        let whole = fs::read_to_string(&path).expect("read");
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).expect("written");
            let wrong = contexts.named("prod").expect_err("cut");
            assert!(!wrong.text().contains("abab"), "{}", wrong.text());
        }
        assert!(contexts.named("prd").expect_err("none").suggestion().contains("did you mean `prod`?"));
    }
}
