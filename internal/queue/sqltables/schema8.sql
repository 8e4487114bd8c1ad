-- Form 8: what mail is judged by, as one number.

CREATE TABLE judgement (       -- one row, none before the first start
	id INTEGER PRIMARY KEY CHECK (id = 1),
	number INTEGER NOT NULL,
	rules INTEGER NOT NULL,        -- revision
	tables TEXT NOT NULL,          -- digest of own domains and routes
	files TEXT NOT NULL            -- digest of the trust files
);
