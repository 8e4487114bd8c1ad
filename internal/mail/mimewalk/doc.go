// Package mimewalk reads, while a message streams by, what rules may ask of its content (RFC 2045, RFC 2046): the names
// and types of its attachments, and its text as people read it.
//
// Walker takes the whole message, header included, in pieces of any size, and holds at most Held octets, whatever the
// message is: some text (MaxText), names (MaxNames), a part's header and a line. What goes beyond is not kept.
//
// The law of what cannot be judged. Programs differ in what they make of a broken message, and rules protect what
// people read in any of them. So whatever is read differently, or not at all, is a doubt, told in Content, unless every
// reading is there: encrypted and opaque parts (S/MIME, PGP, TNEF, rights management), by what their type, their name
// or their first octets say, and in the text; fields given twice, multiparts without a boundary, encodings and charsets
// that are not known, more parts, levels or text than are looked at. Who asks decides what a doubt counts as.
//
// Text is that of text parts that are not attachments, in each charset that a program may take. Of HTML it is what
// stands between the tags, titles and alternative texts included, without scripts; what a style hides is there. Blocks,
// cells and line ends part words, nothing else does. There is a second text where readings differ: what stands within a
// word is gone (pictures, what is hidden, the reading of a character); lines are joined (RFC 3676, and calendars).
// Preambles and epilogues of multiparts are not shown by mail programs, and are not read.
//
// Attachments are parts that have a name or say that they are, and those that are neither plain text nor HTML; files in
// the text (uuencode) count too. Parameters end before their words are decoded; a name whose end is in doubt is there
// in each length. A forwarded message is read as the message it is in.
//
// Ground room: it takes octets and returns what they say. A Walker is for one goroutine.
package mimewalk
