package reportbox

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/history/inbound"
	"postern/internal/history/tlsreports"
	"postern/internal/mail"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/tlsrpt"
	"postern/internal/smtp"
)

// The bounds of what is brought.
const (
	// PerSigner is how many reports of a signer are taken in a day, and PerDomain how many for each domain of ours
	// where that is more; PerClient is how many a client brings that nobody signed.
	PerSigner, PerDomain, PerClient = 500, 10, 50

	waitTime = 5 * time.Second // for those before
)

// Config is what a Box needs; all of it must be set.
type Config struct {
	Book *tlsreports.Book
	// Names answers for the keys of signatures.
	Names Names
	// Ours reports whether mail for a domain is received here, and Domains for how many it is.
	Ours    func(domain mail.Domain) bool
	Domains func() int
	// Hostname is our own name, which reports about DANE speak of.
	Hostname mail.Domain
	// Sink is told of what comes in (event.ReportReceived).
	Sink event.Sink
}

// Box takes reports. Safe for concurrent use.
type Box struct {
	cfg   Config
	place chan struct{} // who reads one
}

// New returns a Box.
func New(cfg Config) *Box { return &Box{cfg, make(chan struct{}, 1)} }

// Errors of a Box, beside tlsreports.ErrTooMany. Any other is one of the store: nothing is kept.
var (
	// ErrNoReport says that it is no report, cannot be read as one, or is about no domain of ours. It is wrapped in
	// words.
	ErrNoReport = errors.New("no report")
	// ErrBusy says that others are read just now.
	ErrBusy = errors.New("other reports are read just now")
	// ErrUnknown says that nobody knows now whether the report is signed.
	ErrUnknown = errors.New("the key of its signature cannot be looked up now")
)

// refusal is an ErrNoReport in words.
type refusal string

// Error is the words.
func (r refusal) Error() string { return string(r) }

// Is says what it is.
func (refusal) Is(err error) bool { return err == ErrNoReport }

// Mail takes a mail: header section and body, without what we stamp. All reports in it that are about us are durable
// when the error is nil; the answer is that of Added.
//
// It is read twice: DNS may take its time to tell of a signature, and meanwhile nobody has the place, nor is more held
// than the mail itself.
func (b *Box) Mail(ctx context.Context, content []byte, client netip.Addr) (tlsreports.Added, error) {
	r := tlsreports.Received{Way: tlsreports.ByMail}
	letters, err := b.read(ctx, content)
	switch {
	case errors.Is(err, tlsrpt.ErrNoReport):
		return tlsreports.Added{}, refusal(err.Error()) // somebody's letter, and nothing to tell of
	case err != nil:
		return b.refuse(&r, client, err)
	}
	if all := mail.ParseHeader(content).All("From"); len(all) > 0 {
		r.From = smtp.Printable(all[0].Value(), 320)
	}
	submitter := letters[0].Submitter
	letters = nil
	if r.Signer, r.Unsigned, err = Signature(ctx, b.cfg.Names, content, authorDomain(r.From), submitter); err != nil {
		return b.refuse(&r, client, err)
	}
	done, err := b.begin(ctx)
	if err != nil {
		return tlsreports.Added{}, err
	}
	defer done()
	if letters, err = tlsrpt.FromMail(content); err != nil {
		return b.refuse(&r, client, refusal(err.Error())) // it could be read before, so this does not happen
	}
	reports := make([]brought, len(letters))
	for i := range letters {
		reports[i] = brought{letters[i].Reading, letters[i].Domain, letters[i].Submitter}
	}
	return b.keepAll(ctx, r, reports, client)
}

// read finds the reports in a mail, of which one at least is about us.
func (b *Box) read(ctx context.Context, content []byte) ([]tlsrpt.Letter, error) {
	done, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	letters, err := tlsrpt.FromMail(content)
	switch {
	case errors.Is(err, tlsrpt.ErrNoReport):
		return nil, err
	case err != nil:
		return nil, refusal(err.Error())
	case !slices.ContainsFunc(letters, func(l tlsrpt.Letter) bool { return b.about(&l.Report, l.Domain) }):
		return nil, refusal("the report is about no domain of ours")
	}
	return letters, nil
}

// Post takes a document, compressed or not. All reports in it that are about us are durable when the error is nil; the
// answer is that of Added.
func (b *Box) Post(ctx context.Context, document []byte, client netip.Addr) (tlsreports.Added, error) {
	done, err := b.begin(ctx)
	if err != nil {
		return tlsreports.Added{}, err
	}
	defer done()
	r := tlsreports.Received{Way: tlsreports.ByPost, Unsigned: "a POST has no signature"}
	readings, err := tlsrpt.ParseAll(document)
	if err != nil {
		return b.refuse(&r, client, refusal(err.Error()))
	}
	var reports []brought
	for i := range readings {
		reports = append(reports, brought{Reading: readings[i]})
	}
	return b.keepAll(ctx, r, reports, client)
}

// brought is one report of those that came together. domain and submitter are what came with it says beside.
type brought struct {
	tlsrpt.Reading
	domain, submitter string
}

// keepAll keeps those that are about us, and tells of the others. Where one cannot be kept the rest is not looked at:
// who brought them comes again, and those that are kept are known then. The answer is a copy where all are.
func (b *Box) keepAll(ctx context.Context, r tlsreports.Received, reports []brought, client netip.Addr,
) (out tlsreports.Added, err error) {
	kept := 0
	elsewhere := refusal("the report is about no domain of this server")
	for i := range reports {
		its := r
		its.Submitter, its.Oddities = reports[i].submitter, reports[i].Oddities
		if !b.about(&reports[i].Report, reports[i].domain) {
			_, _ = b.refuse(&its, client, elsewhere)
			continue
		}
		added, err := b.keep(ctx, its, &reports[i].Report, client)
		if err != nil {
			return tlsreports.Added{}, err
		}
		if kept++; kept == 1 || !added.Copy {
			out = added
		}
	}
	if kept == 0 {
		return out, elsewhere
	}
	return out, nil
}

// authorDomain is the domain of the address in a From field, as a claim to choose a signature by.
func authorDomain(from string) string {
	text := from[strings.LastIndexByte(from, '@')+1:]
	return strings.TrimSpace(strings.TrimRight(text, "> \t"))
}

// begin waits until nobody else is read.
func (b *Box) begin(ctx context.Context) (done func(), err error) {
	timer := time.NewTimer(waitTime)
	defer timer.Stop()
	select {
	case b.place <- struct{}{}:
		return func() { <-b.place }, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, ErrBusy
}

func (b *Box) refuse(r *tlsreports.Received, client netip.Addr, err error) (tlsreports.Added, error) {
	b.cfg.Sink.Emit(event.ReportReceived{Way: r.Way, Client: client, Organization: r.Organization,
		Result: event.ReportRefused, Text: smtp.Printable(err.Error(), 300)})
	return tlsreports.Added{}, err
}

// keep makes a report durable and tells of it.
func (b *Box) keep(ctx context.Context, r tlsreports.Received, report *tlsrpt.Report,
	client netip.Addr) (tlsreports.Added, error) {
	r.At, r.Client = time.Now().UTC(), client.String()
	owners := map[string]string{}
	r.Sum(report, func(name string) string {
		owner, known := owners[name]
		if !known {
			owner, _ = b.owner(name)
			owners[name] = owner
		}
		return owner
	})
	who, most := "client "+inbound.Of(client).String(), PerClient
	if d, err := mail.ParseDomain(r.Signer); r.Signed() && err == nil {
		who, most = "signer "+mxpins.Registrable(d), max(PerSigner, PerDomain*b.cfg.Domains())
	}
	added, err := b.cfg.Book.Add(ctx, r, report.Packed(), who, most)
	if err != nil {
		return b.refuse(&r, client, err)
	}
	e := event.ReportReceived{Way: r.Way, Client: client, Signer: r.Signer, Organization: r.Organization, ID: added.ID,
		Result: event.ReportKept, News: added.News}
	if added.Copy {
		e.Result = event.ReportCopy
	}
	_, e.Failed = r.Sums()
	e.Results = results(&r)
	for _, p := range r.Parts {
		if p.Domain != "" && p.Failed > 0 && len(e.Domains) < 10 {
			e.Domains = append(e.Domains, p.Domain)
		}
	}
	b.cfg.Sink.Emit(e)
	return added, nil
}

// results lists what failed, a few of them.
func results(r *tlsreports.Received) (out []string) {
	seen := map[string]bool{}
	for _, p := range r.Parts {
		for _, f := range p.Failures {
			if !seen[f.Result] && len(out) < 10 {
				seen[f.Result] = true
				out = append(out, f.Result)
			}
		}
	}
	return out
}

// about reports whether a report says something of us. A policy without a domain may be ours.
func (b *Box) about(report *tlsrpt.Report, domain string) bool {
	if len(report.Policies) == 0 {
		_, ours := b.owner(domain)
		return ours && domain != ""
	}
	seen := map[string]bool{}
	for i := range report.Policies {
		name := report.Policies[i].Domain
		if seen[name] {
			continue
		}
		seen[name] = true
		if _, ours := b.owner(name); ours || name == "" {
			return true
		}
	}
	return false
}

// owner finds the domain of ours that a policy domain belongs to: itself, or the next above it that we receive for. A
// mail host stands in for the domain (RFC 8460 §4.4 has the recipients' domain, and some write the TLSA base domain).
func (b *Box) owner(name string) (domain string, ours bool) {
	at, err := mail.ParseDomain(name)
	if err != nil {
		return "", false
	}
	for d := at; ; {
		if b.cfg.Ours(d) {
			return d.String(), true
		}
		_, above, _ := strings.Cut(d.String(), ".")
		if d, err = mail.ParseDomain(above); err != nil {
			return "", at == b.cfg.Hostname
		}
	}
}
