//! [`Worker`].

mod drive;
mod gauges;
mod hook;
mod leases;
mod look;
mod replies;
mod reports;
mod run;
#[cfg(feature = "api")]
mod sending;
mod settings;
mod settle;
mod upkeep;
mod wakeup;

pub use settings::Worker;
