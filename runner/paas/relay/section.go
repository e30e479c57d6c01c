package relay

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/secret"
	"github.com/heptaup/hepta/runner/paas"
)

// section is what runner.toml says of the runner.
type section struct {
	url   string
	short string // what the runner is called in names of hosts
	tls   struct{ ca, cert, key string }
	all   func() map[string]any // a function, so that no way of printing shows the secrets
}

func readSection(data []byte) (section, error) {
	var s section
	var file struct{ Runners []map[string]any }
	if err := toml.Unmarshal(data, &file); err != nil {
		return s, errors.New("read runner.toml: not valid TOML") // the place would quote secrets
	}
	if len(file.Runners) == 0 {
		return s, errors.New("read runner.toml: there is no [[runners]] section")
	}
	all := file.Runners[0]
	text := func(key string) string {
		v, _ := all[key].(string)
		return v
	}
	s.url = strings.TrimRight(text("url"), "/")
	if s.url == "" {
		return s, errors.New("read runner.toml: url is missing")
	}
	s.short = paas.Runner{Token: secret.New(text("token"))}.Short()
	s.tls.ca, s.tls.cert, s.tls.key = text("tls-ca-file"), text("tls-cert-file"), text("tls-key-file")
	s.all = func() map[string]any { return all }
	return s, nil
}

// stock is a config.toml with which a stock runner asks the relay for one job
// at a time. Neither the forge's address nor the runner's own token is in it.
func (s section) stock(url, token string) ([]byte, error) {
	all := maps.Clone(s.all())
	for _, key := range []string{"tls-ca-file", "tls-cert-file", "tls-key-file", "id", "token_obtained_at", "token_expires_at"} {
		delete(all, key)
	}
	maps.Copy(all, map[string]any{"url": url, "token": token, "executor": "docker", "limit": 1, "request_concurrency": 1})
	data, err := toml.Marshal(map[string]any{"concurrent": 1, "check_interval": 1, "runners": []any{all}})
	if err != nil {
		return nil, fmt.Errorf("write the runner's configuration: %w", err)
	}
	return data, nil
}
