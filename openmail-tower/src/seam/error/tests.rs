use super::*;

const PERMANENT: &str = "the handler failed permanently: there is no order 0";

#[test]
fn handler_error_survives_boxing() {
    let boxed: BoxError = HandlerError::failed("busy").after(Duration::from_secs(7)).into();
    let error = HandlerError::from_boxed(boxed);
    assert_eq!(error.kind(), HandlerErrorKind::Failed);
    assert_eq!(error.delay(), Some(Duration::from_secs(7)));
    assert_eq!(error.to_string(), "busy");
}

#[test]
fn finds_a_handler_error_among_the_sources() {
    #[derive(Debug, thiserror::Error)]
    #[error("buffered")]
    struct Buffered(#[source] BoxError);
    let permanent = HandlerError::permanent("there is no order 0");
    let error = HandlerError::from(Buffered(permanent.into()));
    assert_eq!(error.kind(), HandlerErrorKind::Permanent);
    assert_eq!(error.to_string(), format!("buffered: {PERMANENT}"));
}

#[test]
fn text_includes_the_sources() {
    #[derive(Debug, thiserror::Error)]
    #[error("no answer sent")]
    struct Outer(#[source] std::num::ParseIntError);
    let error = HandlerError::from(Outer("x".parse::<u32>().unwrap_err()));
    assert_eq!(error.to_string(), "no answer sent: invalid digit found in string");
}

#[test]
fn question_mark_converts_strings_and_errors() {
    fn run(text: &str) -> Result<(), HandlerError> {
        let number = text.parse::<u8>()?;
        if number == 0 { Err("none")? } else { Err(format!("{number} is too many"))? }
    }
    for (text, expected) in [("0", "none"), ("2", "2 is too many")] {
        assert_eq!(run(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn survives_an_error_that_panics_when_shown_or_dropped() {
    struct Rude;
    impl fmt::Debug for Rude {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("Debug")
        }
    }
    impl fmt::Display for Rude {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("Display")
        }
    }
    impl Error for Rude {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            panic!("source")
        }
    }
    impl Drop for Rude {
        fn drop(&mut self) {
            panic!("Drop")
        }
    }
    let error = HandlerError::from(Rude);
    assert_eq!(error.to_string(), "(the error's text panicked)");
    assert!(format!("{error:?}").contains("kind: Failed"));
    drop(error);
}

#[cfg(feature = "anyhow")]
#[test]
fn anyhow_and_handler_error_mix_in_both_directions() {
    use anyhow::Context;

    fn there(fails: bool) -> anyhow::Result<()> {
        if fails { Err(HandlerError::permanent("there is no order 0"))? } else { Ok(()) }
    }
    fn and_back(context: bool) -> Result<(), HandlerError> {
        match context {
            true => there(true).context("cannot answer")?,
            false => there(true)?,
        }
        Ok(())
    }
    for (context, text) in
        [(false, PERMANENT.to_owned()), (true, format!("cannot answer: {PERMANENT}"))]
    {
        let error = and_back(context).unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::Permanent);
        assert_eq!(error.to_string(), text);
    }
}
