-- Form 4: index keys follow the order of acceptance, in blocks of 65,536 messages, not the day.

ALTER TABLE totals ADD COLUMN day_keys INTEGER NOT NULL DEFAULT 0; -- messages up to this seq have the day in their keys
UPDATE totals SET day_keys = (SELECT coalesce(max(seq), 0) FROM message);
