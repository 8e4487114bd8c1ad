package mail

// TLS is what one TLS handshake reached, in the words that log, stamp and trace print. The zero value is never a
// channel; where no TLS was used the pointer to it is nil.
type TLS struct {
	Version    string `json:"version"`               // "TLSv1.3", as Postfix prints it
	Cipher     string `json:"cipher"`                // OpenSSL's name of the suite, which for TLS 1.3 is IANA's
	Bits       int    `json:"bits"`                  // strength of the symmetric cipher
	Group      string `json:"group,omitempty"`       // key-exchange group, "X25519MLKEM768"; "" for RSA key exchange
	Signature  string `json:"signature,omitempty"`   // key type of the server's certificate: "ECDSA", "RSA", "Ed25519"
	ServerName string `json:"server_name,omitempty"` // SNI
	Resumed    bool   `json:"resumed,omitempty"`
	// Client is the state of the client certificate; nil where none was asked for.
	Client *ClientCertificate `json:"client,omitempty"`
}

// ClientCertificate is what a client presented when asked. Presented is false when it was asked and sent none.
type ClientCertificate struct {
	Presented bool `json:"presented"`
	// chains to a trusted root at the time of the session; clientAuth usage is not asked for
	Verified bool   `json:"verified"`
	Subject  string `json:"subject,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // hex of the certificate's digest
}
