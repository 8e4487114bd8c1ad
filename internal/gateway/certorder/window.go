package certorder

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// mostAnswer bounds what is read of an answer about renewal, in bytes.
const mostAnswer = 64 << 10

// How often a CA is asked for its window (RFC 9773 §4.3.2): as it says itself, between an hour and a day; six hours
// where it says nothing.
const (
	askLeast, askMost, askUsual = time.Hour, 24 * time.Hour, 6 * time.Hour
)

// errNoWindow: the CA does not say when certificates are to be renewed.
var errNoWindow = errors.New("the CA says nothing about renewal")

// certificateID is how renewal information is asked for (RFC 9773 §4.1).
func certificateID(leaf *x509.Certificate) (string, error) {
	if len(leaf.AuthorityKeyId) == 0 || leaf.SerialNumber.Sign() <= 0 {
		return "", errNoWindow
	}
	serial := leaf.SerialNumber.Bytes()
	if serial[0]&0x80 != 0 {
		serial = append([]byte{0}, serial...) // as DER writes it
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode(leaf.AuthorityKeyId) + "." + encode(serial), nil
}

// Window asks the CA when it would have a certificate renewed, and says how long that holds.
func (a *directory) Window(ctx context.Context, leaf *x509.Certificate) (w window, again time.Duration, err error) {
	id, err := certificateID(leaf)
	if err != nil {
		return w, askMost, err
	}
	var index struct {
		RenewalInfo string `json:"renewalInfo"`
	}
	if _, err := a.get(ctx, a.cfg.Directory, &index); err != nil {
		return w, askLeast, err
	}
	if index.RenewalInfo == "" {
		return w, askMost, errNoWindow
	}
	var info struct {
		Suggested struct {
			Start time.Time `json:"start"`
			End   time.Time `json:"end"`
		} `json:"suggestedWindow"`
	}
	header, err := a.get(ctx, strings.TrimSuffix(index.RenewalInfo, "/")+"/"+id, &info)
	if err != nil {
		return w, askLeast, err
	}
	again = askUsual
	if asked := retryAfter(header); asked > 0 {
		again = min(max(asked, askLeast), askMost)
	}
	w = window{info.Suggested.Start, info.Suggested.End}
	if w.start.IsZero() || !w.end.After(w.start) {
		return window{}, again, errors.New("the CA's window for renewal has no end after its start")
	}
	return w, again, nil
}

// get reads a small JSON object.
func (a *directory) get(ctx context.Context, url string, into any) (http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", userAgent)
	response, err := a.client.HTTPClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the CA answers %d", response.StatusCode)
	}
	return response.Header, json.NewDecoder(io.LimitReader(response.Body, mostAnswer)).Decode(into)
}

// retryAfter is how long a server asks to wait (RFC 9110 §10.2.3), 0 where it does not say.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
