package console

import (
	"fmt"
	"net"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"postern/test/harness"
)

// A passkey of a virtual device: made after signing in with a password, it signs in by itself and proves again;
// deleted, it does neither. The console is reached by its name over TLS, so that this is also a session in the __Host-
// cookie.
func TestAPasskeySignsIn(t *testing.T) {
	t.Parallel()
	w, _ := newGateway(t)
	at := harness.FreeAddress(t)
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	w.Settings["admin.listen"], w.Settings["admin.tls"] = fmt.Sprintf("%q", at), "true"
	w.Start(harness.Force("clinic", `"clinic.test"`))
	anna := sitDown(t, "https://gw.home.test:"+port, chromedp.Flag("host-resolver-rules", "MAP gw.home.test "+host), chromedp.Flag("ignore-certificate-errors", true))
	call(anna, webauthn.Enable, webauthn.EnableParams{})
	device := call(anna, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true}})
	anna.setsUp(w)

	anna.opens("/profile")
	anna.presses("Add a passkey")
	anna.sees("Name the device first.")
	anna.types("passkeyname", "phone")
	anna.presses("Add a passkey")
	anna.sees("the passkey was added", "gw.home.test", "never")

	leave := func() {
		anna.do(chromedp.Click(`//button[normalize-space()="Sign out"]`))
		anna.sees("Sign in with a passkey")
	}
	leave()
	anna.presses("Sign in with a passkey")
	anna.sees("administrator", "Mail in the last 7 days")
	anna.opens("/prove?next=/rules")
	anna.presses("With a passkey")
	anna.sees("New rule")
	anna.opens("/audit")
	anna.sees("sign-in by passkey", "passkeys add")

	// A device that does not ask its owner proves nothing.
	leave()
	call(anna, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: device.AuthenticatorID, IsUserVerified: false})
	anna.presses("Sign in with a passkey")
	anna.sees("said no")
	bogus := true
	call(anna, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: device.AuthenticatorID, IsUserVerified: true})
	call(anna, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: device.AuthenticatorID, IsBogusSignature: &bogus})
	anna.presses("Sign in with a passkey")
	anna.sees("This passkey is not known here.")
	call(anna, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: device.AuthenticatorID})

	anna.signsIn("anna", password)
	anna.sees("administrator")
	anna.opens("/profile")
	anna.presses("Delete")
	anna.confirms()
	anna.sees("the passkey was deleted")
	leave()
	anna.presses("Sign in with a passkey")
	anna.sees("This passkey is not known here.")
}
