package smtpserver

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// auth does AUTH PLAIN and LOGIN (RFC 4954, RFC 4616), inside TLS only.
func (c *Conn) auth(arg []byte) {
	switch {
	case !c.srv.cfg.Auth:
		c.wrong("AUTH", 502, "5.5.1", "not offered")
	case c.info.TLS == nil:
		c.wrong("AUTH", 538, "5.7.11", "say STARTTLS first")
	case !c.extended:
		c.wrong("AUTH", 503, "5.5.1", "say EHLO first")
	case c.info.User != "":
		c.wrong("AUTH", 503, "5.5.1", "you are logged in")
	case c.tx.open:
		c.wrong("AUTH", 503, "5.5.1", "a transaction is open")
	default:
		c.login(string(arg))
	}
}

func (c *Conn) login(arg string) {
	mechanism, initial, has := strings.Cut(arg, " ")
	var user, password string
	var err error
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		user, password, err = c.plain(initial, has)
	case "LOGIN":
		user, password, err = c.loginPair(initial, has)
	default:
		c.wrong("AUTH", 504, "5.5.4", "mechanism not known")
		return
	}
	switch {
	case errors.Is(err, errSASL):
		c.wrong("AUTH", 501, "5.5.2", "the response cannot be read")
		return
	case errors.Is(err, errSASLCancelled):
		c.wrong("AUTH", 501, "5.0.0", "cancelled")
		return
	case err != nil:
		c.lineFailed(err)
		return
	}
	c.verify(user, password)
}

func (c *Conn) verify(user, password string) {
	reply := c.session.Auth(c.ctx, user, password)
	ok := reply == nil || reply.Positive()
	if f := c.srv.cfg.Trace.LoggedIn; f != nil {
		f(c.Info(), user, ok)
	}
	if ok {
		c.info.User = user
		c.wire.say(235, "2.7.0", "welcome")
		return
	}
	c.deny("AUTH", reply, nil)
	if c.logins++; c.logins >= c.srv.cfg.Limits.Logins || reply.Code == 421 {
		c.bye("4.7.0", "too many failed logins", "too many failed logins")
	}
}

var (
	errSASL          = errors.New("malformed response")
	errSASLCancelled = errors.New("cancelled")
)

// plain reads [authzid] NUL authcid NUL password (RFC 4616 §2). Acting for somebody else is not possible.
func (c *Conn) plain(initial string, has bool) (user, password string, err error) {
	raw, err := c.response("", initial, has)
	if err != nil {
		return "", "", err
	}
	parts := bytes.Split(raw, []byte{0})
	if len(parts) != 3 || !utf8.Valid(raw) || len(parts[1]) == 0 {
		return "", "", errSASL
	}
	user, password = string(parts[1]), string(parts[2])
	if len(parts[0]) > 0 && string(parts[0]) != user {
		return "", "", errSASL
	}
	return user, password, nil
}

// loginPair asks for the two parts of LOGIN, which no RFC defines and every old client speaks.
func (c *Conn) loginPair(initial string, has bool) (user, password string, err error) {
	name, err := c.response("VXNlcm5hbWU6", initial, has) // "Username:"
	if err != nil {
		return "", "", err
	}
	secret, err := c.response("UGFzc3dvcmQ6", "", false) // "Password:"
	if err != nil {
		return "", "", err
	}
	if !utf8.Valid(name) || len(name) == 0 || bytes.IndexByte(name, 0) >= 0 || bytes.IndexByte(secret, 0) >= 0 {
		return "", "", errSASL
	}
	return string(name), string(secret), nil
}

// response decodes the initial response, or asks for one. "=" is an empty initial response, "*" cancels.
func (c *Conn) response(challenge, initial string, has bool) ([]byte, error) {
	if !has {
		c.wire.say(334, "", challenge)
		line, err := c.wire.line(time.Now().Add(c.srv.cfg.Timeouts.Command), func([]byte) int { return authLine })
		if err != nil {
			return nil, err
		}
		initial = string(line)
		if initial == "*" {
			return nil, errSASLCancelled
		}
	} else if initial == "=" {
		initial = ""
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(initial)
	if err != nil {
		return nil, errSASL
	}
	return raw, nil
}
