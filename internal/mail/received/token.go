package received

import "strings"

// kind tells tokens apart.
type kind int

const (
	word      kind = iota // blanks end it; quoted strings and <addresses> inside it are kept whole
	comment               // the text between parentheses, inner ones included
	semicolon             // the one that precedes the date
)

// token is a piece of a line at its top level.
type token struct {
	kind kind
	text string
}

// tokenize splits a line into words, comments and semicolons (RFC 5322 §3.2). A parenthesis, quotation mark or angle
// bracket without its partner is an ordinary character, so that no peer's word can swallow the rest of the line.
func tokenize(s string) []token {
	partner := pairs(s)
	var out []token
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case isBlank(c):
			i++
		case c == ';':
			out = append(out, token{semicolon, ";"})
			i++
		case c == '(' && partner[i] > 0:
			out = append(out, token{comment, strings.Join(strings.FieldsFunc(s[i+1:partner[i]], isBlankRune), " ")})
			i = partner[i] + 1
		default:
			end := wordEnd(s, i, partner)
			out = append(out, token{word, s[i:end]})
			i = end
		}
	}
	return out
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isBlankRune(r rune) bool { return r < 0x80 && isBlank(byte(r)) }

// pairs maps each opening parenthesis, quotation mark and angle bracket to its partner. Parentheses nest; the partner
// of a quotation mark counts only outside comments.
func pairs(s string) map[int]int {
	out := map[int]int{}
	var open []int
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			open = append(open, i)
		case ')':
			if n := len(open); n > 0 {
				out[open[n-1]] = i
				open = open[:n-1]
			}
		}
	}
	return out
}

// wordEnd returns where the word that begins at i ends. A quoted string or an address in angle brackets belongs to the
// word whole, blanks, semicolons and parentheses in it included (RFC 5321 §4.1.2).
func wordEnd(s string, i int, partner map[int]int) int {
	for j := i; j < len(s); j++ {
		switch c := s[j]; {
		case isBlank(c) || c == ';':
			return j
		case c == '(' && partner[j] > 0 && j > i:
			return j
		case c == '"':
			if end := quotedEnd(s, j); end > 0 {
				j = end
			}
		case c == '<':
			if end := angleEnd(s, j); end > 0 {
				j = end
			}
		}
	}
	return len(s)
}

// maxWord bounds how far the end of a quoted string or an address is looked for, which keeps the work linear.
const maxWord = 320

// quotedEnd returns the index of the quotation mark that closes the one at i, or 0.
func quotedEnd(s string, i int) int {
	for j := i + 1; j < min(len(s), i+maxWord); j++ {
		switch s[j] {
		case '\\':
			j++
		case '"':
			return j
		}
	}
	return 0
}

// angleEnd returns the index of the bracket that closes the one at i, or 0.
func angleEnd(s string, i int) int {
	for j := i + 1; j < min(len(s), i+maxWord); j++ {
		switch s[j] {
		case '"':
			end := quotedEnd(s, j)
			if end == 0 {
				return 0
			}
			j = end
		case '>':
			return j
		case '<', ';', ' ', '\t', '\r', '\n':
			return 0
		}
	}
	return 0
}

// clause is what follows one keyword of a line.
type clause struct {
	words    []string
	comments []string
}

func (c *clause) endsWith(word string) bool {
	return len(c.words) > 0 && c.words[len(c.words)-1] == word
}

// clauses is a line split at its keywords. The key "" is what stands before the first.
type clauses struct {
	of       map[string]*clause
	order    []string
	repeated []string
	again    []*clause // what stands in the clauses of repeated names
	sender   bool      // a comment has been passed that the sender's address may have ended early
}

// keywords begin a clause (RFC 5321 §4.4, and what programs add to it).
var keywords = map[string]bool{"from": true, "by": true, "via": true, "with": true, "id": true, "for": true,
	"tls": true, "envelope-from": true}

// afterDate is the name of what stands behind the semicolon: the date, and what some writers put behind it.
const afterDate = "; date"

// splitClauses reads tokens as clauses. The first clause of a name counts: peers get to write in the later parts of
// some lines.
func splitClauses(tokens []token) clauses {
	c := clauses{of: map[string]*clause{}}
	current := c.begin("")
	name := ""
	for i, t := range tokens {
		lower := strings.ToLower(t.text)
		valueDue := name != "" && name != "with" && len(current.words) == 0 && len(current.comments) == 0
		switch {
		case t.kind == comment:
			current.comments = append(current.comments, t.text)
			if breaksOut(t.text) {
				c.sender, current = true, &clause{}
			}
		case t.kind == word && lower == "with" && name == "with" && isStartTLS(tokens, i+1):
			current.words = append(current.words, t.text)
		case t.kind == word && keywords[lower] && !valueDue && !current.endsWith(deCrypted):
			name, current = lower, c.begin(lower)
		case t.kind == word:
			current.words = append(current.words, t.text)
		}
	}
	return c
}

// begin opens a clause. That of a repeated name is kept apart, where nobody reads it, and so is what begins after the
// sender's address in a comment, if that may have broken out: an address with a parenthesis in it ends the comment
// early and goes on as it likes.
func (c *clauses) begin(name string) *clause {
	fresh := &clause{}
	if c.sender && name != "id" && name != "for" {
		return fresh
	}
	if c.of[name] != nil {
		if len(c.repeated) < 3 {
			c.repeated = append(c.repeated, name)
		}
		c.again = append(c.again, fresh)
		return fresh
	}
	c.of[name] = fresh
	c.order = append(c.order, name)
	return fresh
}

func (c clauses) has(name string) bool { return c.of[name] != nil }

func (c clauses) words(name string) []string {
	if c.of[name] == nil {
		return nil
	}
	return c.of[name].words
}

func (c clauses) word(name string) string {
	if w := c.words(name); len(w) > 0 {
		return w[0]
	}
	return ""
}

func (c clauses) comments(name string) []string {
	if c.of[name] == nil {
		return nil
	}
	return c.of[name].comments
}

// stray are the texts of repeated clauses. Nothing in them is believed; that they speak of TLS is heard.
func (c clauses) stray() []string {
	var out []string
	for _, again := range c.again {
		out = append(append(out, strings.Join(again.words, " ")), again.comments...)
	}
	return out
}

// takeAfterDate adds what stands behind the semicolon, unless it may be the sender's words.
func (c *clauses) takeAfterDate(tokens []token) {
	current := c.begin(afterDate)
	for _, t := range tokens {
		switch {
		case t.kind == comment && breaksOut(t.text):
			return
		case t.kind == comment:
			current.comments = append(current.comments, t.text)
		case t.kind == word:
			current.words = append(current.words, t.text)
		}
	}
}

// isStartTLS reports whether the token at i says that TLS was begun: "with ESMTP with STARTTLS" is one clause.
func isStartTLS(tokens []token, i int) bool {
	return i < len(tokens) && tokens[i].kind == word &&
		(strings.EqualFold(tokens[i].text, "STARTTLS") || strings.EqualFold(tokens[i].text, "TLS"))
}

// own are the comments of the clauses that the writer fills itself, up to the first place where the sender's address
// stands and may have broken out: what comes after that may be the sender's words.
func (c clauses) own(names ...string) []string {
	var out []string
	for _, name := range names {
		if c.has("envelope-from") && c.position(name) > c.position("envelope-from") {
			continue
		}
		for _, text := range c.comments(name) {
			if breaksOut(text) {
				break
			}
			if !isEnvelope(text) {
				out = append(out, text)
			}
		}
	}
	return out
}

// isEnvelope reports whether a comment holds an address of the envelope.
func isEnvelope(text string) bool {
	return len(text) >= 9 && strings.EqualFold(text[:9], "envelope-")
}

// breaksOut reports whether a comment holds an address of the envelope that may have ended it: one with quotation marks
// or backslashes, without which no address has a parenthesis.
func breaksOut(text string) bool { return isEnvelope(text) && strings.ContainsAny(text, "\"\\") }

func (c clauses) position(name string) int {
	for i, n := range c.order {
		if n == name {
			return i
		}
	}
	return len(c.order)
}
