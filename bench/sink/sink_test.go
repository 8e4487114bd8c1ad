package sink

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"postern/bench/source"
	"postern/bench/wire"
	"postern/internal/lab/pki"
)

const patience = 10 * time.Second

// pair is a certificate for the sink.
func pair(t *testing.T) tls.Certificate {
	t.Helper()
	c := pki.New(time.Now(), "Sink CA").Issue(pki.Options{Names: []string{"sink.test"}})
	p, err := tls.X509KeyPair(c.CertPEM, c.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func listen(t *testing.T, config *tls.Config) *Sink {
	t.Helper()
	s, err := Listen("127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestWhatTheSourceSendsTheSinkCounts(t *testing.T) {
	server, client := &tls.Config{Certificates: []tls.Certificate{pair(t)}}, &tls.Config{InsecureSkipVerify: true}
	for name, c := range map[string]struct {
		server, client *tls.Config
		load           source.Load
	}{
		"plaintext":         {nil, nil, source.Load{Messages: 57, Connections: 4, PerConnection: 10, Recipients: 1, Domains: 1, Size: 4096}},
		"TLS":               {server, client, source.Load{Messages: 25, Connections: 3, PerConnection: 1, Recipients: 1, Domains: 7, Size: 64 << 10}},
		"large":             {server, client, source.Load{Messages: 3, Connections: 9, PerConnection: 2, Recipients: 2, Domains: 1, Size: 1 << 20}},
		"many recipients":   {nil, nil, source.Load{Messages: 8, Connections: 2, PerConnection: 10, Recipients: 50, Domains: 3, Size: 512}},
		"TLS is not needed": {server, nil, source.Load{Messages: 5, Connections: 1, PerConnection: 5, Recipients: 1, Domains: 1, Size: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, c.server)
			c.load.Address, c.load.TLS, c.load.Run = s.Addr(), c.client, 9
			expected := s.Expect(9, c.load.Messages, c.load.Recipients)
			result, err := source.Run(t.Context(), c.load)
			if err == nil {
				err = expected.Wait(t.Context(), patience)
			}
			if err != nil {
				t.Fatal(err)
			}
			messages, bytes := expected.Counts()
			if result.Accepted != c.load.Messages || messages != int64(c.load.Messages) || expected.Open() != 0 || expected.Faults() != "" || s.Strangers() != 0 {
				t.Errorf("%d accepted, %d came, %d open, %q, %d strangers", result.Accepted, messages, expected.Open(), expected.Faults(), s.Strangers())
			}
			if want := int64(c.load.Messages * (c.load.Size + len(".\r\n"))); bytes != want {
				t.Errorf("%d bytes, want %d", bytes, want)
			}
			if len(result.Whole) != c.load.Messages || result.Reply.Percentile(99) <= 0 || result.Whole.Percentile(50) < result.Reply.Percentile(50) ||
				expected.Last().Before(result.Start) {
				t.Errorf("the times make no sense: %+v", result)
			}
		})
	}
}

// deliver hands one message to the sink, as a gateway would.
func deliver(t *testing.T, s *Sink, content string, recipients int) {
	t.Helper()
	c, err := wire.Dial(s.Addr(), "gw.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Send([]byte("MAIL FROM:<a@b.test>\r\n" + strings.Repeat("RCPT TO:<c@d.test>\r\n", recipients) + "DATA\r\n")); err != nil {
		t.Fatal(err)
	}
	for range recipients + 1 {
		if err := c.Expect(250); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Expect(354); err != nil {
		t.Fatal(err)
	}
	if err := c.Send([]byte(content + "\r\n.\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.Expect(250); err != nil {
		t.Fatal(err)
	}
}

func TestLostDoubledAndStrangeMessagesAreSeen(t *testing.T) {
	s := listen(t, nil)
	e := s.Expect(1, 3, 2)
	message := func(run uint32, n int) string {
		return "Received: from somebody\r\n" + source.Mark + source.Number(run, n) + "\r\n\r\ntext"
	}
	deliver(t, s, message(1, 0), 2)
	deliver(t, s, message(1, 1), 2)
	deliver(t, s, message(1, 1), 1) // one recipient again
	deliver(t, s, message(2, 0), 2) // of another run
	deliver(t, s, message(1, 3), 2) // beyond the end
	deliver(t, s, "Subject: nothing of ours\r\n\r\ntext", 1)
	if s.Strangers() != 3 {
		t.Errorf("%d strangers", s.Strangers())
	}
	err := e.Wait(context.Background(), 50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "1 messages are missing and 1 came too often") {
		t.Error(err)
	}
}

func TestASourceGivesUpWhereNobodyTakesMail(t *testing.T) {
	s := listen(t, nil)
	address := s.Addr()
	s.Close()
	_, err := source.Run(t.Context(), source.Load{Address: address, Messages: 1, Connections: 1, PerConnection: 1, Recipients: 1, Domains: 1, Size: 512})
	if err == nil {
		t.Error("no error")
	}
}
