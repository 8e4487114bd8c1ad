package inbound_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postern/internal/event"
	"postern/internal/history/inbound"
	"postern/internal/lab/testkit/stores"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/queue/memstore"
)

func TestHowMailOfADomainComesInIsRemembered(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
		client := netip.MustParseAddr("192.0.2.7")
		modern := &mail.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519MLKEM768",
			Client: &mail.ClientCertificate{Presented: true, Subject: "CN=mail\x1b.partner.test"}}
		tell := func(s records.Store) {
			r, err := inbound.Open(t.Context(), inbound.NewBook(s), smtpOnly, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			r.Emit(event.Accepted{Leg: event.InWorld, From: mail.MustAddress("a@partner.test"), Client: client})
			r.Emit(event.Accepted{Leg: event.InWorld, From: mail.MustAddress("b@partner.test"), Client: client, TLS: modern})
			r.Emit(event.Accepted{Leg: event.InWorld, Client: client})
			r.Emit(event.Accepted{Leg: event.InOwn, From: mail.MustAddress("a@own.test"), Client: client})
			r.Emit(event.FellShort{From: mail.MustAddress("a@refused.test"), Client: client, Rules: []string{"r"}, Reason: policy.StartTLSNotOffered})
			r.Emit(event.FellShort{From: mail.MustAddress("a@partner.test"), Client: client, Rules: []string{"t"}, Reason: policy.StartTLSNotOffered, Trial: true})
			r.Flush(t.Context())
		}
		tell(s)
		s = again()
		tell(s)
		today := inbound.DayOf(time.Now())
		list, more, err := inbound.NewBook(s).Senders(t.Context(), today, today, 0)
		if err != nil || more {
			t.Fatal(err, more)
		}
		got := ""
		for _, one := range list {
			for _, w := range one.Ways {
				got += fmt.Sprintf("%s %s %s %q %s %d/%d/%d\n", one.Domain, w.Version, w.Group, w.Certificate, w.Reason, w.Messages, w.Refused, w.Trials)
			}
		}
		want := `<>   ""  2/0/0
partner.test   ""  2/0/0
partner.test TLSv1.3 X25519MLKEM768 "CN=mail\\x1b.partner.test"  2/0/0
partner.test   "" starttls-not-offered 0/0/2
refused.test   "" starttls-not-offered 0/2/0
`
		if got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

func TestAFloodOfSendersIsCountedAndBounded(t *testing.T) {
	book := inbound.NewBook(memstore.New())
	r, err := inbound.Open(t.Context(), book, smtpOnly, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range inbound.SendersMost + 50 {
		r.Emit(event.Accepted{Leg: event.InWorld, From: mail.MustAddress(fmt.Sprintf("a@d%d.test", i))})
	}
	for i := range inbound.WaysMost + 5 {
		r.Emit(event.Accepted{Leg: event.InWorld, From: mail.MustAddress("a@d1.test"), TLS: &mail.TLS{Version: "TLSv1.3", Cipher: fmt.Sprint(i)}})
	}
	r.Flush(t.Context())
	today := inbound.DayOf(time.Now())
	list, more, err := book.Senders(t.Context(), today, today, inbound.SendersMost)
	if err != nil || more || len(list) != inbound.SendersMost {
		t.Error(len(list), more, err)
	}
	for _, one := range list {
		if one.Domain == "d1.test" && (len(one.Ways) != inbound.WaysMost || one.More != 6) {
			t.Errorf("%d ways, %d more", len(one.Ways), one.More)
		}
	}
	if days, err := book.DaysOf(t.Context(), today, today); err != nil || days[0].MoreSenders != 50 {
		t.Error(days, err)
	}
}
