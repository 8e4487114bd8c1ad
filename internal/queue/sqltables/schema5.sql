-- Form 5: who may use the console and the API, sums of what became of mail, and certificates.

CREATE TABLE account (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,     -- lower case
	version INTEGER NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Account
) WITHOUT ROWID;

CREATE TABLE session (
	hash TEXT PRIMARY KEY,
	account TEXT NOT NULL,
	ends INTEGER NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Session
) WITHOUT ROWID;
CREATE INDEX session_account ON session(account);

CREATE TABLE token (
	id TEXT PRIMARY KEY,
	hash TEXT NOT NULL UNIQUE,
	account TEXT NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Token
) WITHOUT ROWID;
CREATE INDEX token_account ON token(account);

CREATE TABLE passkey (
	id TEXT PRIMARY KEY,
	account TEXT NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Passkey
) WITHOUT ROWID;
CREATE INDEX passkey_account ON passkey(account);

CREATE TABLE invitation (
	hash TEXT PRIMARY KEY,
	account TEXT NOT NULL UNIQUE,  -- '' is for the first administrator
	facts TEXT NOT NULL            -- JSON of accounts.Invitation
) WITHOUT ROWID;

-- Sums of what became of mail.
CREATE TABLE traffic (
	kind TEXT NOT NULL,            -- traffic.Kind
	at INTEGER NOT NULL,           -- beginning of the bucket, seconds
	name TEXT NOT NULL,
	level TEXT NOT NULL,
	outcome TEXT NOT NULL,
	count INTEGER NOT NULL,
	PRIMARY KEY (kind, at, name, level, outcome)
) WITHOUT ROWID;
CREATE INDEX traffic_name ON traffic(kind, name, at);

-- Certificates that servers showed.
CREATE TABLE certificate (
	sha256 TEXT PRIMARY KEY,
	seen INTEGER NOT NULL,         -- the newest day, seconds
	der BLOB NOT NULL
);
CREATE INDEX certificate_seen ON certificate(seen);
