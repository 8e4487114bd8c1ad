package smtpclient_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"

	"postern/internal/smtp/smtpclient"
	"postern/internal/testkit/memnet"
)

// FuzzReplies lets a peer say anything at all, in one breath, and checks that the engine comes to an end with an answer
// that makes sense: no panic, no hang (the bubble finds it), no hostile octet in what is shown, and nobody delivered
// without a 2xx.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{
		"220 x\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n221 bye\r\n",
		"220 x\r\n250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 ok\r\n",
		"220-x\r\n220 y\n250-x\n250-SIZE 99\n250 LIMITS RCPTMAX=1\n250 ok\r\n452 4.5.3 no\r\n",
		"220 x\r\n250 x\r\n421 4.3.2 bye\r\n",
		"554 \x1b[31m\u202e\xff\r\n",
		"220 x\r\n500 what\r\n250 helo\r\n550-5.7.1 a\r\n550 5.7.1 b\r\n",
		"220 x\r\n250-\r\n250 XXXXXXXA\r\n250\r\n250\r\n354\r\n250\r\n",
		"", "220", "220 x\r\n25",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		synctest.Test(t, func(t *testing.T) {
			server, client := memnet.Pipe()
			go func() {
				io.WriteString(server, said)
				server.CloseWrite()
				io.Copy(io.Discard, server)
			}()
			conn := smtpclient.New(client, smtpclient.Config{})
			_, err := conn.Greet(t.Context())
			if err == nil {
				err = conn.Hello(t.Context())
			}
			if err == nil {
				var res *smtpclient.Result
				res, err = conn.Send(t.Context(), message(500))
				checkResult(t, said, res, err)
			}
			var e *smtpclient.Error
			if err != nil && (!errors.As(err, &e) || strings.ContainsFunc(err.Error(), notPrintable)) {
				t.Fatalf("%q: error %q", said, err)
			}
			conn.Quit(t.Context())
		})
	})
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

func checkResult(t *testing.T, said string, res *smtpclient.Result, err error) {
	for _, r := range res.Recipients {
		switch {
		case r.Outcome == smtpclient.Delivered && !r.Reply.Positive(),
			r.Outcome == smtpclient.Delivered && (res.Final == nil || !res.Final.Positive()),
			r.Outcome == smtpclient.Failed && r.Reply.Code < 500,
			r.Outcome == smtpclient.Undecided && err == nil:
			t.Fatalf("%q: %+v, %v", said, r, err)
		case strings.ContainsFunc(r.Reply.String(), notPrintable):
			t.Fatalf("%q: shown as %q", said, r.Reply)
		}
	}
}
