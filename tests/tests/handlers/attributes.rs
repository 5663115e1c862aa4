use super::*;

#[openmail_handler(event = "message.received")]
#[cfg(any())]
async fn absent(_: NoSuchType) {}

#[openmail_handler(event = "message.received")]
#[cfg_attr(all(), cfg(any()), allow(unused_variables))]
async fn absent_as_well(_: NoSuchType) {}

#[openmail_handler(event = "message.received")]
#[cfg_attr(all(), doc = "Has docs.", allow(unused_variables))]
async fn absent(mail: &MessageReceived) {}

#[openmail_handler(event = "message.received")]
#[deprecated = "it is only here to be deprecated"]
#[allow(unused_variables)]
pub(crate) async fn old(unused: &MessageReceived, State(log): State<Log>) {
    let _ = log;
}

#[test]
fn cfg_removes_a_handler_completely() {
    let _ = EventRouter::<()>::new().handler(absent);
}

#[test]
#[expect(deprecated)]
fn deprecated_handler_warns_where_it_is_registered() {
    let _ = EventRouter::<Log>::new().handler(old);
}

#[openmail_handler(event = "message.received", inbox = "default")]
#[tracing::instrument(skip_all, fields(inbox = %mail.inbox_id))]
async fn instrumented(mail: &MessageReceived) {
    tracing::info!("inside");
}

#[openmail_handler(event = "message.received", inbox = "named")]
#[tracing::instrument(level = "info", name = "other", skip_all)]
async fn instrumented_by_name(mail: &MessageReceived) {
    tracing::info!("inside");
    let _ = mail;
}

#[openmail_handler(event = "message.received", inbox = "literal")]
#[tracing::instrument(skip_all, level = "info", "literally")]
async fn instrumented_by_literal(mail: &MessageReceived) {
    tracing::info!("inside");
    let _ = mail;
}

#[openmail_handler(event = "message.received", inbox = "bare")]
#[cfg_attr(all(), tracing::instrument)]
async fn instrumented_bare() {
    tracing::info!("inside");
}

#[derive(Clone)]
struct Writer(Log);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.add(String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes the traces of this thread into the log.
fn traced(log: &Log) -> tracing::subscriber::DefaultGuard {
    let writer = Writer(log.clone());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .finish();
    openmail_tests::listen(subscriber)
}

#[tokio::test]
async fn instrumented_handler_keeps_the_name_of_its_span() {
    let log = Log::default();
    let _guard = traced(&log);
    let router = EventRouter::new()
        .handler(instrumented)
        .handler(instrumented_by_name)
        .handler(instrumented_by_literal)
        .handler(instrumented_bare);
    for (inbox, line) in [
        ("default", " INFO instrumented{inbox=default}: inside\n"),
        ("named", " INFO other: inside\n"),
        ("literal", " INFO literally: inside\n"),
        ("bare", " INFO instrumented_bare: inside\n"),
    ] {
        run(router.clone(), mail(inbox)).await.unwrap();
        assert_eq!(log.take().concat(), line);
    }
}

#[openmail_handler(event = "message.received")]
pub(crate) async fn counted(numbers: Payload<Numbers>) -> Result<(), HandlerError> {
    match numbers.0.numbers.as_slice() {
        [] => Err(HandlerError::permanent("none")),
        _ => Ok(()),
    }
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Numbers {
    #[serde(default)]
    pub(crate) numbers: Vec<u32>,
}

#[tokio::test]
async fn function_stays_callable() {
    assert!(counted::call(Payload(Numbers { numbers: vec![1] })).await.is_ok());
    assert!(counted::call(Payload(Numbers { numbers: vec![] })).await.is_err());
    let (copy, name) = (counted, format!("{counted:?}"));
    assert_eq!(name, format!("{copy:?}"));
    assert_eq!(name, "counted");
}
