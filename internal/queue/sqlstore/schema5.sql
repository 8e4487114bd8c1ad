-- Form 5: who may use the console and the API.

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

CREATE TABLE invitation (
	hash TEXT PRIMARY KEY,
	account TEXT NOT NULL UNIQUE,  -- '' is for the first administrator
	facts TEXT NOT NULL            -- JSON of accounts.Invitation
) WITHOUT ROWID;
