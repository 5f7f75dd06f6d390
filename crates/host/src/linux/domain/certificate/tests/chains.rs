//! Chains whose certificates end one before the other, that two authorities have signed, and that stand in the wrong order.

use rcgen::{Certificate, CertificateParams, Issuer};

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(common: &str, names: &[&str], days: i64, is_authority: bool) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("valid names");
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, common);
    // A minute less, as for a pair of the workshop.
    let days_of = |days: i64| u64::try_from(wall_now().0 / 1000 + days * 86_400 - 60).expect("after 1970");
    let at = |days: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(days_of(days));
    (params.not_before, params.not_after) = (at(-10), at(days));
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn root(common: &str) -> Authority {
    CertifiedIssuer::self_signed(params(common, &[], 3_000, true), key()).expect("signed")
}

fn below(common: &str, days: i64, issuer: &Authority) -> Authority {
    CertifiedIssuer::signed_by(params(common, &[], days, true), key(), issuer).expect("signed")
}

fn leaf(days: i64, issuer: &Issuer<'static, KeyPair>) -> Certificate {
    params("a.example.com", &["a.example.com"], days, false).signed_by(&key(), issuer).expect("signed")
}

struct Chains {
    folder: tempfile::TempDir,
}

impl Chains {
    fn write(&self, name: &str, parts: &[String]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, parts.concat()).expect("written");
        path.to_str().expect("text").to_owned()
    }

    #[track_caller]
    fn check(&self, trust: &Trust, parts: &[String], health: Health, says: &str) {
        let expect = Expectation { trust: trust.clone(), ..Expectation::of(vec!["a.example.com".into()]) };
        let probe = FileProbe { path: self.write("chain.pem", parts), key: KeyPlace::Nowhere, expect, same_as: None };
        check(&probe, health, says);
    }

    fn trust(&self, parts: &[String]) -> Trust {
        Trust::File(self.write("roots.pem", parts))
    }
}

fn chains() -> Chains {
    Chains { folder: tempfile::tempdir().expect("a folder") }
}

#[test]
fn w13_an_intermediate_that_ends_first_is_the_end_of_its_chain() {
    let (chains, root) = (chains(), root("Root"));
    let (soon, gone, long) = (below("Soon", 5, &root), below("Gone", -2, &root), below("Long", 900, &root));
    for trust in [chains.trust(&[root.pem()]), Trust::Nobody] {
        let with = |issuer: &Authority, health, says: &str| {
            chains.check(&trust, &[leaf(80, issuer).pem(), issuer.pem()], health, says);
        };
        with(&soon, Health::Failing, "expires in 4d23h, when CN=Soon of its chain ends (it should be renewed");
        with(&gone, Health::Failing, "CN=Gone");
        with(&long, Health::Healthy, "good for 79d");
        // Of two below each other the lower one, and of a longer chain the one in between.
        let between = below("Between", 20, &long);
        let parts = [leaf(80, &between).pem(), between.pem(), long.pem()];
        chains.check(&trust, &parts, Health::Failing, "when CN=Between of its chain ends");
    }
    let top = below("Top", 20, &root);
    let between = below("Between", 900, &top);
    let parts = [leaf(80, &between).pem(), between.pem(), top.pem()];
    chains.check(&chains.trust(&[root.pem()]), &parts, Health::Failing, "when CN=Top of its chain ends");
}

#[test]
fn w13_a_cross_signed_root_whose_signer_ends_is_fine_when_another_path_is_trusted() {
    let (chains, old) = (chains(), root("Old"));
    let new_key = key();
    let crossed = |days| params("New", &[], days, true).signed_by(&new_key, &old).expect("signed").pem();
    let (ended, ending) = (crossed(-1), crossed(10));
    let new = CertifiedIssuer::self_signed(params("New", &[], 3_000, true), new_key).expect("signed");
    let between = below("Between", 900, &new);
    let leaf = leaf(80, &between).pem();
    for trust in [chains.trust(&[new.pem()]), Trust::Nobody] {
        for crossed in [&ended, &ending] {
            chains.check(&trust, &[leaf.clone(), between.pem(), crossed.clone()], Health::Healthy, "good for 79d");
        }
    }
    // To whom only the old one is known, it is the end.
    let trust = chains.trust(&[old.pem()]);
    chains.check(&trust, &[leaf, between.pem(), ending], Health::Failing, "when CN=New of its chain ends");
}

#[test]
fn w13_what_is_wrong_with_a_chain_is_said_in_words() {
    let (chains, root) = (chains(), root("Root"));
    let trust = chains.trust(&[root.pem()]);
    let between = below("Between", 900, &root);
    let own = leaf(80, &between).pem();
    let says = "stand in the wrong order: the first is the authority's (CN=Between), and that of the server";
    chains.check(&trust, &[between.pem(), own.clone()], Health::Failing, says);
    chains.check(
        &trust,
        &[root.pem(), between.pem(), own],
        Health::Failing,
        "is number 3, where it has to be the first",
    );
    chains.check(&trust, &[between.pem()], Health::Failing, "it is the certificate of an authority, not of a server");
    let other = CertifiedIssuer::self_signed(params("Between", &[], 900, true), key()).expect("signed");
    let parts = [leaf(80, &other).pem(), between.pem()];
    chains.check(&trust, &parts, Health::Failing, "a signature of its chain is wrong");
    let mut client = params("a.example.com", &["a.example.com"], 80, false);
    client.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let client = client.signed_by(&key(), &root).expect("signed").pem();
    chains.check(&trust, &[client], Health::Failing, "is not for servers");
    // As `openssl req -x509` makes it: an authority that is shown by a server, and trusted itself.
    let alone = params("a.example.com", &["a.example.com"], 80, true).self_signed(&key()).expect("signed");
    let alone = [alone.pem()];
    chains.check(&chains.trust(&alone), &alone, Health::Healthy, "good for 79d");
    // A chain whose time has not come is the clock's matter.
    let mut later = params("Later", &[], 900, true);
    later.not_before = rcgen::date_time_ymd(2100, 1, 1);
    later.not_after = rcgen::date_time_ymd(2101, 1, 1);
    let later = CertifiedIssuer::signed_by(later, key(), &root).expect("signed");
    chains.check(&trust, &[leaf(80, &later).pem(), later.pem()], Health::Failing, "is the clock of this host right?");
}
