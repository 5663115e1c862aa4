//! A gateway: receives the webhooks of all inboxes, queues their events durably, and forwards each
//! to its agent over HTTP.
//!
//! Run it with `cargo run -p example-gateway -- --config gateway.toml`. While it runs,
//! `example-gateway dead list|show|retry|drop --config gateway.toml` manages its dead letters.

mod agents;
mod client;
mod config;
mod dead;
mod http;
mod logged;
mod metrics;
mod serve;
mod shared;
mod signals;
mod store;

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Receives OpenMail's webhooks and forwards their events to agents.
#[derive(Debug, Parser)]
struct Args {
    /// The configuration file.
    #[arg(long, global = true, default_value = "gateway.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists, shows, retries and deletes dead letters, even while the gateway runs.
    #[command(subcommand)]
    Dead(dead::Dead),
}

#[tokio::main]
async fn main() -> ExitCode {
    let info = LevelFilter::INFO.into();
    let filter = EnvFilter::builder().with_default_directive(info).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let Args { config, command } = Args::parse();
    let done = match command {
        None => serve::run(config).await,
        Some(Command::Dead(command)) => dead::run(&config, command).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
