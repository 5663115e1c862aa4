//! The token that agents must present, since the port must be open to the internet for OpenMail.

use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq;
use tonic::{Request, Status, service::Interceptor};

/// The value of the `authorization` header that agents send.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Creates a token; `None` if it is empty.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(format!("Bearer {text}").into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Interceptor for Token {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get("authorization").map(|value| value.as_encoded_bytes());
        // In constant time, which does not reveal how much of it was right.
        if shown.unwrap_or_default().ct_eq(self.0.as_bytes()).into() {
            Ok(request)
        } else {
            Err(Status::unauthenticated(
                "the header `authorization` must be `Bearer <AGENT_TOKEN>`",
            ))
        }
    }
}
