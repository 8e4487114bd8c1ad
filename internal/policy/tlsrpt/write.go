package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/netip"
	"time"
)

// The media types of a document (RFC 8460 §6.4 and §6.5).
const (
	MediaJSON = "application/tlsrpt+json"
	MediaGzip = "application/tlsrpt+gzip"
)

// document is a report as it is written (RFC 8460 §4.4). policy-string and mx-host are always lists; the example of
// the RFC has mx-host as a text, which its erratum 6241 corrects.
type document struct {
	Organization string        `json:"organization-name"`
	Range        documentRange `json:"date-range"`
	Contact      string        `json:"contact-info"`
	ID           string        `json:"report-id"`
	Policies     []entry       `json:"policies"`
}

type documentRange struct {
	Start string `json:"start-datetime"`
	End   string `json:"end-datetime"`
}

type entry struct {
	Policy   entryPolicy    `json:"policy"`
	Summary  entrySummary   `json:"summary"`
	Failures []entryFailure `json:"failure-details"`
}

type entryPolicy struct {
	Type    string   `json:"policy-type"`
	Strings []string `json:"policy-string"`
	Domain  string   `json:"policy-domain"`
	MXHosts []string `json:"mx-host"`
}

type entrySummary struct {
	Succeeded int64 `json:"total-successful-session-count"`
	Failed    int64 `json:"total-failure-session-count"`
}

type entryFailure struct {
	Result     string `json:"result-type"`
	SendingIP  string `json:"sending-mta-ip,omitempty"`
	MXHost     string `json:"receiving-mx-hostname,omitempty"`
	MXHelo     string `json:"receiving-mx-helo,omitempty"`
	ReceiverIP string `json:"receiving-ip,omitempty"`
	Sessions   int64  `json:"failed-session-count"`
	Info       string `json:"additional-information,omitempty"`
	Code       string `json:"failure-reason-code,omitempty"`
}

// JSON is the document (RFC 8460 §4.4). Texts and counts are bounded and texts escaped as Parse does, so that Parse
// gives the same report back where nothing in it is out of bounds and times are whole seconds.
func (r Report) JSON() []byte {
	d := document{Organization: clean(r.Organization), Contact: clean(r.Contact), ID: clean(r.ID),
		Range: documentRange{timeText(r.Start), timeText(r.End)}, Policies: make([]entry, len(r.Policies))}
	for i := range r.Policies {
		d.Policies[i] = r.Policies[i].entry()
	}
	return encode(d)
}

// Packed is JSON, compressed with gzip. The same report gives the same bytes.
func (r Report) Packed() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(r.JSON()) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // texts and numbers alone
	return b.Bytes()
}

func (p *Policy) entry() entry {
	out := entry{Policy: entryPolicy{clean(p.Type), cleanAll(p.Strings), clean(p.Domain), cleanAll(p.MXHosts)},
		Summary: entrySummary{bounded(p.Succeeded), bounded(p.Failed)}, Failures: make([]entryFailure, len(p.Failures))}
	for i, f := range p.Failures {
		out.Failures[i] = entryFailure{Result: clean(f.Result), SendingIP: addressText(f.SendingIP),
			MXHost: clean(f.MXHost),
			MXHelo: clean(f.MXHelo), ReceiverIP: addressText(f.ReceiverIP), Sessions: bounded(f.Sessions),
			Info: clean(f.Info), Code: clean(f.Code)}
	}
	return out
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func addressText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.Unmap().WithZone("").String()
}

func bounded(n int64) int64 { return min(max(n, 0), MaxSessions) }

func cleanAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = clean(t)
	}
	return out
}
