package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"postern/cmd/postern/internal/cli"
)

// TestEveryVerbIsToldOrSaysWhyNot: each verb that changes a running gateway, or takes evidence or rules from it, asks
// an operation that leaves a line (operator/api tests those); each other is named here with the reason.
func TestEveryVerbIsToldOrSaysWhyNot(t *testing.T) {
	const looks, here = "it looks", "it works on files and servers by itself, without the gateway"
	told := map[string]string{ // by action
		"rules apply": "rules apply", "rules export": "rules export", "rules list": "rules read", "rules lists export": "rules read", "rules lists import": "rules apply", "rules restore": "rules apply", "rules revisions": "rules read", "rules show": "rules read",
		"queue retry": "queue retry", "queue hold": "queue hold", "queue release": "queue release", "queue cancel": "queue cancel", "queue return": "queue return", "queue read": "queue read",
		"peers forget": "peers forget", "peers approve": "peers approve", "peers unpin": "peers unpin",
		"policies refresh": "policies refresh", "policies forget": "policies forget",
		"accounts first": "accounts first", "accounts invite": "accounts invite", "accounts disable": "accounts change", "accounts enable": "accounts change",
		"accounts delete": "accounts delete", "accounts revoke": "tokens delete", "reload": "reload configuration",
	}
	untold := map[string]string{
		"rules explain": looks, "rules lists show": looks, "queue list": looks, "queue show": looks, "trace": looks, "audit": looks, "peers list": looks, "peers show": looks, "peers senders": looks,
		"peers pins": looks, "policies list": looks, "policies show": looks, "policies observed": looks, "reports list": looks, "reports show": looks, "reports received": looks, "reports failures": looks, "nodes": looks, "accounts list": looks, "accounts tokens": looks, "explain": looks,
		"serve": "it is the gateway", "demo": "it is a world of its own", "check": "it makes what waits due by queue retry, which is told; else " + here,
		"headers": here, "config check": here, "config show": here, "config example": here, "config hash-password": here,
		"records": here, "trust show": here, "store salvage": "the gateway does not run then; it says what it does", "store waiting": here,
		"store copy": "as salvage; what is copied is to be the same", "store reopen": "as copy", "version": here, "man": here,
	}
	var out bytes.Buffer
	parser, err := newParser(new(commands), &cli.App{Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		if n.Type == kong.CommandNode {
			path = append(slices.Clone(path), n.Name)
		}
		if len(n.Children) == 0 && len(path) > 0 {
			verbs = append(verbs, strings.Join(path, " "))
		}
		for _, child := range n.Children {
			walk(child, path)
		}
	}
	walk(parser.Model.Node, nil)
	for _, verb := range verbs {
		if told[verb] == "" && untold[verb] == "" {
			t.Errorf("postern %s is new: say what the audit trail tells of it, or why it tells nothing", verb)
		}
	}
	for verb := range told {
		if !slices.Contains(verbs, verb) {
			t.Errorf("there is no verb %s", verb)
		}
	}
	for verb := range untold {
		if !slices.Contains(verbs, verb) {
			t.Errorf("there is no verb %s", verb)
		}
	}
}
