package check_test

import (
	"encoding"
	"os"
	"reflect"
	"strings"
	"testing"

	"postern/internal/check"
)

func TestEveryFieldOfTheOutputIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ.PkgPath() != reflect.TypeFor[check.Report]().PkgPath() ||
			typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() {
				continue
			}
			if f.Anonymous { // its fields are fields of this one
				walk(f.Type)
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if name == "" || !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("%s.%s: docs/check.md does not name %q", typ.Name(), f.Name, name)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[check.Report]())
	walk(reflect.TypeFor[check.Suspicion]())
	walk(reflect.TypeFor[check.Change]())
	for _, code := range []string{check.EarlyBytesAccepted, check.AddressesDiffer, check.ExpirySoon, check.PostQuantumFails,
		check.LegacyOnly, check.MXUnproven, check.ChainsDiffer, check.NoEightBit, check.SSL3Only, check.DHEOnly, check.AnonymousOnly,
		check.SuiteUnsupported, check.CurveUnsupported, check.KeyUnsupported, check.VersionIntolerant, check.CertificateUnreadable,
		check.ClientCertificateAsked, check.BreaksLater, check.TLS13Only, check.NothingAccepted} {
		if !strings.Contains(string(page), "`"+code+"`") {
			t.Errorf("docs/check.md does not name the finding %q", code)
		}
	}
}
