package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/trace"
	"postern/internal/operator/waiting"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
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

// rules shows the rules in force.
func (s *Service) rules() (RulesView, error) {
	revision, set, err := s.cfg.Rules.Applied()
	if err != nil {
		return RulesView{}, err
	}
	out := RulesView{Revision: revision.Number, AppliedAt: trace.Instant(revision.AppliedAt), By: revision.By, Text: revision.Text,
		Rules: []json.RawMessage{}, Warnings: set.Warnings(time.Now(), s.own()...)}
	for _, r := range set.Rules() {
		text, err := json.Marshal(r)
		if err != nil {
			return RulesView{}, fmt.Errorf("cannot show rule %s: %w", r.Name, err)
		}
		out.Rules = append(out.Rules, text)
	}
	return out, nil
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
	// asKept applies what the files of lists held when the text was kept, and reads none anew.
	asKept bool
}

// ApplyResult says what changed, or would.
type ApplyResult struct {
	Before   int64           `json:"revision_before"`
	Revision int64           `json:"revision"` // in force now
	Applied  bool            `json:"applied"`
	Rules    int             `json:"rules"`
	Changes  []rules.Change  `json:"changes"`
	Warnings []rules.Warning `json:"warnings,omitempty"`
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
func (s *Service) listFile(file string) rules.ListFile {
	if s.cfg.ListFile == nil {
		return rules.ListFile{Wrong: "this gateway reads no files", Hint: "write the values into the list"}
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
	return rules.CheckRoutes(name, []byte(text), table.Names())
}

// apply is Desk.ApplyRules without a look at the files that the rules name.
func (s *Service) apply(ctx context.Context, r ApplyRequest, by string) (ApplyResult, error) {
	set, err := rules.Parse(r.Name, []byte(r.Text))
	if err != nil {
		return ApplyResult{}, err
	}
	k := s.cfg.Rules
	before, old, _ := k.Applied()
	out := ApplyResult{Before: before.Number, Revision: before.Number, Rules: len(set.Rules()), Changes: changes(old, set),
		Warnings: set.Warnings(time.Now(), s.own()...)}
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
	renames, _ := rules.Renames(old, next)
	if len(renames) == 0 {
		return nil
	}
	all, err := s.cfg.Pins.Pins(ctx, "")
	if err != nil {
		return fmt.Errorf("the rules stay as they are: cannot read the names of mail hosts that renamed rules remember: %w", err)
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
		return fmt.Errorf("the rules stay as they are: cannot write the names of mail hosts that renamed rules remember: %w", err)
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

func (r *ApplyRequest) entry(before audit.Revision, by string, list []rules.Change) audit.Entry {
	e := audit.Entry{At: time.Now(), By: by, Action: "rules apply", Target: r.Name, Before: fmt.Sprintf("revision %d", before.Number),
		After: Summary(list), Count: len(list)}
	if before.Text == r.Text && before.Number > 0 {
		e.After = "the same rules; what waits is judged anew"
	}
	return e
}

func changes(old, next *rules.Set) []rules.Change {
	if old == nil {
		old = &rules.Set{}
	}
	if c := rules.Diff(old, next); c != nil {
		return c
	}
	return []rules.Change{}
}

// Summary is a list of changes as the lines of the audit trail: "+ new: key value", "- gone: key value",
// "~ changed: key before -> after".
func Summary(list []rules.Change) string {
	var lines []string
	for _, c := range list {
		sign := map[rules.ChangeKind]string{rules.Added: "+", rules.Removed: "-", rules.Changed: "~", rules.Renamed: "~"}[c.Kind]
		var fields []string
		for _, f := range c.Fields {
			switch {
			case f.Field == "name" && c.Kind != rules.Changed && c.Kind != rules.Renamed:
			case c.Kind == rules.Added:
				fields = append(fields, f.Field+" "+f.After)
			case c.Kind == rules.Removed:
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

// ExplainRequest asks which rules would match a message, without sending it.
type ExplainRequest struct {
	From   string   `json:"from"`
	To     []string `json:"to"`
	Header []byte   `json:"header,omitempty"` // header section of the message
	// Content is what its attachments and text are; nil is not known, and counts as a match of what rules ask of it.
	Content *mimewalk.Content `json:"content,omitempty"`
	// Bound are the domains that the configuration binds the client to, and User who logged in.
	Bound  []string `json:"bound,omitempty"`
	User   string   `json:"user,omitempty"`
	Size   int64    `json:"size,omitempty"`   // of the message in bytes
	Client string   `json:"client,omitempty"` // address of the sending host
	// Offline has nobody asked what recipients' domains publish.
	Offline bool `json:"offline,omitempty"`
	// Arrival is what the client comes with, for rules about incoming mail.
	Arrival Arrival `json:"arrival,omitzero"`
}

// Explanation is the answer: each rule's and each recipient's why.
type Explanation struct {
	Revision   int64                   `json:"revision"`
	Rules      []rules.RuleExplanation `json:"rules"`
	Recipients []ExplainedRecipient    `json:"recipients"`
	// Inbound is what rules about incoming mail make of it, nil where there are none or no recipient is ours.
	Inbound *ExplainedArrival `json:"inbound,omitempty"`
	// Warnings say what is worth knowing of the rules themselves, such as what they do not cover.
	Warnings []rules.Warning `json:"warnings,omitempty"`
}

// ExplainedRecipient is what one recipient's delivery would require.
type ExplainedRecipient struct {
	Recipient string       `json:"recipient"`
	Requires  policy.Level `json:"requires"`
	Matched   bool         `json:"matched"` // named by a rule itself, not only tainted
	Rules     []string     `json:"rules,omitempty"`
	Window    string       `json:"window,omitempty"` // how long it may wait, as in a rules file; "": the ordinary lifetime
	Tested    []string     `json:"tested,omitempty"` // rules in test mode that would have had a say
	Parts     []rules.Part `json:"parts,omitempty"`
	// Effects are what rules would do with the mail, once; Does the same in words, with what they would not, and why.
	Effects policy.Effects `json:"effects,omitempty"`
	Does    []rules.Step   `json:"does,omitempty"`
	Own     bool           `json:"own,omitempty"` // a domain of our own servers, which outbound rules are not about
	// Publishing is what the recipient's domain publishes; it holds besides what rules demand.
	Publishing *Publishing `json:"published"`
}

// explain answers with the rules in force. Of what is published somebody is asked where unasked is "".
func (s *Service) explain(ctx context.Context, r ExplainRequest, unasked string) (Explanation, error) {
	v := s.cfg.Rules.Now()
	if v.Err != nil {
		return Explanation{}, v.Err
	}
	out, demanded, err := explainWith(v.Rules, r, v.OwnDomains(), time.Now(), s.cfg.Hindsight.Roots)
	out.Revision = v.Revision
	if err != nil {
		return out, err
	}
	switch {
	case unasked != "":
	case r.Offline:
		unasked = "the question said so"
	case v.Table == nil:
		unasked = "this gateway does not deliver"
	}
	anyway := map[mail.Domain]policy.Requirement{}
	for i, to := range demanded.to {
		list := append(v.Ordinary(to.Domain), policy.Demand{Requirement: demanded.requirements[i]})
		anyway[to.Domain] = policy.Join(list)
	}
	var found map[mail.Domain]*Publishing
	if unasked == "" {
		found = publishing(ctx, v, anyway)
	}
	for i, to := range demanded.to {
		if out.Recipients[i].Publishing = found[to.Domain]; unasked != "" {
			out.Recipients[i].Publishing = &Publishing{NotAsked: unasked}
		}
	}
	return out, nil
}

// outcomes are what is demanded of the recipients of a message, in their order.
type outcomes struct {
	to           []mail.Address
	requirements []policy.Requirement
}

// ExplainWith answers with any set; own are the domains of our own servers. Nobody is asked what is published.
func ExplainWith(set *rules.Set, r ExplainRequest, own []mail.Domain, now time.Time) (Explanation, error) {
	out, _, err := explainWith(set, r, own, now, nil)
	for i := range out.Recipients {
		out.Recipients[i].Publishing = &Publishing{NotAsked: "no running gateway was asked"}
	}
	return out, err
}

func explainWith(set *rules.Set, r ExplainRequest, own []mail.Domain, now time.Time, roots roots) (Explanation, outcomes, error) {
	facts, err := r.facts(own)
	if err != nil {
		return Explanation{}, outcomes{}, err
	}
	facts.Now = now
	e := set.Explain(facts)
	all := outcomes{to: facts.Recipients}
	out := Explanation{Rules: e.Rules, Recipients: []ExplainedRecipient{}, Warnings: set.Warnings(now, own...)}
	for i, one := range e.Recipients {
		o := one.Outcome
		all.requirements = append(all.requirements, o.Requirement)
		out.Recipients = append(out.Recipients, ExplainedRecipient{Recipient: one.Recipient, Requires: o.Requirement.Channel, Matched: o.Matched,
			Rules: o.Rules, Window: one.Window, Tested: o.Tested, Parts: one.Parts, Effects: o.Effects, Does: one.Does, Own: i < len(facts.Local) && facts.Local[i]})
	}
	out.Inbound, err = explainArrival(set, &r, facts, roots)
	return out, all, err
}

func (r *ExplainRequest) facts(own []mail.Domain) (*rules.Facts, error) {
	f := &rules.Facts{Size: r.Size, Header: mail.ParseHeader(r.Header), Content: r.Content,
		Origin: rules.Origin{User: r.User, Senders: r.Bound}}
	var err error
	if r.From != "" && r.From != "<>" {
		if f.From, err = mail.ParseAddress(r.From); err != nil {
			return nil, access.BadRequest("the sender %w", err)
		}
	}
	if len(r.To) == 0 {
		return nil, access.BadRequest("name at least one recipient")
	}
	for _, to := range r.To {
		a, err := mail.ParseAddress(to)
		if err != nil {
			return nil, access.BadRequest("the recipient %w", err)
		}
		f.Recipients = append(f.Recipients, a)
		f.Local = append(f.Local, slices.Contains(own, a.Domain))
	}
	if r.Client != "" {
		if f.Client, err = netip.ParseAddr(r.Client); err != nil {
			return nil, access.BadRequest("%q is no IP address", r.Client)
		}
	}
	return f, nil
}
