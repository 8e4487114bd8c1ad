package check_test

import (
	"testing"

	"postern/internal/check"
)

func TestTargetsAreReadInEverySpelling(t *testing.T) {
	for in, want := range map[string]string{
		"Clinic.TEST.": "clinic.test", "anna@clinic.test": "clinic.test", "mx1.clinic.test:25": "mx1.clinic.test:25",
		"192.0.2.1": "192.0.2.1", "192.0.2.1:2525": "192.0.2.1:2525", "2001:db8::1": "[2001:db8::1]", "[2001:db8::1]:25": "[2001:db8::1]:25",
		"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:db8::1]": "[2001:db8::1]", " büro.test ": "xn--bro-hoa.test",
	} {
		if got, err := check.Parse(in); err != nil || got.Text != want {
			t.Errorf("%q: %q %v, want %q", in, got.Text, err, want)
		}
	}
	for _, in := range []string{"", "a b", "mx.test:", "mx.test:0", "mx.test:99999", "mx.test:smtp", "https://mx.test/", "-x.test", "192.0.2.1:0"} {
		if got, err := check.Parse(in); err == nil {
			t.Errorf("%q is read as %+v", in, got)
		}
	}
}
