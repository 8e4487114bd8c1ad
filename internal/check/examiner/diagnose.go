package examiner

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/internal/check"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
	"postern/internal/smtp/tlsprobe"
)

// This file asks a server in the clear for what crypto/tls cannot speak (decision 19). No verdict comes from it.

// probeTime bounds one probe, from the dial to the last octet read.
const probeTime = 15 * time.Second

// probed is one probe and its end.
type probed struct {
	name   string
	offer  uint16
	answer *tlsprobe.Answer // nil where the server could not be asked
	err    error            // of getting there, or of reading
}

// The names of probes in Report. A probe offers a version and whatever is older.
const (
	probeAll  = "everything to TLSv1.2"
	probeOld  = "everything to TLSv1"
	probeSSL3 = "SSLv3"
	probeDHE  = "DHE key exchange"
)

// diagnose finds out what a server would like with which no handshake of ours completed: an offer of everything there
// is, then older ones where that is not even answered.
func (v *viewer) diagnose(ctx context.Context) (out []probed) {
	for _, p := range []struct {
		name    string
		version uint16
	}{{probeAll, tlsprobe.TLS12}, {probeOld, tlsprobe.TLS10}, {probeSSL3, tlsprobe.SSL30}} {
		out = append(out, v.probe(ctx, p.name, p.version, everything))
		if last := &out[len(out)-1]; last.answer == nil || last.answer.Chosen {
			break
		}
		v.c.manners.breathe(ctx, v.ip)
	}
	return out
}

// rows are the probes of --versions that stand beside the trials.
func (v *viewer) rows(ctx context.Context) []probed {
	dhe := v.probe(ctx, probeDHE, tlsprobe.TLS12, func(s tlsprobe.Suite) bool { return s.Exchange() == tlsprobe.DHE })
	v.c.manners.breathe(ctx, v.ip)
	return []probed{v.probe(ctx, probeSSL3, tlsprobe.SSL30, everything), dhe}
}

func everything(tlsprobe.Suite) bool { return true }

// spoken reports whether crypto/tls can be made to speak a suite.
func spoken(s tlsprobe.Suite) bool {
	is := func(c *tls.CipherSuite) bool { return c.ID == uint16(s) }
	return slices.ContainsFunc(tls.CipherSuites(), is) || slices.ContainsFunc(tls.InsecureCipherSuites(), is)
}

// probe makes one connection, sends one ClientHello after STARTTLS, and reads what comes back in the clear.
func (v *viewer) probe(ctx context.Context, name string, version uint16, offered func(tlsprobe.Suite) bool) probed {
	p := probed{name: name, offer: version}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	nc, hangUp, err := v.reach(ctx, probeTime)
	if p.err = err; err != nil {
		return p
	}
	defer hangUp()
	code, err := newSpeaker(nc).say("STARTTLS\r\n")
	if err != nil || code != 220 {
		p.err = errors.Join(errNoStartTLS, err)
		return p
	}
	hello := tlsprobe.Hello{Version: version}
	if _, literal := v.hop.Host.Literal(); !literal {
		hello.Name = v.hop.Host.String()
	}
	for _, s := range tlsprobe.Suites(spoken) {
		if offered(s) && (version > tlsprobe.SSL30 || s.ForSSL3()) {
			hello.Suites = append(hello.Suites, s)
		}
	}
	_, _ = rand.Read(hello.Random[:]) // never fails
	if _, p.err = nc.Write(hello.Record()); p.err != nil {
		return p
	}
	p.answer, p.err = tlsprobe.Read(nc)
	_, _ = nc.Write([]byte{21, 3, byte(min(version, tlsprobe.TLS10)), 0, 2, 1, 0}) // close_notify: we take our leave
	return p
}

// trial is a probe as a row of the report.
func (p *probed) trial() check.Trial {
	t := check.Trial{Name: p.name, Probe: true}
	a := p.answer
	if a == nil {
		t.Text = "the server could not be asked"
		return t
	}
	if a.Alerted {
		t.Alert = smtpclient.AlertName(a.Alert) + " (sent by peer)"
	}
	if !a.Chosen || p.name == probeSSL3 && a.Version != tlsprobe.SSL30 {
		t.Reason, t.Text = p.refusal()
		return t
	}
	t.Works = true
	t.TLS = &mail.TLS{Version: versionName(a.Version), Cipher: a.Suite.String(), Bits: a.Suite.Bits(),
		Group: groupName(a)}
	if len(a.Chain) > 0 {
		sum := sha256.Sum256(a.Chain[0])
		t.SHA256 = hex.EncodeToString(sum[:])
	}
	return t
}

// refusal says why a probe was not answered by a ServerHello.
func (p *probed) refusal() (policy.Reason, string) {
	const handshakeFailure, protocolVersion = 40, 70
	a := p.answer
	switch {
	case a.Chosen:
		return policy.TLSVersion, "the server chose " + versionName(a.Version) + " instead"
	case a.Alerted && a.Alert == protocolVersion:
		return policy.TLSVersion, "the server refuses the version"
	case a.Alerted && a.Alert == handshakeFailure:
		return policy.TLSNoSharedCipher, "the server accepts none of the cipher suites offered"
	case a.Alerted:
		return policy.TLSAlert, "the server broke off"
	case errors.Is(p.err, tlsprobe.ErrNotTLS) || errors.Is(p.err, tlsprobe.ErrBroken) ||
		errors.Is(p.err, tlsprobe.ErrTooLong):
		return policy.TLSHandshake, "the server's answer is not TLS"
	}
	return policy.TLSClosed, "the server closed or fell silent"
}

func versionName(v uint16) string {
	if name := tlsprobe.VersionName(v); name != "" {
		return name
	}
	return fmt.Sprintf("0x%04x", v)
}

// groupName is the group of a key exchange, "" where there is none.
func groupName(a *tlsprobe.Answer) string {
	switch {
	case a.PrimeBits > 0:
		return fmt.Sprintf("DH %d", a.PrimeBits)
	case a.Curve == 0:
		return ""
	}
	if name := tlsprobe.CurveName(a.Curve); name != "" {
		return name
	}
	return fmt.Sprintf("0x%04x", a.Curve)
}
