//! Faults that can be set, to see how an agent copes with them.

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// Maximum error of the clock, in seconds: ten years of 365 days.
const FARTHEST: u64 = 10 * 365 * 24 * 60 * 60;

/// A response that replaces the usual one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// `rate_limit_exceeded`.
    #[serde(rename = "429")]
    RateLimit,
    /// `spend_cap_paused`.
    #[serde(rename = "402")]
    SpendCap,
    /// `internal_error`.
    #[serde(rename = "500")]
    Internal,
    /// The request is carried out, then the connection is closed without a response.
    #[serde(rename = "cut")]
    Cut,
}

impl Fault {
    const ALL: [Self; 4] = [Self::RateLimit, Self::SpendCap, Self::Internal, Self::Cut];

    /// Its name in JSON and in the page's form.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::RateLimit => "429",
            Self::SpendCap => "402",
            Self::Internal => "500",
            Self::Cut => "cut",
        }
    }

    pub(crate) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.code() == code)
    }
}

/// The requests that a fault applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    #[default]
    All,
    Send,
}

impl Scope {
    /// Its name in JSON and in the page's form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Send => "send",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestFault {
    pub(crate) answer: Fault,
    /// The number of requests that are still to be answered with the fault.
    pub(crate) count: u32,
    #[serde(default)]
    pub(crate) scope: Scope,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Faults {
    pub(crate) requests: Option<RequestFault>,
    /// Each mail's event is delivered twice.
    pub(crate) deliver_twice: bool,
    /// The event of every second mail overtakes the previous one.
    pub(crate) out_of_order: bool,
    /// The error of the clock that stamps deliveries, in seconds.
    pub(crate) clock_offset_seconds: i64,
    /// Whether each inbox may send at most 10 mails a minute and 200 a day.
    pub(crate) send_limits: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            requests: None,
            deliver_twice: false,
            out_of_order: false,
            clock_offset_seconds: 0,
            send_limits: true,
        }
    }
}

impl Faults {
    /// Takes the fault for a request that arrives now, if there is one.
    pub(crate) fn take(&mut self, is_send: bool) -> Option<Fault> {
        let fault = self.requests.as_mut()?;
        if fault.scope == Scope::Send && !is_send {
            return None;
        }
        let answer = fault.answer;
        fault.count = fault.count.saturating_sub(1);
        if fault.count == 0 {
            self.requests = None;
        }
        Some(answer)
    }

    /// Checks the limits that the types of the fields do not enforce.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.requests.is_some_and(|fault| fault.count == 0) {
            return Err(Refusal::bad_request("\"count\" must be at least 1."));
        }
        match self.clock_offset_seconds.unsigned_abs() {
            0..=FARTHEST => Ok(()),
            _ => Err(unusable_offset()),
        }
    }

    /// Returns whether any fault is set, apart from the send limits.
    pub(crate) fn any(&self) -> bool {
        let none = Self { send_limits: self.send_limits, ..Self::default() };
        *self != none
    }
}

pub(crate) fn unusable_offset() -> Refusal {
    Refusal::bad_request(format!(
        "The clock's offset must be a whole number of seconds from -{FARTHEST} to {FARTHEST}."
    ))
}
