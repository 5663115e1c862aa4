CREATE TABLE openmail_events (
  -- in order of arrival
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  dedupe_key TEXT UNIQUE,
  lane TEXT,
  event_id TEXT,
  kind TEXT NOT NULL,
  inbox_id TEXT,
  thread_id TEXT,
  -- ready (leased or not), blocked, aside, dead, done
  state TEXT NOT NULL,
  -- 1, and 2 where a lease before this one ran out
  leased SMALLINT NOT NULL DEFAULT 0,
  token BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  -- when it may be claimed: its next run, or the end of its lease; in Unix milliseconds, as are all
  due_at BIGINT NOT NULL,
  queued_at BIGINT NOT NULL,
  -- when it was done or buried
  ended_at BIGINT,
  last_error TEXT,
  -- the signed time, in Unix seconds
  signed_at BIGINT NOT NULL,
  body BYTEA NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- One at a time of each lane.
CREATE UNIQUE INDEX openmail_events_lane ON openmail_events (lane) WHERE state = 'ready';
CREATE INDEX openmail_events_due ON openmail_events (due_at, id) WHERE state = 'ready';
CREATE INDEX openmail_events_blocked ON openmail_events (lane, id) WHERE state = 'blocked';
CREATE INDEX openmail_events_aside ON openmail_events (due_at) WHERE state = 'aside';
CREATE INDEX openmail_events_done ON openmail_events (ended_at) WHERE state = 'done';
CREATE INDEX openmail_events_dead ON openmail_events (id) WHERE state = 'dead';
CREATE INDEX openmail_events_dead_inbox ON openmail_events (inbox_id, id) WHERE state = 'dead';
-- The database's clock, at the start of the statement.
CREATE FUNCTION openmail_now() RETURNS BIGINT LANGUAGE SQL STABLE PARALLEL SAFE
  AS 'SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint';
