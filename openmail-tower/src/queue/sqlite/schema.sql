CREATE TABLE openmail_events (
  -- in order of arrival, and never given again
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  dedupe_key TEXT UNIQUE,
  lane TEXT,
  event_id TEXT,
  kind TEXT NOT NULL,
  inbox_id TEXT,
  thread_id TEXT,
  -- ready (leased or not), blocked, aside, dead, done
  state TEXT NOT NULL,
  -- 1, and 2 where a lease before this one ran out
  leased INTEGER NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  -- when it may be claimed: its next run, or the end of its lease; in Unix milliseconds, as are all
  due_at INTEGER NOT NULL,
  queued_at INTEGER NOT NULL,
  -- when it was done or buried
  ended_at INTEGER,
  last_error TEXT,
  -- the signed time, in Unix seconds
  signed_at INTEGER NOT NULL,
  body BLOB NOT NULL
);
-- One at a time of each lane.
CREATE UNIQUE INDEX openmail_events_lane ON openmail_events (lane) WHERE state = 'ready';
CREATE INDEX openmail_events_due ON openmail_events (due_at, id) WHERE state = 'ready';
CREATE INDEX openmail_events_blocked ON openmail_events (lane, id) WHERE state = 'blocked';
CREATE INDEX openmail_events_aside ON openmail_events (due_at) WHERE state = 'aside';
CREATE INDEX openmail_events_done ON openmail_events (ended_at) WHERE state = 'done';
CREATE INDEX openmail_events_dead ON openmail_events (id) WHERE state = 'dead';
CREATE INDEX openmail_events_dead_inbox ON openmail_events (inbox_id, id) WHERE state = 'dead';
