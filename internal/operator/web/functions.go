package web

import (
	"crypto/tls"
	"fmt"
	"html/template"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/live"
	"postern/internal/operator/ruleform"
	"postern/internal/operator/trace"
)

// functions are what templates can call.
func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) string { return c.assets.names[name] },
		"at":    stamp, "when": stampOf, "rfc3339": rfc3339, "ago": ago, "size": size, "may": may, "levels": levels,
		"dash": dash, "millis": millis, "nodestate": nodeState, "clip": clip, "join": strings.Join,
		"levelNames": func() []string { return []string{"authenticated", "encrypted", "plaintext"} },
		"demand":     trace.Demanded, "wait": wait, "age": age, "count": count, "hopState": hopState,
		"previewWord": previewWord, "conditionWord": ruleform.ConditionWord, "previewState": previewState,
		"words": ruleform.Words, "whyWords": ruleform.WhyWords,
		"tlsVersion": tls.VersionName,
	}
}

// stamp is a time as a page shows it before script turns it to the viewer's zone; "" for none.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return stampOf(*t)
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

func rfc3339(t any) string {
	switch t := t.(type) {
	case *time.Time:
		if t != nil {
			return t.UTC().Format(time.RFC3339)
		}
	case time.Time:
		return t.UTC().Format(time.RFC3339)
	}
	return ""
}

// ago is how long a moment lies back or ahead, roughly.
func ago(t *time.Time) string {
	if t == nil {
		return ""
	}
	d := time.Since(*t)
	if d < 0 {
		return "in " + rough(-d)
	}
	return rough(d) + " ago"
}

func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// wait is a time that mail may wait: "24 h", "90 min".
func wait(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d%unit.of == 0 {
			return fmt.Sprintf("%d %s", d/unit.of, unit.name)
		}
	}
	return d.String()
}

// age is how long mail has waited, in words.
func age(a live.AgeCount) string {
	from, below := wait(time.Duration(a.FromS)*time.Second), wait(time.Duration(a.BelowS)*time.Second)
	switch {
	case a.FromS == 0:
		return "less than " + below
	case a.BelowS == 0:
		return from + " and longer"
	}
	return from + " to " + below
}

// count is a number of things: "1 site", "2 sites".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

func may(who *access.Principal, capability string) bool {
	return who != nil && who.May(access.Capability(capability))
}

// levels are the level names with a sign for eyes that tell no colours.
func levels(level string) string {
	return map[string]string{"authenticated": "●", "encrypted": "◐", "plaintext": "○"}[level]
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// clipped bounds what a table shows of one text: the summary of a file of rules may be megabytes.
const clipped = 2000

// clip is the beginning of a text that is too long for a table.
func clip(s string) string {
	if len(s) <= clipped {
		return s
	}
	return strings.ToValidUTF8(s[:clipped], "") + fmt.Sprintf("… (%s in all; `postern audit` prints it)",
		size(int64(len(s))))
}
