//! What goes wrong on command.

use serde::{Deserialize, Serialize};

/// How a request is answered instead.
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
    /// The request is carried out, then the connection is closed without an answer.
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

/// Which requests a fault is for.
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
    /// How many requests are left to answer so.
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
    /// Each second mail's event overtakes the one before it.
    pub(crate) out_of_order: bool,
    /// How far the clock that stamps deliveries is off, in seconds.
    pub(crate) clock_offset_seconds: i64,
    /// Whether sends are limited to 10 a minute and 200 a day an inbox.
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
    /// The fault for a request that comes in now, if there is one.
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

    /// Whether anything is set to go wrong.
    pub(crate) fn any(&self) -> bool {
        let none = Self { send_limits: self.send_limits, ..Self::default() };
        *self != none
    }
}
