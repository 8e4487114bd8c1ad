package admin

import (
	"errors"
	"testing"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/past"
)

// TestPreviewsAreFewAtATime: one more than may run at once is told so, and the next that comes afterwards runs.
func TestPreviewsAreFewAtATime(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(access.Root("root"))
	edit := RuleEdit{Rule: "[[rule]]\nname = \"bank\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"bank.test\"]\n"}
	for range past.PreviewsAtOnce {
		s.previews <- struct{}{}
	}
	if _, err := d.Preview(t.Context(), edit, time.Millisecond); !errors.Is(err, past.ErrPreviews) {
		t.Errorf("one too many: %v", err)
	}
	<-s.previews
	if _, err := d.Preview(t.Context(), edit, time.Millisecond); err != nil {
		t.Errorf("when there is room: %v", err)
	}
	if len(s.previews) != past.PreviewsAtOnce-1 {
		t.Errorf("%d places are taken", len(s.previews))
	}
}
