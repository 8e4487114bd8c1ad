package web

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
)

// tryView is the question what rules would do to a message, with its answer. Of an uploaded message the header and the
// size stay in the page, so that the question can be asked again.
type tryView struct {
	From, To, Header string
	Size             int64  // of the message that Header is from; 0: what Header holds is all there is
	Problem          string // why it cannot be answered
	Answer           *admin.Explanation
}

// Asked reports whether anything was filled in, so that it is not folded away.
func (v tryView) Asked() bool { return v.From+v.To+v.Header != "" || v.Problem != "" }

// shownHeader bounds what stays in the page of an uploaded message.
const shownHeader = mail.MaxHeaderSize

// tryFrom reads the question. It returns the whole message where one was uploaded.
func tryFrom(r *request) (v tryView, message []byte, err error) {
	v = tryView{From: strings.TrimSpace(r.FormValue("try.from")), To: strings.TrimSpace(r.FormValue("try.to")),
		Header: strings.ReplaceAll(r.FormValue("try.header"), "\r\n", "\n")}
	v.Size, _ = strconv.ParseInt(r.FormValue("try.size"), 10, 64) // 0 where there is none
	message = []byte(v.Header)
	upload, _, err := r.FormFile("try.file")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return v, message, nil
	}
	if err != nil {
		return v, nil, badRequest("the message cannot be read: %w", err)
	}
	defer upload.Close()
	content, err := io.ReadAll(io.LimitReader(upload, maxForm))
	if err != nil {
		return v, nil, badRequest("the message cannot be read: %w", err)
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
	out, err := r.desk.Explain(r.ctx(), admin.ExplainRequest{From: v.From, To: listed(v.To), Message: message,
		Size: v.Size, Edit: edit})
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
	// as links have them
	for field, name := range map[*string]string{&v.From: "from", &v.To: "to", &v.Header: "header"} {
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
