/// Docs stay on the value.
#[openmail_handler(event = "setup.test", crate = app::openmail_tower)]
#[instrument(level = "info")]
#[deprecated]
#[must_use]
#[expect(unused_variables)]
async fn support(text: &'_ Event) {
    #![allow(unused)]
}
