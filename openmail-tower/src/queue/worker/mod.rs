//! [`Worker`].

mod claim;
mod drain;
mod drive;
mod gauges;
mod held;
mod run;
mod settings;

pub use settings::Worker;
