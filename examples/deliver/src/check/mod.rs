//! Reports in words what is wrong with an endpoint.

mod early;
mod finding;
mod forgery;
mod mail;
mod probe;
mod reach;
mod size;
mod taken;

use std::error::Error;

use crate::{args::Check, client::client};

use finding::Findings;
use probe::Prober;

/// Runs all checks. Returns whether none found a fault.
pub(crate) async fn check(args: &Check) -> Result<bool, Box<dyn Error>> {
    // One connection for each request: an endpoint that rejects a body may close the connection,
    // which must not affect the next request.
    let prober = Prober::new(client(0), args.target.url()?, args.target.secret()?);
    let mut findings = Findings::new(args.json);
    // If no signed event is accepted, the other checks would only repeat that.
    if reach::check(&prober, &mut findings).await {
        taken::check(&prober, &mut findings).await;
        forgery::check(&prober, &mut findings).await;
        early::check(&prober, &mut findings).await;
        size::check(&prober, &mut findings).await;
        mail::check(&prober, &args.inbox, &mut findings).await;
    }
    Ok(findings.end())
}
