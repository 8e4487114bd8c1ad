package mimewalk

import (
	"encoding/base64"
	"strings"
	"testing"
)

// BenchmarkWalk is an ordinary message: a letter in plain text and HTML, and a file.
func BenchmarkWalk(b *testing.B) {
	row := "<tr><td style=3D\"padding:0 8px\"><p>Dear <b>Ms. M=C3=BCller</b>, your appointment is on <a href=3D\"https://x.test/\">=\r\nMonday</a>.</p><img src=3D\"cid:1\" alt=3D\"\"></td></tr>\r\n"
	plain := strings.Repeat("Dear Ms. M=C3=BCller, your appointment is on Monday, and there is a soft break =\r\nin this line.\r\n", 40)
	file := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("%PDF-1.7 some content ", 20_000)))
	var lines strings.Builder
	for ; len(file) > 76; file = file[76:] {
		lines.WriteString(file[:76] + "\r\n")
	}
	const qp = "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	message := []byte(strings.ReplaceAll(mixed("Content-Type: multipart/alternative; boundary=b2\n\n--b2\nContent-Type: text/plain"+qp+plain+"\n--b2\nContent-Type: text/html"+qp+
		"<html><body><table>"+strings.Repeat(row, 120)+"</table></body></html>\n--b2--",
		"Content-Type: application/pdf; name=\"a b.pdf\"\nContent-Disposition: attachment; filename=\"a b.pdf\"\nContent-Transfer-Encoding: base64\n\n"+lines.String()), "\n", "\r\n"))
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		var w Walker
		for rest := message; len(rest) > 0; {
			n := min(len(rest), 32<<10)
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
		if c := w.Content(); len(c.Texts) != 2 || len(c.Attachments) != 1 {
			b.Fatalf("%+v", c)
		}
	}
}
