package web

import (
	"crypto/rand"
	"net/url"
	"slices"
	"sync"

	"postern/internal/mail"
	"postern/internal/operator/access"
)

// What an action did is said on the page it leads back to. The address of that page holds only the number of what is
// said, drawn at random; the words stay here, for the account that acted. So a link that somebody made shows nothing,
// whatever it holds. So many are kept, the oldest goes first; a page whose note is gone shows none.
const (
	notesKept = 256
	noteMost  = 400 // bytes of one
)

// notes holds what actions said. The zero value is ready. Safe for concurrent use.
type notes struct {
	mu   sync.Mutex
	list []note // oldest first
}

type note struct{ id, account, text string }

func (n *notes) put(account, text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := note{rand.Text(), account, mail.Clip(text, noteMost)}
	if len(n.list) == notesKept {
		n.list = slices.Delete(n.list, 0, 1)
	}
	n.list = append(n.list, one)
	return one.id
}

func (n *notes) get(account, id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.list {
		if one.id == id && one.account == account {
			return one.text
		}
	}
	return ""
}

// said is path with the number of what it is to say to somebody.
func (c *Console) said(who access.Principal, path, text string) string {
	return with(path, "done", c.notes.put(who.Account, text))
}

// toSay leads to a page of the console that says what was done.
func (c *Console) toSay(r *request, path, text string) error { return to(r, c.said(r.who, path, text)) }

// done is what an action before says; "" where the address names nothing that was said to this account.
func (c *Console) done(r *request) string { return c.notes.get(r.who.Account, r.FormValue("done")) }

// with adds a parameter to a path, for a note after a redirect.
func with(path, key, value string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}
