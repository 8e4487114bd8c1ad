-- Form 10: what is neither mail nor the audit trail is kept without the store knowing what it means (platform/records).

CREATE TABLE record (
	kind TEXT NOT NULL,
	key TEXT NOT NULL,
	idx TEXT,                      -- a second key, which records may share
	at INTEGER,                    -- a moment to be found by
	version INTEGER NOT NULL,
	value BLOB NOT NULL,           -- whoever owns the kind knows what it is
	UNIQUE (kind, key)
);
CREATE INDEX record_idx ON record(kind, idx, key) WHERE idx IS NOT NULL;
CREATE INDEX record_at ON record(kind, at, key) WHERE at IS NOT NULL;

CREATE TABLE counter (
	kind TEXT NOT NULL,
	key TEXT NOT NULL,
	idx TEXT,
	n INTEGER NOT NULL,
	PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX counter_idx ON counter(kind, idx, key) WHERE idx IS NOT NULL;

INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'account', id, name, NULL, version, CAST(facts AS BLOB) FROM account;
INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'session', hash, account, ends, 1, CAST(facts AS BLOB) FROM session;
INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'token', hash, account, NULL, 1, CAST(facts AS BLOB) FROM token;
INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'passkey', id, account, NULL, 1, CAST(facts AS BLOB) FROM passkey;
INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'invitation', account, hash, NULL, 1, CAST(facts AS BLOB) FROM invitation;
INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'peer', name, NULL, seen, 1, CAST(facts AS BLOB) FROM peer;
INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'pin', domain || ' ' || name || ' ' || rule, domain, NULL, 1, CAST(json_object(
		'domain', domain, 'rule', rule, 'name', name, 'by', taught_by, 'since',
		strftime('%Y-%m-%dT%H:%M:%S', since / 1000000, 'unixepoch') || printf('.%06dZ', since % 1000000)) AS BLOB)
	FROM pin;
INSERT INTO record (kind, key, idx, at, version, value)
	SELECT 'certificate', sha256, NULL, seen * 1000000, 1, der FROM certificate;
INSERT INTO counter (kind, key, idx, n)
	SELECT 'sum ' || kind, printf('%010d', at) || char(9) || name || char(9) || level || char(9) || outcome,
		nullif(name, ''), count
	FROM traffic;

DROP TABLE account;
DROP TABLE session;
DROP TABLE token;
DROP TABLE passkey;
DROP TABLE invitation;
DROP TABLE peer;
DROP TABLE pin;
DROP TABLE certificate;
DROP TABLE traffic;
