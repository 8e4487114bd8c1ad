package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"postern/internal/operator/access"
)

// A form that was sent when the proof of who sends it was too old waits for the proof and is carried out then; one that
// was sent when the time of the session was over waits until its sender has signed in and says so: what somebody filled
// in is never lost. It is kept in memory, bound to the session, for parkedTime; so many for one session, and so many
// bytes for all. The oldest goes first. Of a browser that had no session nothing is kept.
const (
	parkedTime  = 15 * time.Minute
	parkedEach  = 4
	parkedBytes = 64 << 20
)

// parked holds forms. The zero value is ready. Safe for concurrent use.
type parked struct {
	mu    sync.Mutex
	forms []*sentForm // oldest first
	bytes int
}

// sentForm is a form as its browser sent it.
type sentForm struct {
	id, owner string
	at        string // where it was sent: path and query
	kind      string // content type
	body      []byte
	end       *time.Timer
}

// put keeps a form and returns its ID; false where it is larger than all that may be kept.
func (p *parked) put(owner, at, kind string, body []byte) (string, bool) {
	if len(body) > parkedBytes {
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := 0
	for i := len(p.forms) - 1; i >= 0; i-- {
		if p.forms[i].owner == owner {
			if mine++; mine >= parkedEach {
				p.drop(i)
			}
		}
	}
	for p.bytes+len(body) > parkedBytes {
		p.drop(0)
	}
	f := &sentForm{id: rand.Text(), owner: owner, at: at, kind: kind, body: body}
	f.end = time.AfterFunc(parkedTime, func() { p.take(owner, f.id) })
	p.forms = append(p.forms, f)
	p.bytes += len(body)
	return f.id, true
}

// drop forgets a form. The caller holds the lock.
func (p *parked) drop(i int) {
	f := p.forms[i]
	f.end.Stop()
	p.bytes -= len(f.body)
	p.forms = slices.Delete(p.forms, i, i+1)
}

// find is where a form of an owner stands, -1 for nowhere. The caller holds the lock.
func (p *parked) find(owner, id string) int {
	return slices.IndexFunc(p.forms, func(f *sentForm) bool { return f.id == id && f.owner == owner })
}

// look returns a form and leaves it; nil where its owner has none of that ID.
func (p *parked) look(owner, id string) *sentForm {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.find(owner, id); i >= 0 {
		return p.forms[i]
	}
	return nil
}

// take returns a form once.
func (p *parked) take(owner, id string) *sentForm {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.find(owner, id)
	if i < 0 {
		return nil
	}
	f := p.forms[i]
	p.drop(i)
	return f
}

// follow gives the forms of a session to the one that a proof made of it.
func (p *parked) follow(from, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.forms {
		if f.owner == from {
			f.owner = to
			f.end.Stop()
			f.end = time.AfterFunc(parkedTime, func() { p.take(to, f.id) })
		}
	}
}

// owner names the session of a secret and its account, also where its time is over; "" for none.
func (c *Console) owner(ctx context.Context, secret string) (session, account string) {
	_, one, err := c.cfg.Accounts.BySession(ctx, secret)
	if err != nil {
		one, err = c.cfg.Accounts.Ended(ctx, secret)
	}
	if err != nil {
		return "", ""
	}
	return one.Hash, one.Account
}

// handingOn looks whose session a request holds, before a proof ends it. What it returns gives the forms that are kept
// for that session to the one that follows, where both are the same account's.
func (c *Console) handingOn(r *http.Request) func(secret string) {
	session, account := c.owner(r.Context(), c.door.Secret(r))
	return func(secret string) {
		if next, who := c.owner(r.Context(), secret); session != "" && who == account {
			c.parked.follow(session, next)
		}
	}
}

// hold reads the body of a form whose sender may have to prove again first, so that it can be kept.
func (r *request) hold() error {
	if r.Method != http.MethodPost || r.who.Fresh(time.Now()) {
		return nil
	}
	body, err := io.ReadAll(r.Body) // bounded by the door
	if err != nil {
		return err
	}
	r.sent, r.Body = body, io.NopCloser(bytes.NewReader(body))
	return nil
}

// park keeps a form for a session and returns where it waits; false where there is no room.
func (c *Console) park(session string, r *http.Request, body []byte) (path string, ok bool) {
	id, ok := c.parked.put(session, r.URL.RequestURI(), r.Header.Get("Content-Type"), body)
	return againPath + id, ok
}

// afterSignIn is where to go when somebody whose session has ended has signed in: to the form that was sent, or to the
// page that was asked for. "" leads to the overview.
func (c *Console) afterSignIn(r *http.Request) string {
	if r.Method != http.MethodPost {
		return r.URL.RequestURI()
	}
	session, _ := c.owner(r.Context(), c.door.Secret(r))
	if session == "" {
		return ""
	}
	body, err := io.ReadAll(r.Body) // bounded by the door
	if err != nil {
		return ""
	}
	path, ok := c.park(session, r, body)
	if !ok {
		return ""
	}
	return path
}

// afterProof is where to go when the sender has proven again: to the form that was sent, or back to where it was filled
// in.
func (c *Console) afterProof(r *request) string {
	if r.Method != http.MethodPost {
		return r.URL.RequestURI()
	}
	if session, _ := c.owner(r.ctx(), c.door.Secret(r.Request)); session != "" && r.sent != nil {
		if path, ok := c.park(session, r.Request, r.sent); ok {
			return path
		}
	}
	return refererPath(r.Request)
}

// againPath is before the ID of a form that waits.
const againPath = "/again/"

// againView is a form that waits to be carried out.
type againView struct {
	Self   string // where it is carried out
	Fields [][2]string
}

// waitingForm shows a form that was kept, for who proved again by something that leads back by a link.
func (c *Console) waitingForm(r *request) error {
	session, _ := c.owner(r.ctx(), c.door.Secret(r.Request))
	f := c.parked.look(session, r.PathValue("id"))
	if f == nil {
		return access.ErrNotFound
	}
	return c.page(r, "again", "What you filled in", againView{Self: againPath + f.id, Fields: f.fields()})
}

// sendAgain carries out a form that was kept.
func (c *Console) sendAgain(r *request) error {
	secret := c.door.Secret(r.Request)
	session, _ := c.owner(r.ctx(), secret)
	f := c.parked.take(session, r.PathValue("id"))
	if f == nil {
		return access.ErrNotFound
	}
	c.carryOut(r, f, secret)
	return nil
}

// carryOut answers a request by what the form's own would have heard.
func (c *Console) carryOut(r *request, f *sentForm, secret string) {
	to, err := url.ParseRequestURI(f.at)
	if err != nil {
		c.fail(r, access.ErrNotFound) // it was one when it was kept
		return
	}
	next, err := http.NewRequestWithContext(r.ctx(), http.MethodPost, to.String(), bytes.NewReader(f.body))
	if err != nil {
		c.fail(r, err)
		return
	}
	next.Host, next.RemoteAddr, next.RequestURI, next.TLS = r.Host, r.RemoteAddr, f.at, r.TLS
	next.Header = r.Header.Clone()
	next.Header.Set("Content-Type", f.kind)
	c.door.Carry(next, secret)
	c.mux.ServeHTTP(r.w, next)
}

// shownMost bounds what is shown of a field, and how many are.
const shownMost = 2000

// fields are what was filled in, to be looked at; of a file its name.
func (f *sentForm) fields() (out [][2]string) {
	kind, params, err := mime.ParseMediaType(f.kind)
	if err != nil {
		return nil
	}
	add := func(name, value string) {
		if value != "" && len(out) < 100 && !slices.Contains([]string{"password", "old", "next", "again"}, name) &&
			utf8.ValidString(value) {
			out = append(out, [2]string{name, bounded(value, shownMost)})
		}
	}
	if kind != "multipart/form-data" {
		values, _ := url.ParseQuery(string(f.body)) // what can be read
		for _, name := range slices.Sorted(maps.Keys(values)) {
			add(name, strings.Join(values[name], ", "))
		}
		return out
	}
	parts := multipart.NewReader(bytes.NewReader(f.body), params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			return out
		}
		value, _ := io.ReadAll(io.LimitReader(part, shownMost+1))
		if part.FileName() != "" {
			value = []byte(part.FileName())
		}
		add(part.FormName(), string(value))
	}
}

// bounded is a text cut at so many bytes.
func bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}
