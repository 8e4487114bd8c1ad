package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postern/internal/history/traffic"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/operator/audit"
	"postern/internal/operator/figures"
	"postern/internal/operator/hindsight"
	"postern/internal/operator/past"
	"postern/internal/operator/ruleform"
	"postern/internal/operator/scope"
	"postern/internal/policy/rule"
	policyrules "postern/internal/policy/rules"
)

// rulesView is the list of rules in force.
type rulesView struct {
	Rules    []rule.Rule // of this page
	More     string      // the next page
	Count    int         // of all of them
	Warnings map[string][]policyrules.Warning
	View     admin.RulesView
	Whole    bool // the principal sees all of them
	Figures  map[string]figures.Rule
	Write    bool // the principal may write rules
	desk     *admin.Desk
	// Of is whose mail the page is about, nil where it is about everybody's; Problem what is wrong with that question,
	// and Asked what was typed.
	Of             *admin.DomainRules
	Asked, Problem string
	Done           string
	Now            time.Time
}

// Ended reports whether a rule has expired.
func (v rulesView) Ended(r rule.Rule) bool { return r.Expires.Over(v.Now) }

// Open reports whether the principal may change a rule; nobody else is led to its pane.
func (v rulesView) Open(r rule.Rule) bool { return v.desk.MayChange(&r) }

// Sums reports whether what became of the mail of a rule may be told: not where others send some of it.
func (v rulesView) Sums(r rule.Rule) bool { return v.desk.Owns(&r) }

func (c *Console) rules(r *request) error {
	v := rulesView{Whole: r.who.Scope.All, desk: r.desk, Write: r.who.May(access.WriteRules), Done: c.done(r),
		Now:      time.Now(),
		Warnings: map[string][]policyrules.Warning{}}
	var err error
	if v.View, err = r.desk.RulesText(r.ctx()); err != nil {
		return err
	}
	list, err := r.desk.RuleList(r.ctx())
	if err != nil {
		return err
	}
	v.Count = len(list)
	to := "/rules"
	if v.Asked = strings.TrimSpace(r.FormValue("domain")); v.Asked != "" && v.Whole {
		of, err := r.desk.RulesOf(r.ctx(), v.Asked)
		switch {
		case errors.Is(err, access.ErrBadRequest):
			v.Problem = err.Error()
		case err != nil:
			return err
		default:
			v.Of, to = &of, "/rules?domain="+url.QueryEscape(of.Domain)
			list = slices.DeleteFunc(slices.Clone(list), func(one rule.Rule) bool {
				return !slices.Contains(of.Rules, one.Name)
			})
		}
	}
	if v.Rules, v.More, err = portion(list, r.FormValue("after"), to); err != nil {
		return err
	}
	sums, err := r.desk.Traffic(r.ctx(), traffic.Query{Kind: traffic.OfRule, Since: v.Now.AddDate(0, 0, -7)})
	if err != nil {
		return err
	}
	v.Figures = figures.OfRule(sums)
	for _, w := range v.View.Warnings {
		v.Warnings[w.Rule] = append(v.Warnings[w.Rule], w)
	}
	return c.page(r, "rules", "Rules", v)
}

// ruleView is the settings pane.
type ruleView struct {
	Name     string // the rule in force, "" for a new one
	Revision int64
	Form     ruleform.Form
	// Result is what saving would change, once that was asked; nil before.
	Result *admin.ApplyResult
	Text   string // the rule as it would stand in the file
	// Preview is what it would have meant for past mail; nil before that was asked.
	Preview *past.Preview
	// OnTrial says that the rule is on trial: Preview is of the rule as if it were enforced.
	OnTrial bool
	// Try is a message to try the rules on.
	Try tryView
}

func (c *Console) editRule(r *request) error {
	view, err := r.desk.RulesText(r.ctx())
	if err != nil {
		return err
	}
	if !r.who.May(access.WriteRules) {
		return access.ErrForbidden
	}
	v := ruleView{Name: r.FormValue("name"), Revision: view.Revision, Form: ruleform.New()}
	v.Form.Fields["match.sender"].Value = strings.Join(r.desk.SendersWithin(), "\n")
	if domain := r.FormValue("recipient"); v.Name == "" && domain != "" {
		v.Form.Fields["match.recipient"].Value = domain
		v.Form.Fields["name"].Value = domain
	}
	if v.Name == "" && r.FormValue("new") != "" {
		v.Form.Fill(r.URL.Query())
	}
	if v.Name != "" {
		list, err := r.desk.RuleList(r.ctx())
		if err != nil {
			return err
		}
		one := find(list, v.Name)
		switch {
		case one == nil:
			return access.ErrNotFound
		case !r.desk.MayChange(one):
			return access.ErrForbidden
		}
		v.Form = ruleform.Of(one)
		if v.OnTrial = one.Mode == rule.Test && one.Scope != rule.Disabled; v.OnTrial {
			_ = v.lookBack(r, admin.RuleEdit{Name: v.Name, Rule: v.Form.Enforced()}) // the pane says where it could not
		}
	}
	return c.page(r, "rule", ruleTitle(v.Name), v)
}

func ruleTitle(name string) string {
	if name == "" {
		return "New rule"
	}
	return "Rule " + name
}

func find(list []rule.Rule, name string) *rule.Rule {
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return &list[i]
		}
	}
	return nil
}

// saveRule shows what a change would do, to a message or to the rules, and does it when that was seen.
func (c *Console) saveRule(r *request) error {
	if err := readForm(r); err != nil {
		return err
	}
	revision, err := r.revision()
	if err != nil {
		return err
	}
	v := ruleView{Name: r.PostFormValue("rule"), Revision: revision}
	list, err := r.desk.RuleList(r.ctx())
	if err != nil {
		return err
	}
	v.Form = ruleform.From(r.PostForm, find(list, v.Name))
	var message []byte
	if v.Try, message, err = tryFrom(r); err != nil {
		return err
	}
	var keyOf []string
	v.Text, keyOf = v.Form.Text()
	edit := admin.RuleEdit{Name: v.Name, Rule: v.Text, IfRevision: revision,
		LetWaitingGo: r.PostFormValue("let_waiting_go") != ""}
	var out admin.ApplyResult
	switch do := r.PostFormValue("do"); do {
	case "save", "delete":
		if do == "delete" {
			edit.Rule = ""
		}
		out, err = r.desk.EditRule(r.ctx(), edit)
	case "try":
		err = v.Try.ask(r, message, &admin.Proposal{Name: v.Name, Rule: v.Text})
	default:
		edit.DryRun = true
		err = v.look(r, edit)
	}
	var broken *policyrules.ParseError
	switch {
	case errors.As(err, &broken):
		v.Form.Blame(broken.Problems, keyOf)
		v.Form.Advise("match.sender", r.desk.SenderAdvice())
		return c.keep(r, http.StatusUnprocessableEntity, v)
	case err != nil:
		code, why, err := c.unsaved(r, err, &v.Revision, nil)
		if err != nil {
			return err
		}
		for _, w := range why {
			v.Form.Accuse(w.Field, w.What, w.Hint)
		}
		return c.keep(r, code, v)
	case out.Revision == 0:
		return c.page(r, "rule", ruleTitle(v.Name), v)
	}
	return c.toSay(r, "/rules", applied(&out))
}

// readForm reads a form with or without a file.
func readForm(r *request) error {
	err := r.ParseMultipartForm(maxForm)
	var large *http.MaxBytesError
	switch {
	case err == nil, errors.Is(err, http.ErrNotMultipart):
		return nil
	case errors.As(err, &large):
		return err
	}
	return access.BadRequest("the form cannot be read: %w", err)
}

// uploaded is the file in a field of a form, nil where none was sent.
func uploaded(r *request, field string) ([]byte, error) {
	upload, _, err := r.FormFile(field)
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, nil
	}
	if err != nil {
		return nil, access.BadRequest("the file cannot be read: %w", err)
	}
	defer upload.Close()
	content, err := io.ReadAll(io.LimitReader(upload, maxForm))
	if err != nil {
		return nil, access.BadRequest("the file cannot be read: %w", err)
	}
	return content, nil
}

// look fills in what an edit would change, and would have changed.
func (v *ruleView) look(r *request, edit admin.RuleEdit) error {
	out, err := r.desk.EditRule(r.ctx(), edit)
	if err != nil {
		return err
	}
	v.Result = &out
	if v.OnTrial = v.Form.Fields["mode"].Value == string(rule.Test); v.OnTrial {
		edit.Rule = v.Form.Enforced()
	}
	return v.lookBack(r, edit)
}

// lookBack fills in what an edit would have meant for past mail.
func (v *ruleView) lookBack(r *request, edit admin.RuleEdit) error {
	p, err := r.desk.Preview(r.ctx(), edit, patience(r.PostFormValue("do")))
	if err == nil {
		v.Preview = &p
	}
	return err
}

// keep shows the pane again, with everything that was filled in.
func (c *Console) keep(r *request, code int, v ruleView) error {
	c.render(r.w, &r.who, code, "rule", ruleTitle(v.Name), v)
	return nil
}

// applied says what came of a change of rules.
func applied(out *admin.ApplyResult) string {
	text := fmt.Sprintf("revision %d is in force", out.Revision)
	switch {
	case out.LetGo > 0:
		text += "; " + strconv.Itoa(out.LetGo) + " waiting had more than it demands, and have less now"
	case out.Waiting.Deliveries > 0:
		text += "; " + strconv.Itoa(out.Waiting.Deliveries) + " waiting keep more than it demands"
	}
	if out.Busy > 0 {
		text += "; " + strconv.Itoa(out.Busy) + " are being sent and were left alone"
	}
	return text
}

// patience is how long a preview looks at past mail: a moment with the page, longer when that is asked for.
func patience(button string) time.Duration {
	if button == "further" {
		return 5 * time.Second
	}
	return 400 * time.Millisecond
}

// previewWord is what would have become of a delivery.
func previewWord(o hindsight.Outcome) string {
	return map[hindsight.Outcome]string{hindsight.AsNow: "as now", hindsight.WouldWait: "would have waited",
		hindsight.WouldReturn: "would have been returned", hindsight.NotKnown: "cannot be told"}[o]
}

// previewState is its colour.
func previewState(o hindsight.Outcome) string {
	return map[hindsight.Outcome]string{hindsight.AsNow: "delivered", hindsight.WouldWait: "held",
		hindsight.WouldReturn: "failed"}[o]
}

// fileView is the rules file as a whole.
type fileView struct {
	Text     string
	Revision int64
	Problems []policyrules.Problem
	Wrong    wrongs
	Result   *admin.ApplyResult
}

func (c *Console) rulesFile(r *request) error {
	view, err := r.desk.ReadRules(r.ctx())
	if err != nil {
		return err
	}
	if !r.who.Scope.All {
		return access.ErrForbidden
	}
	return c.page(r, "rulesfile", "Rules file", fileView{Text: view.Text, Revision: view.Revision})
}

func (c *Console) saveFile(r *request) error {
	revision, err := r.revision()
	if err != nil {
		return err
	}
	text, err := rulesText(r)
	if err != nil {
		return err
	}
	v := fileView{Text: text, Revision: revision}
	dry := r.PostFormValue("do") != "save"
	out, err := r.desk.ApplyRules(r.ctx(), admin.ApplyRequest{Name: "console", Text: v.Text, DryRun: dry,
		IfRevision: &revision, LetWaitingGo: r.PostFormValue("let_waiting_go") != ""})
	var broken *policyrules.ParseError
	switch {
	case errors.As(err, &broken):
		v.Problems = broken.Problems
		c.render(r.w, &r.who, http.StatusUnprocessableEntity, "rulesfile", "Rules file", v)
		return nil
	case err != nil:
		code, why, err := c.unsaved(r, err, &v.Revision, nil)
		if v.Wrong = why; err == nil {
			c.render(r.w, &r.who, code, "rulesfile", "Rules file", v)
		}
		return err
	case dry:
		v.Result = &out
		return c.page(r, "rulesfile", "Rules file", v)
	}
	return c.toSay(r, "/rules", applied(&out))
}

// rulesText is the file that was typed, or uploaded.
func rulesText(r *request) (string, error) {
	text := r.PostFormValue("text")
	content, err := uploaded(r, "upload")
	switch {
	case err != nil:
		return "", err
	case !utf8.Valid(content):
		return "", access.BadRequest("the file is no text in UTF-8")
	case content != nil:
		text = string(content)
	}
	return strings.ReplaceAll(text, "\r\n", "\n"), nil
}

func (c *Console) exportRules(r *request) error {
	view, err := r.desk.ExportRules(r.ctx())
	if err != nil {
		return err
	}
	return file(r, "application/toml", fmt.Sprintf("rules-%d.toml", view.Revision), []byte(view.Text))
}

// revisionsView is a page of the history of the rules.
type revisionsView struct {
	Page    scope.Page[audit.Revision]
	Current int64
}

func (c *Console) revisions(r *request) error {
	view, err := r.desk.RulesText(r.ctx())
	if err != nil {
		return err
	}
	page, err := r.desk.Revisions(r.ctx(), scope.PageRequest{After: r.FormValue("after")})
	if err != nil {
		return err
	}
	return c.page(r, "revisions", "Revisions of the rules", revisionsView{page, view.Revision})
}

// revisionView is one revision beside the one in force.
type revisionView struct {
	admin.RevisionView
	Current int64
	Back    *admin.ApplyResult // what going back to it would change; nil where it is in force or may not be asked
	// Problems are why it cannot be put in force again.
	Problems []policyrules.Problem
}

func (c *Console) revision(r *request) error {
	number, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil {
		return access.ErrNotFound
	}
	v := revisionView{}
	if v.RevisionView, err = r.desk.Revision(r.ctx(), number); err != nil {
		return err
	}
	view, err := r.desk.RulesText(r.ctx())
	if err != nil {
		return err
	}
	if v.Current = view.Revision; number != v.Current && r.who.May(access.WriteRules) {
		out, err := r.desk.RollBack(r.ctx(), number, v.Current, true, false)
		var broken *policyrules.ParseError
		switch {
		case err == nil:
			v.Back = &out
		case errors.As(err, &broken):
			v.Problems = broken.Problems
		case !errors.Is(err, access.ErrStale):
			return err
		}
	}
	return c.page(r, "revision", fmt.Sprintf("Revision %d", number), v)
}

func (c *Console) rollBack(r *request) error {
	number, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil {
		return access.ErrNotFound
	}
	current, err := r.revision()
	if err != nil {
		return err
	}
	out, err := r.desk.RollBack(r.ctx(), number, current, false, r.PostFormValue("let_waiting_go") != "")
	if err != nil {
		return err
	}
	return c.toSay(r, "/rules", applied(&out)+fmt.Sprintf(", with the rules of revision %d", number))
}
