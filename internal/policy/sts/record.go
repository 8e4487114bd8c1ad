package sts

import (
	"errors"
	"fmt"
	"strings"
)

// Version is the one version there is, of records and of policies.
const Version = "STSv1"

// ErrNoRecord says that a domain has no record about MTA-STS, and nothing that looks like one.
var ErrNoRecord = errors.New("there is no MTA-STS record")

// Record is what _mta-sts.DOMAIN says.
type Record struct {
	// ID changes whenever the policy does: 1 to 32 letters and digits. There is no order among them.
	ID string
}

// Text is the record as it stands in DNS.
func (r Record) Text() string { return "v=" + Version + "; id=" + r.ID + ";" }

// ParseRecord reads the texts of _mta-sts.DOMAIN, each with its strings joined (RFC 8461 §3.1). Texts about something
// else are passed over. The error is ErrNoRecord where there is none, else a *Fault; a domain whose record is faulty,
// or that has two, has no policy to fetch.
func ParseRecord(texts []string) (Record, error) {
	var ours []string
	var strange error = ErrNoRecord
	for _, text := range texts {
		rest, begins := strings.CutPrefix(text, "v="+Version)
		switch {
		case begins && (rest == "" || strings.ContainsAny(rest[:1], "; \t")):
			ours = append(ours, rest)
		case strange == ErrNoRecord && likeRecord(text):
			strange = &Fault{Text: "the record begins with " + said(text) +
				`, want "v=STSv1;" in exactly this spelling`}
		}
	}
	switch len(ours) {
	case 0:
		return Record{}, strange
	case 1:
		return parseFields(ours[0])
	}
	return Record{}, &Fault{Text: fmt.Sprintf("there are %d MTA-STS records, and with more than one there is no policy",
		len(ours))}
}

// likeRecord reports whether a text that is no record was probably meant as one: in quotation marks, with a blank in
// front, in other letters, of another version.
func likeRecord(text string) bool {
	text = strings.ToLower(strings.TrimLeft(text[:min(len(text), maxSaid)], " \t\"'`“”„"))
	return strings.HasPrefix(strings.ReplaceAll(text, " ", ""), "v=sts")
}

// parseFields reads what follows the version. Of a name that comes twice the first counts (RFC 8461 §3.2).
func parseFields(text string) (Record, error) {
	var r Record
	var seen bool
	for field := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(field, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "id") || seen {
			continue
		}
		seen = true
		r.ID = strings.Trim(value, " \t")
	}
	switch {
	case !seen:
		return Record{}, &Fault{Text: "the record has no id"}
	case r.ID == "":
		return Record{}, &Fault{Text: "the id of the record is empty"}
	case len(r.ID) > 32:
		return Record{}, &Fault{Text: fmt.Sprintf("the id of the record has %d characters, want at most 32", len(r.ID))}
	case strings.ContainsFunc(r.ID, func(c rune) bool { return !strings.ContainsRune(idCharacters, c) }):
		return Record{}, &Fault{Text: "the id of the record is " + said(r.ID) + ", want letters and digits alone"}
	}
	return r, nil
}

const idCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
