//! The configuration: a TOML file whose mistakes are reported with their line.

mod error;
mod file;
mod settings;
mod values;

pub(crate) use settings::{Fixed, Settings, Target, queue};
pub(crate) use values::{Listen, Queue, Url};
