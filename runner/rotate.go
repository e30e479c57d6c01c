package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/heptaup/hepta/internal/fault"
)

// Rotate gives a runner a new authentication token: the forge makes one and
// refuses the old one from then on, and config.toml is replaced in one step.
// The runner takes it over within seconds, running jobs go on. When writing
// fails or the process dies in between, Repair gives it another one.
func (ro *Roster) Rotate(ctx context.Context, name string) error {
	b, err := ro.read(ctx)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(ro.r.cfg.Runners, func(x Runner) bool { return x.Name == name && x.given() }); i >= 0 {
		return &fault.Error{Op: "rotate token of runner", What: name, Why: "it was created by hand and given",
			Remedy: "Give it a new token in its forge, put that into the file that forge.token_file names, and run hepta up."}
	}
	api, s, err := ro.ours(ctx, b, "rotate token of runner", name)
	if err != nil {
		return err
	}
	if s.State == NotMade {
		return &fault.Error{Op: "rotate token of runner", What: name, Why: "it is not in " + FileConfig, Remedy: "Bring it up first: hepta up"}
	}
	made, err := api.ResetToken(ctx, s.ID)
	if err != nil {
		return ro.r.explain("rotate token of runner", name, err)
	}
	if err := ro.retoken(context.WithoutCancel(ctx), name, tokenOf(made)); err != nil {
		return &fault.Error{Op: "rotate token of runner", What: name, Err: err, Remedy: "The old token is refused by now. Give it another one: hepta runner verify --fix"}
	}
	return nil
}

// retoken writes a runner's new token into its section and changes nothing
// else, apart from what belongs to the old one.
func (ro *Roster) retoken(ctx context.Context, name string, token authToken) error {
	current, err := readFile(ctx, ro.host, FileConfig)
	if err != nil {
		return err
	}
	s := Section{Name: name, Set: map[string]any{}}
	token.setIn(&s)
	content, err := MergeConfig(current, Desired{Runners: []Section{s}})
	if err != nil {
		return brokenConfig(err)
	}
	return ro.write(ctx, FileConfig, content)
}

func (ro *Roster) write(ctx context.Context, path string, content []byte) error {
	if err := ro.host.WriteFile(ctx, path, content, 0o600, 0, 0); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Remove takes a runner that is not described out of the forge, config.toml
// and our records. One that is described would come back: that is an error.
func (ro *Roster) Remove(ctx context.Context, name string) error {
	b, err := ro.read(ctx)
	if err != nil {
		return err
	}
	s, err := ro.find(b, name)
	if err != nil {
		return err
	}
	if s.Declared {
		return &fault.Error{Op: "remove runner", What: name, Why: "the configuration describes it", Remedy: "Take it out of the list runners there, then run hepta up."}
	}
	if err := ro.unregister(ctx, b, s); err != nil {
		return ro.r.explain("remove runner", name, err)
	}
	return ro.forgetEntries(ctx, b, func(i int) bool { return b.list[i].name == name }, name)
}

// unregister removes a runner from its forge: the one that was made for it,
// with the API token, and those whose tokens its sections hold, with these. The
// number that a section holds beside a token is not looked at.
func (ro *Roster) unregister(ctx context.Context, b hostState, s State) error {
	made := b.known[s.Name].ID
	if made != 0 && s.Forge == ro.r.cfg.Forge.URL && ro.r.connected() {
		api, err := ro.r.connect(ctx, ro.host)
		if err != nil {
			return fmt.Errorf("reach the forge: %w", err)
		}
		if ro.r.connected() {
			if err := gone(api.DeleteRunner(ctx, made)); err != nil {
				return err
			}
		}
	}
	for _, h := range b.list {
		if h.name != s.Name || h.token.Empty() {
			continue
		}
		api, err := ro.r.forgeAt(ctx, ro.host, h.url)
		if err == nil {
			err = gone(api.DeleteByToken(ctx, h.token))
		}
		if err != nil && !errors.Is(err, ErrRefused) { // refused: gone already
			return err
		}
	}
	return nil
}

// forgetEntries drops sections of config.toml, and then the records of names.
func (ro *Roster) forgetEntries(ctx context.Context, b hostState, drop func(i int) bool, names ...string) error {
	content, err := withoutSections(b.config, drop)
	if err != nil {
		return err
	}
	if string(content) != string(b.config) {
		if err := ro.write(ctx, FileConfig, content); err != nil {
			return err
		}
	}
	before := len(b.known)
	for _, name := range names {
		delete(b.known, name)
	}
	if len(b.known) == before {
		return nil
	}
	return ro.record(ctx, b.known)
}

func (ro *Roster) record(ctx context.Context, known records) error {
	content, err := known.content()
	if err != nil {
		return err
	}
	return ro.write(ctx, FileRecords, content)
}
