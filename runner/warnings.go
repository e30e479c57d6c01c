package runner

import "fmt"

// Warnings are what is right about the configuration and dangerous all the
// same, one line each.
func (cfg Config) Warnings() []string {
	var out []string
	for _, r := range cfg.withDefaults().Runners {
		out = append(out, r.ignoredKeys()...)
		switch {
		case r.Mode == Socket:
			out = append(out, fmt.Sprintf("runner %s: with mode socket every job can do everything with the host's Docker, and so with the host; let only those use it who may be root there", r.Name))
		case r.plainDind():
			out = append(out, fmt.Sprintf("runner %s: with tls: false whoever reaches the network of a job can do everything with its Docker daemon, which is privileged", r.Name))
		}
	}
	return out
}
