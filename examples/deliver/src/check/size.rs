//! Checks how large an event may be.

use openmail_tower::testing::TestEvent;

use super::{finding::Findings, probe::Prober};

/// Body sizes from the largest known event down to what every framework accepts.
const SIZES: [usize; 8] =
    [6 << 20, 4 << 20, 2 << 20, 1 << 20, 512 << 10, 256 << 10, 100 << 10, 64 << 10];

pub(super) async fn check(prober: &Prober, findings: &mut Findings) {
    // The smallest size that was rejected, and the response.
    let mut rejected = None;
    for size in SIZES {
        let event = TestEvent::new("setup.test").field("padding", "x".repeat(size));
        let told = match prober.send(prober.event(&event)).await {
            Ok(answer) if answer.is_accepted() => {
                return match rejected {
                    None => findings.good("size", format!("{} are accepted", shown(size))),
                    Some(rejected) => too_small(&shown(size), rejected, findings),
                };
            }
            Ok(answer) => answer.to_string(),
            // Some endpoints hang up instead of answering.
            Err(error) => error.to_string(),
        };
        rejected = Some((size, told));
    }
    if let Some(rejected) = rejected {
        too_small("smaller bodies", rejected, findings);
    }
}

fn too_small(accepted: &str, (size, told): (usize, String), findings: &mut Findings) {
    let text = format!(
        "the body limit is too small: {accepted} are accepted, but {} is not ({told}); twenty attachments \
         with their text make up to 6 MB, so allow 8 MiB",
        shown(size)
    );
    findings.wrong("size", text);
}

fn shown(size: usize) -> String {
    match size >> 20 {
        0 => format!("{} KiB", size >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}
