-- Form 3: a journal stands in front of the database.

ALTER TABLE totals ADD COLUMN applied INTEGER NOT NULL DEFAULT 0; -- messages up to this seq are here, or will never be
