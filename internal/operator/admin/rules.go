package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/operator/audit"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/policy/mxpins"
	"postern/internal/policy/rulediff"
	"postern/internal/policy/ruleedit"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// RulesView is the rules in force.
type RulesView struct {
	Revision  int64           `json:"revision"` // 0: none was ever applied
	AppliedAt *time.Time      `json:"applied_at"`
	By        string          `json:"by,omitempty"`
	Warnings  []rules.Warning `json:"warnings,omitempty"`
	// Rules are objects with the keys and words of the rules file, defaults included.
	Rules []json.RawMessage `json:"rules"`
	// Text is the file as it was applied.
	Text string `json:"text"`
}

// rules shows the rules in force, without Rules: that takes a while with thousands of them, and few want it.
func (s *Service) rules() (RulesView, error) {
	v, _, err := s.rulesWith()
	return v, err
}

// rulesWith is rules, with what they are.
func (s *Service) rulesWith() (RulesView, *rules.Set, error) {
	revision, set, err := s.cfg.Rules.Applied()
	if err != nil {
		return RulesView{}, nil, err
	}
	return RulesView{Revision: revision.Number, AppliedAt: trace.Instant(revision.AppliedAt), By: revision.By,
		Text: revision.Text, Rules: []json.RawMessage{}, Warnings: set.Warnings(time.Now(), s.own()...)}, set, nil
}

// own lists the domains of our own servers.
func (s *Service) own() []mail.Domain { return s.cfg.Rules.Now().OwnDomains() }

// ApplyRequest asks for a rules file to come into force as a whole.
type ApplyRequest struct {
	Name string `json:"name,omitempty"` // of the file, for error messages and the audit trail
	Text string `json:"text"`
	// DryRun only says what would change.
	DryRun bool `json:"dry_run,omitempty"`
	// LetWaitingGo gives waiting mail that holds more than the new rules demand exactly what they demand. Without it
	// that mail keeps what it has.
	LetWaitingGo bool `json:"let_waiting_go,omitempty"`
	// IfRevision, when not nil, is the revision the caller looked at; any other in force is ErrRevision.
	IfRevision *int64 `json:"if_revision,omitempty"`
	// only, when not nil, chooses the waiting mail that ApplyResult.Waiting counts.
	only func(*queue.Record) bool
	// warnings, when not nil, are those of ApplyResult.
	warnings func(*rules.Set) []rules.Warning
	// asKept applies what the files of lists held when the text was kept, and reads none anew.
	asKept bool
}

// ApplyResult says what changed, or would.
type ApplyResult struct {
	Before   int64             `json:"revision_before"`
	Revision int64             `json:"revision"` // in force now
	Applied  bool              `json:"applied"`
	Rules    int               `json:"rules"`
	Changes  []rulediff.Change `json:"changes"`
	Warnings []rules.Warning   `json:"warnings,omitempty"`
	// Waiting is how much of what waits holds more than these rules demand.
	Waiting waiting.Surplus `json:"waiting"`
	// LetGo is how many deliveries were given less, as the request said; Busy how many could not be, because they are
	// being sent right now.
	LetGo int `json:"let_go,omitempty"`
	Busy  int `json:"busy,omitempty"`
	// NotYet are other gateways of the store at which what is in force here is not in force yet, though they were given
	// the time configured; NotYetProblem is why that is not known, "" where it is. WaitedMS is how long they took.
	NotYet        []NotYet `json:"not_yet_at,omitempty"`
	NotYetProblem string   `json:"not_yet_problem,omitempty"`
	WaitedMS      int64    `json:"waited_ms,omitempty"`
}

// trust says what is wrong with a file that a rule names.
func (s *Service) trust(file string) (wrong, hint string) {
	if s.cfg.Trust == nil {
		return "", ""
	}
	return s.cfg.Trust(file)
}

// listFile reads the file of a list.
func (s *Service) listFile(file string) rulelist.File {
	if s.cfg.ListFile == nil {
		return rulelist.File{Wrong: "this gateway reads no files", Hint: "write the values into the list"}
	}
	return s.cfg.ListFile(file)
}

// checkRoutes finds rules that redirect to a route which the configuration in force does not have. In a gateway that
// does not deliver nobody knows.
func (s *Service) checkRoutes(name, text string) error {
	table := s.cfg.Rules.Now().Table
	if table == nil {
		return nil
	}
	return ruleedit.CheckRoutes(name, []byte(text), table.Names())
}

// apply is Desk.ApplyRules without a look at the files that the rules name.
func (s *Service) apply(ctx context.Context, r ApplyRequest, by string) (ApplyResult, error) {
	set, err := rules.Parse(r.Name, []byte(r.Text))
	if err != nil {
		return ApplyResult{}, err
	}
	k := s.cfg.Rules
	before, old, _ := k.Applied()
	out := ApplyResult{Before: before.Number, Revision: before.Number, Rules: len(set.Rules()),
		Changes: changes(old, set)}
	if r.warnings == nil {
		out.Warnings = set.Warnings(time.Now(), s.own()...)
	} else {
		out.Warnings = r.warnings(set)
	}
	if err := r.wants(before); err != nil {
		return ApplyResult{}, err
	}
	if out.Waiting, err = s.queue.Surplus(ctx, set, r.only); err != nil || r.DryRun {
		return out, err
	}
	end, err := s.cfg.Nodes.Turn(ctx, "rules")
	if err != nil {
		return ApplyResult{}, fmt.Errorf("nothing was changed: %w", err)
	}
	defer end()
	after, err := k.Apply(ctx, set, r.Text, func(before audit.Revision, old *rules.Set) (audit.Entry, error) {
		out.Before, out.Revision, out.Changes = before.Number, before.Number, changes(old, set)
		err := r.wants(before)
		if err == nil {
			err = s.carryPins(ctx, old, set)
		}
		return r.entry(before, by, out.Changes), err
	})
	if err != nil {
		return out, err
	}
	if out.Revision = after.Number; out.Revision != out.Before {
		out.Applied = true
		s.cfg.Sink.Emit(event.RulesApplied{Revision: after.Number, Rules: out.Rules, By: by})
	}
	s.everywhere(ctx, &out)
	if r.LetWaitingGo {
		var acted waiting.ActResult
		acted, err = s.queue.LetGo(ctx, by)
		out.LetGo, out.Busy = acted.Changed, acted.Busy
	}
	if s.cfg.Dispatcher != nil {
		s.cfg.Dispatcher.Changed()
	}
	return out, err
}

// carryPins gives renamed rules what they remembered under their old names, before they come into force. What stands
// under the old names stays, for mail that waits may still ask for them.
func (s *Service) carryPins(ctx context.Context, old, next *rules.Set) error {
	if s.cfg.Pins == nil || old == nil {
		return nil
	}
	renames, _ := rulediff.Renames(old, next)
	if len(renames) == 0 {
		return nil
	}
	all, err := s.cfg.Pins.Pins(ctx, "")
	if err != nil {
		return fmt.Errorf("the rules stay as they are: cannot read the names of mail hosts that renamed rules "+
			"remember: %w", err)
	}
	var carried []mxpins.Pin
	for _, r := range renames {
		for _, p := range all {
			if p.Rule == r.From {
				p.Rule = r.To
				carried = append(carried, p)
			}
		}
	}
	if _, err := s.cfg.Pins.Remember(ctx, false, carried); err != nil {
		return fmt.Errorf("the rules stay as they are: cannot write the names of mail hosts that renamed rules "+
			"remember: %w", err)
	}
	return nil
}

// wants refuses a change of rules that the caller did not look at.
func (r *ApplyRequest) wants(before audit.Revision) error {
	if r.IfRevision != nil && *r.IfRevision != before.Number {
		return fmt.Errorf("%w: revision %d is in force, not %d", ErrRevision, before.Number, *r.IfRevision)
	}
	return nil
}

func (r *ApplyRequest) entry(before audit.Revision, by string, list []rulediff.Change) audit.Entry {
	e := audit.Entry{At: time.Now(), By: by, Action: "rules apply", Target: r.Name,
		Before: fmt.Sprintf("revision %d", before.Number), After: Summary(list), Count: len(list)}
	if before.Text == r.Text && before.Number > 0 {
		e.After = "the same rules; what waits is judged anew"
	}
	return e
}

func changes(old, next *rules.Set) []rulediff.Change {
	if old == nil {
		old = &rules.Set{}
	}
	if c := rulediff.Diff(old, next); c != nil {
		return c
	}
	return []rulediff.Change{}
}

// Summary is a list of changes as the lines of the audit trail: "+ new: key value", "- gone: key value",
// "~ changed: key before -> after".
func Summary(list []rulediff.Change) string {
	var lines []string
	for _, c := range list {
		sign := map[rulediff.ChangeKind]string{rulediff.Added: "+", rulediff.Removed: "-", rulediff.Changed: "~",
			rulediff.Renamed: "~"}[c.Kind]
		var fields []string
		for _, f := range c.Fields {
			switch {
			case f.Field == "name" && c.Kind != rulediff.Changed && c.Kind != rulediff.Renamed:
			case c.Kind == rulediff.Added:
				fields = append(fields, f.Field+" "+f.After)
			case c.Kind == rulediff.Removed:
				fields = append(fields, f.Field+" "+f.Before)
			default:
				fields = append(fields, f.Field+" "+orUnset(f.Before)+" -> "+orUnset(f.After))
			}
		}
		line := strings.TrimSuffix(sign+" "+c.Rule+": "+strings.Join(fields, ", "), ": ")
		if c.Weaker {
			line += " (weaker)"
		}
		if c.Note != "" {
			line += " (" + c.Note + ")"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func orUnset(s string) string {
	if s == "" {
		return "unset"
	}
	return s
}
