// Package mimewalk reads, while a message streams by, what rules may ask of its content (RFC 2045, RFC 2046): the names
// and types of its attachments, and its text as people read it.
//
// Walker takes the whole message, header included, in pieces of any size, and holds at most Held octets, whatever the
// message is: some text (MaxText), names (MaxNames), a part's header and a line. What goes beyond is not kept.
//
// The law of what cannot be judged. Programs differ in what they make of a broken message, and rules protect what
// people read in any of them. So whatever is read differently, or not at all, is a doubt, told in Content: encrypted
// and opaque parts (S/MIME, PGP, TNEF), fields given twice, multiparts without a boundary, encodings and charsets that
// are not known, more parts, levels or text than are looked at. Who asks decides what a doubt counts as.
//
// Text is that of text parts that are not attachments. Of HTML it is what stands between the tags, alternative texts
// and titles included, without scripts and styles; what a style hides is there. Where words go on over the ends of
// lines (RFC 3676, DelSp) the text is there twice, as it stands and with its lines joined. Preambles and epilogues of
// multiparts are not shown by mail programs, and are not read. Attachments are parts that have a name or say that they
// are, and those that are neither plain text nor HTML; files in the text (uuencode) count too. A forwarded message is
// read as the message it is in.
//
// Ground room: it takes octets and returns what they say. A Walker is for one goroutine.
package mimewalk
