package mimewalk

import (
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// breaks reports whether an element stands apart from the text around it: blocks, lists, tables and line ends (HTML
// Standard §15.3). All others, also those that nobody knows, stand within words.
func breaks(t *html.Token) bool {
	switch t.DataAtom {
	case atom.Html, atom.Body, atom.Head, atom.Title, atom.Frameset, atom.Frame, atom.Noframes,
		atom.Address, atom.Blockquote, atom.Center, atom.Dialog, atom.Div, atom.Figure, atom.Figcaption, atom.Footer,
		atom.Form, atom.Header, atom.Hr, atom.Legend, atom.Listing, atom.Main, atom.P, atom.Plaintext, atom.Pre,
		atom.Xmp, atom.Article, atom.Aside, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Hgroup,
		atom.Nav, atom.Section, atom.Fieldset, atom.Details, atom.Summary, atom.Br,
		atom.Dir, atom.Dd, atom.Dl, atom.Dt, atom.Menu, atom.Ol, atom.Ul, atom.Li, atom.Optgroup, atom.Option,
		atom.Table, atom.Caption, atom.Colgroup, atom.Col, atom.Thead, atom.Tbody, atom.Tfoot, atom.Tr, atom.Td,
		atom.Th:
		return true
	}
	return t.Data == "search"
}

// stands reports whether an element is a picture, a field or a box in a line: apart from the letters around it, or not
// there, as where programs show no pictures or these have no size.
func stands(a atom.Atom) bool {
	switch a {
	case atom.Img, atom.Image, atom.Input, atom.Button, atom.Select, atom.Textarea, atom.Object, atom.Embed,
		atom.Applet, atom.Video, atom.Audio, atom.Canvas, atom.Svg, atom.Math, atom.Iframe, atom.Marquee, atom.Meter,
		atom.Progress:
		return true
	}
	return false
}

// void reports whether an element has no content and no end.
func void(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Frame, atom.Hr, atom.Image, atom.Img, atom.Input,
		atom.Link, atom.Meta, atom.Param, atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}

// raw reports whether an element has no elements within it in HTML, which XML does not know.
func raw(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Title, atom.Textarea, atom.Iframe, atom.Noembed, atom.Noframes, atom.Xmp,
		atom.Plaintext:
		return true
	}
	return false
}
