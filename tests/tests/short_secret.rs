//! A secret that was probably cut off is reported, once per process.

use openmail_tests::Log;
use openmail_tower::{Secret, webhook::keyring::Keys};
use tracing::Level;

#[test]
fn first_short_secret_of_the_program_is_logged() {
    let log = Log::default();
    let _listening = log.listen(Level::WARN);
    let warnings = || log.lines(&["webhook secret is short"]);
    Keys::nobody();
    Secret::new("whsec_of_16_long").unwrap();
    assert_eq!(warnings(), [""; 0]);
    for text in ["whsec_cut_off", "whsec_1"] {
        let secret = Secret::new(text).unwrap();
        assert_eq!(format!("{secret:?}").find(text), None);
    }
    let [warning] = &*warnings() else { panic!("{}", log.text()) };
    assert!(warning.contains("bytes=13") && !warning.contains("cut_off"), "{warning}");
}
