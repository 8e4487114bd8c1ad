package smtpclient_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"

	"postern/internal/lab/testkit/memnet"
	"postern/internal/smtp/smtpclient"
)

// FuzzReplies lets a peer say anything at all, a piece (up to "|") for each write of ours, and checks that the engine
// comes to an end with an answer that makes sense: no panic, no hang (the bubble finds it), no hostile octet in what is
// shown, and nobody delivered without a 2xx.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{
		"220 x\r\n|250 x\r\n|250 ok\r\n|250 ok\r\n|250 ok\r\n|250 ok\r\n|354 go\r\n|250 ok\r\n|221 bye\r\n",
		"220 x\r\n|250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n|250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n250 ok\r\n|221 x\r\n",
		"220 x\r\n|250-x\r\n250 PIPELINING\r\n|250 ok\r\n250 ok\r\n452 no\r\n450 x\r\n354 x\r\n|250 ok\r\n|221 x\r\n",
		"220-x\r\n220 y\n|250-x\n250-SIZE 9999\n250 LIMITS RCPTMAX=1\n|250 ok\n|452 4.5.3 no\r\n|421 x\r\n",
		"220 x\r\n|250 x\r\n|421 4.3.2 bye\r\n",
		"554 \x1b[31m\u202e\xff\r\n",
		"220 x\r\n|500 what\r\n|250 helo\r\n|550-5.7.1 a\r\n550 5.7.1 b\r\n",
		"220 x\r\n|250-\r\n250 XXXXXXXA\r\n|250\r\n|250\r\n|250\r\n|250\r\n|354\r\n|250\r\n",
		"", "220", "220 x\r\n|25",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		synctest.Test(t, func(t *testing.T) {
			server, client := memnet.Pipe()
			go func() {
				defer server.Close()
				heard := make([]byte, 1<<16)
				for piece := range strings.SplitSeq(said, "|") {
					io.WriteString(server, piece)
					if _, err := server.Read(heard); err != nil {
						return
					}
				}
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
