-- Form 2: what is remembered of the servers we send to.

CREATE TABLE peer (
	name TEXT PRIMARY KEY,         -- host, a blank, address and port
	seen INTEGER NOT NULL,         -- when it last answered
	facts TEXT NOT NULL            -- JSON of peers.Record
);
CREATE INDEX peer_seen ON peer(seen);
