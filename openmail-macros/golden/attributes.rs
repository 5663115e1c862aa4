/// Docs stay on the value.
#[openmail_handler(event = "setup.test", crate = app::openmail_tower)]
#[cfg(feature = "support")]
#[cfg_attr(docsrs, doc(cfg(feature = "support")), instrument(name = "mine"), cfg(unix))]
#[deprecated]
#[must_use]
#[expect(unused_variables)]
async fn support(text: &'_ Event) {
    #![allow(unused)]
}
