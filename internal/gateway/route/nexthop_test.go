package route_test

import (
	"testing"

	"postern/internal/gateway/route"
	"postern/internal/mail"
)

func TestANextHopIsReadAsItWasWritten(t *testing.T) {
	clinic := mail.MustDomain("clinic.test")
	for text, want := range map[string]route.NextHop{
		"mx:clinic.test":                          {By: route.ByMX, Domain: clinic},
		"mx:[192.0.2.1]":                          {By: route.ByMX, Domain: mail.MustDomain("[192.0.2.1]")},
		"mx:[IPv6:2001:db8::2]":                   {By: route.ByMX, Domain: mail.MustDomain("[IPv6:2001:db8::2]")},
		"to:smart.example:25":                     {By: route.ByRoute, Hosts: "smart.example:25"},
		"to:smart.example:25@clinic.test":         {By: route.ByRoute, Hosts: "smart.example:25", Domain: clinic},
		"via:portal":                              {By: route.ByName, Hosts: "portal"},
		"via:portal@clinic.test":                  {By: route.ByName, Hosts: "portal", Domain: clinic},
		"own:mail.internal:2525,[2001:db8::1]:25": {By: route.ByOwn, Hosts: "mail.internal:2525,[2001:db8::1]:25"},
	} {
		got, err := route.ParseNextHop(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q was read as %+v, %v, and is written %q", text, got, err, got.String())
		}
	}
	for _, text := range []string{"", "clinic.test", "mx:", "mx:two words", "to:relay.test:25@", "by:clinic.test"} {
		if got, err := route.ParseNextHop(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestNamedServersAreTheSameForEveryDomain(t *testing.T) {
	read := func(text string) route.NextHop {
		h, err := route.ParseNextHop(text)
		if err != nil {
			t.Fatal(err)
		}
		return h.Servers()
	}
	if a, b := read("to:smart.example:25@a.test"), read("to:smart.example:25"); a != b {
		t.Errorf("%v and %v are the same servers", a, b)
	}
	if a, b := read("mx:a.test"), read("mx:b.test"); a == b {
		t.Errorf("%v and %v may be different servers", a, b)
	}
}
