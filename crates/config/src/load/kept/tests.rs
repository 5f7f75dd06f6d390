//! What was kept is read back as the same.

use ansai_model::inventory::Inventory;

use super::*;
use crate::parse;

#[test]
fn what_was_kept_is_the_same_when_it_is_read() {
    let text = "services: {\"app.service\": {}}\nautonomy: act\n".to_owned();
    let configuration = parse(&[("a.yaml".into(), text)]).expect("valid");
    let (inputs, fingerprint) = (configuration.inputs.clone(), configuration.fingerprint());
    let resting = configuration.rest(&Inventory::default());
    let read = of_kept(&resting.kept().expect("kept")).expect("read").expect("valid");
    assert_eq!((read.inputs.clone(), read.fingerprint()), (inputs, fingerprint));
    for wrong in ["", "{}", "[{}]", "[{\"layer\":\"host\",\"role\":null,\"file\":\"a\"}]", "\u{0}"] {
        assert!(of_kept(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let older = "[{\"layer\":\"host\",\"role\":null,\"file\":\"a.yaml\",\"text\":\"servces: {}\"}]";
    assert!(of_kept(older.as_bytes()).expect("read").is_err(), "what this version does not know is wrong as well");
}
