//! [`TraceContext`]: the trace that a mail belongs to.

use std::{fmt, str};

/// The trace that an event belongs to, and the span in it that caused the event: a [W3C
/// `traceparent`](https://www.w3.org/TR/trace-context/#traceparent-header).
///
/// Behind a `VerifyLayer`, a delivery's trace is that of the span around it (with the feature
/// `opentelemetry`), otherwise that of its `traceparent` header, otherwise a new one. The header is
/// not signed, so the trace is used only to group spans and log lines and, by its sampled flag, to
/// choose which spans are exported; it decides nothing about the event. The vendor's part,
/// `tracestate`, is not kept.
///
/// ```
/// use openmail_tower::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceContext = text.parse()?;
/// assert_eq!(trace.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), text);
/// # Ok::<(), openmail_tower::InvalidTraceContext>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    // Bytes rather than integers, which would be padded: every event carries this.
    trace_id: [u8; 16],
    span_id: [u8; 8],
    is_sampled: bool,
}

/// The error for a text that is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a traceparent: 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, in lower case and with ids other than 0"
)]
pub struct InvalidTraceContext;

/// The length of version 0; later versions may append fields.
const LENGTH: usize = 55;
const LONGEST: usize = 256;
const SAMPLED: u8 = 1;

impl TraceContext {
    /// Creates the context of a span. Returns `None` if either id is 0, which stands for "no id".
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id: trace_id.to_be_bytes(),
            span_id: span_id.to_be_bytes(),
            is_sampled: sampled,
        })
    }

    /// Creates a new trace with random ids. It is marked as sampled, so that later processes that
    /// follow their parent's decision leave nothing out.
    pub(crate) fn random() -> Self {
        Self {
            trace_id: fastrand::u128(..).max(1).to_be_bytes(),
            span_id: fastrand::u64(..).max(1).to_be_bytes(),
            is_sampled: true,
        }
    }

    /// Parses a header value.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if !(LENGTH..=LONGEST).contains(&bytes.len()) || !bytes.is_ascii() {
            return None;
        }
        let text = str::from_utf8(bytes).ok()?;
        let (version, rest) = (&text[..2], &text[LENGTH..]);
        let is_known = version == "00" && rest.is_empty();
        let is_later = version != "00"
            && version != "ff"
            && is_lower_hex(version)
            && (rest.is_empty() || rest.starts_with('-'));
        let dashes = [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
        let parts = [&text[3..35], &text[36..52], &text[53..55]];
        if !(is_known || is_later) || !dashes || !parts.into_iter().all(is_lower_hex) {
            return None;
        }
        let trace_id = u128::from_str_radix(parts[0], 16).ok()?;
        let span_id = u64::from_str_radix(parts[1], 16).ok()?;
        let flags = u8::from_str_radix(parts[2], 16).ok()?;
        Self::new(trace_id, span_id, flags & SAMPLED != 0)
    }

    /// Returns the id of the trace.
    pub fn trace_id(&self) -> u128 {
        u128::from_be_bytes(self.trace_id)
    }

    /// Returns the id of the span that caused the event.
    pub fn span_id(&self) -> u64 {
        u64::from_be_bytes(self.span_id)
    }

    /// Returns whether the sender of the `traceparent` may have recorded its part of the trace.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl str::FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        Self::from_bytes(text.as_bytes()).ok_or(InvalidTraceContext)
    }
}

/// Writes a `traceparent` header value.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id) = (self.trace_id(), self.span_id());
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_what_it_writes() {
        let trace = TraceContext::random();
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_ne!(TraceContext::random().trace_id(), trace.trace_id());
    }

    #[test]
    fn reads_the_known_part_of_a_later_version() {
        let later = format!("cc-{}-what-comes", &TEXT[3..]);
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), TEXT);
    }

    #[test]
    fn rejects_any_other_form() {
        let none = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let nowhere = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        for text in [
            "",
            "00",
            none,
            nowhere,
            &TEXT.to_uppercase(),
            &TEXT.replace("00-", "ff-"),
            &TEXT.replace('-', "_"),
            &TEXT.replace("4bf", "+bf"),
            &format!("{TEXT}-"),
            &format!("cc-{}x", &TEXT[3..]),
            &format!("cc-{}-{}", &TEXT[3..], "x".repeat(1 << 20)),
            &TEXT.replace('4', "é"),
            &format!(" {TEXT}"),
        ] {
            assert_eq!(TraceContext::from_bytes(text.as_bytes()), None, "{text}");
        }
    }
}
