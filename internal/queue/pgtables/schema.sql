-- Form 1. Times are microseconds of Unix time, NULL for none, but for those that only the database's own clock reads.
-- Columns of mail are those of package stored; records, counters and the audit trail are those of package sqlrecords.

CREATE TABLE totals (          -- one row; hardly ever written
	skew bigint NOT NULL,          -- how far a time of acceptance lay behind that of a message with a lower seq
	day_keys bigint NOT NULL,      -- no message has the day in its keys
	indexed bigint NOT NULL        -- every message is in undelivered and party
);
INSERT INTO totals VALUES (0, -1, 0);

CREATE TABLE writer (          -- one row for each connection that changes mail: no two gateways write the same row
	id bigint PRIMARY KEY,
	number bigint NOT NULL,        -- of its last transaction, so that it can ask what became of that
	asked bigint NOT NULL DEFAULT 0,
	seen timestamptz NOT NULL DEFAULT now(),
	queued bigint NOT NULL DEFAULT 0, -- what it has added to the counts; only sums over all rows mean anything
	held bigint NOT NULL DEFAULT 0,
	delivered bigint NOT NULL DEFAULT 0,
	failed bigint NOT NULL DEFAULT 0,
	cancelled bigint NOT NULL DEFAULT 0,
	body_bytes bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE SEQUENCE message_seq;
CREATE SEQUENCE lease_token;
CREATE SEQUENCE body_number;

CREATE TABLE site (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key text COLLATE "C" NOT NULL UNIQUE,
	next_hop text NOT NULL,
	requirement text NOT NULL,     -- JSON of policy.Requirement
	failures bigint NOT NULL DEFAULT 0,
	since bigint,
	retry_at bigint,
	last text                      -- JSON of attempt.Attempt
) WITH (fillfactor = 70);

CREATE TABLE message (
	seq bigint PRIMARY KEY,
	id text COLLATE "C" NOT NULL UNIQUE,
	accepted bigint NOT NULL,
	open bigint NOT NULL,          -- deliveries not finished; 0 means the body is gone
	size bigint NOT NULL,
	revision bigint NOT NULL,
	file text,                     -- number of a large body, see chunk
	message_id bigint,             -- block and hash
	sender text COLLATE "C" NOT NULL, -- canonical, lower case
	facts text NOT NULL            -- JSON
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
CREATE INDEX message_accepted ON message(accepted);
CREATE INDEX message_message_id ON message(message_id) WHERE message_id IS NOT NULL;
CREATE INDEX message_party ON message((seq >> 12), split_part(sender, '@', -1), seq);

CREATE TABLE body (            -- up to 128 KiB; those of some kilobytes lie in the row itself
	seq bigint PRIMARY KEY,
	data bytea NOT NULL
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
ALTER TABLE body ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE chunk (           -- larger ones, in pieces of 128 KiB
	body bigint NOT NULL,
	n bigint NOT NULL,
	data bytea NOT NULL,
	PRIMARY KEY (body, n)
);
ALTER TABLE chunk ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE draft (           -- large bodies that no waiting message has: still being written, or of one that ended
	body bigint PRIMARY KEY,
	owner bigint NOT NULL,         -- the process that writes it, 0 for none
	until timestamptz NOT NULL     -- when it may be swept away
);

CREATE TABLE delivery (
	id bigint PRIMARY KEY,
	site bigint NOT NULL,
	state smallint NOT NULL,       -- 1 queued, 2 held, 3 delivered, 4 failed, 5 cancelled
	due bigint,
	deadline bigint,
	expires bigint,
	finished bigint,
	attempts integer NOT NULL,
	noticed smallint NOT NULL,
	reached smallint NOT NULL,
	reason text NOT NULL,
	recipient bigint NOT NULL,     -- block and hashes
	address text COLLATE "C" NOT NULL, -- canonical, lower case
	facts text NOT NULL            -- JSON
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
CREATE INDEX delivery_open ON delivery(site, due, id) WHERE state <= 2;
CREATE INDEX delivery_deadline ON delivery(deadline, id) WHERE deadline IS NOT NULL;
CREATE INDEX delivery_recipient ON delivery(recipient);
CREATE INDEX delivery_site ON delivery(site);
CREATE INDEX delivery_undelivered ON delivery(state, id) WHERE state <> 3;
CREATE INDEX delivery_party ON delivery((id >> 32), split_part(address, '@', -1), (id >> 20));

CREATE VIEW undelivered AS SELECT state, id FROM delivery WHERE state <> 3;
CREATE VIEW party AS
	SELECT id >> 32 AS block, split_part(address, '@', -1) AS domain, id >> 20 AS seq FROM delivery
	UNION ALL SELECT seq >> 12, split_part(sender, '@', -1), seq FROM message;

CREATE TABLE attempt (
	id bigint PRIMARY KEY,
	facts text NOT NULL            -- JSON of attempt.Attempt
);

CREATE TABLE lease (           -- the right of a worker to a delivery; it may have run out
	delivery bigint PRIMARY KEY,
	token bigint NOT NULL,
	until bigint NOT NULL,
	owner bigint NOT NULL,         -- the process, whose leases end when it closes the store
	node text NOT NULL,
	worker text NOT NULL,
	batch bigint NOT NULL          -- the transaction of its process that made it
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE wish (            -- what was asked of deliveries under a lease and is still to be carried out
	delivery bigint PRIMARY KEY,   -- whose facts say it
	withdraws boolean NOT NULL
);

CREATE TABLE revision (
	number bigint PRIMARY KEY,
	text text NOT NULL,
	applied_at bigint,
	applied_by text NOT NULL
);

CREATE TABLE judgement (       -- one row, none before the first start
	id bigint PRIMARY KEY CHECK (id = 1),
	number bigint NOT NULL,
	rules bigint NOT NULL,
	tables text NOT NULL,
	files text NOT NULL
);

CREATE TABLE entry (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at bigint,
	facts text NOT NULL
);

CREATE TABLE record (
	kind text COLLATE "C" NOT NULL,
	key text COLLATE "C" NOT NULL,
	idx text COLLATE "C",
	at bigint,
	version bigint NOT NULL,
	value bytea NOT NULL,
	PRIMARY KEY (kind, key)
);
CREATE INDEX record_idx ON record(kind, idx, key) WHERE idx IS NOT NULL;
CREATE INDEX record_at ON record(kind, at, key) WHERE at IS NOT NULL;

CREATE TABLE counter (
	kind text COLLATE "C" NOT NULL,
	key text COLLATE "C" NOT NULL,
	idx text COLLATE "C",
	n bigint NOT NULL,
	PRIMARY KEY (kind, key)
);
CREATE INDEX counter_idx ON counter(kind, idx, key) WHERE idx IS NOT NULL;

-- The gateways that share this database (see pgnodes). Their times are by the clock of the database.
CREATE TABLE node (
	session text COLLATE "C" PRIMARY KEY, -- of one process
	name text NOT NULL,
	release text NOT NULL,
	api text NOT NULL,
	joined timestamptz NOT NULL,
	lease bigint NOT NULL,         -- microseconds, as is latency
	renewed timestamptz NOT NULL,
	until timestamptz NOT NULL,
	rules bigint NOT NULL,         -- what it acknowledged
	number bigint NOT NULL,
	latency bigint NOT NULL,
	held bigint NOT NULL
) WITH (fillfactor = 30);

CREATE TABLE mark (            -- one row: what every gateway is to judge by
	id bigint PRIMARY KEY CHECK (id = 1),
	number bigint NOT NULL
);

CREATE TABLE turn (            -- the right to do what one gateway does for all; there is none for what works
	name text COLLATE "C" PRIMARY KEY,
	session text,                  -- NULL: it rests
	since timestamptz NOT NULL,
	until timestamptz NOT NULL
);
