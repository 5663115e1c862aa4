//! A local OpenMail on `127.0.0.1:4010`: `cargo run -p example-sandbox`.

mod args;
mod shutdown;

use std::{error::Error, io, process::ExitCode};

use sandbox::Sandbox;
use tracing_subscriber::EnvFilter;

use args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).init();
    match run(Args::read()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let stop = shutdown::signal()?;
    let sandbox = Sandbox::bind(args.into()).await?;
    print_settings(&sandbox);
    Ok(sandbox.serve(stop).await?)
}

/// Prints the receiver's settings to stdout, in a form that `eval` can read.
fn print_settings(sandbox: &Sandbox) {
    println!("{}", sandbox.exports());
    for (id, address) in sandbox.inboxes() {
        println!("# inbox {id}: {address}");
    }
    println!("# page: {}/", sandbox.url());
}
