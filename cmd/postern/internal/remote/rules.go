package remote

import (
	"fmt"

	"postern/cmd/postern/internal/cli"
	"postern/internal/operator/api"
	"postern/internal/policy/rules"
)

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
