-- Form 9: where a search for the mail of some domains looks, and one for what was not delivered. Triggers keep both tables,
-- so that no statement can forget them; what was there before comes in afterwards, in portions (see fill.go).

ALTER TABLE totals ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0; -- messages from this seq on are in both tables
UPDATE totals SET indexed = (SELECT coalesce(max(seq), -1) + 1 FROM message);

CREATE TABLE party (           -- the domains that a message is from and to
	block INTEGER NOT NULL,        -- of 4096 messages, so that new mail touches few pages
	domain TEXT NOT NULL,
	seq INTEGER NOT NULL,
	PRIMARY KEY (block, domain, seq)
) WITHOUT ROWID;

CREATE TABLE undelivered (     -- deliveries in any state but delivered
	state INTEGER NOT NULL,
	id INTEGER NOT NULL,
	PRIMARY KEY (state, id)
) WITHOUT ROWID;

-- What stands behind the last @ of a canonical address is its domain.
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
