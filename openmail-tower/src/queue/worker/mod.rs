//! [`Worker`].

mod drive;
mod gauges;
mod leases;
mod look;
mod replies;
mod run;
#[cfg(feature = "api")]
mod sending;
mod settings;
mod settle;
mod upkeep;

pub use settings::Worker;
