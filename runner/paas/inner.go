package paas

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// ownPrefixes begin the keys of a section that are not the runner's on the host.
var ownPrefixes = []string{"cc_", "paas_", "paas-", "pass_", "heptapod_"}

// Inner is the config.toml for the host: the section as written, with the
// executor docker and without what concerns only the side that makes hosts. It
// holds the runner's token, or its beginning with HideToken.
func (r Runner) Inner() ([]byte, error) {
	section := maps.Clone(r.section())
	// Whatever is for this side has tokens in it, under a misspelled name or one
	// of another executor too.
	maps.DeleteFunc(section, func(key string, _ any) bool {
		key = strings.ToLower(key)
		return key == "host" || key == "job_trace_watch" || slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
	})
	section["executor"] = "docker"
	if r.HideToken {
		section["token"] = r.beginning()
	}
	data, err := toml.Marshal(map[string]any{"runners": []any{section}})
	if err != nil {
		return nil, fmt.Errorf("render runner.toml: %w", err)
	}
	return data, nil
}
