//! A local OpenMail on `127.0.0.1:4010`: `cargo run -p example-sandbox`.

mod args;

use std::{future::Future, io, process::ExitCode};

use clap::Parser;
use sandbox::{Sandbox, SandboxError};
use tracing_subscriber::EnvFilter;

use args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), SandboxError> {
    let stop = stop_signal();
    let sandbox = Sandbox::bind(args.into()).await?;
    print_settings(&sandbox);
    sandbox.serve(stop).await
}

/// Prints the receiver's settings to stdout, in a form that `eval` can read.
fn print_settings(sandbox: &Sandbox) {
    println!("{}", sandbox.exports());
    for (id, address) in sandbox.inboxes() {
        println!("# inbox {id}: {address}");
    }
    println!("# page: {}/", sandbox.url());
}

/// Completes on Ctrl-C (SIGINT) or on SIGTERM, which service managers send.
fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    async move {
        let interrupt = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        #[cfg(unix)]
        let terminate = async {
            match terminate {
                Ok(mut terminate) => drop(terminate.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        #[cfg(not(unix))]
        let terminate = std::future::pending::<()>();
        tokio::select! {
            () = interrupt => {}
            () = terminate => {}
        }
    }
}
