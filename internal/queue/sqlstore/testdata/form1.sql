-- A store of form 1: one delivered, one deferred under force, one large body of 70000 octets in spool/.
CREATE TABLE attempt (
	id INTEGER PRIMARY KEY,
	facts TEXT NOT NULL            -- JSON of attempt.Attempt
);
INSERT INTO "attempt" VALUES(16777216,'{"at":"2026-11-23T12:00:00Z","took_ms":12,"tries":[{"at":"2026-11-23T12:00:00Z","took_ms":10,"host":"mx.d1.test","port":25,"rung":"tls","used":true,"reached":"encrypted","evidence":{"tls":{"version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","bits":128,"group":"X25519MLKEM768","signature":"ECDSA"},"chain":[{"subject":"CN=mx.d1.test","issuer":"CN=Test CA,O=Test","not_before":"2026-11-23T12:00:00Z","not_after":"2026-11-23T12:00:00Z","sha256":"abababababababababababababababababababababababababababababababab","spki_sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","key":"ECDSA P-256","signature":"ECDSA-SHA256","dns_names":["mx.d1.test"]},{"subject":"CN=mx.d1.test","issuer":"CN=Test CA,O=Test","not_before":"2026-11-23T12:00:00Z","not_after":"2026-11-23T12:00:00Z","sha256":"abababababababababababababababababababababababababababababababab","spki_sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","key":"ECDSA P-256","signature":"ECDSA-SHA256","dns_names":["mx.d1.test"]}],"expected_names":["mx.d1.test"],"presented_names":["mx.d1.test"]}}],"reply":{"host":"mx.d1.test","command":".","code":250,"status":"2.0.0","text":"queued as 1234567"}}');
INSERT INTO "attempt" VALUES(33554432,'{"at":"2026-11-23T12:00:00Z","took_ms":12,"tries":[{"at":"2026-11-23T12:00:00Z","took_ms":10,"host":"mx.d1.test","port":25,"rung":"tls","used":true,"reached":"encrypted","evidence":{"tls":{"version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","bits":128,"group":"X25519MLKEM768","signature":"ECDSA"},"chain":[{"subject":"CN=mx.d1.test","issuer":"CN=Test CA,O=Test","not_before":"2026-11-23T12:00:00Z","not_after":"2026-11-23T12:00:00Z","sha256":"abababababababababababababababababababababababababababababababab","spki_sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","key":"ECDSA P-256","signature":"ECDSA-SHA256","dns_names":["mx.d1.test"]},{"subject":"CN=mx.d1.test","issuer":"CN=Test CA,O=Test","not_before":"2026-11-23T12:00:00Z","not_after":"2026-11-23T12:00:00Z","sha256":"abababababababababababababababababababababababababababababababab","spki_sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","key":"ECDSA P-256","signature":"ECDSA-SHA256","dns_names":["mx.d1.test"]}],"expected_names":["mx.d1.test"],"presented_names":["mx.d1.test"]}}],"reason":"cert-expired","reply":{"host":"mx.d1.test","command":".","code":250,"status":"2.0.0","text":"queued as 1234567"}}');
CREATE TABLE body (
	seq INTEGER PRIMARY KEY,
	data BLOB NOT NULL
);
INSERT INTO "body" VALUES(2,X'7777777777777777777777777777777777777777');
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
INSERT INTO "delivery" VALUES(1048576,1,3,NULL,NULL,1795438800000000,1795435200000000,1,0,1,'',22848698768049784,'a@b.test','{"address":"a@b.test","rules":["clinic"]}');
INSERT INTO "delivery" VALUES(2097152,2,1,1795435260000000,1795438800000000,1795438800000000,NULL,1,0,0,'cert-expired',22848698768049784,'a@b.test','{"address":"a@b.test","rules":["clinic"]}');
INSERT INTO "delivery" VALUES(3145728,1,1,1795435200000000,1795438800000000,1795438800000000,NULL,0,0,0,'',22848698768049784,'a@b.test','{"address":"a@b.test","rules":["clinic"]}');
CREATE TABLE entry (
	id INTEGER PRIMARY KEY,
	at INTEGER,
	facts TEXT NOT NULL            -- JSON of ledger.Entry
);
INSERT INTO "entry" VALUES(1,1795435200000000,'{"by":"admin","action":"rules apply","count":1}');
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
INSERT INTO "message" VALUES(1,'delivered',1795435200000000,0,10,0,NULL,22848891954316604,'','{"from":"","helo":"client.test","message_id":"\u003cdelivered@sender.test\u003e"}');
INSERT INTO "message" VALUES(2,'waiting',1795435200000000,1,20,0,NULL,22848805877691139,'','{"from":"","helo":"client.test","message_id":"\u003cwaiting@sender.test\u003e"}');
INSERT INTO "message" VALUES(3,'large',1795435200000000,1,70000,0,'fz7p66zuw3j2rasl32ofda4uxs.body',22848116844187588,'','{"from":"","helo":"client.test","message_id":"\u003clarge@sender.test\u003e"}');
CREATE TABLE revision (
	number INTEGER PRIMARY KEY,
	text TEXT NOT NULL,
	applied_at INTEGER,
	applied_by TEXT NOT NULL
);
INSERT INTO "revision" VALUES(1,'[[rule]]
',1795435200000000,'admin');
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
INSERT INTO "site" VALUES(1,'mx:b.test','mx:b.test','{"channel":"plaintext"}',2,0,NULL,NULL,NULL);
INSERT INTO "site" VALUES(2,'mx:clinic.test#authenticated-961004dc3b52','mx:clinic.test','{"channel":"authenticated","peer":[{"trust":"public","names":{"mx":true}}],"min_tls":771}',1,2,1795435200000000,1795435260000000,'{"at":"2026-11-23T12:00:00Z","took_ms":12,"tries":[{"at":"2026-11-23T12:00:00Z","took_ms":10,"host":"mx.d1.test","port":25,"rung":"tls","used":true,"reached":"encrypted","evidence":{"tls":{"version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","bits":128,"group":"X25519MLKEM768","signature":"ECDSA"},"chain":[{"subject":"CN=mx.d1.test","issuer":"CN=Test CA,O=Test","not_before":"2026-11-23T12:00:00Z","not_after":"2026-11-23T12:00:00Z","sha256":"abababababababababababababababababababababababababababababababab","spki_sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","key":"ECDSA P-256","signature":"ECDSA-SHA256","dns_names":["mx.d1.test"]},{"subject":"CN=mx.d1.test","issuer":"CN=Test CA,O=Test","not_before":"2026-11-23T12:00:00Z","not_after":"2026-11-23T12:00:00Z","sha256":"abababababababababababababababababababababababababababababababab","spki_sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","key":"ECDSA P-256","signature":"ECDSA-SHA256","dns_names":["mx.d1.test"]}],"expected_names":["mx.d1.test"],"presented_names":["mx.d1.test"]}}],"reason":"cert-expired","reply":{"host":"mx.d1.test","command":".","code":250,"status":"2.0.0","text":"queued as 1234567"}}');
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
INSERT INTO "totals" VALUES(1,3,1795435200000000,0,70020,2,0,1,0,0);
CREATE INDEX site_unused ON site(id) WHERE refs = 0;
CREATE INDEX message_accepted ON message(accepted);
CREATE INDEX message_message_id ON message(message_id) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX message_file ON message(file) WHERE file IS NOT NULL;
CREATE INDEX delivery_open ON delivery(site, due) WHERE state <= 2;
CREATE INDEX delivery_deadline ON delivery(deadline) WHERE deadline IS NOT NULL;
CREATE INDEX delivery_recipient ON delivery(recipient);PRAGMA application_id=1349735534;
PRAGMA user_version=1;
