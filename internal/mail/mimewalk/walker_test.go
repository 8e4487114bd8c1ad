package mimewalk

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// walk reads a message in pieces of some octets, with line ends as they travel.
func walk(message string, step int) Content {
	message = strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
	var w Walker
	for len(message) > 0 {
		n := min(step, len(message))
		_, _ = w.Write([]byte(message[:n]))
		message = message[n:]
	}
	return w.Content()
}

// say is a Content on lines.
func say(c Content) string {
	var b strings.Builder
	for _, t := range c.Texts {
		fmt.Fprintf(&b, "text %q\n", strings.Join(strings.Fields(t), " "))
	}
	for _, a := range c.Attachments {
		fmt.Fprintf(&b, "%s %q\n", a.Type, a.Names)
	}
	if c.TextDoubt != "" {
		b.WriteString("text? " + c.TextDoubt + "\n")
	}
	if c.AttachmentDoubt != "" {
		b.WriteString("attachment? " + c.AttachmentDoubt + "\n")
	}
	return b.String()
}

// mixed is a message with parts.
func mixed(parts ...string) string {
	return "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b 1\"\n\npreamble secret\n--b 1\n" + strings.Join(parts, "\n--b 1\n") + "\n--b 1--\nepilogue secret\n"
}

func both(why string) string { return "text? " + why + "\nattachment? " + why + "\n" }

func TestWalk(t *testing.T) {
	pdf := "Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0="
	for _, tt := range []struct{ name, message, want string }{
		{"no MIME", "Subject: x\n\nhello secret\n", "text \"hello secret\"\n"},
		{"no body", "Subject: x\n", ""},
		{"nothing", "", ""},
		{"quoted-printable", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\nse=\ncret =C3=A9 =3D\n", "text \"secret é =\"\n"},
		{"base64 across lines", "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nc2Vj\ncm\nV0\n", "text \"secret\"\n"},
		{"another charset", "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9\n", "text \"café\"\n"},
		{"an unknown charset", "Content-Type: text/plain; charset=x-none\n\nabc\n", "text \"abc\"\ntext? has text that cannot be read: it has a text in the unknown charset \"x-none\"\n"},
		{"octets without a charset", "\n\nse\xffcret\n", "text \"se\ufffdcret\"\ntext? has text that cannot be read: it has octets that are no UTF-8, and does not say in which charset they are\n"},
		{"an unknown encoding", "Content-Transfer-Encoding: x-uuencode\n\nabc\n", "text? has text in an encoding that is not known\n"},
		{"base64 that goes on", "Content-Transfer-Encoding: base64\n\nYQ==YQ==\n", "text \"aa\"\ntext? has text in base64 that goes on after its end\n"},
		{"two parts", mixed("\nhello", pdf), "text \"hello\"\napplication/pdf [\"a.pdf\"]\n"},
		{"preamble and epilogue are not shown", mixed("\nhello"), "text \"hello\"\n"},
		{"HTML", "Content-Type: text/html\n\n<style>x{}</style><p>se<b>cr</b>et<p>next&nbsp;&eacute;<img alt=picture><!-- gone --><script>no</script><br>end", "text \"secret next é picture end\"\n"},
		{"words over several lines", "Content-Type: text/plain; format=Flowed; delsp=\"yes\"\n\n機 \n密 see \nret\n", "text \"機 密 see ret\"\ntext \"機密 seeret\"\n"},
		{"lines without words over them", "Content-Type: text/plain; format=flowed; delsp=no\n\nsec \nret\n", "text \"sec ret\"\n"},
		{"HTML for Outlook alone", "Content-Type: text/html\n\na<!--[if mso]>secret<![endif]-->b", "text \"a secret b\"\n"},
		{"a name in quotes", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"a;b \\\"c\\\".pdf\"\n\nx"), "application/octet-stream [\"a;b \\\"c\\\".pdf\"]\n"},
		{"RFC 2231", mixed("Content-Type: image/png\nContent-Disposition: attachment; filename*=utf-8''caf%C3%A9.pdf\n\nx"), "image/png [\"café.pdf\"]\n"},
		{"sections", mixed("Content-Type: image/png\nContent-Disposition: attachment; filename*0=\"long \"; filename*1=name.pdf\n\nx"), "image/png [\"long name.pdf\" \"longname.pdf\"]\n"},
		{"sections in disorder", mixed("Content-Type: image/png\nContent-Disposition: attachment;\n filename*1*=%2Epdf;\n filename*0*=utf-8''x%20y\n\nx"), ".pdf"},
		{"encoded words in a name", mixed("Content-Type: application/zip; name=\"=?utf-8?q?caf=C3=A9?= =?utf-8?b?LnppcA==?=\"\n\nx"), "café.zip"},
		{"two names", mixed("Content-Type: application/zip; name=a.zip\nContent-Disposition: attachment; filename=b.exe\n\nx"), "application/zip [\"a.zip\" \"b.exe\"]\n"},
		{"text as attachment", mixed("Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nsecret"), "text/plain [\"a.txt\"]\n"},
		{"text with a name, shown", mixed("Content-Type: text/plain; name=a.txt\n\nsecret"), "text \"secret\"\ntext/plain [\"a.txt\"]\n"},
		{"a part without a name", mixed("Content-Type: application/zip\n\nx"), "application/zip []\n"},
		{"nested", mixed("Content-Type: multipart/alternative; boundary=b2\n\n--b2\n\nplain\n--b2\nContent-Type: text/html\n\n<i>html</i>\n--b2--", pdf), "text \"plain\"\ntext \"html\"\napplication/pdf [\"a.pdf\"]\n"},
		{"an inner multipart that does not end", mixed("Content-Type: multipart/alternative; boundary=b2\n\n--b2\n\nplain", pdf), "text \"plain\"\napplication/pdf [\"a.pdf\"]\n"},
		{"a forwarded message", mixed("Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=b3\n\n--b3\n\nfrom below\n--b3\n" + pdf + "\n--b3--"), "text \"from below\"\nmessage/rfc822 []\napplication/pdf [\"a.pdf\"]\n"},
		{"a digest", "Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\ntext one\n--d--\n", "text \"text one\"\nmessage/rfc822 []\n"},
		{"uuencode", "Subject: x\n\nsee\nbegin 644 report.pdf\n#86)C\n`\nend\n", "application/octet-stream [\"report.pdf\"]"},
		{"no boundary", "Content-Type: multipart/mixed\n\n--b\n\nx\n", both("has a multipart without a boundary")},
		{"a boundary that never comes", "Content-Type: multipart/mixed; boundary=b\n\n--c\n\nx\n", both("has a multipart without any part")},
		{"a delimiter that goes on", mixed("\nhello\n--b 1x\nsecret"), "some programs"},
		{"a type twice", mixed("Content-Type: text/plain\nContent-Type: application/pdf\n\nx"), "says Content-Type twice"},
		{"a part header that is none", mixed("Content-Type: text/plain\nno field\n\nx"), "header cannot be read"},
		{"S/MIME", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nx", "S/MIME"},
		{"PGP", "Content-Type: multipart/encrypted; boundary=b; protocol=\"application/pgp-encrypted\"\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b--\n", "is encrypted"},
		{"TNEF", mixed("Content-Type: application/ms-tnef; name=winmail.dat\n\nx"), "TNEF"},
		{"base64 around parts", "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n", "that is encoded"},
		{"much text", "\n\n" + strings.Repeat("0123456789\n", 30_000), "more text than is looked at (256 KiB)"},
		{"a comment in the type", "Content-Type: text/html (say) ; charset=utf-8\n\n<b>x</b>", "text \"x\"\n"},
		{"a type that is none", "Content-Type: text\n\nx", "whose type cannot be read"},
		{"a long line", "\n\n" + strings.Repeat("x", 3*maxLine) + "\nend\n", "end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := say(walk(tt.message, len(tt.message)+1))
			if got != tt.want && !(len(tt.want) > 0 && !strings.HasSuffix(tt.want, "\n") && strings.Contains(got, tt.want)) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			for _, step := range []int{1, 7, 4096} {
				if again := say(walk(tt.message, step)); again != got {
					t.Errorf("in pieces of %d\n%s", step, again)
				}
			}
		})
	}
}

func TestWhatIsHeldIsBounded(t *testing.T) {
	deep := ""
	for i := range 2 * MaxDepth {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	c := walk(deep+"\nsecret", 1000)
	if !strings.Contains(c.TextDoubt, "nested deeper") {
		t.Errorf("%+v", c)
	}
	many := make([]string, MaxParts+5)
	for i := range many {
		many[i] = fmt.Sprintf("Content-Type: application/pdf; name=%s%d.pdf\n\nx", strings.Repeat("n", 100), i)
	}
	c = walk(mixed(many...), 5000)
	if c.AttachmentDoubt == "" || len(c.Attachments) > MaxParts {
		t.Errorf("%d attachments, %q", len(c.Attachments), c.AttachmentDoubt)
	}
	c = walk("Content-Type: text/plain; x="+strings.Repeat("y", 2*maxHeader)+"\n\nx", 999)
	if c.TextDoubt == "" {
		t.Error("a header without end is read")
	}
	size := 0
	c = walk("Content-Transfer-Encoding: base64\n\n"+base64.StdEncoding.EncodeToString(make([]byte, 2*MaxText)), 1<<15)
	for _, text := range c.Texts {
		size += len(text)
	}
	if size > MaxText {
		t.Errorf("%d octets are kept", size)
	}
	c = walk("Content-Type: text/plain; format=flowed; delsp=yes\n\n"+strings.Repeat("word \n", MaxText/10), 999)
	if len(c.Texts) != 1 || c.TextDoubt == "" {
		t.Errorf("%d texts, %q", len(c.Texts), c.TextDoubt)
	}
}

func FuzzWalk(f *testing.F) {
	for _, s := range []string{mixed("\nhello", "Content-Type: application/pdf; name=a.pdf\n\nx"), "Content-Type: text/html\n\n<p>a<b", "Content-Disposition: attachment; filename*0*=utf-8''a; filename*1=b\n\n",
		"Content-Type: message/rfc822\n\nContent-Type: multipart/digest; boundary=\"\"\n\n----\n", "Content-Transfer-Encoding: base64\n\n====\n"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, message string, step int) {
		whole := walk(message, len(message)+1)
		if pieces := walk(message, max(1, step&0xfff)); !reflect.DeepEqual(whole, pieces) {
			t.Errorf("%+v\n%+v", whole, pieces)
		}
	})
}
