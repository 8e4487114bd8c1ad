package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// theList is design.md §5, letter for letter.
const theList = `dns-nxdomain dns-servfail dns-timeout dns-null-mx dns-no-address dnssec-bogus mx-unproven mx-changed mx-loop mx-private-address
connect-refused connect-timeout connect-unreachable greeting-timeout greeting-refused ehlo-refused
starttls-not-offered starttls-stripped starttls-refused
tls-handshake tls-alert tls-version tls-no-shared-cipher tls-timeout tls-closed
cert-expired cert-not-yet-valid cert-self-signed cert-untrusted cert-incomplete-chain cert-name-mismatch cert-revoked
revocation-unknown cert-weak cert-name-constraint cert-usage pin-mismatch
dane-mismatch dane-unusable sts-mx-mismatch sts-policy-unavailable requiretls-not-offered
remote-4xx remote-5xx remote-closed remote-timeout policy-unavailable expired-in-queue`

func TestTheListOfReasonsIsClosed(t *testing.T) {
	var got []string
	for _, i := range Reasons() {
		got = append(got, string(i.Reason))
	}
	if want := strings.Fields(theList); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// A constant without a row would have no sentence, no hint and no status, and no test would miss it.
func TestEveryConstantOfAReasonHasARow(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Reason" {
			return true
		}
		code, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if n++; !slices.Contains(strings.Fields(theList), code) {
			t.Errorf("%s: %q is not in the list", spec.Names[0], code)
		}
		return true
	})
	if want := len(strings.Fields(theList)); n != want {
		t.Errorf("%d constants for %d codes", n, want)
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	// RFC 8460 §4.3.
	reports := []string{"", "starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
		"validation-failure", "tlsa-invalid", "dnssec-invalid", "sts-policy-fetch-error"}
	status := regexp.MustCompile(`^[0-7]\.[0-9]{1,2}$`)
	texts := make(map[string]Reason)
	for _, i := range Reasons() {
		if strings.Count(i.Text, ". ") > 0 || !strings.HasSuffix(i.Text, ".") || len(i.Text) > 120 {
			t.Errorf("%s: text is no plain sentence: %q", i.Reason, i.Text)
		}
		if !strings.HasSuffix(i.Hint, ".") || i.Hint == i.Text || len(i.Hint) < 40 {
			t.Errorf("%s: no hint that can be followed: %q", i.Reason, i.Hint)
		}
		if !slices.Contains([]Who{Us, Them, Network}, i.Who) {
			t.Errorf("%s: who must act? %q", i.Reason, i.Who)
		}
		if !status.MatchString(i.Status) {
			t.Errorf("%s: status %q", i.Reason, i.Status)
		}
		if !slices.Contains(reports, i.TLSRPT) {
			t.Errorf("%s: report type %q", i.Reason, i.TLSRPT)
		}
		if other, twice := texts[i.Text]; twice {
			t.Errorf("%s and %s have the same text", i.Reason, other)
		}
		texts[i.Text] = i.Reason
		if got := i.Reason.Info(); got != i {
			t.Errorf("%s: Info gives %+v", i.Reason, got)
		}
	}
}

func TestStatusAndReportOfTheKindsOfFailure(t *testing.T) {
	for _, c := range []struct{ reasons, status, report string }{
		{"starttls-not-offered starttls-stripped starttls-refused", "7.4", "starttls-not-supported"},
		{"tls-handshake tls-alert tls-version tls-no-shared-cipher tls-timeout tls-closed", "7.5", "validation-failure"},
		{"cert-expired", "7.5", "certificate-expired"},
		{"cert-name-mismatch", "7.5", "certificate-host-mismatch"},
		{"cert-not-yet-valid cert-self-signed cert-untrusted cert-incomplete-chain cert-revoked cert-weak cert-usage", "7.5", "certificate-not-trusted"},
		{"dns-nxdomain", "1.2", ""},
		{"dns-servfail dns-timeout", "4.3", ""},
		{"dns-null-mx", "1.10", ""},
		{"mx-loop", "4.6", ""},
		{"requiretls-not-offered", "7.30", ""},
		{"policy-unavailable", "3.0", ""},
		{"expired-in-queue", "4.7", ""},
	} {
		for _, r := range strings.Fields(c.reasons) {
			if i := Reason(r).Info(); i.Status != c.status || i.TLSRPT != c.report {
				t.Errorf("%s: %s %q, want %s %q", r, i.Status, i.TLSRPT, c.status, c.report)
			}
		}
	}
}

func TestAnUnknownReasonIsNotHidden(t *testing.T) {
	if i := Reason("no-such").Info(); i.Reason != "no-such" || !strings.Contains(i.Text, "no-such") || i.Status == "" {
		t.Errorf("%+v", i)
	}
}

// A list of thousands of sites explains each: an explanation is looked up, not made.
func TestAnExplanationIsLookedUp(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _ = ExpiredInQueue.Info() }); n != 0 {
		t.Errorf("%v allocations for one explanation", n)
	}
}

func TestAReasonIsOfTheClassThatItsCodeNames(t *testing.T) {
	families := map[string]Class{
		"dns": OfTheWay, "dnssec": OfTheWay, "mx": OfTheWay, "connect": OfTheWay, "greeting": OfTheWay, "ehlo": OfTheWay,
		"starttls": OfTLS, "tls": OfTLS, "cert": OfCertificate, "pin": OfCertificate, "revocation": OfRevocation,
		"dane": OfPublished, "sts": OfPublished, "requiretls": OfPublished, "remote": OfAnswer, "policy": OfOurs, "expired": OfOurs,
	}
	others := map[Reason]Class{MXUnproven: OfMailHost, MXChanged: OfMailHost, CertRevoked: OfRevocation}
	for _, i := range Reasons() {
		family, _, _ := strings.Cut(string(i.Reason), "-")
		want, ok := others[i.Reason]
		if !ok {
			want = families[family]
		}
		if got := i.Reason.Class(); got != want || got == "" {
			t.Errorf("%s is of class %q, want %q", i.Reason, got, want)
		}
	}
	if got := Reason("").Class(); got != "" {
		t.Errorf("no reason is of class %q", got)
	}
}
