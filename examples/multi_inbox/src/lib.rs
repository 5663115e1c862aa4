//! The state and the handlers of the `multi_inbox` example.

mod handlers;
mod server;
mod state;

pub use handlers::events;
pub use server::serve;
pub use state::{AppState, Desks, Mails, Suspended};
