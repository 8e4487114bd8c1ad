package admin

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"slices"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/policy"
)

// Evidence is what can be shown to an auditor about one message: what happened, with every certificate of every chain
// as it was judged, under which rules, and what the words mean. It is made of the gateway's records alone.
type Evidence struct {
	Kind     string    `json:"kind"` // "message"
	MadeAt   time.Time `json:"made_at"`
	MadeFor  string    `json:"made_for"` // the principal
	Gateway  string    `json:"gateway"`
	Version  string    `json:"version"`
	Complete bool      `json:"complete"` // false: the principal's domains are not all that the message is about
	MessageView
	// Rules is the revision that judged the message at acceptance, as it was applied; nil where there was none, or
	// where the principal may not see it.
	Rules   *audit.Revision `json:"rules_applied"`
	Meaning []Meaning       `json:"reasons"` // of every code that occurs
	// Certificates are those of every chain that is still kept whole.
	Certificates []WholeCertificate `json:"certificates"`
}

// WholeCertificate is a certificate as a server showed it.
type WholeCertificate struct {
	SHA256 string `json:"sha256"`
	PEM    string `json:"pem"`
}

// certificatesMost bounds the certificates of one evidence.
const certificatesMost = 500

// whole gathers the certificates that a message's records name by digest.
func (d *Desk) whole(ctx context.Context, view *MessageView) ([]WholeCertificate, error) {
	out := []WholeCertificate{}
	if d.s.cfg.Certs == nil {
		return out, nil
	}
	digests := digestsOf(view)
	list, err := d.s.cfg.Certs.Certificates(ctx, digests[:min(len(digests), certificatesMost)])
	for _, c := range list {
		out = append(out, WholeCertificate{c.SHA256,
			string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))})
	}
	slices.SortFunc(out, func(a, b WholeCertificate) int { return cmp.Compare(a.SHA256, b.SHA256) })
	return out, err
}

// digestsOf lists the digests of all certificates in a message's records, each once.
func digestsOf(view *MessageView) (out []string) {
	for i := range view.Deliveries {
		for _, a := range view.Deliveries[i].Attempts {
			for j := range a.Tries {
				e := a.Tries[j].Evidence
				if e == nil {
					continue
				}
				for _, c := range e.Chain {
					out = append(out, c.SHA256)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Meaning is a reason code explained.
type Meaning struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
	Who    string `json:"who"` // has to act
	Hint   string `json:"hint"`
}

// Evidence gathers what is recorded about a message, and tells the audit trail who takes it away.
func (d *Desk) Evidence(ctx context.Context, id string) (Evidence, error) {
	view, err := d.Message(ctx, id)
	if err != nil {
		return Evidence{}, err
	}
	out := Evidence{Kind: "message", MadeAt: time.Now().UTC(), MadeFor: d.who.Name, Gateway: d.s.cfg.Hostname,
		Version: d.s.cfg.Version, Complete: d.who.Scope.All, MessageView: view, Meaning: meanings(&view)}
	if out.Certificates, err = d.whole(ctx, &view); err != nil {
		return out, err
	}
	if err := d.gives(ctx, "evidence", id, d.part()); err != nil {
		return Evidence{}, err
	}
	if view.Revision == 0 || d.who.Wide(access.ReadRules) != nil {
		return out, nil
	}
	r, err := d.s.cfg.Ledger.Revision(ctx, view.Revision)
	if errors.Is(err, audit.ErrNotFound) {
		return out, nil
	}
	if err == nil {
		r.AppliedAt = r.AppliedAt.UTC()
		out.Rules = &r
	}
	return out, err
}

// part says which part of a message the principal is given, "" for all of it.
func (d *Desk) part() string {
	if d.who.Scope.All {
		return ""
	}
	return "what is within the domains of the account"
}

// meanings explains every reason that occurs in a message's records, in the order of the table.
func meanings(view *MessageView) []Meaning {
	seen := map[policy.Reason]bool{}
	for i := range view.Deliveries {
		t := &view.Deliveries[i]
		seen[policy.Reason(t.Reason)] = true
		for j := range t.Attempts {
			a := &t.Attempts[j]
			seen[a.Reason] = true
			for k := range a.Tries {
				seen[a.Tries[k].Reason] = true
				for _, s := range a.Tries[k].Shortfalls {
					seen[s.Reason] = true
				}
			}
		}
	}
	out := []Meaning{}
	for _, i := range policy.Reasons() {
		if seen[i.Reason] {
			out = append(out, Meaning{string(i.Reason), i.Text, string(i.Who), i.Hint})
		}
	}
	return out
}
