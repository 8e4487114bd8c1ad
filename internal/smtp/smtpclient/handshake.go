package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"reflect"

	"postern/internal/policy"
)

// handshakeError says why a handshake failed, by the types crypto/tls gives and by what crossed the wire, never by the
// words of a message. Everything that went wrong with TLS itself is kind Handshake, also a silent peer.
func (c *Conn) handshakeError(ctx context.Context, t *tap, err error) *Error {
	if e := contextError(ctx, PhaseHandshake, err); e != nil {
		return e
	}
	e := &Error{Phase: PhaseHandshake, Kind: Handshake, Reason: policy.TLSHandshake, Err: err}
	var header tls.RecordHeaderError
	if number, ok := alertIn(err, opLocal); ok {
		t.alert, t.alerted = number, true
	}
	switch number, ok := alertIn(err, opRemote); {
	case ok:
		c.blameAlert(e, number, t.chosen())
	case errors.As(err, &header):
		e.Remote = t.text()
	case isTimeout(err):
		e.Reason = policy.TLSTimeout
	case isNetwork(err):
		e.Reason, e.ClientCertificate = policy.TLSClosed, c.presented
		if e.Remote = t.text(); e.Remote != "" {
			e.Reason = policy.TLSHandshake
		}
	case t.alerted:
		e.Reason, e.Alert = ownAlertReason(t.alert), AlertName(t.alert)+" (sent by us)"
	}
	return e
}

// lateHandshakeError is the error of the first read or write after a handshake: a TLS 1.3 peer judges our side only
// then, so what fails now is still the handshake (RFC 8446 §4.4.4).
func (c *Conn) lateHandshakeError(phase Phase, err error) *Error {
	e := &Error{Phase: phase, Kind: Handshake, Reason: policy.TLSHandshake, Err: err}
	switch number, ok := alertIn(err, opRemote); {
	case ok:
		c.blameAlert(e, number, true)
	case isNetwork(err):
		e.Reason, e.ClientCertificate = policy.TLSClosed, c.presented
	}
	return e
}

// blameAlert fills e from the peer's alert. Once the peer has chosen version and cipher, handshake_failure is about
// something else: a certificate of ours that it misses, as a rule.
func (c *Conn) blameAlert(e *Error, number byte, chosen bool) {
	e.Alert = AlertName(number) + " (sent by peer)"
	e.ClientCertificate = c.presented
	switch {
	case chosen:
		e.Reason = policy.TLSAlert
	case number == alertHandshakeFailure, number == alertInsufficientSecurity:
		e.Reason = policy.TLSNoSharedCipher
	case number == alertProtocolVersion, number == alertInappropriateFallback:
		e.Reason = policy.TLSVersion
	default:
		e.Reason = policy.TLSAlert
	}
}

// ownAlertReason says what made us refuse the peer's handshake.
func ownAlertReason(number byte) policy.Reason {
	switch number {
	case alertProtocolVersion:
		return policy.TLSVersion
	case alertHandshakeFailure:
		return policy.TLSNoSharedCipher
	}
	return policy.TLSHandshake
}

// The Ops under which crypto/tls reports alerts.
const (
	opRemote = "remote error"
	opLocal  = "local error"
)

// alertIn returns the number of the alert in err, if it has one of that side. crypto/tls reports alerts as a
// net.OpError around a number whose type it does not export.
func alertIn(err error, side string) (byte, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != side || op.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return byte(v.Uint()), true
}

// Alerts that decide a reason (RFC 8446 §6, RFC 7507 §2).
const (
	alertHandshakeFailure      = 40
	alertProtocolVersion       = 70
	alertInsufficientSecurity  = 71
	alertInappropriateFallback = 86
)

// AlertName is the name an alert has in RFC 8446 §6 and its predecessors.
func AlertName(number byte) string {
	names := map[byte]string{
		0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
		22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate",
		42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
		46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
		51: "decrypt_error", 60: "export_restriction", 70: "protocol_version", 71: "insufficient_security",
		80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
		109: "missing_extension", 110: "unsupported_extension", 111: "certificate_unobtainable",
		112: "unrecognized_name", 113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
		115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol", 121: "ech_required",
	}
	if name, ok := names[number]; ok {
		return name
	}
	return fmt.Sprintf("alert_%d", number)
}
