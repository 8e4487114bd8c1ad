-- Form 7: the database and the journal know each other, so that it is noticed when one of them is missing or older.

ALTER TABLE totals ADD COLUMN run INTEGER NOT NULL DEFAULT 0;      -- of the journal; 0 is none yet
ALTER TABLE totals ADD COLUMN previous INTEGER NOT NULL DEFAULT 0; -- the run before
ALTER TABLE totals ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;   -- nothing of the run is needed any more
ALTER TABLE totals ADD COLUMN segment INTEGER NOT NULL DEFAULT 0;  -- the newest of the run when this row was written,
ALTER TABLE totals ADD COLUMN size INTEGER NOT NULL DEFAULT 0;     -- and how far it reached
ALTER TABLE totals ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;  -- how often this row was written
