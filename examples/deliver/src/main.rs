//! Delivers events as OpenMail does, and finds out what is wrong with an endpoint.

mod args;
mod check;
mod client;
mod deliver;
mod output;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { command, deliver } = Arguments::parse();
    let good = match command {
        Some(Command::Check(args)) => check::check(&args).await,
        None => deliver::deliver(&deliver).await,
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
