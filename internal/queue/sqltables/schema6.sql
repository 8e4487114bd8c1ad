-- Form 6: what an administrator wished of deliveries that were being sent.

CREATE TABLE wish (
	delivery INTEGER PRIMARY KEY   -- whose facts name the wish; only while it is still to be carried out
);
