package runner

import (
	"slices"

	"github.com/heptaup/hepta/internal/converge"
)

// token is the one that config.toml has to have for x, or empty while no task
// has brought it.
func (r *Runners) token(x Runner, old held, was record) authToken {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s := r.settled[x.Name]; {
	case x.given() && (old.token.Empty() || was.Given != fingerprint(x.Token)):
		return authToken{Secret: x.Token}
	case !s.token.Empty() && old.token == s.oldToken:
		return s.token
	}
	return authToken{Secret: old.token}
}

// memory is what is known of the runners: what was observed, else what a task
// of this run read from the host.
func (r *Runners) memory(o *converge.Observed) (records, error) {
	content, looked := seen(o, FileRecords)
	if !looked {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.known, nil
	}
	return parseRecords(content)
}

// mergeConfig is the content of config.toml. A runner without a token is left
// out: the task that brings it comes before the file is written.
func (r *Runners) mergeConfig(o *converge.Observed, current []byte) ([]byte, error) {
	have, err := holdings(current)
	if err != nil {
		return nil, err
	}
	known, err := r.memory(o)
	if err != nil {
		return nil, err
	}
	want := Desired{Concurrent: r.cfg.Concurrent, CheckInterval: r.cfg.CheckInterval, SessionServer: r.cfg.sessionTable(o)}
	for _, x := range r.cfg.Runners {
		was := known[x.Name]
		token := r.token(x, have[x.Name], was)
		if token.Empty() {
			continue
		}
		s := r.cfg.section(x, r.place(o))
		token.setIn(&s)
		s.Unset = was.unset(s)
		want.Runners = append(want.Runners, s)
	}
	for name := range known {
		if !r.declares(name) {
			want.Remove = append(want.Remove, name)
		}
	}
	slices.Sort(want.Remove)
	out, err := MergeConfig(current, want)
	if err != nil {
		return nil, brokenConfig(err)
	}
	return out, nil
}

// mergeRecords is the content of FileRecords, written after config.toml: a
// section that is to go is known as ours until it is gone.
func (r *Runners) mergeRecords(o *converge.Observed, current []byte) ([]byte, error) {
	old, err := parseRecords(current)
	if err != nil {
		return nil, err
	}
	at := r.place(o) // which takes the lock
	r.mu.Lock()
	defer r.mu.Unlock()
	out := records{}
	for _, x := range r.cfg.Runners {
		s := r.cfg.section(x, at)
		now := record{Forge: x.URL, Keys: keysOf(s), Reached: old[x.Name].Reached, Heard: old[x.Name].Heard}
		if x.given() {
			now.Given = fingerprint(x.Token)
		} else {
			now.ID = old[x.Name].ID
			if s := r.settled[x.Name]; s.id != 0 && s.oldID == now.ID {
				now.ID = s.id
				if s.heard.After(now.Heard) {
					now.Heard = s.heard
				}
			}
			if now.ID == 0 {
				continue // a task is due
			}
			a := r.cfg.attributes(x)
			now.Applied = &a
		}
		out[x.Name] = now
	}
	return out.content()
}

func (r *Runners) declares(name string) bool {
	return slices.ContainsFunc(r.cfg.Runners, func(x Runner) bool { return x.Name == name })
}
