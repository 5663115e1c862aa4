//! The commands for dead letters: events that were given up, to be inspected and retried.

use std::{
    io::{self, IsTerminal as _, Write},
    path::Path,
    time::SystemTime,
};

use anyhow::bail;
use clap::{ArgGroup, Subcommand};
use jiff::Timestamp;
use openmail_tower::queue::{DeadLetter, EntryId, QueueStore};

use crate::{config, store::with_store};

/// The number of dead letters read from the store at a time.
const PAGE: usize = 100;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Lists dead letters with their fields separated by tabs: id, time, attempts, event, inbox,
    /// event_id, error. If there are none, it says so on stderr.
    List,
    /// Shows a dead letter, and its event as it was signed. On a terminal, control characters other
    /// than tabs and line feeds, and those that change the order of text, are escaped.
    Show {
        /// Its id, as `list` shows it.
        id: i64,
    },
    /// Retries dead letters. Each has the full number of attempts again.
    #[command(group(ArgGroup::new("which").args(["ids", "inbox"]).required(true)))]
    Retry {
        /// Their ids, as `list` shows them.
        ids: Vec<i64>,
        /// Instead of ids: retries all dead letters of this inbox.
        #[arg(long)]
        inbox: Option<String>,
    },
    /// Deletes dead letters.
    Drop {
        /// Their ids, as `list` shows them.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

pub(crate) async fn run(config: &Path, command: Dead) -> anyhow::Result<()> {
    let queue = config::queue(config)?;
    with_store!(&queue, store => act(&store, command).await)
}

async fn act<St: QueueStore>(store: &St, command: Dead) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match command {
        Dead::List => list(store, &mut out).await?,
        Dead::Show { id } => {
            let Some((letter, event)) = store.dead_letter(EntryId(id)).await? else {
                bail!("there is no dead letter {id}");
            };
            writeln!(out, "{}", line(&letter))?;
            if out.is_terminal() {
                writeln!(out, "{}", harmless(&event.raw_body))?;
            } else {
                out.write_all(&event.raw_body)?;
                writeln!(out)?;
            }
        }
        Dead::Retry { inbox: Some(inbox), .. } => {
            let count = store.requeue_inbox(&inbox).await?;
            if count == 0 {
                bail!("there are no dead letters of inbox {inbox}");
            }
            writeln!(out, "{count} will be retried")?;
        }
        Dead::Retry { ids, inbox: None } => {
            for id in ids {
                if !store.requeue(EntryId(id)).await? {
                    bail!("there is no dead letter {id}");
                }
                writeln!(out, "{id} will be retried")?;
            }
        }
        Dead::Drop { ids } => {
            for id in ids {
                if !store.drop_dead_letter(EntryId(id)).await? {
                    bail!("there is no dead letter {id}");
                }
                writeln!(out, "{id} dropped")?;
            }
        }
    }
    Ok(())
}

async fn list<St: QueueStore>(store: &St, out: &mut impl Write) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let letters = store.dead_letters(after, PAGE).await?;
        for letter in &letters {
            writeln!(out, "{}", line(letter))?;
        }
        match letters.last() {
            Some(last) if letters.len() == PAGE => after = Some(last.id),
            last => {
                if after.is_none() && last.is_none() {
                    // On stderr, since a script reads each line of stdout as a dead letter.
                    eprintln!("there are no dead letters");
                }
                return Ok(());
            }
        }
    }
}

/// Returns a dead letter as a line. Text from outside is escaped, since it may contain control
/// sequences for the terminal.
fn line(letter: &DeadLetter) -> String {
    let text = |text: &str| text.escape_debug().to_string();
    let id = |id: &Option<String>| id.as_deref().map_or("-".into(), text);
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}",
        letter.id,
        time(letter.buried_at),
        letter.attempts,
        text(&letter.kind),
        id(&letter.inbox_id),
        id(&letter.event_id),
        text(&letter.error),
    )
}

/// Escapes the characters of a body that control a terminal or change the order of its text. The
/// escapes are JSON's, and mean the same inside a JSON string.
fn harmless(body: &[u8]) -> String {
    let mut text = String::with_capacity(body.len());
    for c in String::from_utf8_lossy(body).chars() {
        let is_bidi = matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if is_bidi || (c.is_control() && !matches!(c, '\n' | '\t')) {
            text += &format!("\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

fn time(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or("-".into(), |at| format!("{at:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_cannot_control_a_terminal() {
        let body =
            "{\n\t\"subject\": \"\u{9b}2J \u{1b}[2J\r \u{7f} \u{202e}fdp\u{2069} ü 你 \u{200f}\"}";
        let shown = r#"\u009b2J \u001b[2J\u000d \u007f \u202efdp\u2069 ü 你 \u200f"#;
        assert_eq!(harmless(body.as_bytes()), format!("{{\n\t\"subject\": \"{shown}\"}}"));
        assert_eq!(harmless(b"a\x9b2J"), "a\u{fffd}2J", "an invalid byte");
    }
}
