CREATE TABLE openmail_events (
  -- in order of arrival
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- 0: reply, 1: event; in a lane, replies go first
  role BIGINT NOT NULL DEFAULT 1,
  dedupe_key TEXT UNIQUE,
  lane TEXT,
  event_id TEXT,
  kind TEXT NOT NULL,
  inbox_id TEXT,
  thread_id TEXT,
  trace_context TEXT,
  -- ready (leased, held or neither), blocked, aside, dead, done
  state TEXT NOT NULL,
  leased BIGINT NOT NULL DEFAULT 0,
  -- the worker that holds the lease
  worker BIGINT,
  token BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  -- number of consecutive runs lost with their workers; 3: the last claim had was_lost set
  losses BIGINT NOT NULL DEFAULT 0,
  -- how often it was released or put off since its last run that counted as an attempt
  releases BIGINT NOT NULL DEFAULT 0,
  -- when the current uninterrupted series of releases began
  released_at BIGINT,
  -- when it was first put off or on hold
  put_off_at BIGINT,
  -- 1: on hold, or claimed at the end of its hold; 2: leased, and release_held ran meanwhile, so it cannot
  -- be put on hold by this run
  held BIGINT NOT NULL DEFAULT 0,
  -- when it may be claimed: its next run, or the end of its lease; in Unix milliseconds, as are all
  -- times here unless they say otherwise
  due_at BIGINT NOT NULL,
  queued_at BIGINT NOT NULL,
  -- when it was done or buried
  ended_at BIGINT,
  -- dead letters only: when to report it
  report_at BIGINT,
  last_error TEXT,
  -- the signed time, in Unix seconds
  signed_at BIGINT NOT NULL,
  -- size in memory, in bytes
  weight BIGINT NOT NULL,
  body BYTEA NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
        -- Each claim and each settlement rewrites the row. If the row exceeds about 2 kB, its body
        -- is stored separately and is not rewritten.
        toast_tuple_target = 128);
-- Compression costs more time than it saves for a body that is read once.
ALTER TABLE openmail_events ALTER COLUMN body SET STORAGE EXTERNAL;
-- The conditions of the next two indexes differ so that no query can use the wrong one. The number
-- of ready entries changes faster than the planner's statistics, and for an empty queue, the
-- planner considers both equally good. For the same reason, statements that know the ids of their
-- rows test `state || '' = 'ready'` and `leased <> 0`, which fit the condition of no index.

-- In each lane, one entry at a time.
CREATE UNIQUE INDEX openmail_events_lane ON openmail_events (lane)
  WHERE state = 'ready' AND lane IS NOT NULL;
CREATE INDEX openmail_events_due ON openmail_events (due_at, id)
  INCLUDE (inbox_id, role, losses, leased, weight) WHERE state = 'ready' AND due_at >= 0;
CREATE INDEX openmail_events_leased ON openmail_events (worker) WHERE leased = 1;
CREATE INDEX openmail_events_lost ON openmail_events (due_at) WHERE losses > 0;
CREATE INDEX openmail_events_held ON openmail_events (inbox_id, id) WHERE held = 1;
CREATE INDEX openmail_events_blocked ON openmail_events (lane, role, id) WHERE state = 'blocked';
CREATE INDEX openmail_events_aside ON openmail_events (due_at) WHERE state = 'aside';
CREATE INDEX openmail_events_done ON openmail_events (ended_at) WHERE state = 'done';
CREATE INDEX openmail_events_dead ON openmail_events (id) WHERE state = 'dead';
CREATE INDEX openmail_events_dead_inbox ON openmail_events (inbox_id, id) WHERE state = 'dead';
CREATE INDEX openmail_events_died ON openmail_events (ended_at) WHERE state = 'dead';
CREATE INDEX openmail_events_report ON openmail_events (report_at) WHERE report_at IS NOT NULL;
-- Workers. Each holds an advisory lock (this table's oid and its own id) while it is alive.
CREATE TABLE openmail_workers (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  started_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
