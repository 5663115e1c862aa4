//! An agent that answers mail: `cargo run -p example-agent`.
//!
//! Without `OPENMAIL_API_KEY`, it starts a local OpenMail, sends one mail to the agent, and prints
//! the address of a page that shows the mail and its reply.

mod shutdown;

use std::{io, process::ExitCode};

use example_agent::{Settings, run};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    // Logs go to stderr, since stdout has a line of JSON for each state of a reply.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).init();
    let ended = async {
        let stop = shutdown::stop()?;
        run(Settings::from_env()?, stop).await
    };
    match ended.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
