package reportbox

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy/mxpins"
	"postern/internal/smtp"
)

// The bounds of signatures.
const (
	signaturesMost = 5
	signatureTime  = 10 * time.Second
)

// Names answers for the keys of signers; a dns.Resolver does.
type Names interface {
	TXT(ctx context.Context, name mail.Domain) (dns.TXTAnswer, error)
}

// Signature returns the domain whose signature holds, of several the one that belongs to whom the mail claims to be
// from: author and submitter are such claims. Where there is none, why says so in a sentence without a full stop. The
// error is ErrUnknown where it could not be found out.
func Signature(ctx context.Context, names Names, content []byte, claims ...string) (signer, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, signatureTime)
	defer cancel()
	list, err := dkim.VerifyWithOptions(bytes.NewReader(content), &dkim.VerifyOptions{MaxVerifications: signaturesMost,
		LookupTXT: func(name string) ([]string, error) { return key(ctx, names, name) }})
	if err != nil && !errors.Is(err, dkim.ErrTooManySignatures) {
		return "", "its header cannot be read: " + words(err), nil
	}
	var unknown bool
	why = "nobody signed it"
	for _, v := range list {
		domain, bad := mail.ParseDomain(v.Domain)
		switch {
		case v.Err == nil && bad == nil:
			if signer == "" || aligned(domain.String(), claims) && !aligned(signer, claims) {
				signer = domain.String()
			}
		case dkim.IsTempFail(v.Err):
			unknown = true
		case v.Err != nil:
			why = "the signature of " + smtp.Printable(v.Domain, 255) + " does not hold: " + words(v.Err)
		}
	}
	switch {
	case signer != "":
		return signer, "", nil
	case unknown:
		return "", "", ErrUnknown
	}
	return "", why, nil
}

func words(err error) string { return smtp.Printable(strings.TrimPrefix(err.Error(), "dkim: "), 300) }

// aligned reports whether a domain belongs to one of the claims.
func aligned(domain string, claims []string) bool {
	d, err := mail.ParseDomain(domain)
	if err != nil {
		return false
	}
	for _, claim := range claims {
		if c, err := mail.ParseDomain(claim); err == nil && mxpins.Registrable(c) == mxpins.Registrable(d) {
			return true
		}
	}
	return false
}

// unanswered is an error of DNS that may be over soon, as the library knows it.
type unanswered struct{ error }

// Temporary says so.
func (unanswered) Temporary() bool { return true }

// Timeout is part of net.Error.
func (unanswered) Timeout() bool { return true }

// key looks a key up.
func key(ctx context.Context, names Names, name string) ([]string, error) {
	domain, err := mail.ParseDomain(strings.TrimSuffix(name, "."))
	if err != nil {
		return nil, errors.New("the key has no name that can be asked for")
	}
	answer, err := names.TXT(ctx, domain)
	switch {
	case dns.IsNXDomain(err):
		return nil, errors.New("there is no such key")
	case err != nil:
		return nil, unanswered{err}
	}
	var out []string
	for _, text := range answer.Texts {
		if text = forReports(text); text == "" {
			return nil, errors.New("the key is marked as a test")
		}
		out = append(out, text)
	}
	return out, nil
}

// forReports is a key's record as it holds for a report: one for reports alone (RFC 8460 §3) is one for everything
// here. It is "" for a key that is a test (RFC 6376 §3.6.1).
func forReports(record string) string {
	tags := strings.Split(record, ";")
	for i, tag := range tags {
		name, value, _ := strings.Cut(tag, "=")
		switch strings.TrimSpace(name) {
		case "s":
			if has(value, "tlsrpt") {
				tags[i] = "s=*"
			}
		case "t":
			if has(value, "y") {
				return ""
			}
		}
	}
	return strings.Join(tags, ";")
}

// has reports whether a list with colons has a word.
func has(list, word string) bool {
	for one := range strings.SplitSeq(list, ":") {
		if strings.EqualFold(strings.TrimSpace(one), word) {
			return true
		}
	}
	return false
}
