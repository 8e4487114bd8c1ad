package remote

import (
	"fmt"
	"iter"

	"postern/cmd/postern/internal/cli"
	"postern/internal/operator/api"
	"postern/internal/policy/rules"
)

// Ask asks the gateway once, and dresses an error for a person.
func Ask[T any](a *cli.App, g *Gateway, ask func(*api.Client) (T, error)) (out T, err error) {
	client, err := g.Dial(a)
	if err != nil {
		return out, err
	}
	defer client.Close()
	if out, err = ask(client); err != nil {
		return out, Tell(err)
	}
	return out, nil
}

// Do is Ask for a request that is only done or not.
func Do(a *cli.App, g *Gateway, do func(*api.Client) error) error {
	_, err := Ask(a, g, func(client *api.Client) (struct{}, error) { return struct{}{}, do(client) })
	return err
}

// List asks for a list and shows each of it as it comes: as an object on a line with --json, else by show. It returns
// how many there were.
func List[T any](a *cli.App, g *Gateway, list func(*api.Client) iter.Seq2[T, error], show func(*T)) (n int, err error) {
	return Ask(a, g, func(client *api.Client) (n int, err error) {
		for one, err := range list(client) {
			if err != nil {
				return n, err
			}
			n++
			if !g.JSON {
				show(&one)
			} else if err := a.Object(one); err != nil {
				return n, err
			}
		}
		return n, nil
	})
}

// RulesInForce asks for the rules, as the gateway shows them and as this binary reads them.
func RulesInForce(a *cli.App, r *Gateway, export bool) (api.RulesView, *rules.Set, error) {
	view, err := Ask(a, r, func(client *api.Client) (api.RulesView, error) {
		if export {
			return client.ExportRules(a.Ctx)
		}
		return client.Rules(a.Ctx)
	})
	if err != nil {
		return view, nil, err
	}
	set, err := rules.Parse(fmt.Sprintf("revision %d", view.Revision), []byte(view.Text))
	if err != nil {
		return view, nil, fmt.Errorf("this postern cannot read the gateway's rules: %w", err)
	}
	return view, set, nil
}
