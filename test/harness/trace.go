package harness

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// Trace is one delivery as `postern trace --json` tells it.
type Trace struct {
	Message    string     `json:"message"`
	MessageID  string     `json:"message_id"`
	Kind       string     `json:"kind"`
	About      string     `json:"about"`
	From       string     `json:"from"`
	To         string     `json:"to"`
	State      string     `json:"state"`
	Rule       string     `json:"rule"`
	Would      []string   `json:"would"`
	Requires   string     `json:"requires"`
	Reached    string     `json:"reached"`
	Reason     string     `json:"reason"`
	Text       string     `json:"text"`
	Status     string     `json:"status"`
	Held       string     `json:"held"`
	MX         string     `json:"mx"`
	IP         string     `json:"ip"`
	ProvedBy   string     `json:"proved_by"`
	Policy     string     `json:"policy"`
	Published  *Published `json:"policy_detail"`
	TLSVersion string     `json:"tls_version"`
	Cipher     string     `json:"cipher"`
	Bits       int        `json:"bits"`
	Expected   []string   `json:"expected_names"`
	Presented  []string   `json:"presented_names"`
	NotBefore  *time.Time `json:"cert_not_before"`
	NotAfter   *time.Time `json:"cert_not_after"`
	Notes      []string   `json:"notes"`
	Attempts   []struct {
		Tries []struct {
			Rung   string `json:"rung"`
			Host   string `json:"host"`
			Reason string `json:"reason"`
		} `json:"tries"`
	} `json:"attempts"`
	AttemptCount int             `json:"attempt_count"`
	AcceptedAt   time.Time       `json:"accepted_at"`
	ExpiresAt    time.Time       `json:"expires_at"`
	NextAttempt  *time.Time      `json:"next_attempt_at"`
	FinishedAt   *time.Time      `json:"finished_at"`
	InboundTLS   json.RawMessage `json:"inbound_tls"`

	Raw string // the line
}

// Published is what a recipient's domain or its mail host publishes, as a trace tells it.
type Published struct {
	Kind       string   `json:"kind"`
	Mode       string   `json:"mode"`
	ID         string   `json:"id"`
	Source     string   `json:"source"`
	AgeS       *int64   `json:"age_s"`
	Hosts      []string `json:"hosts"`
	Records    []string `json:"records"`
	Matched    string   `json:"matched"`
	Note       string   `json:"note"`
	Shortfalls []struct {
		Reason string `json:"reason"`
		Text   string `json:"text"`
	} `json:"shortfalls"`
}

// Traces reads the objects that a verb prints.
func (w *World) Traces(verb ...string) []Trace {
	w.T.Helper()
	var out []Trace
	for line := range strings.Lines(w.Postern(append(verb, "--json")...)) {
		t := Trace{Raw: line}
		if err := json.Unmarshal([]byte(line), &t); err != nil {
			w.T.Fatalf("%v in %s", err, line)
		}
		out = append(out, t)
	}
	return out
}

// Await waits until the newest delivery to a recipient is as wanted, and returns it.
func (w *World) Await(to string, wanted func(Trace) bool) Trace {
	w.T.Helper()
	var last []Trace
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		last = w.Traces("trace", "--recipient", to, "--limit", "1")
		if len(last) == 1 && wanted(last[0]) {
			return last[0]
		}
	}
	for _, t := range last {
		w.T.Logf("%s", t.Raw)
	}
	w.T.Fatalf("the delivery to %s is not as it should be", to)
	return Trace{}
}

// In accepts a state.
func In(states ...string) func(Trace) bool {
	return func(t Trace) bool { return slices.Contains(states, t.State) }
}

// Waits accepts mail that waits for a reason.
func Waits(reason string) func(Trace) bool {
	return func(t Trace) bool { return t.State == "queued" && t.Reason == reason }
}

// Want compares fields of a trace.
func (t Trace) Want(tt *testing.T, fields map[string]string) {
	tt.Helper()
	have := map[string]string{"state": t.State, "reached": t.Reached, "reason": t.Reason, "requires": t.Requires,
		"mx":   t.MX,
		"rule": t.Rule, "proved_by": t.ProvedBy, "policy": t.Policy, "tls_version": t.TLSVersion, "status": t.Status,
		"held": t.Held}
	for name, value := range fields {
		if have[name] != value {
			tt.Errorf("%s is %q, want %q, in %s", name, have[name], value, t.Raw)
		}
	}
}
