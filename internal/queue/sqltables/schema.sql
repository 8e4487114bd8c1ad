-- Form 1. Times are microseconds of Unix time, NULL for none.

CREATE TABLE totals (          -- one row; kept with every transaction, so that counting needs no scan
	id INTEGER PRIMARY KEY CHECK (id = 1),
	last_seq INTEGER NOT NULL,     -- the newest message ever accepted
	newest INTEGER NOT NULL,       -- the latest time of acceptance seen
	skew INTEGER NOT NULL,         -- how far a time of acceptance ever lay behind newest
	body_bytes INTEGER NOT NULL,
	queued INTEGER NOT NULL,
	held INTEGER NOT NULL,
	delivered INTEGER NOT NULL,
	failed INTEGER NOT NULL,
	cancelled INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE site (
	id INTEGER PRIMARY KEY,
	key TEXT NOT NULL UNIQUE,
	next_hop TEXT NOT NULL,
	requirement TEXT NOT NULL,     -- JSON of policy.Requirement
	refs INTEGER NOT NULL,         -- deliveries of any state
	failures INTEGER NOT NULL,
	since INTEGER,
	retry_at INTEGER,
	last TEXT                      -- JSON of attempt.Attempt
);
CREATE INDEX site_unused ON site(id) WHERE refs = 0;

CREATE TABLE message (
	seq INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	accepted INTEGER NOT NULL,
	open INTEGER NOT NULL,         -- deliveries not finished; 0 means the body is gone
	size INTEGER NOT NULL,
	revision INTEGER NOT NULL,
	file TEXT,                     -- of a large body
	message_id INTEGER,            -- day and hash, see dayKey
	sender TEXT NOT NULL,          -- canonical, lower case
	facts TEXT NOT NULL            -- JSON of messageForm
);
CREATE INDEX message_accepted ON message(accepted);
CREATE INDEX message_message_id ON message(message_id) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX message_file ON message(file) WHERE file IS NOT NULL;

CREATE TABLE body (
	seq INTEGER PRIMARY KEY,
	data BLOB NOT NULL
);

CREATE TABLE delivery (
	id INTEGER PRIMARY KEY,
	site INTEGER NOT NULL,
	state INTEGER NOT NULL,        -- 1 queued, 2 held, 3 delivered, 4 failed, 5 cancelled
	due INTEGER,
	deadline INTEGER,
	expires INTEGER,
	finished INTEGER,
	attempts INTEGER NOT NULL,
	noticed INTEGER NOT NULL,
	reached INTEGER NOT NULL,
	reason TEXT NOT NULL,
	recipient INTEGER NOT NULL,    -- day and hashes, see dayKey
	address TEXT NOT NULL,         -- canonical, lower case
	facts TEXT NOT NULL            -- JSON of deliveryForm
);
CREATE INDEX delivery_open ON delivery(site, due) WHERE state <= 2;
CREATE INDEX delivery_deadline ON delivery(deadline) WHERE deadline IS NOT NULL;
CREATE INDEX delivery_recipient ON delivery(recipient);

CREATE TABLE attempt (
	id INTEGER PRIMARY KEY,
	facts TEXT NOT NULL            -- JSON of attempt.Attempt
);

CREATE TABLE revision (
	number INTEGER PRIMARY KEY,
	text TEXT NOT NULL,
	applied_at INTEGER,
	applied_by TEXT NOT NULL
);

CREATE TABLE entry (
	id INTEGER PRIMARY KEY,
	at INTEGER,
	facts TEXT NOT NULL            -- JSON of ledger.Entry
);
