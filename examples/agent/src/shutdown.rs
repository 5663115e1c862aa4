//! Stops the program on Ctrl-C (SIGINT) or on SIGTERM, which service managers send.

use std::{future::Future, io, process};

/// Completes on the first signal. A second one ends the process at once: the events whose runs it
/// cuts off are still in the queue, and run again after the next start.
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    let first = signal()?;
    Ok(async {
        first.await;
        // Listens for a second signal before the log line asks for one, so that none is lost.
        let second = signal();
        tracing::info!(
            "stopping: requests have 15 s to finish, then handlers have 30 s; press Ctrl-C again to stop at once"
        );
        tokio::spawn(async move {
            if let Ok(second) = second {
                second.await;
                // The status of a program that was ended by Ctrl-C.
                process::exit(130);
            }
        });
    })
}

/// Completes on a signal. It listens from the time of the call, so that a signal before the first
/// poll is not lost.
#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(windows)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
