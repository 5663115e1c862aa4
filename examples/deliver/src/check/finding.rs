//! The findings of a check.

use serde::Serialize;
use serde_json::json;

use crate::output::line;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Wrong,
    Unclear,
}

/// The findings, written as they arrive.
#[derive(Debug)]
pub(super) struct Findings {
    json: bool,
    wrong: usize,
}

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self { json, wrong: 0 }
    }

    pub(super) fn good(&self, check: &str, text: impl AsRef<str>) {
        self.write(Verdict::Good, check, text.as_ref());
    }

    pub(super) fn wrong(&mut self, check: &str, text: impl AsRef<str>) {
        self.wrong += 1;
        self.write(Verdict::Wrong, check, text.as_ref());
    }

    /// Reports something that may be wrong, or that cannot be determined from outside.
    pub(super) fn unclear(&self, check: &str, text: impl AsRef<str>) {
        self.write(Verdict::Unclear, check, text.as_ref());
    }

    fn write(&self, verdict: Verdict, check: &str, text: &str) {
        if self.json {
            let finding = json!({ "check": check, "verdict": verdict, "text": text });
            return line(&finding.to_string());
        }
        let mark = match verdict {
            Verdict::Good => "ok",
            Verdict::Wrong => "WRONG",
            Verdict::Unclear => "?",
        };
        line(&format!("{mark:<6}{check}: {text}"));
    }

    /// Writes the summary, except in JSON. Returns whether nothing is wrong.
    pub(super) fn end(self) -> bool {
        if !self.json {
            let text = match self.wrong {
                0 => "Nothing is wrong with this endpoint.".to_owned(),
                1 => "One thing is wrong with this endpoint.".to_owned(),
                count => format!("{count} things are wrong with this endpoint."),
            };
            line(&format!("\n{text}"));
        }
        self.wrong == 0
    }
}
