// Package mail holds the nouns of Internet mail that every other room speaks: Domain, Address, Envelope, the facts of
// a TLS channel, header fields and the Received line.
//
// Two spellings of one thing never differ here. A Domain is always the lower-case A-label form without a trailing dot,
// so comparing two Domains is comparing what DNS compares. An Address keeps the local part exactly as it came over the
// wire (quoted parts stay quoted, RFC 5321 §4.1.2) and offers Canonical for matching, so that no spelling slips past a
// rule and none is damaged on the way.
//
// Ground room: no clock, no network, no file.
package mail
