package stored

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

// messageForm is what of a message is not a column of its own. Fields are only ever added; what changes meaning is a
// new form of the database.
type messageForm struct {
	Kind       queue.Kind    `json:"kind,omitempty"`
	From       mail.Address  `json:"from"`
	Body       mail.BodyType `json:"body,omitempty"`
	UTF8       bool          `json:"utf8,omitempty"`
	Ret        mail.Return   `json:"ret,omitempty"`
	EnvID      string        `json:"envid,omitempty"`
	RequireTLS bool          `json:"requiretls,omitempty"`
	Waives     bool          `json:"waives,omitempty"`
	Client     netip.Addr    `json:"client,omitzero"`
	Helo       string        `json:"helo,omitempty"`
	Listener   string        `json:"listener,omitempty"`
	Relayed    bool          `json:"relayed,omitempty"`
	Protocol   string        `json:"protocol,omitempty"`
	User       string        `json:"user,omitempty"`
	TLS        *mail.TLS     `json:"tls,omitempty"`
	Bound      []string      `json:"bound,omitempty"`
	MessageID  string        `json:"message_id,omitempty"`
	HeaderSize int           `json:"header_size,omitempty"`
	Stamped    int           `json:"stamped,omitempty"`
	EightBit   bool          `json:"eight_bit,omitempty"`
	HeaderUTF8 bool          `json:"header_utf8,omitempty"`
	About      queue.ID      `json:"about,omitempty"`
	Digest     *mail.Digest  `json:"digest,omitempty"`
	// Sum is the checksum of the body; nil in what was stored before there was one.
	Sum    *Sum  `json:"body_sum,omitempty"`
	Judged int64 `json:"judged,omitempty"`

	InRules  []string      `json:"in_rules,omitempty"`
	InTrials []queue.Trial `json:"in_trials,omitempty"`
}

func formOfMessage(m *queue.Message) messageForm {
	e, in := &m.Envelope, &m.Inbound
	return messageForm{
		Kind: m.Kind, From: e.From, Body: e.Body, UTF8: e.UTF8, Ret: e.Ret, EnvID: e.EnvID, RequireTLS: e.RequireTLS,
		Waives: m.Waives,
		Client: in.Client, Helo: in.Helo, Listener: in.Listener, Protocol: in.Protocol, User: in.User, TLS: in.TLS,
		Relayed: in.Relayed, Bound: in.Bound,
		MessageID: m.MessageID, HeaderSize: m.HeaderSize, Stamped: m.Stamped,
		EightBit: m.EightBit, HeaderUTF8: m.HeaderUTF8,
		About: m.About, Judged: m.Judged, Digest: m.Digest, InRules: in.Rules, InTrials: in.Trials,
	}
}

func (f *messageForm) fill(m *queue.Message) {
	m.Kind, m.MessageID, m.About = f.Kind, f.MessageID, f.About
	m.HeaderSize, m.Stamped = f.HeaderSize, f.Stamped
	m.EightBit, m.HeaderUTF8, m.Judged, m.Waives = f.EightBit, f.HeaderUTF8, f.Judged, f.Waives
	m.Digest = f.Digest
	m.Envelope = mail.Envelope{From: f.From, Body: f.Body, UTF8: f.UTF8, Ret: f.Ret, EnvID: f.EnvID,
		RequireTLS: f.RequireTLS}
	m.Inbound = queue.Inbound{Client: f.Client, Helo: f.Helo, Listener: f.Listener, Protocol: f.Protocol, User: f.User,
		TLS: f.TLS, Relayed: f.Relayed, Bound: f.Bound, Rules: f.InRules, Trials: f.InTrials}
}

// deliveryForm is what of a delivery is not a column of its own.
type deliveryForm struct {
	Address mail.Address   `json:"address"`
	ORCPT   string         `json:"orcpt,omitempty"`
	Notify  mail.Notify    `json:"notify,omitempty"`
	Rules   []string       `json:"rules,omitempty"`
	Matched bool           `json:"matched,omitempty"`
	Tested  []string       `json:"tested,omitempty"`
	Effects policy.Effects `json:"effects,omitempty"`
	// Revision is the number under which the delivery was last moved. An older release put the revision of the rules
	// there, which is below every number.
	Revision int64           `json:"revision,omitempty"`
	Demands  []policy.Demand `json:"demands,omitempty"`
	// Wish is what was asked last while it was being sent.
	Wish *wishForm `json:"wish,omitempty"`
}

func formOfDelivery(d *queue.Delivery) deliveryForm {
	r := &d.Recipient
	return deliveryForm{Address: r.Address, ORCPT: r.ORCPT, Notify: r.Notify, Rules: d.Rules, Matched: d.Matched,
		Tested: d.Tested, Effects: d.Effects, Revision: d.Judged, Demands: d.Demands, Wish: formOfWish(d.Wish)}
}

func (f *deliveryForm) fill(d *queue.Delivery) {
	d.Recipient = mail.Recipient{Address: f.Address, ORCPT: f.ORCPT, Notify: f.Notify}
	d.Rules, d.Matched, d.Tested, d.Judged, d.Demands = f.Rules, f.Matched, f.Tested, f.Revision, f.Demands
	d.Effects = f.Effects
	d.Wish = f.Wish.wish()
}

// Encode makes the stored form of a value whose type cannot fail to marshal, or answers why it did.
func Encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("stored: cannot encode %T: %w", v, err)
	}
	return string(text), nil
}

// Decode reads a stored form.
func Decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("stored: cannot read a stored %T: %w", v, err)
	}
	return nil
}

// requirement reads a requirement. A demand this release does not know is refused, never dropped: dropping it
// would let mail travel weaker than it may.
func requirement(text string) (r policy.Requirement, err error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: the requirement of a site: %w", queue.ErrNewerForm, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return r, fmt.Errorf("%w: the requirement of a site has more than one value", queue.ErrNewerForm)
	}
	return r, nil
}

// EncodeAttempt makes an argument of an attempt; nil is NULL. Tries that carry their JSON are not encoded again.
func EncodeAttempt(a *attempt.Attempt) (any, error) {
	if a == nil {
		return nil, nil
	}
	if len(a.Tries) == 0 || slices.ContainsFunc(a.Tries, func(t attempt.Try) bool { return t.JSON == nil }) {
		text, err := Encode(a)
		return text, err
	}
	rest := *a
	rest.Tries = nil
	text, err := Encode(rest)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+len(a.Tries)*(len(a.Tries[0].JSON)+1)+16)
	for i, t := range a.Tries {
		out = append(append(out, [2]string{`,`, `{"tries":[`}[Flag(i == 0)]...), t.JSON...)
	}
	return string(append(append(out, `],`...), text[1:]...)), nil
}

// wishForm is the stored form of a queue.Wish.
type wishForm struct {
	Kind queue.ActionKind `json:"kind"`
	By   string           `json:"by"`
	At   int64            `json:"at"` // microseconds
}

func formOfWish(w *queue.Wish) *wishForm {
	if w == nil {
		return nil
	}
	return &wishForm{w.Kind, w.By, w.At.UnixMicro()}
}

func (f *wishForm) wish() *queue.Wish {
	if f == nil {
		return nil
	}
	return &queue.Wish{Kind: f.Kind, By: f.By, At: time.UnixMicro(f.At).UTC()}
}

// Moved is the facts of a delivery that a settlement put at another site: what follows from that is as d has it.
func Moved(facts string, d *queue.Delivery) (string, error) {
	var f deliveryForm
	if err := Decode(facts, &f); err != nil {
		return "", err
	}
	f.Rules, f.Matched, f.Revision, f.Demands, f.Wish = d.Rules, d.Matched, d.Judged, d.Demands, formOfWish(d.Wish)
	if d.Effects != nil { // they are never taken away
		f.Effects = d.Effects
	}
	return Encode(f)
}

// WithWish is the facts of a delivery of which something else is wished; nil is nothing.
func WithWish(facts string, w *queue.Wish) (string, error) {
	var f deliveryForm
	if err := Decode(facts, &f); err != nil {
		return "", err
	}
	f.Wish = formOfWish(w)
	return Encode(f)
}

// WishIn is what is wished of a delivery by its facts, nil for nothing.
func WishIn(facts string) (*queue.Wish, error) {
	var f deliveryForm
	err := Decode(facts, &f)
	return f.Wish.wish(), err
}

// SumIn is the checksum of the body of a message by its facts; nil where it was stored before there were any.
func SumIn(facts string) (*Sum, error) {
	var f struct {
		Sum *Sum `json:"body_sum"`
	}
	err := Decode(facts, &f)
	return f.Sum, err
}
