package mimewalk

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
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
		{"HTML for Outlook alone", "Content-Type: text/html\n\na<!--[if mso]>secret<![endif]-->b", "text \"asecretb\"\ntext \"ab\"\n"},
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

		// what nobody can look into
		{"PGP in the text", "Subject: x\n\nsee\n-----BEGIN PGP MESSAGE-----\n\nhQEMA0\n=abcd\n-----END PGP MESSAGE-----\n", "attachment? is encrypted (PGP)"},
		{"PGP in the text, in parts", "Subject: x\n\n-----BEGIN PGP MESSAGE, PART 01/02-----\nx", "text? is encrypted (PGP)"},
		{"PGP in an answer", "Subject: x\n\n> > -----BEGIN PGP MESSAGE-----\n> > x", "text? is encrypted (PGP)"},
		{"PGP in HTML", "Content-Type: text/html\n\n<div>-----BEGIN&nbsp;PGP <b>MESSAGE</b>-----<br>x</div>", "text? is encrypted (PGP)"},
		{"signed in the clear", "Subject: x\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nsecret\n-----BEGIN PGP SIGNATURE-----\nx", "text \"-----BEGIN PGP SIGNED MESSAGE----- Hash: SHA256 secret -----BEGIN PGP SIGNATURE----- x\"\n"},
		{"a key in the text", "Subject: x\n\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nx", "text \"-----BEGIN PGP PUBLIC KEY BLOCK----- x\"\n"},
		{"CMS in the text", "Subject: x\n\n-----BEGIN PKCS7-----\nMIIB", "S/MIME"},
		{"PGP before PGP/MIME", "Content-Type: application/pgp; x-action=encrypt; format=text\n\n-----BEGIN PGP MESSAGE-----\n\nhQEMA0\n=abcd\n-----END PGP MESSAGE-----\n", "attachment? is encrypted (PGP)"},
		{"PGP before PGP/MIME, signed", "Content-Type: application/pgp; x-action=sign; format=text\n\n-----BEGIN PGP SIGNED MESSAGE-----\n\nsecret", "text \"-----BEGIN PGP SIGNED MESSAGE----- secret\"\napplication/pgp []\n"},
		{"PGP as mutt marks it", "Content-Type: text/plain; x-action=pgp-encrypted\n\nx", "text? is encrypted (PGP)"},
		{"PGP/MIME as a bridge rebuilt it", mixed("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nEmpty Message", "Content-Type: application/pgp-encrypted; name=attachment.pgp\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=attachment.pgp\n\nVmVyc2lvbjogMQ0KDQo=", "Content-Type: application/octet-stream; name=encrypted.asc\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=encrypted.asc\n\nLS0tLS1CRUdJTg=="), "text? is encrypted (PGP)"},
		{"PGP/MIME of which one part is left", mixed("Content-Type: application/octet-stream; name=\"=?utf-8?q?encrypted=2Easc?=\"\n\nx"), "text? is encrypted (PGP)"},
		{"a PGP message under any name", mixed("Content-Type: application/octet-stream; name=msg.asc\nContent-Transfer-Encoding: base64\n\nLS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0tCgpoUUVNQTAKPWFiY2QKLS0tLS1FTkQgUEdQIE1FU1NBR0UtLS0tLQo="), "text? is encrypted (PGP)"},
		{"a PGP message as text that is attached", mixed("Content-Type: text/plain; name=x.txt\nContent-Disposition: attachment\nContent-Transfer-Encoding: quoted-printable\n\n-----BEGIN PGP=20MESSAGE-----\nx"), "text? is encrypted (PGP)"},
		{"a file that is encrypted", mixed("Content-Type: application/octet-stream; name=\"Befund.pdf.gpg\"\n\nx"), "text? is encrypted (PGP)"},
		{"a signature and a key", mixed("\nhello", "Content-Type: application/pgp-signature; name=signature.asc\n\n-----BEGIN PGP SIGNATURE-----", "Content-Type: application/octet-stream; name=0x1234.asc\n\n-----BEGIN PGP PUBLIC KEY BLOCK-----"), "text \"hello\"\napplication/pgp-signature [\"signature.asc\"]\napplication/octet-stream [\"0x1234.asc\"]\n"},
		{"S/MIME by its name alone", "Content-Type: application/octet-stream; name=smime.p7m\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=smime.p7m\n\nMIIB\n", "text? is encrypted or signed"},
		{"S/MIME in capitals, with a dot", mixed("Content-Type: application/octet-stream; name=\"SMIME.P7M.\"\n\nx"), "S/MIME"},
		{"S/MIME compressed", mixed("Content-Type: application/octet-stream; name=smime.p7z\n\nx"), "S/MIME"},
		{"S/MIME without its name", mixed("Content-Type: application/octet-stream; name=ATT00001.bin\nContent-Transfer-Encoding: base64\n\nMIIGWQYJKoZIhvcNAQcDoIIGSjCC"), "S/MIME"},
		{"a signature of S/MIME and certificates", mixed("\nhello", "Content-Type: application/octet-stream; name=smime.p7s\nContent-Transfer-Encoding: base64\n\nMIIGWQYJKoZIhvcNAQcCoIIGSjCC", "Content-Type: application/octet-stream; name=smime.p7c\n\nx"), "text \"hello\"\napplication/octet-stream [\"smime.p7s\"]\napplication/octet-stream [\"smime.p7c\"]\n"},
		{"TNEF by its name alone", mixed("Content-Type: application/octet-stream; name=\"Winmail.dat\"\n\nx"), "TNEF"},
		{"TNEF without its name", mixed("Content-Type: application/octet-stream; name=ATT00002.dat\nContent-Transfer-Encoding: base64\n\neJ8+IgEGkAgABAAA"), "TNEF"},
		{"rights management", mixed("Content-Type: application/x-microsoft-rpmsg-message; name=m\n\nx"), "rights management"},
		{"rights management by its name alone", mixed("Content-Type: application/octet-stream; name=message.rpmsg\n\nx"), "rights management"},

		// names
		{"words in a name are decoded last", mixed("Content-Type: application/octet-stream; name==?utf-8?B?QmVyaWNodDsgQW5sYWdlLnBkZg==?=\n\nx"), "\"Bericht; Anlage.pdf\""},
		{"words in a name, no doubt in it", mixed("Content-Type: application/octet-stream; name=\"=?utf-8?B?QmVyaWNodDsgQW5sYWdlLnBkZg==?=\"\n\nx"), "application/octet-stream [\"=?utf-8?B?QmVyaWNodDsgQW5sYWdlLnBkZg==?=\" \"Bericht; Anlage.pdf\"]\n"},
		{"a quotation mark in words", mixed("Content-Type: application/octet-stream; name=\"=?utf-8?B?MTciIE1vbml0b3I7IEFuZ2Vib3QucGRm?=\"\n\nx"), "\"17\\\" Monitor; Angebot.pdf\""},
		{"a bracket in words", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename==?utf-8?B?QmVyaWNodCAobmV1LnBkZg==?=\n\nx"), "\"Bericht (neu.pdf\""},
		{"a semicolon in quotes, of Outlook", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"semi;colon.txt\"; size=6;\n	creation-date=\"Tue, 16 Aug 2016 12:33:55 GMT\"\n\nx"), "application/octet-stream [\"semi;colon.txt\"]\n"},
		{"a semicolon that is not quoted", mixed("Content-Type: application/octet-stream; name=report;final.pdf\n\nx"), "\"report\" \"report;final.pdf\"]\nattachment? has a name of an attachment that cannot be read: programs do not agree"},
		{"a semicolon that is not quoted, and more", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=a;b.pdf; size=5\n\nx"), "\"a\" \"a;b.pdf\"]\nattachment? "},
		{"brackets that are not quoted, of a library", mixed("Content-Type: application/octet-stream; name=(E)E(1).pdf\n\nx"), "\"(E)E(1).pdf\" \"E.pdf\"]\nattachment? "},
		{"a comma that is not quoted", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=SCREW YOU, BEAR DAD.html\n\nx"), "\"SCREW YOU, BEAR DAD.html\"]\nattachment? "},
		{"blanks that are not quoted, folded, of Domino", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=GALAXY data for PMR as at\n 17.04.13.zip\n\nx"), "application/octet-stream [\"GALAXY\" \"GALAXY data for PMR as at 17.04.13.zip\"]\n"},
		{"a quotation mark within", mixed("Content-Type: application/octet-stream; name=\"17\" Monitor; neu.pdf\"; x=y\n\nx"), "\"17\\\" Monitor; neu.pdf\""},
		{"a quotation mark that does not end", mixed("Content-Type: application/octet-stream; name=\"report.pdf\n\nx"), "\"report.pdf\"]\nattachment? "},
		{"a second name after a quotation mark", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"report.txt\"; filename=\"payload.exe\"\n\nx"), "application/octet-stream [\"payload.exe\" \"report.txt\"]\n"},
		{"no semicolon before it", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment filename=\"x.pdf\"\n\nx"), "[\"x.pdf\"]\nattachment? "},
		{"a comma before it", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment, FileName = x.pdf; size=3\n\nx"), "[\"x.pdf\"]\nattachment? "},
		{"no semicolon after another", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; size=5 filename=x.pdf\n\nx"), "[\"x.pdf\"]\nattachment? "},
		{"a name in a name", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"my name=x.pdf\"\n\nx"), "application/octet-stream [\"my name=x.pdf\"]\n"},
		{"a comment behind a name", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"x.pdf\" (name=y)\n\nx"), "application/octet-stream [\"x.pdf\"]\n"},
		{"a host is no name", mixed("Content-Type: application/octet-stream; hostname=x.pdf\n\nx"), "application/octet-stream []\n"},
		{"words over sections, of some client", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment; \n	filename*0=\"=?UTF-8?Q?*_=F0=9F=98=81=F0=9F=98=81=F0?=\n =?UTF-8?Q?=9F=98=8\";\n	filename*1=\"1=F0=9F=98=81=F0?=\n =?UTF-8?Q?=9F=98=81\"; filename*2=\"=F0=9F=98=81.docx?=\"\n\nx"), "\"* 😁😁😁😁😁😁.docx\""},
		{"an apostrophe in sections", mixed("Content-Type: application/octet-stream\nContent-Disposition: attachment;\n	filename*0=\"1 'Trick' Reverses Pain? -\";\n	filename*1=eml\n\nx"), "application/octet-stream [\"1 'Trick' Reverses Pain? -eml\""},
		{"uuencode with base64", "Subject: x\n\nbegin-base64 644 x.pdf\nYWJj\n====\n", "octet-stream [\"x.pdf\"]"},
		{"uuencode in quoted-printable", "Content-Transfer-Encoding: quoted-printable\n\nbegin 644 re=\nport=2Epdf\n#86)C\n", "octet-stream [\"report.pdf\"]"},
		{"uuencode in base64", "Content-Transfer-Encoding: base64\n\nc2VlCmJlZ2luIDY0NCB4LnBkZgo=\n", "octet-stream [\"x.pdf\"]"},
		{"uuencode as the encoding", mixed("Content-Type: application/octet-stream\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 x.pdf\n#86)C\n`\nend"), "application/octet-stream []\napplication/octet-stream [\"x.pdf\"]\n"},
		{"uuencode with its name encoded", "Subject: x\n\nbegin-base64-encoded 644 eC5wZGY=\n", "octet-stream [\"x.pdf\"]"},
		{"yEnc", "Subject: x\n\n=ybegin line=128 size=3 name=x y.pdf\nabc\n", "octet-stream [\"x y.pdf\"]"},
		{"BinHex", "Subject: x\n\n(This file must be converted with BinHex 4.0)\n:abc:\n", "attachment? has a file in BinHex"},
		{"a TNEF file in the text", "Subject: x\n\nbegin 666 winmail.dat\n#86)C\n", "text? has a part in TNEF"},
		{"a letter that begins so", "Subject: x\n\nbegin with this\nbegin 999 x\n(This is it)\n", "text \"begin with this begin 999 x (This is it)\"\n"},

		// text as people read it
		{"HTML, a picture in a word", "Content-Type: text/html\n\nsec<img src=x width=0>ret", "text \"sec ret\"\ntext \"secret\"\n"},
		{"HTML, a picture that is a letter", "Content-Type: text/html\n\nI <img alt=love> you, sec<img alt=\"🔒\">ret", "text \"I love you, sec 🔒 ret\"\ntext \"I you, secret love 🔒\"\n"},
		{"HTML, a button in a word", "Content-Type: text/html\n\nsec<button>ret</button>", "text \"sec ret\"\ntext \"secret\"\n"},
		{"HTML, pictures between words", "Content-Type: text/html\n\nsec <img> ret<img><br>end", "text \"sec ret end\"\n"},
		{"HTML, a title within a word", "Content-Type: text/html\n\nsec<b title=tip>ret</b>", "text \"secret tip\"\n"},
		{"HTML, a field", "Content-Type: text/html\n\n<input value=secret>", "secret"},
		{"HTML, ruby", "Content-Type: text/html\n\n<ruby>秘<rp>(</rp><rt>se</rt><rp>)</rp>密<rt>cret</rt></ruby>書", "text \"秘(se)密cret書\"\ntext \"秘密書 secret\"\n"},
		{"HTML, hidden in a word", "Content-Type: text/html\n\nsec<span style=\"DISPLAY: none\">x<b>y</b></span>ret", "text \"secxyret\"\ntext \"secret\"\n"},
		{"HTML, a hidden block in a word", "Content-Type: text/html\n\nsec<div hidden><div>x</div></div>ret", "text \"sec x ret\"\ntext \"secret\"\n"},
		{"HTML, hidden before a letter", "Content-Type: text/html\n\n<div style=\"display:none\">preview</div><p>hello", "text \"preview hello\"\n"},
		{"HTML, small for layout", "Content-Type: text/html\n\n<td style=\"font-size:0px\"><div style=\"font-size:16px\">sec<img>ret</div>", "text \"sec ret\"\ntext \"secret\"\n"},
		{"HTML for Outlook within a word", "Content-Type: text/html\n\nsec<!--[if gte mso 9]>ret<![endif]-->", "text \"secret\"\n"},
		{"HTML for all but Outlook", "Content-Type: text/html\n\nsec<!--[if !mso]><!-- -->ret<!--<![endif]-->", "text \"secret\"\n"},
		{"HTML for readers without scripts", "Content-Type: text/html\n\n<noscript>sec<b>ret</b></noscript>", "text \"secret\"\n"},
		{"XHTML", "Content-Type: application/xhtml+xml\n\n<html><p>sec<b>re</b><![CDATA[t]]></p></html>", "text \"secret\"\napplication/xhtml+xml []\n"},
		{"XHTML that is HTML to some", "Content-Type: application/xhtml+xml\n\n<script src=\"x\"/>secret", "some programs hide"},
		{"AMP", "Content-Type: text/x-amp-html\n\n<html><p>sec<b>ret</b></p></html>", "text \"secret\"\ntext/x-amp-html []\n"},
		{"stuffed lines", "Content-Type: text/plain; format=flowed; delsp=yes\n\nthe sec \n ret is\n", "text \"the sec ret is\"\ntext \"the secret is\"\n"},
		{"quoted lines", "Content-Type: text/plain; format=flowed; delsp=yes\n\n> the sec \n> ret is\n>> o\n", "text \"> the sec > ret is >> o\"\ntext \"> the secret is >> o\"\n"},
		{"quoted lines with words between", "Content-Type: text/plain; format=flowed\n\n> top \n> secret\n", "text \"> top > secret\"\ntext \"> top secret\"\n"},
		{"a signature after a flowed text", "Content-Type: text/plain; format=flowed; delsp=yes\n\nsec \n-- \nret\n", "text \"sec -- ret\"\ntext \"sec-- ret\"\n"},
		{"a calendar", "Content-Type: text/calendar\n\nSUMMARY:sec\n ret\n", "text \"SUMMARY:sec ret\"\ntext \"SUMMARY:secret\"\ntext/calendar []\n"},
		{"a charset in sections", "Content-Type: text/plain; charset*=''utf-7\n\na +AHMAZQBjAHIAZQB0- b", "text \"a secret b\"\ntext? "},
		{"a charset in sections, Latin-1", "Content-Type: text/plain; charset*0=iso-; charset*1=8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9", "text \"café\"\ntext? has"},
		{"two charsets", "Content-Type: text/plain; charset=utf-8; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=C3=A9", "text \"café\"\ntext \"cafÃ©\"\n"},
		{"a charset in the text alone", "Content-Type: text/html\n\n<meta charset=hz-gb-2312>a ~{CXC\\~} b", "text \"a ~{CXC\\\\~} b\"\ntext? has text that cannot be read: it has a text in the unknown charset"},
		{"another charset in the text", "Content-Type: text/html; charset=us-ascii\n\n<meta http-equiv=content-type content=\"text/html; charset=iso-2022-jp\">\x1b$BF|K\\\x1b(B", "日本"},
		{"another charset in the text, not believed", "Content-Type: text/html; charset=utf-8\n\n<meta charset=iso-8859-1>café", "text \"café\"\n"},
		{"a charset of XML alone", "Content-Type: application/xhtml+xml\n\n<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><p>caf&#233;</p>", "text \"café\"\napplication/xhtml+xml []\n"},
		{"a word over a cut line", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("A", maxLine-3) + "secretB", "AAAsecretB"},
		{"an escape over a cut line", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("A", maxLine-4) + "se=63retB", "secretB"},
		{"an escape over a cut line, one octet on", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("A", maxLine-3) + "s=65cretB", "secretB"},
		{"blanks over a cut line", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("A", maxLine-5) + "sec       ret", "sec ret\""},
		{"a soft break at a cut line", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("A", maxLine-4) + "sec=\nret", "secret\""},
		{"blanks before a soft break at a cut line", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("A", maxLine-4) + "sec=    \nret", "secret\""},
		{"a word over a cut line, as it is", "\n\n" + strings.Repeat("A", maxLine-3) + "secret", "AAsecret\""},
		{"a word over a cut line in base64", "Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("A", maxLine-3)+"secret")), "AAsecret\""},
		{"blanks longer than a line", "Content-Transfer-Encoding: quoted-printable\n\nsec" + strings.Repeat(" ", 3*maxLine) + "ret", "text \"sec ret\"\n"},
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

// TestElementsStandWithinWords: all but those that browsers set apart.
func TestElementsStandWithinWords(t *testing.T) {
	read := func(html string) string { return say(walk("Content-Type: text/html\n\n"+html, 100)) }
	const word, words = "text \"secret\"\n", "text \"sec ret\"\n"
	for e := range strings.FieldsSeq("nobr del ins label cite dfn samp kbd var q mark small big tt s strike acronym abbr time data output bdi bdo font span a u o:p x-any wbr em sup") {
		if got := read("<p>sec<" + e + " class=x>re</" + e + ">t</p>"); got != word {
			t.Errorf("%s: %s", e, got)
		}
	}
	for _, e := range []string{"<style>x</style>", "<script>x</script>", "<meta name=x>", "<link rel=x>", "<!-- x -->", "<base href=x>", "<basefont>"} {
		if got := read("sec" + e + "ret"); got != word {
			t.Errorf("%s: %s", e, got)
		}
	}
	for e := range strings.FieldsSeq("p div h1 li td tr br hr dir center blockquote section search option legend") {
		if got := read("sec<" + e + ">ret"); got != words {
			t.Errorf("%s: %s", e, got)
		}
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
	c = walk("Content-Type: text/html\n\n"+strings.Repeat("<p>hello<img src=x>you</p>", MaxText/27), 999)
	if len(c.Texts) != 2 || c.TextDoubt != "" {
		t.Errorf("%d texts, %q", len(c.Texts), c.TextDoubt)
	}
	c = walk("Content-Type: text/plain; format=flowed; delsp=yes\n\n"+strings.Repeat("word \n", MaxText/10), 999)
	if len(c.Texts) != 1 || c.TextDoubt == "" {
		t.Errorf("%d texts, %q", len(c.Texts), c.TextDoubt)
	}
}

// TestAMessageMadeToBeSlow: what takes long to read is read in a time that its length bounds.
func TestAMessageMadeToBeSlow(t *testing.T) {
	const html = "Content-Type: text/html\n\n"
	for name, message := range map[string]string{
		"comments in comments": html + strings.Repeat("<!--[if>", MaxText/8),
		"pictures in words":    html + strings.Repeat("a<img>", MaxText/6),
		"hidden in hidden":     html + strings.Repeat("<b hidden>a", MaxText/11),
		"names without end":    "Content-Type: x/y" + strings.Repeat("; name=(\n ", 6000) + "\n\n",
		"names between":        "Content-Type: x/y" + strings.Repeat(" name=a\n ", 6000) + "\n\n",
		"names, all different": "Content-Type: x/y" + repeat(4000, "; name=%d\n ") + "\n\n",
		"armours":              "\n\n" + strings.Repeat("-----BEGIN ", MaxText/11),
		"escapes at cut lines": "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat(strings.Repeat(" ", maxLine-1)+"=", 1000),
		"lines that go on":     "Content-Type: text/plain; format=flowed; delsp=yes\n\n" + strings.Repeat("> \n", MaxText/3),
		"sections":             "Content-Type: x/y" + repeat(4000, "; name*%d=a\n ") + "\n\n",
		"charsets":             "Content-Type: text/html" + repeat(4000, "; charset=%d\n ") + "\n\n" + strings.Repeat("<b>a", MaxText/4),
	} {
		began := time.Now()
		walk(message, 4096)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
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
