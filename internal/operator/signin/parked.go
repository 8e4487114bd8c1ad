package signin

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

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/websession"
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
func (p *Pages) owner(ctx context.Context, secret string) (session, account string) {
	_, one, err := p.cfg.Accounts.BySession(ctx, secret)
	if err != nil {
		one, err = p.cfg.Accounts.Ended(ctx, secret)
	}
	if err != nil {
		return "", ""
	}
	return one.Hash, one.Account
}

// handingOn looks whose session a request holds, before a proof ends it. What it returns gives the forms that are kept
// for that session to the one that follows, where both are the same account's.
func (p *Pages) handingOn(r *http.Request) func(secret string) {
	session, account := p.owner(r.Context(), p.cfg.Door.Secret(r))
	return func(secret string) {
		if next, who := p.owner(r.Context(), secret); session != "" && who == account {
			p.parked.follow(session, next)
		}
	}
}

// Remembered reports whether a request holds a session, also one whose time is over.
func (p *Pages) Remembered(r *http.Request) bool {
	session, _ := p.owner(r.Context(), p.cfg.Door.Secret(r))
	return session != ""
}

// Hold reads the body of a form whose sender may have to prove again first, so that it can be kept; nil where that
// cannot be.
func Hold(r *http.Request, who access.Principal) ([]byte, error) {
	if r.Method != http.MethodPost || who.Fresh(time.Now()) {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body) // bounded by the door
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// park keeps a form for a session and returns where it waits; false where there is no room.
func (p *Pages) park(session string, r *http.Request, body []byte) (path string, ok bool) {
	id, ok := p.parked.put(session, r.URL.RequestURI(), r.Header.Get("Content-Type"), body)
	return againPath + id, ok
}

// AfterSignIn is where to go when somebody whose session has ended has signed in: to the form that was sent, or to the
// page that was asked for. "" leads to the overview.
func (p *Pages) AfterSignIn(r *http.Request) string {
	if r.Method != http.MethodPost {
		return r.URL.RequestURI()
	}
	session, _ := p.owner(r.Context(), p.cfg.Door.Secret(r))
	if session == "" {
		return ""
	}
	body, err := io.ReadAll(r.Body) // bounded by the door
	if err != nil {
		return ""
	}
	path, ok := p.park(session, r, body)
	if !ok {
		return ""
	}
	return path
}

// AfterProof is where to go when the sender has proven again: to the form that was sent, or back to where it was filled
// in. sent is what Hold read of it.
func (p *Pages) AfterProof(r *http.Request, sent []byte) string {
	if r.Method != http.MethodPost {
		return r.URL.RequestURI()
	}
	if session, _ := p.owner(r.Context(), p.cfg.Door.Secret(r)); session != "" && sent != nil {
		if path, ok := p.park(session, r, sent); ok {
			return path
		}
	}
	return websession.Referer(r)
}

// againPath is before the ID of a form that waits.
const againPath = "/again/"

// againView is a form that waits to be carried out.
type againView struct {
	Self   string // where it is carried out
	Fields [][2]string
}

// waitingForm shows a form that was kept, for who proved again by something that leads back by a link.
func (p *Pages) waitingForm(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	session, _ := p.owner(r.Context(), p.cfg.Door.Secret(r))
	f := p.parked.look(session, r.PathValue("id"))
	if f == nil {
		return access.ErrNotFound
	}
	p.cfg.Show(w, &who, http.StatusOK, "again", "What you filled in",
		againView{Self: againPath + f.id, Fields: f.fields()})
	return nil
}

// sendAgain carries out a form that was kept.
func (p *Pages) sendAgain(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	secret := p.cfg.Door.Secret(r)
	session, _ := p.owner(r.Context(), secret)
	f := p.parked.take(session, r.PathValue("id"))
	if f == nil {
		return access.ErrNotFound
	}
	return p.carryOut(w, r, f, secret)
}

// carryOut answers a request by what the form's own would have heard.
func (p *Pages) carryOut(w http.ResponseWriter, r *http.Request, f *sentForm, secret string) error {
	to, err := url.ParseRequestURI(f.at)
	if err != nil {
		return access.ErrNotFound // it was one when it was kept
	}
	next, err := http.NewRequestWithContext(r.Context(), http.MethodPost, to.String(), bytes.NewReader(f.body))
	if err != nil {
		return err
	}
	next.Host, next.RemoteAddr, next.RequestURI, next.TLS = r.Host, r.RemoteAddr, f.at, r.TLS
	next.Header = r.Header.Clone()
	next.Header.Set("Content-Type", f.kind)
	p.cfg.Door.Carry(next, secret)
	p.cfg.Forms.ServeHTTP(w, next)
	return nil
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
			out = append(out, [2]string{name, mail.Clip(value, shownMost)})
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
