package acceptance

import (
	"testing"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// TestAnOpenConnectionIsJudgedByThePolicyThatIsKnownNow: a connection was opened while nothing was demanded, and stays
// open for whatever comes next.
func TestAnOpenConnectionIsJudgedByThePolicyThatIsKnownNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["delivery.idle_time"] = `"120s"`
	w.Domain("tested.test", w.Expired("mx.tested.test"))
	tested := w.policyHost("tested.test", "1", policy("testing", "mx.tested.test"))
	w.Domain("bare.test", partner.Behaviour{})
	w.Domain("named.test", w.Good("mx.named.test"))
	named := w.policyHost("named.test", "1", policy("enforce", "mx.named.test"))
	w.Start("")
	names := []string{"tested", "bare", "named"}
	for _, name := range names {
		w.Send("anna@home.test", "first", "one@"+name+".test")
	}
	for _, name := range names {
		w.Await("one@"+name+".test", harness.In("delivered"))
	}
	w.policyHost("bare.test", "1", policy("enforce", "mx.bare.test"))
	tested.set(policy("enforce", "mx.tested.test"))
	named.set(policy("enforce", "mx.other.test"))
	for _, name := range names {
		w.announces(name+".test", "2")
		w.Postern("policies", "refresh", name+".test")
		w.Send("anna@home.test", "second", "two@"+name+".test")
	}
	for name, reason := range map[string]string{"tested": "cert-expired", "bare": "starttls-not-offered", "named": "sts-mx-mismatch"} {
		w.Await("two@"+name+".test", harness.Waits(reason)).Want(t, map[string]string{"policy": "sts"})
		if n := len(harness.Bodies(w.Hosts["mx."+name+".test"], "second")); n > 0 {
			t.Errorf("%s got %d messages over the connection that was open", name, n)
		}
	}
}

// TestAPolicyIsAskedForAgainBeforeMailFailsForIt: a domain takes its policy back, or only tests it, because its TLS is
// broken.
func TestAPolicyIsAskedForAgainBeforeMailFailsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("back.test", w.Good("mx.back.test"))
	back := w.policyHost("back.test", "1", policy("enforce", "mx.back.test"))
	w.Domain("tested.test", w.Good("mx.tested.test"))
	tested := w.policyHost("tested.test", "1", policy("enforce", "mx.tested.test"))
	w.Domain("same.test", w.Good("mx.same.test"))
	same := w.policyHost("same.test", "1", policy("enforce", "mx.same.test"))
	w.Start("")
	names := []string{"back", "tested", "same"}
	for _, name := range names {
		w.Send("anna@home.test", "first", "one@"+name+".test")
	}
	for _, name := range names {
		w.Await("one@"+name+".test", harness.In("delivered"))
		w.Hosts["mx."+name+".test"].Set(w.Expired("mx." + name + ".test"))
	}
	w.Hosts["mx.tested.test"].Set(partner.Behaviour{})
	back.set(policy("none"))
	tested.set(policy("testing", "mx.tested.test"))
	fetched := same.count()
	w.Restart() // no connection is open, and that each policy was fetched a moment ago keeps it from being asked for again
	for _, name := range names {
		w.Send("anna@home.test", "second", "two@"+name+".test")
		w.Run("", "queue", "retry", name+".test")
	}
	w.Await("two@back.test", harness.In("delivered")).Want(t, map[string]string{"reached": "encrypted", "policy": ""})
	w.Await("two@tested.test", harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext", "policy": "sts"})
	w.Await("two@same.test", harness.Waits("cert-expired")).Want(t, map[string]string{"policy": "sts"})
	if same.count() == fetched {
		t.Error("mail waits for what a policy demands that nobody asked for again")
	}
}
