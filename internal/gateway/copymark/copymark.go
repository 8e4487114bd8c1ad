// Package copymark marks the copies of messages that rules order (action bcc), so that a copy which comes back is
// known, and not copied again to those who have it.
//
// Whoever gets a copy may forward it, and where that goes out through the gateway again the same rule matches. Without
// a mark each copy begets another, and each of two addresses two, until the hops are used up. So every copy carries a
// field for each address that the message was copied to. No field says whom it is for: it is a code over the address
// and the message, with a key that only the gateways of this store have. A sender who writes such fields himself, or
// takes them from another message, gets his mail copied as ever: a mark never keeps mail from whoever is to see it.
package copymark

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy"
)

// Name is that of the fields.
const Name = "X-Postern-Copy"

// codeSize is how many octets of a code are written, keySize how many a key has.
const (
	codeSize = 15
	keySize  = 32
)

// Marks makes marks and knows them again. Safe for concurrent use.
type Marks struct{ key []byte }

// New returns the marks of a key; a nil key is a new one, which nobody else has.
func New(key []byte) *Marks {
	if key == nil {
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // it never fails
	}
	return &Marks{key}
}

// secret is the key as it is stored.
type secret struct {
	Key []byte `json:"key"`
}

// Open returns the marks of the gateways of a store, with a new key where it has none yet.
func Open(ctx context.Context, store records.Store) (*Marks, error) {
	const name = "key"
	shelf := records.Shelf[secret]{Kind: "copy-mark", Key: func(*secret) string { return name }}
	kept, err := records.Read(ctx, store, func(r records.Reader) (secret, error) { return shelf.Get(r, name) })
	if errors.Is(err, records.ErrNotFound) {
		kept, err = records.Change(ctx, store, func(t records.Tx) (secret, error) {
			there, err := shelf.Get(t, name)
			if !errors.Is(err, records.ErrNotFound) {
				return there, err
			}
			made := secret{New(nil).key}
			return made, shelf.Put(t, &made, 0)
		})
	}
	if err != nil {
		return nil, err
	}
	return New(kept.Key), nil
}

// Fields are the marks of a message that was copied to some addresses.
func (m *Marks) Fields(h mail.Header, to []mail.Address) []policy.Field {
	out := make([]policy.Field, len(to))
	for i, a := range to {
		out[i] = policy.Field{Name: Name, Value: m.code(h, a)}
	}
	return out
}

// Has reports whether a message is a copy of one that was copied to an address, or comes from such a copy.
func (m *Marks) Has(h mail.Header, to mail.Address) bool {
	fields := h.All(Name)
	if len(fields) == 0 {
		return false
	}
	code := m.code(h, to)
	return slices.ContainsFunc(fields, func(f mail.Field) bool {
		return hmac.Equal([]byte(f.Value()), []byte(code))
	})
}

// code is that of a message and an address. A message is known by its Message-ID, which forwarding leaves alone, and
// one that has none by its date.
func (m *Marks) code(h mail.Header, to mail.Address) string {
	sum := hmac.New(sha256.New, m.key)
	part := func(text string) {
		sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
		sum.Write([]byte(text))
	}
	id, date := h.MessageID(), ""
	if dates := h.All("Date"); id == "" && len(dates) > 0 {
		date = dates[0].Value()
	}
	part(id)
	part(date)
	part(to.Folded())
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:codeSize])
}
