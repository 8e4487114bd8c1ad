package tlsreport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/internal/dns"
	"postern/internal/event"
	"postern/internal/gateway/submit"
	"postern/internal/history/tlscounts"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy/tlsrpt"
	"postern/internal/queue"
)

// Pauses between tries; the last repeats.
var pauses = [...]time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour}

// storePause is how long after a failure of our own store a report is tried again.
const storePause = 5 * time.Minute

// maxAnswer bounds what is read of a web server's answer in bytes.
const maxAnswer = 16 << 10

// try brings one report as far as it can be now, and says when it is tried again; the zero time for never.
func (s *Sender) try(ctx context.Context, i item) time.Time {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Time)
	defer cancel()
	r, err := s.cfg.States.Get(ctx, i.day, i.domain)
	if err != nil {
		return time.Now().Add(storePause)
	}
	counts, err := s.cfg.Counts.Counts(ctx, i.day, i.domain)
	if err != nil && !errors.Is(err, records.ErrNotFound) {
		return time.Now().Add(storePause)
	}
	domain, parsed := mail.ParseDomain(i.domain)
	if err != nil || parsed != nil || r.State.Final() {
		return time.Time{}
	}
	r.Last, r.Tried, r.State = time.Now().UTC(), r.Tried+1, Waiting
	if r.First.IsZero() {
		r.First = r.Last
	}
	report := Document(&counts, s.cfg.Author)
	r.ID = report.ID
	if len(r.To) == 0 {
		s.ask(ctx, domain, &r)
	}
	if len(r.To) > 0 && s.cfg.States.keep(ctx, &r) != nil {
		return time.Now().Add(storePause) // what could not be written down would be sent again and again
	}
	for n := range r.To {
		if ctx.Err() != nil {
			break
		}
		if d := &r.To[n]; d.State == Waiting {
			s.deliver(ctx, domain, &r, d, report)
		}
	}
	return s.conclude(ctx, &r)
}

// Document is the report of counts, with who reports it.
func Document(c *tlscounts.Counts, by Author) tlsrpt.Report {
	report := c.Report()
	report.Organization, report.Contact = by.Organization, by.Contact
	report.ID = strings.ReplaceAll(c.Day, "-", "") + "." + c.Domain + "@" + by.Gateway.String()
	return report
}

// ask finds who wants the report.
func (s *Sender) ask(ctx context.Context, domain mail.Domain, r *Report) {
	name, err := mail.ParseDomain(tlsrpt.Name(domain))
	if err != nil {
		r.State, r.Text = NoRecord, "the domain can have no record"
		return
	}
	answer, err := s.cfg.Names.TXT(ctx, name)
	if err != nil && !dns.IsNXDomain(err) {
		r.Text = "the record " + name.String() + " cannot be looked up: " + dns.KindOf(err).String()
		return
	}
	record, err := tlsrpt.ParseRecord(answer.Texts)
	switch {
	case errors.Is(err, tlsrpt.ErrNoRecord):
		r.State, r.Text = NoRecord, ""
		return
	case err != nil:
		r.State, r.Text = NoRecord, err.Error()
		return
	}
	for _, d := range record.Destinations {
		r.To = append(r.To, Destination{URI: d.String(), State: Waiting})
	}
}

// deliver brings the report to one destination. What was reached is written down at once.
func (s *Sender) deliver(ctx context.Context, domain mail.Domain, r *Report, d *Destination, report tlsrpt.Report) {
	var err error
	if address, isMail := strings.CutPrefix(d.URI, "mailto:"); isMail {
		err = s.mail(ctx, domain, d, address, report)
	} else {
		err = s.post(ctx, d.URI, report.Packed())
	}
	d.At, d.Text = time.Now().UTC(), ""
	if err != nil {
		d.Text = err.Error()
		return
	}
	d.State = Sent
	if err := s.cfg.States.keep(ctx, r); err != nil {
		r.Text = "what was sent cannot be written down: " + err.Error()
	}
	s.cfg.Sink.Emit(event.ReportSent{Day: r.Day, Domain: r.Domain, To: d.URI, Way: way(d.URI), OK: true})
}

// way is how a destination is reached.
func way(uri string) string {
	if strings.HasPrefix(uri, "mailto:") {
		return event.ReportMail
	}
	return event.ReportWeb
}

// mail queues the report as a mail.
func (s *Sender) mail(ctx context.Context, domain mail.Domain, d *Destination, address string,
	report tlsrpt.Report) error {
	text, err := url.PathUnescape(address)
	if err != nil {
		return errors.New("the address cannot be read")
	}
	to, err := mail.ParseAddress(text)
	if err != nil {
		return fmt.Errorf("the address cannot be used: %w", err)
	}
	now := time.Now()
	sum := sha256.Sum256([]byte(report.ID + " " + d.URI))
	message := tlsrpt.Message{From: s.cfg.Author.From, To: to, Submitter: s.cfg.Author.From.Domain, Domain: domain,
		Report: report, ID: hex.EncodeToString(sum[:12]), Now: now}
	signed, err := s.cfg.Sign(message.Compose())
	if err != nil {
		return fmt.Errorf("the mail cannot be signed: %w", err)
	}
	id := queue.NewID(now, s.cfg.Random())
	made, err := submit.Compose(ctx, s.cfg.InForce(), s.cfg.Store,
		&submit.Letter{ID: id, Kind: queue.Report, To: to, Text: signed,
			UTF8: !to.IsASCII(), Waives: true, At: now, Lifetime: s.cfg.Patience})
	if err != nil {
		return fmt.Errorf("the mail cannot be queued: %w", err)
	}
	if err := s.cfg.Store.Accept(ctx, made); err != nil {
		_ = made.Body.Discard() // the first error is the one to report
		return fmt.Errorf("the mail cannot be queued: %w", err)
	}
	submit.Announce(made, s.cfg.Wake, s.cfg.Sink)
	d.Message = string(id)
	return nil
}

// post gives the report to a web server (RFC 8460 §5.4).
func (s *Sender) post(ctx context.Context, address string, packed []byte) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.User != nil {
		return errors.New("the address cannot be used")
	}
	host, err := mail.ParseDomain(u.Hostname())
	if _, literal := host.Literal(); err != nil || literal {
		return errors.New("the address names no host that could have a certificate")
	}
	port := uint64(443)
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return errors.New("the address names no port that there is")
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(packed))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	r.Header.Set("Content-Type", tlsrpt.MediaGzip)
	answer, err := s.cfg.Web.Exchange(r, host, uint16(port))
	if err != nil {
		return err
	}
	defer answer.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("%s answers with HTTP status %d", host, answer.StatusCode)
	}
	_, _ = answer.Read(maxAnswer) // what it says besides is nothing to us
	return nil
}

// conclude writes down how far a report came, and says when it is tried again.
func (s *Sender) conclude(ctx context.Context, r *Report) time.Time {
	now := time.Now().UTC()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	waiting := 0
	for i := range r.To {
		if r.To[i].State == Waiting {
			waiting++
			r.Text = r.To[i].URI + ": " + r.To[i].Text
		}
	}
	switch {
	case r.State.Final():
	case len(r.To) > 0 && waiting == 0:
		r.State, r.Text = Sent, ""
	case !now.Before(r.First.Add(s.cfg.Patience)):
		s.giveUp(r, now)
	default:
		r.Next = now.Add(pauses[min(r.Tried, len(pauses))-1])
		if end := r.First.Add(s.cfg.Patience); r.Next.After(end) {
			r.Next = end
		}
	}
	if r.State.Final() {
		r.Next = time.Time{}
	}
	if err := s.cfg.States.keep(ctx, r); err != nil {
		return now.Add(storePause) // what is not written down is done again
	}
	return r.Next
}

// giveUp ends what could not be sent, and tells of it.
func (s *Sender) giveUp(r *Report, now time.Time) {
	r.State = Failed
	if len(r.To) == 0 {
		s.cfg.Sink.Emit(event.ReportSent{Day: r.Day, Domain: r.Domain, Text: r.Text})
	}
	for i := range r.To {
		if d := &r.To[i]; d.State == Waiting {
			d.State, d.At = Failed, now
			s.cfg.Sink.Emit(event.ReportSent{Day: r.Day, Domain: r.Domain, To: d.URI, Way: way(d.URI), Text: d.Text})
		}
	}
}
