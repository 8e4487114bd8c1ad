// Package past adds up what records of past mail say: what would have become of it under other rules, what fell short
// of what domains publish, what they published and when that changed, what a rule would cost. It is as good as the
// records, and says how far back it looked.
package past

import (
	"errors"

	"postern/internal/gateway/inforce"
	"postern/internal/history/traffic"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/scope"
)

// PreviewsAtOnce bounds the previews that look at past mail at a time, for everybody.
const PreviewsAtOnce = 4

// ErrPreviews: as many previews look at past mail as may.
var ErrPreviews = errors.New("as many previews as may run at once are running; try again in a moment")

// Config is what a Service stands on. Lookers must be set.
type Config struct {
	// Hindsight is where previews of rules learn what is known now.
	Hindsight hindsight.Sources
	// Traffic keeps sums of what became of mail; nil keeps none.
	Traffic *traffic.Book
	// Rules is what is in force.
	Rules *inforce.Keeper
	// Lookers takes one of each that looks at past mail; PreviewsAtOnce may.
	Lookers chan struct{}
}

// Service is what the desks of all principals share. Safe for concurrent use.
type Service struct {
	cfg  Config
	past pastDomains
}

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

// PastDesk is the Service as somebody sees it who asks. Make one by For.
type PastDesk struct {
	s   *Service
	who *scope.Asker
}

// For is the desk of somebody who asks.
func (s *Service) For(who *scope.Asker) PastDesk { return PastDesk{s, who} }
