//! Prints a line of JSON on stdout for each new state of a reply, such as `queued` or `sent`.

use std::io;

use openmail_tower::queue::ReplyReport;
use serde::Serialize;
use tokio::io::AsyncWriteExt;

#[derive(Serialize)]
struct Line<'a> {
    event_id: Option<&'a str>,
    inbox_id: Option<&'a str>,
    message_id: Option<&'a str>,
    reply: &'a str,
    key: &'a str,
}

/// Prints the line for a reply's new state.
pub(crate) async fn report(reply: ReplyReport) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Line {
        event_id: reply.event_id.as_deref(),
        inbox_id: reply.inbox_id.as_deref(),
        message_id: reply.message_id.as_deref(),
        reply: reply.state.as_str(),
        key: &reply.key,
    })?;
    line.push(b'\n');
    let mut stdout = tokio::io::stdout();
    stdout.write_all(&line).await?;
    stdout.flush().await
}
