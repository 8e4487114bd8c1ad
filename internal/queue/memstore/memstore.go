// Package memstore keeps mail in memory: the reference model that storetest measures other stores by, and the store of
// tests that need no disk. Nothing in it survives the process, so of G1 it keeps only the order of things.
package memstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"postern/internal/operator/audit"
	"postern/internal/policy"
	"postern/internal/queue"
)

// errClosed is what every method answers after Close.
var errClosed = errors.New("memstore: the store is closed")

// Store implements queue.Store, audit.Ledger and records.Store. Use New. Safe for concurrent use.
type Store struct {
	mu       sync.Mutex // guards everything below
	closed   bool
	messages map[queue.ID]*message
	// rows are the deliveries in order of acceptance, byID the same by name.
	rows  []*row
	byID  map[queue.DeliveryID]*row
	sites map[queue.SiteKey]*site
	// lastID and lastToken were given out last.
	lastID    queue.DeliveryID
	lastToken int64
	revisions []audit.Revision
	entries   []audit.Entry
	judgement audit.Judgement
	kept      kept
}

// message is a stored message; body is nil when the last open delivery has ended.
type message struct {
	queue.Message
	body []byte
	rows []*row
}

// row is a stored delivery. Its State is never Sending: a lease says that. token 0 is no lease.
type row struct {
	queue.Delivery
	message *message
	token   int64
	until   time.Time
}

type site struct {
	key         queue.SiteKey
	nextHop     string
	requirement policy.Requirement
	state       queue.SiteState
}

// New returns an empty store.
func New() *Store {
	return &Store{
		messages: map[queue.ID]*message{},
		byID:     map[queue.DeliveryID]*row{},
		sites:    map[queue.SiteKey]*site{},
		kept:     newKept(),
	}
}

// enter locks the store for a method; the caller defers s.mu.Unlock when the error is nil.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	return nil
}

// draft is a body being written.
type draft struct {
	buf   bytes.Buffer
	ended bool
}

// NewDraft begins a body in memory.
func (s *Store) NewDraft(ctx context.Context) (queue.Draft, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return &draft{}, nil
}

func (d *draft) Write(p []byte) (int, error) {
	if d.ended {
		return 0, errors.New("memstore: the draft has ended")
	}
	return d.buf.Write(p)
}

func (d *draft) Size() int64 { return int64(d.buf.Len()) }

func (d *draft) Discard() error {
	d.ended = true
	return nil
}

// Accept stores one message.
func (s *Store) Accept(ctx context.Context, sub *queue.Submission) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.admit(sub); err != nil {
		return err
	}
	s.insert(sub)
	return nil
}

// admit finds out whether insert may run.
func (s *Store) admit(sub *queue.Submission) error {
	if err := sub.Check(); err != nil {
		return err
	}
	if _, exists := s.messages[sub.Message.ID]; exists {
		return fmt.Errorf("memstore: message %s exists", sub.Message.ID)
	}
	if d, ok := sub.Body.(*draft); !ok || d.ended {
		return errors.New("memstore: the body is not an open draft of this store")
	}
	return nil
}

func (s *Store) insert(sub *queue.Submission) {
	d := sub.Body.(*draft)
	d.ended = true
	sub.Message.Size = d.Size()
	m := &message{Message: sub.Message, body: append([]byte{}, d.buf.Bytes()...)}
	m.AcceptedAt = queue.Kept(m.AcceptedAt)
	s.messages[m.ID] = m
	for i := range sub.Deliveries {
		s.lastID++
		n := &sub.Deliveries[i]
		n.ID = s.lastID
		r := &row{Delivery: n.Delivery, message: m}
		r.Message, r.AcceptedAt = m.ID, m.AcceptedAt
		r.ExpiresAt, r.Due, r.Deadline = queue.Kept(n.ExpiresAt), queue.Kept(n.Due), queue.Kept(n.Deadline)
		r.FinishedAt, r.History, r.Attempts = time.Time{}, nil, 0
		if r.State == 0 {
			r.State = queue.Queued
		}
		r.Site = s.site(n.NextHop, n.Requirement).key
		m.rows, s.rows, s.byID[r.ID] = append(m.rows, r), append(s.rows, r), r
	}
}

// site finds or creates a site.
func (s *Store) site(nextHop string, r policy.Requirement) *site {
	key := queue.NewSiteKey(nextHop, r)
	if s.sites[key] == nil {
		s.sites[key] = &site{key: key, nextHop: nextHop, requirement: policy.Combine(r)}
	}
	return s.sites[key]
}

// Open opens a body.
func (s *Store) Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	m := s.messages[id]
	if m == nil || m.body == nil {
		return nil, queue.ErrNotFound
	}
	return reader{bytes.NewReader(m.body)}, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// ended drops the body of r's message when nothing of it is open any more.
func ended(r *row) {
	if !slices.ContainsFunc(r.message.rows, func(o *row) bool { return o.State.Waiting() }) {
		r.message.body = nil
	}
}

// Close ends the store; its contents are gone.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Rules returns the newest revision.
func (s *Store) Rules(ctx context.Context) (audit.Revision, error) {
	if err := s.enter(ctx); err != nil {
		return audit.Revision{}, err
	}
	defer s.mu.Unlock()
	if len(s.revisions) == 0 {
		return audit.Revision{}, nil
	}
	return s.revisions[len(s.revisions)-1], nil
}

// AppendRules stores the next revision and its entry.
func (s *Store) AppendRules(ctx context.Context, text string, e audit.Entry) (audit.Revision, error) {
	if err := s.enter(ctx); err != nil {
		return audit.Revision{}, err
	}
	defer s.mu.Unlock()
	e.At = queue.Kept(e.At)
	r := audit.Revision{Number: int64(len(s.revisions)) + 1, Text: text, AppliedAt: e.At, By: e.By}
	s.revisions = append(s.revisions, r)
	s.record(e)
	return r, nil
}

// Judgement returns the newest.
func (s *Store) Judgement(ctx context.Context) (audit.Judgement, error) {
	if err := s.enter(ctx); err != nil {
		return audit.Judgement{}, err
	}
	defer s.mu.Unlock()
	return s.judgement, nil
}

// Judge numbers and stores what is in force.
func (s *Store) Judge(ctx context.Context, j audit.Judgement, anew bool) (audit.Judgement, error) {
	if err := s.enter(ctx); err != nil {
		return audit.Judgement{}, err
	}
	defer s.mu.Unlock()
	s.judgement = j.Next(s.judgement, int64(len(s.revisions)), anew)
	return s.judgement, nil
}

// Append stores an entry.
func (s *Store) Append(ctx context.Context, e audit.Entry) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.record(e)
	return nil
}

// record appends an entry, whose ID is its place counted from 1.
func (s *Store) record(e audit.Entry) {
	e.ID, e.At = int64(len(s.entries))+1, queue.Kept(e.At)
	s.entries = append(s.entries, e)
}

// recordAll appends how wishes ended.
func (s *Store) recordAll(ends *queue.WishEnds) {
	for _, e := range ends.Entries() {
		s.record(e)
	}
}

// Revision returns one revision.
func (s *Store) Revision(ctx context.Context, number int64) (audit.Revision, error) {
	if err := s.enter(ctx); err != nil {
		return audit.Revision{}, err
	}
	defer s.mu.Unlock()
	if number < 1 || number > int64(len(s.revisions)) {
		return audit.Revision{}, audit.ErrNotFound
	}
	return s.revisions[number-1], nil
}

// Revisions returns the newest revisions below a number first.
func (s *Store) Revisions(ctx context.Context, below int64, limit int) ([]audit.Revision, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return newest(s.revisions, below, limit), nil
}

// Entries returns the newest entries below an ID first.
func (s *Store) Entries(ctx context.Context, below int64, limit int) ([]audit.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return newest(s.entries, below, limit), nil
}

// newest returns the last of a list numbered from 1 that stand below a number, 0: of all, the last first.
func newest[T any](list []T, below int64, limit int) []T {
	if below > 0 {
		list = list[:min(below-1, int64(len(list)))]
	}
	out := slices.Clone(list[max(0, len(list)-limit):])
	slices.Reverse(out)
	return out
}
