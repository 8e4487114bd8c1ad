package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"postern/internal/accounts"
	"postern/internal/admin"
	"postern/internal/ledger"
)

// Unreachable means that no gateway answers at the socket.
type Unreachable struct {
	Path string
	Err  error
}

// Error says where nobody answered.
func (u *Unreachable) Error() string {
	var sys *net.OpError
	cause := u.Err
	if errors.As(u.Err, &sys) {
		cause = sys.Err
	}
	return "no gateway answers at " + u.Path + ": " + cause.Error()
}

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.Err }

// Client asks a running gateway. Safe for concurrent use. Errors are *Unreachable, *Problem, or of the context.
type Client struct {
	path string
	http *http.Client
}

// Dial returns a Client of the socket at path; it connects when it is first asked.
func Dial(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, &Unreachable{path, err}
		}
		return nc, nil
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Traces yields what q selects, as it arrives.
func (c *Client) Traces(ctx context.Context, q admin.Query) iter.Seq2[admin.Trace, error] {
	return list[admin.Trace](ctx, c, "/v1/deliveries", encodeQuery(q))
}

// Audit yields the newest entries of the audit trail; limit 0 is the gateway's default.
func (c *Client) Audit(ctx context.Context, limit int) iter.Seq2[ledger.Entry, error] {
	v := url.Values{}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return list[ledger.Entry](ctx, c, "/v1/audit", v)
}

// Accounts yields who may use the console.
func (c *Client) Accounts(ctx context.Context) iter.Seq2[accounts.Account, error] {
	return list[accounts.Account](ctx, c, "/v1/accounts", url.Values{})
}

// Invite makes a link by which somebody sets a password.
func (c *Client) Invite(ctx context.Context, r InviteRequest) (out InviteResult, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/accounts/invite", r, &out)
}

// ChangeAccount disables, enables or deletes an account.
func (c *Client) ChangeAccount(ctx context.Context, r AccountRequest) error {
	return c.call(ctx, http.MethodPost, "/v1/accounts/change", r, &AccountResult{})
}

// Act changes waiting mail.
func (c *Client) Act(ctx context.Context, r admin.ActRequest) (out admin.ActResult, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/queue", r, &out)
}

// Rules shows the rules in force.
func (c *Client) Rules(ctx context.Context) (out admin.RulesView, err error) {
	return out, c.call(ctx, http.MethodGet, "/v1/rules", nil, &out)
}

// ApplyRules puts a rules file in force, or says what it would change.
func (c *Client) ApplyRules(ctx context.Context, r admin.ApplyRequest) (out admin.ApplyResult, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/rules", r, &out)
}

// Explain asks which rules would match.
func (c *Client) Explain(ctx context.Context, r admin.ExplainRequest) (out admin.Explanation, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/rules/explain", r, &out)
}

// Status asks how the gateway is.
func (c *Client) Status(ctx context.Context) (out admin.Status, err error) {
	return out, c.call(ctx, http.MethodGet, "/v1/status", nil, &out)
}

// call sends one request and reads its answer.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("cannot write the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	res, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("the gateway's answer was cut off: %w", err)
	}
	return nil
}

// do sends a request; an answer that is an error becomes a *Problem. The caller closes the body.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://postern"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*Unreachable](err); ok {
			return nil, u
		}
		return nil, &Unreachable{c.path, err}
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	p := &Problem{Code: res.StatusCode}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(p); err != nil || p.Text == "" {
		p.Text = "the gateway answered " + res.Status
	}
	return nil, p
}

// list reads newline-delimited objects as they arrive.
func list[T any](ctx context.Context, c *Client, path string, params url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		res, err := c.do(ctx, http.MethodGet, path+"?"+params.Encode(), nil)
		if err != nil {
			yield(none, err)
			return
		}
		defer res.Body.Close()
		in := bufio.NewReader(res.Body)
		for {
			line, err := in.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				return
			}
			if err != nil {
				yield(none, fmt.Errorf("the gateway's answer was cut off: %w", err))
				return
			}
			one, err := readLine[T](line)
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}

// errorLine begins every line that is a Problem; no object of a list has it.
const errorLine = `{"error":`

func readLine[T any](line []byte) (one T, err error) {
	if bytes.HasPrefix(line, []byte(errorLine)) {
		p := &Problem{Code: http.StatusInternalServerError}
		if err := json.Unmarshal(line, p); err != nil {
			return one, fmt.Errorf("the gateway's answer cannot be read: %w", err)
		}
		return one, p
	}
	if err := json.Unmarshal(line, &one); err != nil {
		return one, fmt.Errorf("the gateway's answer cannot be read: %w", err)
	}
	return one, nil
}
