package tlsprobe

import "golang.org/x/crypto/cryptobyte"

// ServerName is the host name that a ClientHello asks for (RFC 6066 §3), as it stands there, hostile text; "" where
// none can be read. hello is the beginning of what a client sent: it may be cut.
func ServerName(hello []byte) string {
	record := cryptobyte.String(hello)
	var kind, message uint8
	var body, session, suites, methods, extensions cryptobyte.String
	if !record.ReadUint8(&kind) || kind != recordHandshake || !record.Skip(4) || !record.ReadUint8(&message) ||
		message != messageClientHello {
		return ""
	}
	if body = record; !body.Skip(3+2+32) || !body.ReadUint8LengthPrefixed(&session) ||
		!body.ReadUint16LengthPrefixed(&suites) ||
		!body.ReadUint8LengthPrefixed(&methods) || !body.Skip(2) {
		return ""
	}
	for extensions = body; ; {
		var id uint16
		var data, names, name cryptobyte.String
		var form uint8
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&data) {
			return ""
		}
		if id != extensionName {
			continue
		}
		if !data.ReadUint16LengthPrefixed(&names) || !names.ReadUint8(&form) || form != 0 ||
			!names.ReadUint16LengthPrefixed(&name) {
			return ""
		}
		return string(name)
	}
}
