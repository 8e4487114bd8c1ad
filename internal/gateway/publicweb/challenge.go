package publicweb

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
)

// challengePath is where a CA looks for the answer to its challenge (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// challengeProtocol is what a CA asks for in a handshake that is a challenge (RFC 8737 §6.2).
const challengeProtocol = "acme-tls/1"

// token is the token that a path asks for.
func token(path string) (string, bool) { return strings.CutPrefix(path, challengePath) }

// challenged returns how to take a handshake that is a challenge, nil for every other one.
func (s *Server) challenged(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.cfg.TLSAnswer == nil || !slices.Equal(hello.SupportedProtos, []string{challengeProtocol}) {
		return nil, nil
	}
	cert := s.cfg.TLSAnswer(hello.ServerName)
	if cert == nil {
		return nil, errors.New("there is no such challenge")
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{challengeProtocol},
		MinVersion: tls.VersionTLS12}, nil
}
