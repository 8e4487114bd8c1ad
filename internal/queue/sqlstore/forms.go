package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/database"
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
	MessageID  string        `json:"message_id,omitempty"`
	HeaderSize int           `json:"header_size,omitempty"`
	EightBit   bool          `json:"eight_bit,omitempty"`
	HeaderUTF8 bool          `json:"header_utf8,omitempty"`
	About      queue.ID      `json:"about,omitempty"`
	// Sum is the checksum of the body; nil in what was stored before there was one.
	Sum    *bodySum `json:"body_sum,omitempty"`
	Judged int64    `json:"judged,omitempty"`
}

func formOfMessage(m *queue.Message) messageForm {
	e, in := &m.Envelope, &m.Inbound
	return messageForm{
		Kind: m.Kind, From: e.From, Body: e.Body, UTF8: e.UTF8, Ret: e.Ret, EnvID: e.EnvID, RequireTLS: e.RequireTLS, Waives: m.Waives,
		Client: in.Client, Helo: in.Helo, Listener: in.Listener, Protocol: in.Protocol, User: in.User, TLS: in.TLS, Relayed: in.Relayed,
		MessageID: m.MessageID, HeaderSize: m.HeaderSize, EightBit: m.EightBit, HeaderUTF8: m.HeaderUTF8, About: m.About,
		Judged: m.Judged,
	}
}

func (f *messageForm) fill(m *queue.Message) {
	m.Kind, m.MessageID, m.HeaderSize, m.About = f.Kind, f.MessageID, f.HeaderSize, f.About
	m.EightBit, m.HeaderUTF8, m.Judged, m.Waives = f.EightBit, f.HeaderUTF8, f.Judged, f.Waives
	m.Envelope = mail.Envelope{From: f.From, Body: f.Body, UTF8: f.UTF8, Ret: f.Ret, EnvID: f.EnvID, RequireTLS: f.RequireTLS}
	m.Inbound = queue.Inbound{Client: f.Client, Helo: f.Helo, Listener: f.Listener, Protocol: f.Protocol, User: f.User,
		TLS: f.TLS, Relayed: f.Relayed}
}

// deliveryForm is what of a delivery is not a column of its own.
type deliveryForm struct {
	Address mail.Address `json:"address"`
	ORCPT   string       `json:"orcpt,omitempty"`
	Notify  mail.Notify  `json:"notify,omitempty"`
	Rules   []string     `json:"rules,omitempty"`
	Matched bool         `json:"matched,omitempty"`
	Tested  []string     `json:"tested,omitempty"`
	// Revision is the number under which the delivery was last moved. An older release put the revision of the rules there,
	// which is below every number.
	Revision int64           `json:"revision,omitempty"`
	Demands  []policy.Demand `json:"demands,omitempty"`
	// Wish is what was asked last while it was being sent.
	Wish *wishForm `json:"wish,omitempty"`
}

func formOfDelivery(d *queue.Delivery) deliveryForm {
	r := &d.Recipient
	return deliveryForm{Address: r.Address, ORCPT: r.ORCPT, Notify: r.Notify, Rules: d.Rules, Matched: d.Matched,
		Tested: d.Tested, Revision: d.Judged, Demands: d.Demands, Wish: formOfWish(d.Wish)}
}

func (f *deliveryForm) fill(d *queue.Delivery) {
	d.Recipient = mail.Recipient{Address: f.Address, ORCPT: f.ORCPT, Notify: f.Notify}
	d.Rules, d.Matched, d.Tested, d.Judged, d.Demands = f.Rules, f.Matched, f.Tested, f.Revision, f.Demands
	d.Wish = f.Wish.wish()
}

// encode makes the stored form of a value whose type cannot fail to marshal, or answers why it did.
func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("sqlstore: cannot encode %T: %w", v, err)
	}
	return string(text), nil
}

func decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("sqlstore: cannot read a stored %T: %w", v, err)
	}
	return nil
}

// decodeRequirement reads a requirement. A demand this release does not know is refused, never dropped: dropping it
// would let mail travel weaker than it may.
func decodeRequirement(text string) (r policy.Requirement, err error) {
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

// encodeAttempt makes a column value of an attempt; nil is NULL. Tries that carry their JSON are not encoded again.
func encodeAttempt(a *attempt.Attempt) (any, error) {
	if a == nil {
		return nil, nil
	}
	if len(a.Tries) == 0 || slices.ContainsFunc(a.Tries, func(t attempt.Try) bool { return t.JSON == nil }) {
		text, err := encode(a)
		return text, err
	}
	rest := *a
	rest.Tries = nil
	text, err := encode(rest)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+len(a.Tries)*(len(a.Tries[0].JSON)+1)+16)
	for i, t := range a.Tries {
		out = append(append(out, [2]string{`,`, `{"tries":[`}[database.Flag(i == 0)]...), t.JSON...)
	}
	return string(append(append(out, `],`...), text[1:]...)), nil
}

// keyHash are the bits of an index key that hash what is searched; those above are the key's block.
const keyHash = 1<<40 - 1

// keyOf makes an index key that is near those of messages accepted about the same time, so that new mail touches few
// pages of an index however long it has grown: 23 bits of the block of 65,536 messages, 40 of hash. Two keys of one thing
// in one block are equal; equal keys need not be one thing, so whoever searches looks at the row too.
func keyOf(seq, hash int64) int64 { return blockOf(seq)<<40 | hash&keyHash }

func blockOf(seq int64) int64 { return seq >> 16 & (1<<23 - 1) }

// dayOf is what stood in place of the block up to form 3.
func dayOf(us int64) int64 { return max(us, 0) / (24 * 3600 * 1e6) & (1<<23 - 1) }

// addressHash keeps a domain's addresses together: 16 bits of the domain, 24 of the address.
func addressHash(a mail.Address) uint64 {
	return domainHash(a.Domain.String()) | hash(strings.ToLower(a.Canonical()))&(1<<24-1)
}

func domainHash(domain string) uint64 { return hash(domain) & (1<<16 - 1) << 24 }

func hash(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	sum := h.Sum64()
	return sum ^ sum>>32
}
