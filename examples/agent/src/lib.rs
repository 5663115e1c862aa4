//! The application of the `agent` example: a webhook with a queue, an agent that answers each mail,
//! and a worker that sends the replies to OpenMail. See [`run`].

mod answer;
mod model;
mod orders;
mod report;
mod serve;
mod settings;

pub use answer::Agent;
pub use serve::run;
pub use settings::{ModelSettings, Settings};
