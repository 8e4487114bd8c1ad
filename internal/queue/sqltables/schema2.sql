-- Form 2: what is remembered of the servers we send to.

CREATE TABLE peer (
	name TEXT PRIMARY KEY,         -- host, a blank, address and port
	seen INTEGER NOT NULL,         -- when it last answered
	facts TEXT NOT NULL            -- JSON of peers.Record
);
CREATE INDEX peer_seen ON peer(seen);

CREATE TABLE pin (             -- names of mail hosts that are trusted
	domain TEXT NOT NULL,          -- the recipient domain
	rule TEXT NOT NULL,
	name TEXT NOT NULL,            -- registrable domain of the mail hosts
	since INTEGER NOT NULL,
	taught_by TEXT NOT NULL,
	PRIMARY KEY (domain, rule, name)
) WITHOUT ROWID;
