// Package mail holds the nouns of Internet mail that every other room speaks: Domain, Address, Envelope, the facts of
// a TLS channel, header fields and the Received line.
//
// Two spellings of one thing never differ here. A Domain is always the lower-case A-label form without a trailing dot,
// so comparing two Domains is comparing what DNS compares. An Address keeps the local part exactly as it came over the
// wire (quoted parts stay quoted, RFC 5321 §4.1.2) and offers Canonical for matching, so that no spelling slips past a
// rule and none is damaged on the way.
//
// What a field says to people is a Text. Programs do not agree about what is malformed, so a Text holds each reading
// that some program may show, and says what could not be read at all. Its law: either every text a reader may have
// before the eyes is among Readings, or Unread says why not. Whoever protects mail by what stands in a field compares
// with every reading, and takes what is Unread for a match; nobody reads a field any other way.
//
// Ground room: no clock, no network, no file.
package mail
