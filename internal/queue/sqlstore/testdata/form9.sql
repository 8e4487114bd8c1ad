-- A store of form 9: one message that waits, and one or two of every record that is not mail.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
, applied INTEGER NOT NULL DEFAULT 0, day_keys INTEGER NOT NULL DEFAULT 0, run INTEGER NOT NULL DEFAULT 0, previous INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL DEFAULT 0, segment INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0, commits INTEGER NOT NULL DEFAULT 0, indexed INTEGER NOT NULL DEFAULT 0);
INSERT INTO totals VALUES(1,1,1795435200000000,0,20,1,0,0,0,0,1,0,0,0,0,0,0,0,0);
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
INSERT INTO site VALUES(1,'mx:b.test','mx:b.test','{"channel":"plaintext"}',1,0,NULL,NULL,NULL);
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
INSERT INTO message VALUES(1,'m',1795435200000000,1,20,0,NULL,NULL,'','{"from":"","body_sum":1056784120}');
CREATE TABLE body (
	seq INTEGER PRIMARY KEY,
	data BLOB NOT NULL
);
INSERT INTO body VALUES(1,X'6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d');
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
INSERT INTO delivery VALUES(1048576,1,1,1795435200000000,NULL,1795438800000000,NULL,0,0,0,'',847142864504,'a@b.test','{"address":"a@b.test"}');
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
INSERT INTO revision VALUES(1,replace('# rules 1\n','\n',char(10)),1795694401123456,'Anna');
INSERT INTO revision VALUES(2,replace('# rules 2\n','\n',char(10)),1795694402123456,'Anna');
CREATE TABLE entry (
	id INTEGER PRIMARY KEY,
	at INTEGER,
	facts TEXT NOT NULL            -- JSON of ledger.Entry
);
INSERT INTO entry VALUES(1,1795694401123456,'{"by":"Anna","action":"rules apply","target":"rules.toml","after":"text","count":1}');
INSERT INTO entry VALUES(2,1795694402123456,'{"by":"Anna","action":"rules apply","target":"rules.toml","after":"text","count":2}');
INSERT INTO entry VALUES(3,1795694403123456,'{"by":"Ben","action":"queue cancel","target":"m"}');
CREATE TABLE peer (
	name TEXT PRIMARY KEY,         -- host, a blank, address and port
	seen INTEGER NOT NULL,         -- when it last answered
	facts TEXT NOT NULL            -- JSON of peers.Record
);
INSERT INTO peer VALUES('mx1.clinic.test [2001:db8::1]:25',1795435260000000,'{"host":"mx1.clinic.test","ip":"2001:db8::1","port":25,"first_seen":"2026-11-23T11:01:00Z","last_seen":"2026-11-23T12:01:00Z","starttls":true,"last_offered":"2026-11-23T12:01:00Z","keywords":["PIPELINING","SIZE"],"tls":7,"tls_days":3,"first_tls":"2026-11-23T11:01:00Z","last_tls":"2026-11-23T12:01:00Z","streak":5,"streak_since":"2026-11-23T12:00:00Z","lost_at":"2026-11-23T12:01:00Z","lost_reason":"starttls-stripped","version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","group":"X25519MLKEM768","level":"authenticated","certificate":{"subject":"CN=mx","issuer":"CN=CA","not_before":"2026-11-23T12:01:00Z","not_after":"2026-11-23T12:01:00Z","sha256":"ab","spki_sha256":"cd","since":"2026-11-23T12:01:00Z"},"under_rule":"2026-11-23T12:01:00Z","warned":14,"changes":[{"at":"2026-11-23T12:01:00Z","change":"key","before":"a","after":"b‮"}]}');
INSERT INTO peer VALUES('mx2.clinic.test [2001:db8::1]:25',1795435320000000,'{"host":"mx2.clinic.test","ip":"2001:db8::1","port":25,"first_seen":"2026-11-23T11:02:00Z","last_seen":"2026-11-23T12:02:00Z","starttls":true,"last_offered":"2026-11-23T12:02:00Z","keywords":["PIPELINING","SIZE"],"tls":7,"tls_days":3,"first_tls":"2026-11-23T11:02:00Z","last_tls":"2026-11-23T12:02:00Z","streak":5,"streak_since":"2026-11-23T12:01:00Z","lost_at":"2026-11-23T12:02:00Z","lost_reason":"starttls-stripped","version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","group":"X25519MLKEM768","level":"authenticated","certificate":{"subject":"CN=mx","issuer":"CN=CA","not_before":"2026-11-23T12:02:00Z","not_after":"2026-11-23T12:02:00Z","sha256":"ab","spki_sha256":"cd","since":"2026-11-23T12:02:00Z"},"under_rule":"2026-11-23T12:02:00Z","warned":14,"changes":[{"at":"2026-11-23T12:02:00Z","change":"key","before":"a","after":"b‮"}]}');
CREATE TABLE pin (             -- names of mail hosts that are trusted
	domain TEXT NOT NULL,          -- the recipient domain
	rule TEXT NOT NULL,
	name TEXT NOT NULL,            -- registrable domain of the mail hosts
	since INTEGER NOT NULL,
	taught_by TEXT NOT NULL,
	PRIMARY KEY (domain, rule, name)
) WITHOUT ROWID;
INSERT INTO pin VALUES('clinic.test','clinic "1"','backup.test',1795694400000000,'seen');
INSERT INTO pin VALUES('clinic.test','clinic "1"','clinic.test',1795694400123456,'first-use');
CREATE TABLE account (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,     -- lower case
	version INTEGER NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Account
) WITHOUT ROWID;
INSERT INTO account VALUES('a1','anna',2,'{"id":"a1","name":"Anna","role":"administrator","scope":{"all":true},"disabled":true,"password":"$argon2id$x","created_at":"2026-11-26T12:00:00.123456Z","version":2}');
INSERT INTO account VALUES('b1','ben',1,'{"id":"b1","name":"Ben","role":"auditor","scope":{"domains":["clinic.test"]},"created_at":"2026-11-26T12:00:00.123456Z","version":1}');
CREATE TABLE session (
	hash TEXT PRIMARY KEY,
	account TEXT NOT NULL,
	ends INTEGER NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Session
) WITHOUT ROWID;
INSERT INTO session VALUES('s1','a1',1795698000123456,'{"hash":"s1","account":"a1","version":2,"created_at":"2026-11-26T12:00:00.123456Z","last_seen":"2026-11-26T12:01:00.123456Z","ends_at":"2026-11-26T13:00:00.123456Z","proven_at":"2026-11-26T12:00:00.123456Z","client":"192.0.2.1","agent":"browser"}');
INSERT INTO session VALUES('s2','b1',1795701600123456,'{"hash":"s2","account":"b1","version":1,"created_at":"2026-11-26T12:00:00.123456Z","last_seen":"2026-11-26T12:00:00.123456Z","ends_at":"2026-11-26T14:00:00.123456Z","proven_at":"2026-11-26T12:00:00.123456Z","client":"","agent":""}');
CREATE TABLE token (
	id TEXT PRIMARY KEY,
	hash TEXT NOT NULL UNIQUE,
	account TEXT NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Token
) WITHOUT ROWID;
INSERT INTO token VALUES('t1','h1','a1','{"id":"t1","hash":"h1","account":"a1","name":"ci","scopes":["trace:read"],"created_at":"2026-11-26T12:00:00.123456Z","ends_at":"2026-11-26T13:00:00.123456Z","last_used":"2026-11-26T12:00:01.123456Z"}');
CREATE TABLE passkey (
	id TEXT PRIMARY KEY,
	account TEXT NOT NULL,
	facts TEXT NOT NULL            -- JSON of accounts.Passkey
) WITHOUT ROWID;
INSERT INTO passkey VALUES('p1','a1','{"id":"p1","account":"a1","name":"phone","site":"","created_at":"2026-11-26T12:00:00.123456Z","credential":{"id":"x"}}');
CREATE TABLE invitation (
	hash TEXT PRIMARY KEY,
	account TEXT NOT NULL UNIQUE,  -- '' is for the first administrator
	facts TEXT NOT NULL            -- JSON of accounts.Invitation
) WITHOUT ROWID;
INSERT INTO invitation VALUES('i1','b1','{"hash":"i1","account":"b1","created_at":"2026-11-26T12:00:00.123456Z","ends_at":"2026-11-27T12:00:00.123456Z","by":"Anna"}');
INSERT INTO invitation VALUES('i2','','{"hash":"i2","account":"","created_at":"2026-11-26T12:00:00.123456Z","ends_at":"2026-11-27T12:00:00.123456Z","by":"postern"}');
CREATE TABLE traffic (
	kind TEXT NOT NULL,            -- traffic.Kind
	at INTEGER NOT NULL,           -- beginning of the bucket, seconds
	name TEXT NOT NULL,
	level TEXT NOT NULL,
	outcome TEXT NOT NULL,
	count INTEGER NOT NULL,
	PRIMARY KEY (kind, at, name, level, outcome)
) WITHOUT ROWID;
INSERT INTO traffic VALUES('domain',1795651200,'clinic.test','authenticated','delivered',5);
INSERT INTO traffic VALUES('leg',1795694400,'gateway-world','encrypted','delivered',3);
INSERT INTO traffic VALUES('rule',1795694400,'my rule','authenticated','failed',4);
CREATE TABLE certificate (
	sha256 TEXT PRIMARY KEY,
	seen INTEGER NOT NULL,         -- the newest day, seconds
	der BLOB NOT NULL
);
INSERT INTO certificate VALUES('d1',1795694400,X'30000102ff');
INSERT INTO certificate VALUES('d2',1795435200,X'646572');
CREATE TABLE wish (
	delivery INTEGER PRIMARY KEY   -- whose facts name the wish; only while it is still to be carried out
);
CREATE TABLE judgement (       -- one row, none before the first start
	id INTEGER PRIMARY KEY CHECK (id = 1),
	number INTEGER NOT NULL,
	rules INTEGER NOT NULL,        -- revision
	tables TEXT NOT NULL,          -- digest of own domains and routes
	files TEXT NOT NULL            -- digest of the trust files
);
INSERT INTO judgement VALUES(1,3,2,'t','f');
CREATE TABLE party (           -- the domains that a message is from and to
	block INTEGER NOT NULL,        -- of 4096 messages, so that new mail touches few pages
	domain TEXT NOT NULL,
	seq INTEGER NOT NULL,
	PRIMARY KEY (block, domain, seq)
) WITHOUT ROWID;
INSERT INTO party VALUES(0,'b.test',1);
CREATE TABLE undelivered (     -- deliveries in any state but delivered
	state INTEGER NOT NULL,
	id INTEGER NOT NULL,
	PRIMARY KEY (state, id)
) WITHOUT ROWID;
INSERT INTO undelivered VALUES(1,1048576);
CREATE INDEX site_unused ON site(id) WHERE refs = 0;
CREATE INDEX message_accepted ON message(accepted);
CREATE INDEX message_message_id ON message(message_id) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX message_file ON message(file) WHERE file IS NOT NULL;
CREATE INDEX delivery_open ON delivery(site, due) WHERE state <= 2;
CREATE INDEX delivery_deadline ON delivery(deadline) WHERE deadline IS NOT NULL;
CREATE INDEX delivery_recipient ON delivery(recipient);
CREATE INDEX peer_seen ON peer(seen);
CREATE INDEX session_account ON session(account);
CREATE INDEX token_account ON token(account);
CREATE INDEX passkey_account ON passkey(account);
CREATE INDEX traffic_name ON traffic(kind, name, at);
CREATE INDEX certificate_seen ON certificate(seen);
CREATE TRIGGER message_in AFTER INSERT ON message WHEN new.sender <> '' BEGIN
	INSERT OR IGNORE INTO party VALUES (new.seq >> 12, substr(new.sender, length(rtrim(new.sender, replace(new.sender, '@', ''))) + 1), new.seq);
END;
CREATE TRIGGER message_out AFTER DELETE ON message WHEN old.sender <> '' BEGIN
	DELETE FROM party WHERE block = old.seq >> 12
		AND domain = substr(old.sender, length(rtrim(old.sender, replace(old.sender, '@', ''))) + 1) AND seq = old.seq;
END;
CREATE TRIGGER delivery_in AFTER INSERT ON delivery BEGIN
	INSERT OR IGNORE INTO party VALUES (new.id >> 32, substr(new.address, length(rtrim(new.address, replace(new.address, '@', ''))) + 1), new.id >> 20);
	INSERT INTO undelivered SELECT new.state, new.id WHERE new.state <> 3;
END;
CREATE TRIGGER delivery_moved AFTER UPDATE OF state ON delivery WHEN old.state <> new.state BEGIN
	DELETE FROM undelivered WHERE state = old.state AND id = old.id;
	INSERT INTO undelivered SELECT new.state, new.id WHERE new.state <> 3;
END;
CREATE TRIGGER delivery_out AFTER DELETE ON delivery BEGIN
	DELETE FROM undelivered WHERE state = old.state AND id = old.id;
	DELETE FROM party WHERE block = old.id >> 32
		AND domain = substr(old.address, length(rtrim(old.address, replace(old.address, '@', ''))) + 1) AND seq = old.id >> 20;
END;
COMMIT;
PRAGMA application_id=1349735534;
PRAGMA user_version=9;
