package paas

import (
	"fmt"
	"maps"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Inner is the config.toml for the host: the section as written, with the
// executor docker and without what concerns only the side that makes hosts. It
// holds the runner's token.
func (r Runner) Inner() ([]byte, error) {
	section := maps.Clone(r.section())
	for _, key := range []string{"heptapod_runner_main_image", "paas_job_trace_watch", "job_trace_watch"} {
		delete(section, key)
	}
	maps.DeleteFunc(section, func(key string, _ any) bool {
		switch r.Executor {
		case CleverDocker:
			return strings.HasPrefix(key, "cc_")
		case LocalDocker:
			return key == "host"
		}
		return false
	})
	section["executor"] = "docker"
	data, err := toml.Marshal(map[string]any{"runners": []any{section}})
	if err != nil {
		return nil, fmt.Errorf("render runner.toml: %w", err)
	}
	return data, nil
}
