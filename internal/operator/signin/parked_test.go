package signin

import "testing"

// What is kept is bounded: a few for each session, so many bytes in all, and for a while.
func TestKeptFormsAreBounded(t *testing.T) {
	var p parked
	var ids []string
	for range 10 {
		id, ok := p.put("anna", "/x", "", make([]byte, 100))
		if !ok {
			t.Fatal("not kept")
		}
		ids = append(ids, id)
	}
	if len(p.forms) != parkedEach || p.bytes != 100*parkedEach || p.look("anna", ids[9]) == nil || p.look("anna", ids[0]) != nil {
		t.Errorf("%d forms, %d bytes", len(p.forms), p.bytes)
	}
	if _, ok := p.put("eve", "/x", "", make([]byte, parkedBytes+1)); ok {
		t.Error("more than all was kept")
	}
	for i := range 5 {
		if _, ok := p.put(string(rune('a'+i)), "/x", "", make([]byte, parkedBytes/2)); !ok || p.bytes > parkedBytes {
			t.Errorf("%d bytes are kept", p.bytes)
		}
	}
	for len(p.forms) > 0 {
		p.take(p.forms[0].owner, p.forms[0].id)
	}
	if p.bytes != 0 {
		t.Errorf("%d bytes of nothing", p.bytes)
	}
}
