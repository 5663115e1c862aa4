//! A store that fails on command.

use std::{
    future::pending,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use openmail_tower::{
    BoxError,
    layers::dedupe::{Claim, ClaimToken, DedupeStore},
};
use tokio::task::yield_now;

/// How a store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It does not fail.
    #[default]
    None,
    /// It refuses everything.
    Down,
    /// It performs the call, but the answer is lost.
    Mute,
    /// It never answers.
    Hangs,
    /// It panics.
    Panics,
}

/// Wraps a store and adds faults. Every call yields once before and after its work. Clones share
/// the fault.
#[derive(Debug, Clone)]
pub struct FaultyStore<St> {
    store: St,
    fault: Arc<Mutex<Fault>>,
}

impl<St> FaultyStore<St> {
    /// Creates a store that does not fail yet.
    pub fn new(store: St) -> Self {
        Self { store, fault: Arc::default() }
    }

    /// Sets how it fails from now on.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().expect("no panic") = fault;
    }

    async fn call<T, E: Into<BoxError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, BoxError> {
        let fault = *self.fault.lock().expect("no panic");
        match fault {
            Fault::Down => return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            Fault::Hangs => pending().await,
            Fault::Panics => panic!("the store panics"),
            Fault::None | Fault::Mute => {}
        }
        yield_now().await;
        let answer = work.await.map_err(Into::into);
        yield_now().await;
        match fault {
            Fault::Mute => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            _ => answer,
        }
    }
}

impl<St: DedupeStore> DedupeStore for FaultyStore<St> {
    type Error = BoxError;

    async fn claim(
        &self,
        key: &str,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<Claim, BoxError> {
        self.call(self.store.claim(key, token, lease)).await
    }

    async fn complete(
        &self,
        key: &str,
        token: ClaimToken,
        keep: Duration,
    ) -> Result<bool, BoxError> {
        self.call(self.store.complete(key, token, keep)).await
    }

    async fn release(&self, key: &str, token: ClaimToken) -> Result<(), BoxError> {
        self.call(self.store.release(key, token)).await
    }
}
