//! [`Worker`].

mod claim;
mod drain;
mod drive;
mod held;
mod run;
mod settings;

pub use settings::Worker;
