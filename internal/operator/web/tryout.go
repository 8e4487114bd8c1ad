package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/policy/rule"
)

// tryView is the question what rules would do to a message, with its answer. Of an uploaded message the header and the
// size stay in the page, so that the question can be asked again.
type tryView struct {
	From, To, Header string
	Size             int64  // of the message that Header is from; 0: what Header holds is all there is
	Come             come   // how it comes in
	Problem          string // why it cannot be answered
	Answer           *admin.Explanation
}

// come is who brings a message, and with what.
type come struct {
	Client, User, Bound                           string
	Listener, TLS, Bits, KeyExchange, Certificate string
}

// Said reports whether anything of it was filled in, so that it is not folded away.
func (c come) Said() bool { return c != come{} }

// Versions are what can be said of TLS.
func (come) Versions() []rule.Choice {
	return []rule.Choice{{Value: "", Words: "not said: nothing is judged"}, {Value: "none", Words: "none, plaintext"},
		{Value: "1.3", Words: "TLS 1.3"}, {Value: "1.2", Words: "TLS 1.2"}, {Value: "1.1", Words: "TLS 1.1"},
		{Value: "1.0", Words: "TLS 1.0"}}
}

// fields are the texts of the question by the names that links give them; in the form they begin with "try.".
func (v *tryView) fields() map[string]*string {
	return map[string]*string{"from": &v.From, "to": &v.To, "header": &v.Header, "client": &v.Come.Client,
		"user": &v.Come.User, "bound": &v.Come.Bound, "listener": &v.Come.Listener, "tls": &v.Come.TLS,
		"bits": &v.Come.Bits, "key_exchange": &v.Come.KeyExchange, "certificate": &v.Come.Certificate}
}

// Asked reports whether anything was filled in, so that it is not folded away.
func (v tryView) Asked() bool { return v.From+v.To+v.Header != "" || v.Come.Said() || v.Problem != "" }

// shownHeader bounds what stays in the page of an uploaded message.
const shownHeader = mail.MaxHeaderSize

// tryFrom reads the question. It returns the whole message where one was uploaded.
func tryFrom(r *request) (v tryView, message []byte, err error) {
	for name, field := range v.fields() {
		if *field = strings.ReplaceAll(r.FormValue("try."+name), "\r\n", "\n"); name != "header" {
			*field = strings.TrimSpace(*field)
		}
	}
	v.Size, _ = strconv.ParseInt(r.FormValue("try.size"), 10, 64) // 0 where there is none
	message = []byte(v.Header)
	content, err := uploaded(r, "try.file")
	if err != nil {
		return v, nil, err
	}
	if len(content) > 0 {
		header := mail.ParseHeader(content)
		v.Header = strings.ToValidUTF8(string(content[:min(header.Size(), shownHeader)]), "\uFFFD")
		v.Header, v.Size, message = strings.ReplaceAll(v.Header, "\r\n", "\n"), int64(len(content)), content
	}
	return v, message, nil
}

// ask asks, about the rules in force or after an edit. What is wrong with the question stands in it.
func (v *tryView) ask(r *request, message []byte, edit *admin.Proposal) error {
	if len(message) == 0 && v.To == "" {
		v.Problem = "Choose a message, paste its header, or name the recipients."
		return nil
	}
	arrival, err := v.Come.arrival()
	var out admin.Explanation
	if err == nil {
		out, err = r.desk.Explain(r.ctx(), admin.ExplainRequest{From: v.From, To: listed(v.To), Message: message,
			Size: v.Size, Edit: edit, Client: v.Come.Client, User: v.Come.User, Bound: listed(v.Come.Bound),
			Arrival: arrival})
	}
	switch {
	case errors.Is(err, access.ErrBadRequest):
		v.Problem = sentence(err)
	case err != nil:
		return err
	default:
		v.Answer = &out
	}
	return nil
}

// arrival is what the client comes with.
func (c come) arrival() (out admin.Arrival, err error) {
	out = admin.Arrival{Listener: c.Listener, TLS: c.TLS, Group: c.KeyExchange, Certificate: c.Certificate}
	if c.Bits == "" {
		return out, nil
	}
	if out.Bits, err = strconv.Atoi(c.Bits); err != nil || out.Bits < 1 {
		return out, access.BadRequest("%q is no number of bits", c.Bits)
	}
	return out, nil
}

// listed are the addresses of a field that lists some.
func listed(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", ;\r\n\t", r) })
}

// explain answers what the rules in force would do to a message.
func (c *Console) explain(r *request) error {
	if err := readForm(r); err != nil {
		return err
	}
	v, message, err := tryFrom(r)
	if err != nil {
		return err
	}
	for name, field := range v.fields() { // as links have them
		if given := r.FormValue(name); *field == "" && given != "" {
			*field = strings.ReplaceAll(given, "\r\n", "\n")
			if name == "header" {
				message = []byte(*field)
			}
		}
	}
	if v.Asked() || r.Method == http.MethodPost {
		err = v.ask(r, message, nil)
	}
	if err != nil {
		return err
	}
	return c.page(r, "explain", "What would happen", v)
}
