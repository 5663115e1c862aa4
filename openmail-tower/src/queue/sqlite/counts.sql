-- What a guard counts: an id under a key, until the window is over. Keys are stored as hashes,
-- since they may name senders.
CREATE TABLE openmail_counts (
  name TEXT NOT NULL,
  id TEXT NOT NULL,
  counted_at INTEGER NOT NULL,
  counts_until INTEGER NOT NULL,
  PRIMARY KEY (name, id)
) WITHOUT ROWID;
CREATE INDEX openmail_counts_window ON openmail_counts (name, counted_at, id);
CREATE INDEX openmail_counts_over ON openmail_counts (counts_until);
