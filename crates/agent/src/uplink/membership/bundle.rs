//! The configuration that the fleet has for this host, in the folder as it was signed: it is checked each time that it is read.
//! Whether it holds beside what is written on the host is found out by whoever reads both.

use std::io;

use ansai_config::{Input, Layer};
use ansai_document::{Diagnostic, Diagnostics};
use ansai_link::bundle::verified;
use ansai_notify::durable::{create_private_dir, read_bounded, write_atomically};
use ansai_protocol::link::{FleetFile, FleetLayer, HostBundle, Roots, SignedBundle};

use super::{CONTROLLER, Folder, MembershipError, ROOTS};

/// The configuration that the fleet has for this host, as it was signed.
pub(super) const BUNDLE: &str = "bundle.json";
/// Most bytes of that: as JSON its text is longer.
const BUNDLE_BYTES_MAX: u64 = 4 << 20;
/// What `ansai init` proposes, and how that is named in messages.
const PROPOSAL: &str = "proposal.yaml";
const PROPOSED: &str = "fleet:what-init-proposes.yaml";
/// The folder under which its files are named in messages.
const NAMED: &str = "fleet:";

impl Folder {
    /// Checks that a configuration is for this host, and by its controller.
    ///
    /// # Errors
    /// When it is not, with the reason.
    pub(crate) fn verified(&self, signed: &SignedBundle) -> Result<HostBundle, MembershipError> {
        let roots = Roots::new(self.text(ROOTS)?).ok_or_else(|| self.unreadable(ROOTS, "it is too long"))?;
        let joined = self.joined()?.ok_or_else(|| self.unreadable(CONTROLLER, "this host has joined nobody"))?;
        let bundle = verified(signed, &roots).map_err(|why| self.unreadable(BUNDLE, why))?;
        if (bundle.controller, bundle.host) != (joined.controller, joined.host) {
            return Err(self.unreadable(BUNDLE, "the configuration is for another host, or by another controller"));
        }
        Ok(bundle)
    }

    /// The configuration that the fleet has for this host, as it is kept; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the controller's CA has signed for this host.
    pub fn bundle(&self) -> Result<Option<HostBundle>, MembershipError> {
        let bytes = match read_bounded(&self.path(BUNDLE), BUNDLE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io(BUNDLE, error)),
        };
        let signed = serde_json::from_slice(&bytes).map_err(|error| self.unreadable(BUNDLE, error))?;
        self.verified(&signed).map(Some)
    }

    /// Keeps a configuration that was checked.
    ///
    /// # Errors
    /// When it cannot be kept; the one before then stays.
    pub(crate) fn keep_bundle(&self, signed: &SignedBundle) -> Result<(), MembershipError> {
        let text = serde_json::to_string(signed).map_err(|error| self.unreadable(BUNDLE, error))?;
        self.write(BUNDLE, &text)
    }

    /// The files that the fleet has for this host, as layers below its own.
    ///
    /// # Errors
    /// As of [`Folder::bundle`], at the place of the file.
    pub fn texts(&self) -> Result<Vec<Input>, Diagnostics> {
        let wrong = |error: MembershipError| {
            let help = "the controller gives it again once this one is gone: remove it, and restart the agent";
            let file = self.path(BUNDLE).display().to_string();
            Diagnostics(vec![Diagnostic::of_file(file, error.to_string(), help)])
        };
        let texts = self.bundle().map_err(wrong)?.map(texts_of).unwrap_or_default();
        Ok(if texts.is_empty() { self.proposed() } else { texts })
    }

    /// Keeps what holds where the fleet says nothing for this host; only a carried agent has that.
    pub(crate) fn propose(&self, text: &str) -> io::Result<()> {
        create_private_dir(&self.0)?;
        write_atomically(&self.path(PROPOSAL), text.as_bytes())
    }

    /// What holds where the fleet says nothing for this host.
    fn proposed(&self) -> Vec<Input> {
        let text =
            read_bounded(&self.path(PROPOSAL), BUNDLE_BYTES_MAX).ok().and_then(|text| String::from_utf8(text).ok());
        let input = |text| Input { layer: Layer::Fleet, role: None, file: PROPOSED.into(), text };
        text.map(input).into_iter().collect()
    }
}

/// The files of a configuration, as layers below the host's own.
#[must_use]
pub(crate) fn texts_of(bundle: HostBundle) -> Vec<Input> {
    let text = |FleetFile { layer, name, text }: FleetFile| {
        let layer = match layer {
            FleetLayer::Site => Layer::Fleet,
            FleetLayer::Role(_) => Layer::FleetRole,
            FleetLayer::Host(_) => Layer::FleetHost,
        };
        Input { layer, role: None, file: format!("{NAMED}{name}").into(), text }
    };
    let mut texts: Vec<Input> = bundle.files.into_iter().map(text).collect();
    // Within a layer the order of the names stays.
    texts.sort_by_key(|text| text.layer);
    texts
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ansai_link::authority::Authority;
    use ansai_model::time::WallTime;
    use ansai_protocol::link::{ControllerId, HostId};

    use super::*;
    use crate::uplink::membership::tests::joined;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    #[test]
    fn a_configuration_is_obeyed_when_the_controllers_ca_has_signed_it_for_this_host() {
        let state = tempfile::tempdir().unwrap();
        let (folder, authority, controller, host) = joined(state.path());
        assert_eq!((folder.bundle().unwrap(), folder.texts().unwrap().len()), (None, 0));
        let file = |layer, name: &str| FleetFile { layer, name: name.into(), text: "autonomy: act\n".into() };
        let files = vec![
            file(FleetLayer::Host("web-01".into()), "host-web-01.yaml"),
            file(FleetLayer::Role("web".into()), "role-web.yaml"),
            file(FleetLayer::Site, "site.yaml"),
        ];
        let bundle = HostBundle { controller, host, held: Default::default(), files };
        let signed = authority.sign_bundle(&bundle).unwrap();
        assert_eq!(folder.verified(&signed).unwrap(), bundle);
        folder.keep_bundle(&signed).unwrap();
        let texts: Vec<_> = folder.texts().unwrap().into_iter().map(|text| (text.layer, text.file)).collect();
        let expected = [
            (Layer::Fleet, "fleet:site.yaml"),
            (Layer::FleetRole, "fleet:role-web.yaml"),
            (Layer::FleetHost, "fleet:host-web-01.yaml"),
        ];
        assert_eq!(texts, expected.map(|(layer, file)| (layer, file.into())), "the weakest first");
        let other = HostId::of_chance([9; 16]);
        let foreign = authority.sign_bundle(&HostBundle { host: other, ..bundle.clone() }).unwrap();
        assert!(folder.verified(&foreign).unwrap_err().to_string().contains("another host"));
        let controller = ControllerId::of_chance([9; 16]);
        let foreign = authority.sign_bundle(&HostBundle { controller, ..bundle.clone() }).unwrap();
        assert!(folder.verified(&foreign).unwrap_err().to_string().contains("another controller"));
        let forged = Authority::create(NOW).unwrap().sign_bundle(&bundle).unwrap();
        assert!(folder.verified(&forged).is_err());
        // Somebody has changed what lies there.
        let path = folder.path(BUNDLE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("autonomy: act", "autonomy: off")).unwrap();
        let wrong = folder.texts().unwrap_err().text(None);
        assert!(wrong.contains("bundle.json") && wrong.contains("remove it"), "{wrong}");
        folder.keep_bundle(&signed).unwrap();
        folder.leave().unwrap();
        assert_eq!(folder.bundle().unwrap(), None, "who has left is told nothing by it");
    }
}
