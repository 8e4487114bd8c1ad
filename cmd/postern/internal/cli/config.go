package cli

import (
	"errors"
	"fmt"
	"os"

	"postern/internal/config"
)

// LoadOrDefault reads the configuration; where nobody named one and none lies in the usual places, the defaults serve:
// the system's resolver and roots, and the machine's own name.
func (a *App) LoadOrDefault() (*config.Config, error) {
	if _, err := config.Find(a.ConfigFile, a.Getenv("POSTERN_CONFIG")); err == nil {
		return a.Load()
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "localhost"
	}
	c, err := config.Parse("defaults", ".", machine, nil)
	if _, unnamed := errors.AsType[*config.Problems](err); unnamed {
		return config.Parse("defaults", ".", "localhost", nil)
	}
	return c, err
}

// Load reads the configuration that --config, the environment or the usual places name.
func (a *App) Load() (*config.Config, error) {
	path, err := config.Find(a.ConfigFile, a.Getenv("POSTERN_CONFIG"))
	if err != nil {
		return nil, WithHint(err, "`postern config example > postern.toml` writes one to start from")
	}
	c, err := config.Load(path)
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		return nil, WithHint(fmt.Errorf("%s cannot be used:\n%w", path, problems),
			"`postern config example` prints every key with its meaning")
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, WithHint(fmt.Errorf("there is no configuration file %s", path),
			"`postern config example > "+path+"` writes one to start from")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return c, nil
}
