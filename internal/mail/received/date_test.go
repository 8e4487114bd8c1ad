package received

import (
	"testing"
	"time"
)

func TestDatesInTheOrdersOfTheField(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string // RFC 3339 in UTC, "" for none
	}{
		{"Tue, 1 Dec 2026 10:00:00 +0000", "2026-12-01T10:00:00Z"},
		{"Tue, 01 Dec 2026 11:00:00 +0100 (CET)", "2026-12-01T10:00:00Z"},
		{"1 Dec 2026 10:00:00 -0000", "2026-12-01T10:00:00Z"},
		{"Tue, 1 Dec 2026 02:00:00 -0800 (PST)", "2026-12-01T10:00:00Z"},
		{"Tue, 1 Dec 2026 02:00:00 PST", "2026-12-01T10:00:00Z"},
		{"Tue,1 Dec 2026 10:00:00 GMT", "2026-12-01T10:00:00Z"},
		{"Tue, 1 Dec 2026 10:00 +0000", "2026-12-01T10:00:00Z"},
		{"Tue, 1 Dec 26 10:00:00 +0000", "2026-12-01T10:00:00Z"},
		{"Tue, 1 Dec 98 10:00:00 +0000", "1998-12-01T10:00:00Z"},
		{"Tue, 1 December 2026 10:00:00.123456 +0000 (UTC)", "2026-12-01T10:00:00Z"},
		{"Tue Dec  1 10:00:00 2026", "2026-12-01T10:00:00Z"},
		{"Tue Dec  1 10:00:00 UTC 2026", "2026-12-01T10:00:00Z"},
		{"2026-12-01 10:00:00.123 +0000 UTC m=+1.5", "2026-12-01T10:00:00Z"},
		{"1-Dec-2026 10:00:00 +0000", "2026-12-01T10:00:00Z"},
		{"Tue, 1 Dec 2026 10:00:00", "2026-12-01T10:00:00Z"},
		{"Tue, 1 Dec 2026 10:00:00 +01:00", "2026-12-01T09:00:00Z"},
		{"Tue, 1 Dec 2026 10:00:00 XYZ", "2026-12-01T10:00:00Z"},
		{"Sun, 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"}, // a leap second
		{"(before) Tue, 1 Dec 2026 10:00:00 +0000 (envelope-from <a@example.com>)", "2026-12-01T10:00:00Z"},
		{"Tue, 31 Nov 2026 10:00:00 +0000", ""},
		{"Tue, 1 Dec 2026 25:00:00 +0000", ""},
		{"Tue, 1 Dec 2026", ""},
		{"Tue, 1 Foo 2026 10:00:00 +0000", ""},
		{"Tue, 1 Dec 0001 10:00:00 +0000", ""},
		{"Tue, 1 Dec 2026 +10:00:00", ""},
		{"1 2 3 4 5", ""},
		{"", ""},
		{"99999999999999999999 Dec 2026 10:00:00", ""},
	} {
		l := Parse("from a by b with ESMTPS id 1; " + tt.text)
		got := ""
		if !l.Date.IsZero() {
			got = l.Date.UTC().Format(time.RFC3339)
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
		if tt.want != "" && l.ID != "1" {
			t.Errorf("%q: the date took the id with it: %q", tt.text, l.ID)
		}
	}
}
