CREATE TABLE openmail_events (
  -- in order of arrival, never reused
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- 0: reply, 1: event; in a lane, replies go first
  role INTEGER NOT NULL DEFAULT 1,
  dedupe_key TEXT UNIQUE,
  lane TEXT,
  event_id TEXT,
  kind TEXT NOT NULL,
  inbox_id TEXT,
  thread_id TEXT,
  trace_context TEXT,
  -- ready (leased, held or neither), blocked, aside, dead, done
  state TEXT NOT NULL,
  leased INTEGER NOT NULL DEFAULT 0,
  -- the worker that holds the lease
  worker INTEGER,
  token INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  -- number of consecutive runs lost with their workers; 3: the last claim had was_lost set
  losses INTEGER NOT NULL DEFAULT 0,
  -- how often it was released or put off since its last run that counted as an attempt
  releases INTEGER NOT NULL DEFAULT 0,
  -- when the current uninterrupted series of releases began
  released_at INTEGER,
  -- when it was first put off or on hold
  put_off_at INTEGER,
  -- 1: on hold, or claimed at the end of its hold; 2: leased, and release_held ran meanwhile, so it cannot
  -- be put on hold by this run
  held INTEGER NOT NULL DEFAULT 0,
  -- when it may be claimed: its next run, or the end of its lease; like all times here except
  -- signed_at, in milliseconds of the store's clock, which is close to Unix time
  due_at INTEGER NOT NULL,
  queued_at INTEGER NOT NULL,
  -- when it was done or buried
  ended_at INTEGER,
  -- dead letters only: when to report it
  report_at INTEGER,
  last_error TEXT,
  -- the signed time, in Unix seconds
  signed_at INTEGER NOT NULL,
  -- size in memory, in bytes
  weight INTEGER NOT NULL,
  body BLOB NOT NULL
);
-- In each lane, one entry at a time.
CREATE UNIQUE INDEX openmail_events_lane ON openmail_events (lane) WHERE state = 'ready';
-- Contains everything that a claim filters by, so that a flood of one inbox is skipped in the
-- index. (SQLite reads the row for a column that the index lacks, even if the index implies its
-- value.)
CREATE INDEX openmail_events_due
  ON openmail_events (due_at, id, inbox_id, role, losses, leased, weight, state)
  WHERE state = 'ready';
CREATE INDEX openmail_events_leased ON openmail_events (worker) WHERE leased = 1;
CREATE INDEX openmail_events_lost ON openmail_events (due_at) WHERE losses > 0;
CREATE INDEX openmail_events_held ON openmail_events (inbox_id) WHERE held = 1;
CREATE INDEX openmail_events_blocked
  ON openmail_events (lane, role, id, state) WHERE state = 'blocked';
CREATE INDEX openmail_events_aside ON openmail_events (due_at, lane, state) WHERE state = 'aside';
CREATE INDEX openmail_events_done ON openmail_events (ended_at) WHERE state = 'done';
CREATE INDEX openmail_events_dead ON openmail_events (id, state) WHERE state = 'dead';
CREATE INDEX openmail_events_dead_inbox ON openmail_events (inbox_id, id) WHERE state = 'dead';
CREATE INDEX openmail_events_died ON openmail_events (ended_at) WHERE state = 'dead';
CREATE INDEX openmail_events_report ON openmail_events (report_at) WHERE report_at IS NOT NULL;
-- How far the store's clock is ahead of the machine's, how often that was adjusted, and the latest
-- stored time of the store's clock.
CREATE TABLE openmail_clock (
  ahead INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
);
INSERT INTO openmail_clock VALUES (0, 0, 0);
