package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EffectKind says what a rule does with mail beside demanding something of its channel. The list is closed.
type EffectKind string

// The kinds. The words are those of the action of a rule, but for the copy and what follows it.
const (
	EffectReject    EffectKind = "reject"     // it goes nowhere, and its sender hears why
	EffectHold      EffectKind = "hold"       // it waits for an administrator
	EffectRedirect  EffectKind = "redirect"   // it goes to a route, not to its recipient's servers
	EffectBCC       EffectKind = "bcc"        // others get a copy of the message
	EffectAddHeader EffectKind = "add-header" // fields stand above its header
	EffectAllow     EffectKind = "allow"      // what later rules would do is not done
	EffectCopy      EffectKind = "copy"       // this very delivery is the copy that a rule ordered
	EffectReceipt   EffectKind = "receipt"    // a force-tls rule: its sender is told how it went, when it went
	EffectOtherwise EffectKind = "otherwise"  // a force-tls rule: other ways, before it is returned
)

// Then is what becomes of held mail that nobody looked at in time.
type Then string

// What becomes of it.
const (
	ThenReturn  Then = "return" // its sender is told
	ThenDelete  Then = "delete" // nobody is
	ThenRelease Then = "release"
)

// Field is a header field that a rule adds.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Effect is something that a rule did with the mail to one recipient, once, when it was accepted, or would have done.
// Stored as JSON with the delivery, and the record of it: fields are only ever added.
type Effect struct {
	Rule string     `json:"rule"`
	Kind EffectKind `json:"effect"`
	Test bool       `json:"test,omitempty"` // the rule is under test: nothing was done
	// Text is what the sender of rejected or returned mail is told.
	Text string `json:"text,omitempty"`
	// Days is how long held mail waits, and Then what comes after them.
	Days int  `json:"days,omitempty"`
	Then Then `json:"then,omitempty"`
	// Route names a route of the configuration.
	Route string `json:"route,omitempty"`
	// To are who gets a copy, and Back who gets none because the message is a copy that came back and they have one.
	To   []string `json:"to,omitempty"`
	Back []string `json:"back,omitempty"`
	// Fields are added above the header; those of a copy mark it.
	Fields []Field `json:"fields,omitempty"`
	// Ways are the routes that are tried one after the other where mail would be returned, each for WindowMS.
	Ways     []string `json:"ways,omitempty"`
	WindowMS int64    `json:"window_ms,omitempty"`
	// Taken is how many of the Ways were taken: the last of these is where the mail goes. At is when, and Why is what
	// kept it from going the way before.
	Taken int       `json:"taken,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Why   Reason    `json:"why,omitempty"`
}

// String says what is done, in words: "hold for 7 days, then return".
func (e *Effect) String() string {
	switch e.Kind {
	case EffectReject:
		return "reject: " + e.Text
	case EffectHold:
		return "hold for " + strconv.Itoa(e.Days) + " days, then " + string(e.Then)
	case EffectRedirect:
		return "redirect to the route " + e.Route
	case EffectBCC:
		return e.copies()
	case EffectAddHeader:
		names := make([]string, len(e.Fields))
		for i, f := range e.Fields {
			names[i] = f.Name
		}
		return "add the header fields " + strings.Join(names, ", ")
	case EffectAllow:
		return "allow: what later rules do is not done, what they demand is demanded"
	case EffectCopy:
		return "this is the copy"
	case EffectReceipt:
		return "the sender gets a receipt when it was handed over"
	case EffectOtherwise:
		if e.Taken > 0 {
			return e.way()
		}
		return "where it would be returned it goes to the route " + strings.Join(e.Ways, ", then ") + " instead"
	}
	return string(e.Kind)
}

// copies says who gets a copy and who does not.
func (e *Effect) copies() string {
	var out []string
	if len(e.To) > 0 {
		out = append(out, "copy to "+strings.Join(e.To, ", "))
	}
	if len(e.Back) > 0 {
		out = append(out, "no copy to "+strings.Join(e.Back, ", ")+": the message is a copy that came back")
	}
	return strings.Join(out, "; ")
}

// way says which way was taken, and why.
func (e *Effect) way() string {
	text := "sent to the route " + e.Ways[e.Taken-1] + " instead of being returned"
	if e.Why != "" {
		text += ", because of " + string(e.Why)
	}
	return text
}

// Effects are what rules did with the mail to one recipient, in the order of the rules. The zero value is nothing.
type Effects []Effect

// Done returns the first effect of a kind that was done; nil where there is none.
func (es Effects) Done(kind EffectKind) *Effect {
	for i := range es {
		if e := &es[i]; e.Kind == kind && !e.Test {
			return e
		}
	}
	return nil
}

// Later reports whether the effect is an order for later, which the rule has not carried out yet.
func (e *Effect) Later() bool { return e.Kind == EffectReceipt || e.Kind == EffectOtherwise }

// Way is the other way that a rule had mail take instead of returning it; nil where there is none.
func (es Effects) Way() *Effect {
	if e := es.Done(EffectOtherwise); e != nil && e.Taken > 0 && e.Taken <= len(e.Ways) {
		return e
	}
	return nil
}

// Onward returns the effects with the next n of the other ways taken at a time for a reason. The receiver stays as it
// is. Without so many ways there are none: nil.
func (es Effects) Onward(n int, at time.Time, why Reason) Effects {
	out := slices.Clone(es)
	e := out.Done(EffectOtherwise)
	if e == nil || e.Taken < 0 || n <= 0 || e.Taken+n > len(e.Ways) {
		return nil
	}
	e.Taken, e.At, e.Why = e.Taken+n, at, why
	return out
}

// Names reports whether a rule did something, or would have.
func (es Effects) Names(rule string) bool {
	return slices.ContainsFunc(es, func(e Effect) bool { return e.Rule == rule })
}

// Route names the route that the mail goes to, "" where it goes to its recipient's servers.
func (es Effects) Route() string {
	if e := es.Way(); e != nil {
		return e.Ways[e.Taken-1]
	}
	if e := es.Done(EffectRedirect); e != nil {
		return e.Route
	}
	return ""
}

// Head is what stands above the header of the stored message, as lines that end in CRLF; "" for nothing.
func (es Effects) Head() string {
	var out strings.Builder
	for i := range es {
		if e := &es[i]; (e.Kind == EffectAddHeader || e.Kind == EffectCopy) && !e.Test {
			for _, f := range e.Fields {
				fmt.Fprintf(&out, "%s: %s\r\n", f.Name, f.Value)
			}
		}
	}
	return out.String()
}
