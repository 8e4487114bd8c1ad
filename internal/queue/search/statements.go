package search

import (
	"postern/internal/queue/database"
	"postern/internal/queue/stored"
)

// statements are the texts of a Search that engines say in different ways.
type statements struct {
	open, openAtSite      string
	records, sites        string
	sitesOf, attemptsOf   string
	messages              string
	firstSince, lastUntil string
	walk, byID            string
	undelivered           string
	parties               string
	partiesDeliveries     string
}

func statementsIn(d *database.Dialect) statements {
	open := "SELECT id FROM delivery" + d.Index("delivery_open") + " WHERE state <= 2"
	accepted := "FROM message" + d.Index("message_accepted") + ", (SELECT "
	records := "SELECT " + stored.RecordColumns + " FROM "
	return statements{
		open:       open,
		openAtSite: open + " AND site = (SELECT id FROM site WHERE key = ?)",
		firstSince: "SELECT min(seq) " + accepted + "min(accepted) AS at FROM message WHERE accepted >= ?) edge" +
			" WHERE accepted BETWEEN at AND at + ?",
		lastUntil: "SELECT max(seq) " + accepted + "max(accepted) AS at FROM message WHERE accepted < ?) edge" +
			" WHERE accepted BETWEEN at - ? AND at",
		records: records + d.Each("?") + ` j CROSS JOIN delivery d CROSS JOIN message m
	WHERE d.id = j.value AND m.seq = d.id >> 20`,
		sites: "SELECT " + stored.SiteColumns + `, w.queued, w.earliest, w.held FROM site s LEFT JOIN
	(SELECT site, count(due) AS queued, min(due) AS earliest, count(*) - count(due) AS held FROM delivery` +
			d.Index("delivery_open") + ` WHERE state <= 2 GROUP BY site) w ON w.site = s.id
	WHERE s.failures > 0 OR w.site IS NOT NULL ORDER BY s.key`,
		sitesOf: "SELECT " + stored.SiteColumns + ", s.id FROM " + d.Each("?") + ` j CROSS JOIN site s
	WHERE s.id = j.value`,
		attemptsOf: "SELECT a.id, a.facts FROM " + d.Each("?") + " j CROSS JOIN attempt a WHERE a.id = j.value",
		messages: "SELECT d.id FROM " + d.Names("?") + ` j CROSS JOIN message m CROSS JOIN delivery d
	WHERE m.id = j.value AND d.id >= m.seq << 20 AND d.id < (m.seq + 1) << 20`,
		walk: records + `delivery d CROSS JOIN message m
	WHERE m.seq = d.id >> 20 AND d.id >= ?1 AND d.id < ?2` + conditions(d) + ` ORDER BY d.id DESC LIMIT 256`,
		byID: records + d.Each("?1") + ` j CROSS JOIN delivery d CROSS JOIN message m
	WHERE d.id = j.value AND m.seq = d.id >> 20 AND ?2 = 0` + conditions(d) + ` ORDER BY d.id DESC`,
		undelivered: "SELECT id FROM undelivered WHERE state = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT 256",
		parties: "SELECT DISTINCT p.seq FROM " + d.Each("?1") + " b CROSS JOIN " + d.Names("?2") +
			" d CROSS JOIN party p" +
			" WHERE p.block = b.value AND p.domain = d.value AND p.seq BETWEEN ?3 AND ?4 ORDER BY p.seq DESC LIMIT 256",
		// The deliveries of messages that are to the scope, or all where it sent the message.
		partiesDeliveries: "SELECT d.id FROM " + d.Each("?1") + " s CROSS JOIN message m CROSS JOIN delivery d" +
			" WHERE m.seq = s.value AND d.id >= s.value << 20 AND d.id < (s.value + 1) << 20 AND " + inScope(d, "?2"),
	}
}

// conditions are a walkFilter's, of the arguments from the third on.
func conditions(d *database.Dialect) string {
	return `
	AND (?3 = 0 OR (?3 >> d.state) & 1 <> 0)
	AND (?4 = 0 OR d.site = ?4)
	AND (?5 = '' OR d.reason = ?5 OR d.state <= 2)
	AND (?6 = '' OR ` + d.Fits("d.address", "?6") + `)
	AND (?7 = '' OR ` + d.Holds("d.facts", "?7") + `)
	AND (?8 = '' OR ` + d.Fits("m.sender", "?8") + `)
	AND (?9 IS NULL OR ` + inScope(d, "?9") + ")"
}

// inScope is whether the sender of m or the recipient of d is in a list of domains.
func inScope(d *database.Dialect, list string) string {
	list = " IN (SELECT value FROM " + d.Names(list) + " listed)"
	return "(" + d.DomainIn("d.address") + list + " OR " + d.DomainIn("m.sender") + list + ")"
}
