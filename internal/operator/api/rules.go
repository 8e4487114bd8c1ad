package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/policy/rules"
)

// RulesView is the rules in force.
type RulesView struct {
	Revision  int64           `json:"revision"` // 0: none was ever applied
	AppliedAt *time.Time      `json:"applied_at"`
	By        string          `json:"by,omitempty"`
	Warnings  []rules.Warning `json:"warnings,omitempty"`
	Rules     []Rule          `json:"rules"`
	Text      string          `json:"text" doc:"the file as it was applied; empty where the account is limited to domains"`
}

// tagged is an answer with the revision it is about.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

func tag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// Match is the revision that an edit looked at.
type Match struct {
	IfMatch string `header:"If-Match" doc:"ETag of the rules that were looked at, or *"`
}

// revision reads the header; current is the revision in force, for "*".
func (m *Match) revision(current int64) (int64, error) {
	switch text := strings.TrimPrefix(strings.TrimSpace(m.IfMatch), "W/"); text {
	case "":
		return 0, errNoMatch
	case "*":
		return current, nil
	default:
		n, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: there is no revision %s", admin.ErrRevision, text)
		}
		return n, nil
	}
}

// asked is revision where the header may be left out; nil: whatever is in force.
func (m *Match) asked() (*int64, error) {
	if m.IfMatch == "" || m.IfMatch == "*" {
		return nil, nil
	}
	n, err := m.revision(0)
	return &n, err
}

// file is a whole rules file to put in force.
type file struct {
	Name   string `json:"name,omitempty" doc:"of the file, for error messages and the audit trail"`
	Text   string `json:"text"`
	DryRun bool   `json:"dry_run,omitempty" doc:"only say what would change"`
	// LetWaitingGo is of admin.ApplyRequest.
	LetWaitingGo bool `json:"let_waiting_go,omitempty" doc:"give waiting mail that holds more than these rules demand what they demand; without it that mail keeps what it has"`
}

// Dry asks only what would change.
type Dry struct {
	DryRun bool `query:"dry_run" doc:"only say what would change"`
	// LetWaitingGo is of admin.ApplyRequest.
	LetWaitingGo bool `query:"let_waiting_go" doc:"give waiting mail that holds more than the rules demand what they demand; without it that mail keeps what it has"`
}

func (s *Server) registerRules(spec huma.API) {
	operation(s, spec, "GET", "/rules", "getRules", "The rules in force",
		func(ctx context.Context, in *struct {
			Export bool `query:"export" doc:"the file is taken away: the audit trail tells it each time, and not once an hour for each revision"`
		}) (*tagged[RulesView], error) {
			v, err := s.rulesView(ctx, in.Export)
			return &tagged[RulesView]{tag(v.Revision), v}, err
		})
	operation(s, spec, "PUT", "/rules", "applyRules", "Put a rules file in force as a whole; without If-Match, "+
		"whatever is in force now",
		func(ctx context.Context, in *struct {
			Match
			Body file
		}) (*tagged[admin.ApplyResult], error) {
			r := admin.ApplyRequest{Name: in.Body.Name, Text: in.Body.Text, DryRun: in.Body.DryRun,
				LetWaitingGo: in.Body.LetWaitingGo}
			var err error
			if r.IfRevision, err = in.asked(); err != nil {
				return nil, err
			}
			return applied(s.desk(ctx).ApplyRules(ctx, r))
		})
	operation(s, spec, "POST", "/rules", "createRule", "Add a rule at the end",
		func(ctx context.Context, in *struct {
			Match
			Dry
			Body Rule
		}) (*tagged[admin.ApplyResult], error) {
			if in.IfMatch == "" {
				in.IfMatch = "*" // an addition changes nothing that somebody else wrote
			}
			return s.edit(ctx, &in.Match,
				admin.RuleEdit{Rule: in.Body.toml(), DryRun: in.DryRun, LetWaitingGo: in.LetWaitingGo})
		})
	operation(s, spec, "GET", "/rules/{name}", "getRule", "One rule",
		func(ctx context.Context, in *RuleName) (*tagged[Rule], error) {
			v, err := rulesView(s.desk(ctx).Rules(ctx))
			if err != nil {
				return nil, err
			}
			for _, r := range v.Rules {
				if strings.EqualFold(r.Name, in.Name) {
					return &tagged[Rule]{tag(v.Revision), r}, nil
				}
			}
			return nil, access.NotFound("there is no rule %q", in.Name)
		})
	operation(s, spec, "PUT", "/rules/{name}", "changeRule", "Change one rule; the rest of the file stays as it stands",
		func(ctx context.Context, in *struct {
			RuleName
			Match
			Dry
			Body Rule
		}) (*tagged[admin.ApplyResult], error) {
			return s.edit(ctx, &in.Match, admin.RuleEdit{Name: in.Name, Rule: in.Body.toml(), DryRun: in.DryRun,
				LetWaitingGo: in.LetWaitingGo})
		})
	operation(s, spec, "DELETE", "/rules/{name}", "deleteRule", "Delete one rule",
		func(ctx context.Context, in *struct {
			RuleName
			Match
			Dry
		}) (*tagged[admin.ApplyResult], error) {
			return s.edit(ctx, &in.Match,
				admin.RuleEdit{Name: in.Name, DryRun: in.DryRun, LetWaitingGo: in.LetWaitingGo})
		})
	operation(s, spec, "POST", "/explanations", "explainRules", "Which rules would match a message, and why",
		func(ctx context.Context, in *body[admin.ExplainRequest]) (*body[admin.Explanation], error) {
			return answer(s.desk(ctx).Explain(ctx, in.Body))
		})
}

// RuleName names a rule in the path.
type RuleName struct {
	Name string `path:"name"`
}

func applied(r admin.ApplyResult, err error) (*tagged[admin.ApplyResult], error) {
	return &tagged[admin.ApplyResult]{tag(r.Revision), r}, err
}

func (s *Server) edit(ctx context.Context, m *Match, r admin.RuleEdit) (*tagged[admin.ApplyResult], error) {
	v, err := s.desk(ctx).Rules(ctx)
	if err != nil {
		return nil, err
	}
	if r.IfRevision, err = m.revision(v.Revision); err != nil {
		return nil, err
	}
	return applied(s.desk(ctx).EditRule(ctx, r))
}

// rulesView is the rules in force with their text.
func (s *Server) rulesView(ctx context.Context, export bool) (RulesView, error) {
	if export {
		return rulesView(s.desk(ctx).ExportRules(ctx))
	}
	return rulesView(s.desk(ctx).ReadRules(ctx))
}

func rulesView(v admin.RulesView, err error) (RulesView, error) {
	out := RulesView{Revision: v.Revision, AppliedAt: v.AppliedAt, By: v.By, Warnings: v.Warnings, Rules: []Rule{},
		Text: v.Text}
	if err != nil {
		return out, err
	}
	for _, text := range v.Rules {
		r, err := ruleOf(text)
		if err != nil {
			return out, err
		}
		out.Rules = append(out.Rules, r)
	}
	return out, nil
}
