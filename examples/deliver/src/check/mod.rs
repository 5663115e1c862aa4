//! What is wrong with an endpoint, in words.

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

/// Tries everything that is known to go wrong; whether nothing did.
pub(crate) async fn check(args: &Check) -> Result<bool, Box<dyn Error>> {
    // A connection each: whoever refuses a body may close it behind that, and the next request is
    // not to suffer for it.
    let prober = Prober::new(client(0), args.target.url(), args.target.secret()?);
    let mut findings = Findings::new(args.json);
    // Where no signed event is taken, the rest would only say the same again.
    if reach::check(&prober, &mut findings).await {
        taken::check(&prober, &mut findings).await;
        forgery::check(&prober, &mut findings).await;
        size::check(&prober, &mut findings).await;
        mail::check(&prober, &args.inbox, &mut findings).await;
    }
    Ok(findings.end())
}
