package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
	"postern/internal/operator/live"
	"postern/internal/operator/mailhosts"
	"postern/internal/operator/past"
	"postern/internal/operator/policies"
	"postern/internal/operator/reports"
	"postern/internal/operator/servers"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/policy/mxpins"
)

// Unreachable means that no gateway answers there.
type Unreachable struct {
	// Where is the path of the socket or the address.
	Where string
	// Remote says that it is an address.
	Remote bool
	Err    error
}

// Error says where nobody answered.
func (u *Unreachable) Error() string {
	var sys *net.OpError
	cause := u.Err
	if errors.As(u.Err, &sys) {
		cause = sys.Err
	}
	return "no gateway answers at " + u.Where + ": " + cause.Error()
}

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.Err }

// Client asks a running gateway. Safe for concurrent use. Errors are *Unreachable, *Problem, or of the context.
type Client struct {
	base   string // before the path of an operation
	where  string
	token  string // "": at the socket
	remote bool
	http   *http.Client
	// By names the person at the keyboard, for the audit trail; it must not change while requests run.
	By string
}

// Dial returns a Client of the socket at path; it connects when it is first asked.
func Dial(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, &Unreachable{Where: path, Err: err}
		}
		return nc, nil
	}
	return &Client{base: "http://postern" + Root, where: path,
		http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Remote returns a Client of the gateway whose console is at base, as token allows. Plain HTTP is for loopback
// addresses only: the token would be read on the way. roots may be nil for those of the system.
func Remote(base, token string, roots *tls.Config) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "":
		return nil, fmt.Errorf("%q is no address of a gateway; write https://gateway.example:8025", base)
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return nil, fmt.Errorf("a token is not sent in the clear: write https://%s", u.Host)
	case token == "":
		return nil, errors.New("a remote gateway wants a token")
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a token goes nowhere else
	return &Client{base: u.String() + Root, where: u.String(), token: token, remote: true,
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: roots, TLSHandshakeTimeout: 10 * time.Second},
			CheckRedirect: stay}}, nil
}

func loopbackHost(name string) bool {
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Traces yields what q selects, newest acceptance first, page after page. Of messages that q names and that are unknown
// the last it yields is a *Problem.
func (c *Client) Traces(ctx context.Context, q trace.Query) iter.Seq2[trace.Delivery, error] {
	return func(yield func(trace.Delivery, error) bool) {
		var unknown []string
		for t, err := range pagesKnowing[trace.Delivery](ctx, c, "/deliveries", q.Values(), q.Limit, &unknown) {
			if !yield(t, err) || err != nil {
				return
			}
		}
		if len(unknown) > 0 {
			yield(trace.Delivery{}, missing(unknown, "there is no message %s", strings.Join(unknown, ", ")))
		}
	}
}

// Nodes lists the gateways that share the store.
func (c *Client) Nodes(ctx context.Context) (out []admin.GatewayNode, err error) {
	return out, c.call(ctx, request{path: "/nodes"}, &out)
}

// Audit yields the newest entries of the audit trail; limit 0 is all.
func (c *Client) Audit(ctx context.Context, limit int) iter.Seq2[audit.Entry, error] {
	return pages[audit.Entry](ctx, c, "/audit", url.Values{}, limit)
}

// Peers yields what is remembered of servers; see admin.Service.Peers.
func (c *Client) Peers(ctx context.Context, names []string, limit int) iter.Seq2[servers.Peer, error] {
	v := url.Values{"name": names}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return each[servers.Peer](ctx, c, "/peers", v)
}

// Missing asks what is remembered of an address of a host that has no TLS now.
func (c *Client) Missing(ctx context.Context, host string, addr netip.AddrPort) (out servers.Missing, err error) {
	v := given(url.Values{"host": {host}, "addr": {addr.String()}})
	return out, c.call(ctx, request{path: "/peers/missing", params: v}, &out)
}

// ForgetPeers forgets what is remembered of servers.
func (c *Client) ForgetPeers(ctx context.Context, r servers.ForgetRequest) (out servers.ForgetResult, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/peers/forget", body: r}, &out)
}

// Policies yields the MTA-STS policies that are kept; limit 0 is all.
func (c *Client) Policies(ctx context.Context, limit int) iter.Seq2[policies.PolicyKept, error] {
	return pages[policies.PolicyKept](ctx, c, "/policies", url.Values{}, limit)
}

// Policy shows what is kept of a domain's policy, and with dns what it announces now.
func (c *Client) Policy(ctx context.Context, domain string, dns bool) (out policies.PolicyKept, err error) {
	v := url.Values{"dns": {strconv.FormatBool(dns)}}
	return out, c.call(ctx, request{path: "/policies/" + segment(domain), params: v}, &out)
}

// Observed lists what was delivered and fell short of what its domain publishes.
func (c *Client) Observed(ctx context.Context, q past.ObservedRequest) (out past.Observed, err error) {
	v := given(url.Values{"domain": {q.Domain}, "days": {strconv.Itoa(q.Days)}})
	return out, c.call(ctx, request{path: "/observed", params: v}, &out)
}

// Incoming lists how mail of other domains came in.
func (c *Client) Incoming(ctx context.Context, q reports.IncomingRequest) (out reports.Incoming, err error) {
	v := given(url.Values{"domain": {q.Domain}, "days": {strconv.Itoa(q.Days)},
		"without_tls": {strconv.FormatBool(q.Without)}, "below": {q.Below},
		"cipher": {q.Cipher}, "refused": {strconv.FormatBool(q.Refused)}})
	return out, c.call(ctx, request{path: "/incoming", params: v}, &out)
}

// RefreshPolicy asks a domain for its policy now.
func (c *Client) RefreshPolicy(ctx context.Context, domain string) (out policies.PolicyKept, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/policies/" + segment(domain) + "/refresh"},
		&out)
}

// ForgetPolicy forgets what is kept of a domain's policy.
func (c *Client) ForgetPolicy(ctx context.Context, domain string) (out policies.PolicyForgotten, err error) {
	return out, c.call(ctx, request{method: http.MethodDelete, path: "/policies/" + segment(domain)}, &out)
}

// Reports yields what there is to report of TLS with other domains' servers; day "" is all days, limit 0 is all.
func (c *Client) Reports(ctx context.Context, day string, limit int) iter.Seq2[reports.ReportOut, error] {
	v := url.Values{}
	if day != "" {
		v.Set("day", day)
	}
	return pages[reports.ReportOut](ctx, c, "/reports", v, limit)
}

// ReceivedReports yields the reports of others on TLS with us, the newest first; limit 0 is all.
func (c *Client) ReceivedReports(ctx context.Context, q reports.ReceivedQuery) iter.Seq2[reports.ReceivedReport,
	error] {
	v := url.Values{}
	for name, text := range map[string]string{"domain": q.Domain, "sender": q.Sender} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if q.Failing {
		v.Set("failing", "true")
	}
	return pages[reports.ReceivedReport](ctx, c, "/received-reports", v, q.Limit)
}

// ReceivedReport shows a report of somebody else.
func (c *Client) ReceivedReport(ctx context.Context, id string) (out reports.ReceivedDocument, err error) {
	return out, c.call(ctx, request{path: "/received-reports/" + segment(id)}, &out)
}

// TLSFailures asks who could not reach us over TLS in the last days; 0 is 14.
func (c *Client) TLSFailures(ctx context.Context, days int) (out reports.ReceivedSummary, err error) {
	return out, c.call(ctx, request{path: "/tls-failures", params: url.Values{"days": {strconv.Itoa(days)}}}, &out)
}

// Report shows the document of a day for a domain.
func (c *Client) Report(ctx context.Context, day, domain string) (out reports.ReportDocument, err error) {
	return out, c.call(ctx, request{path: "/reports/" + segment(day) + "/" + segment(domain)}, &out)
}

// Pins yields the names of mail hosts that are known; "" asks for every domain.
func (c *Client) Pins(ctx context.Context, domain string) iter.Seq2[mxpins.Pin, error] {
	v := url.Values{}
	if domain != "" {
		v.Set("domain", domain)
	}
	return each[mxpins.Pin](ctx, c, "/pins", v)
}

// Candidates lists what could be approved for a domain, with what DNS names now.
func (c *Client) Candidates(ctx context.Context, domain string) (out mailhosts.Candidates, err error) {
	v := url.Values{"domain": {domain}, "dns": {"true"}}
	return out, c.call(ctx, request{path: "/pins/candidates", params: v}, &out)
}

// Approve makes named mail hosts of a domain known to its rules.
func (c *Client) Approve(ctx context.Context, r mailhosts.ApproveRequest) (out mailhosts.ApproveResult, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/pins/approve", body: r}, &out)
}

// Unpin forgets which names of mail hosts are known for a domain.
func (c *Client) Unpin(ctx context.Context, r mailhosts.UnpinRequest) (out mailhosts.UnpinResult, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/pins/forget", body: r}, &out)
}

// Accounts yields who may sign in.
func (c *Client) Accounts(ctx context.Context) iter.Seq2[Account, error] {
	return each[Account](ctx, c, "/accounts", url.Values{})
}

// Invite makes a link by which somebody sets a password.
func (c *Client) Invite(ctx context.Context, r InviteRequest) (out InviteResult, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/accounts", body: r}, &out)
}

// FirstAccount makes the link for the first administrator.
func (c *Client) FirstAccount(ctx context.Context) (out InviteResult, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/accounts/first"}, &out)
}

// DisableAccount keeps somebody out, or lets him in again.
func (c *Client) DisableAccount(ctx context.Context, name string, disabled bool) error {
	return c.call(ctx, request{method: http.MethodPatch, path: "/accounts/" + segment(name),
		body: AccountChange{Disabled: &disabled}}, &Account{})
}

// DeleteAccount deletes an account.
func (c *Client) DeleteAccount(ctx context.Context, name string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/accounts/" + segment(name)}, nil)
}

// Tokens yields the tokens of every account.
func (c *Client) Tokens(ctx context.Context) iter.Seq2[Token, error] {
	return each[Token](ctx, c, "/tokens", url.Values{})
}

// DeleteToken ends a token.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/tokens/" + segment(id)}, nil)
}

// Act changes waiting mail.
func (c *Client) Act(ctx context.Context, r waiting.ActRequest) (out waiting.ActResult, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/queue", body: r}, &out)
}

// Content reads a message in quarantine.
func (c *Client) Content(ctx context.Context, id string) (out waiting.Content, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/messages/" + segment(id) + "/content"},
		&out)
}

// Reload has the files read again and waits until they are in force.
func (c *Client) Reload(ctx context.Context) (out admin.ReloadResult, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/reload"}, &out)
}

// ExportRules is Rules for whoever takes the file away.
func (c *Client) ExportRules(ctx context.Context) (out RulesView, err error) {
	return out, c.call(ctx, request{path: "/rules", params: url.Values{"export": {"true"}}}, &out)
}

// Rules shows the rules in force.
func (c *Client) Rules(ctx context.Context) (out RulesView, err error) {
	return out, c.call(ctx, request{path: "/rules"}, &out)
}

// Exceptions shows the exceptions of the rules in force.
func (c *Client) Exceptions(ctx context.Context) (out admin.ExceptionsView, err error) {
	return out, c.call(ctx, request{path: "/exceptions"}, &out)
}

// ApplyRules puts a rules file in force, or says what it would change.
func (c *Client) ApplyRules(ctx context.Context, r admin.ApplyRequest) (out admin.ApplyResult, err error) {
	q := request{method: http.MethodPut, path: "/rules", body: file{r.Name, r.Text, r.DryRun, r.LetWaitingGo}}
	if r.IfRevision != nil {
		q.match = tag(*r.IfRevision)
	}
	return out, c.call(ctx, q, &out)
}

// Explain asks which rules would match.
func (c *Client) Explain(ctx context.Context, r admin.ExplainRequest) (out admin.Explanation, err error) {
	return out, c.call(ctx, request{method: http.MethodPost, path: "/explanations", body: r}, &out)
}

// Status asks how the gateway is.
func (c *Client) Status(ctx context.Context) (out live.Status, err error) {
	return out, c.call(ctx, request{path: "/status"}, &out)
}
