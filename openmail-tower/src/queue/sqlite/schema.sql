CREATE TABLE openmail_events (
  -- in order of arrival, and never given again
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- 0 a reply, 1 an event: in a lane, replies go first
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
  -- runs lost with their workers in a row; 3 says that the last claim was given as lost
  losses INTEGER NOT NULL DEFAULT 0,
  -- how often it was released or put off since its last run, when the first of the last releases in a
  -- row was, and when it was first put off or on hold
  releases INTEGER NOT NULL DEFAULT 0,
  released_at INTEGER,
  put_off_at INTEGER,
  held INTEGER NOT NULL DEFAULT 0,
  -- when it may be claimed: its next run, or the end of its lease; in milliseconds of the store's
  -- clock, which is close to Unix time, as are all
  due_at INTEGER NOT NULL,
  queued_at INTEGER NOT NULL,
  -- when it was done or buried
  ended_at INTEGER,
  -- of a dead letter: when it is to be reported
  report_at INTEGER,
  last_error TEXT,
  -- the signed time, in Unix seconds
  signed_at INTEGER NOT NULL,
  -- in memory, in bytes
  weight INTEGER NOT NULL,
  body BLOB NOT NULL
);
-- One at a time of each lane.
CREATE UNIQUE INDEX openmail_events_lane ON openmail_events (lane) WHERE state = 'ready';
-- With all that a claim asks for, so that a flood of one inbox is passed over in the index. (SQLite
-- reads the row for a column that is in no index, even if the index says what it is.)
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
-- How far the store's clock is ahead of the machine's, how often that was adjusted, and the store's
-- time when it was last written down.
CREATE TABLE openmail_clock (
  ahead INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
);
INSERT INTO openmail_clock VALUES (0, 0, 0);
