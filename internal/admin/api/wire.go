package api

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"postern/internal/admin"
	"postern/internal/policy/rules"
)

// Problem is an error on the wire. It is an error too: the client returns it as it came.
type Problem struct {
	Text string `json:"error"`
	Hint string `json:"hint,omitempty"`
	// Problems are the single faults of a file, with their places.
	Problems []rules.Problem `json:"problems,omitempty"`
	// Code is the HTTP status.
	Code int `json:"-"`
}

// Error returns the text without hint and list.
func (p *Problem) Error() string { return p.Text }

// encodeQuery writes a query as URL parameters, leaving out what is not set.
func encodeQuery(q admin.Query) url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("sender", q.Sender)
	set("recipient", q.Recipient)
	set("domain", q.Domain)
	set("message_id", q.MessageID)
	set("reason", q.Reason)
	set("rule", q.Rule)
	v["message"], v["state"] = q.Messages, q.States
	for key, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(key, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// decodeQuery reads what encodeQuery wrote. A parameter it does not know is an error: an ignored filter shows too much.
func decodeQuery(v url.Values) (admin.Query, error) {
	q := admin.Query{Sender: v.Get("sender"), Recipient: v.Get("recipient"), Domain: v.Get("domain"), Messages: v["message"],
		MessageID: v.Get("message_id"), States: v["state"], Reason: v.Get("reason"), Rule: v.Get("rule")}
	for key := range v {
		switch key {
		case "sender", "recipient", "domain", "message", "message_id", "state", "reason", "rule", "since", "until", "limit":
		default:
			return q, fmt.Errorf("%w: there is no parameter %q", admin.ErrBadRequest, key)
		}
	}
	var err error
	if q.Limit, err = number(v, "limit"); err != nil {
		return q, err
	}
	if q.Since, err = moment(v, "since"); err != nil {
		return q, err
	}
	q.Until, err = moment(v, "until")
	return q, err
}

func number(v url.Values, key string) (int, error) {
	if !v.Has(key) {
		return 0, nil
	}
	n, err := strconv.Atoi(v.Get(key))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s is %q, want a number", admin.ErrBadRequest, key, v.Get(key))
	}
	return n, nil
}

func moment(v url.Values, key string) (time.Time, error) {
	if !v.Has(key) {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, v.Get(key))
	if err != nil {
		return t, fmt.Errorf("%w: %s is %q, want a time like 2026-11-23T12:00:00Z", admin.ErrBadRequest, key, v.Get(key))
	}
	return t, nil
}
