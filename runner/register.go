package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// sectionsAndRecords are what lies on the host, read when a task runs: the snapshot that it
// was decided on may have seen nothing.
func (r *Runners) sectionsAndRecords(ctx context.Context, host converge.Host) (map[string]held, records, error) {
	config, err := readFile(ctx, host, FileConfig)
	if err != nil {
		return nil, nil, err
	}
	have, err := holdings(config)
	if err != nil {
		return nil, nil, err
	}
	known, err := noted(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	r.known = known
	r.mu.Unlock()
	return have, known, nil
}

// readFile reads a file of the host; nil when there is none.
func readFile(ctx context.Context, host converge.Host, path string) ([]byte, error) {
	content, err := host.ReadFile(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return content, nil
}

// noted are the records as they lie on the host.
func noted(ctx context.Context, host converge.Host) (records, error) {
	content, err := readFile(ctx, host, FileRecords)
	if err != nil {
		return nil, err
	}
	return parseRecords(content)
}

// settle brings the forge's side of a runner in order. It first looks for what
// is there, so it may be repeated and killed at any point: with a token that
// the forge takes the runner is only told its attributes; a runner that is
// there but whose token was lost gets a new one; else it is made.
func (r *Runners) settle(ctx context.Context, host converge.Host, name string) error {
	x := r.cfg.runner(name)
	have, known, err := r.sectionsAndRecords(ctx, host)
	if err != nil {
		return err
	}
	api, err := r.connect(ctx, host)
	if err != nil {
		return fmt.Errorf("reach the forge for runner %s: %w", name, err)
	}
	want, was := r.cfg.attributes(x), known[name]
	s, err := r.find(ctx, api, x, have[name], was)
	if err != nil {
		return r.explain("look for runner", name, err)
	}
	if s.id != 0 && !r.connected() && was.Applied != nil && len(want.changes(*was.Applied)) > 0 {
		// Without the right to change a runner it is created again as it shall be.
		if err := gone(api.DeleteByToken(ctx, have[name].token)); err != nil {
			return r.explain("update runner", name, err)
		}
		s = settled{}
	}
	switch {
	case s.id == 0:
		made, err := r.create(ctx, api, want)
		if err != nil {
			return r.explain("create runner", name, err)
		}
		s = settled{id: made.ID, token: tokenOf(made)}
	case was.Applied == nil && !r.connected(): // a runner of before, and no right to change it
	case was.Applied == nil || s.id != was.ID || len(want.changes(*was.Applied)) > 0:
		told, err := r.keepPaused(ctx, api, s.id, want, was)
		if err != nil {
			return r.explain("ask for runner", name, err)
		}
		if err := api.UpdateRunner(ctx, s.id, told); err != nil {
			return r.explain("update runner", name, err)
		}
	}
	s.oldID, s.oldToken = was.ID, have[name].token
	r.mu.Lock()
	r.settled[name] = s
	r.mu.Unlock()
	return nil
}

// keepPaused leaves a runner paused or working as somebody has set it in the
// forge, as long as its description says the same about that as before.
func (r *Runners) keepPaused(ctx context.Context, api API, id int64, want Attributes, was record) (Attributes, error) {
	if was.Applied == nil || was.Applied.Paused != want.Paused || id != was.ID || !r.connected() {
		return want, nil
	}
	s, err := api.RunnerStatus(ctx, id)
	want.Paused = s.Paused
	return want, err
}

// find looks for the runner in the forge. Id 0: it has to be made.
func (r *Runners) find(ctx context.Context, api API, x Runner, have held, was record) (settled, error) {
	want := r.cfg.attributes(x)
	moved := was.Applied != nil && want.moved(*was.Applied)
	if moved {
		if err := gone(api.DeleteRunner(ctx, was.ID)); err != nil {
			return settled{}, err
		}
	}
	if !have.token.Empty() && !moved {
		id, err := api.Verify(ctx, have.token)
		switch {
		case err == nil && cmp.Or(id, was.ID) != 0:
			return settled{id: cmp.Or(id, was.ID)}, nil
		case err == nil: // an old forge: the token is good, whose it is must be looked up
			if id, err = r.namesake(ctx, api, want, false); err != nil || id != 0 {
				return settled{id: id}, err
			}
			return settled{}, &fault.Error{Op: "look for runner", What: x.Name, Why: "the forge does not say which runner the token in " + FileConfig + " belongs to",
				Remedy: "Take the [[runners]] section " + x.Name + " out of " + FileConfig + " and the runner out of the forge; both are created again."}
		case !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNotFound):
			return settled{}, err
		}
	}
	if !r.connected() {
		return settled{}, nil // a registration token alone may not look
	}
	id := int64(0)
	if was.ID != 0 && was.Forge == x.URL && !moved {
		switch s, err := api.RunnerStatus(ctx, was.ID); {
		case err == nil && (s.Note == want.Note || s.Description == want.Description):
			id = was.ID
		case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrRefused):
			return settled{}, err
		}
	}
	if id == 0 {
		var err error
		if id, err = r.namesake(ctx, api, want, true); err != nil || id == 0 {
			return settled{}, err
		}
	}
	made, err := api.ResetToken(ctx, id)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnsupported) { // gone meanwhile, or a forge without that call
		return settled{}, gone(api.DeleteRunner(ctx, id))
	}
	return settled{id: id, token: tokenOf(made)}, err
}

// namesake finds a runner that carries our note, and so was made for this
// name in a stack of this name. One that is online may belong to a stack on
// another host: idle leaves those out.
func (r *Runners) namesake(ctx context.Context, api API, want Attributes, idle bool) (int64, error) {
	list, err := api.ListRunners(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		if s.Description != want.Description {
			continue
		}
		full, err := api.RunnerStatus(ctx, s.ID)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrRefused) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if full.Note == want.Note && !(idle && full.Online) {
			return s.ID, nil
		}
	}
	return 0, nil
}

// create makes a runner the new way, and where the forge has no such call the
// old one.
func (r *Runners) create(ctx context.Context, api API, want Attributes) (Made, error) {
	registration := r.registration()
	if !r.connected() {
		return api.RegisterRunner(ctx, registration, want)
	}
	made, err := api.CreateRunner(ctx, want)
	if errors.Is(err, ErrUnsupported) && !registration.Empty() {
		return api.RegisterRunner(ctx, registration, want)
	}
	return made, err
}

// forget removes a runner of ours from the forge.
func (r *Runners) forget(ctx context.Context, host converge.Host, name string) error {
	have, known, err := r.sectionsAndRecords(ctx, host)
	if err != nil {
		return err
	}
	was := known[name]
	if was.ID == 0 {
		return nil
	}
	if was.Forge != r.cfg.Forge.URL {
		r.opts.Log.Warn("a runner is left in a forge that is no longer described", "runner", name, "forge", was.Forge, "id", was.ID)
		return nil
	}
	api, err := r.connect(ctx, host)
	if err != nil {
		return fmt.Errorf("reach the forge for runner %s: %w", name, err)
	}
	if !r.connected() {
		err = api.DeleteByToken(ctx, have[name].token)
		if errors.Is(err, ErrRefused) { // its own token is refused when the runner is gone
			err = nil
		}
	} else {
		err = api.DeleteRunner(ctx, was.ID)
	}
	return r.explain("delete runner", name, gone(err))
}

// gone takes "no such runner" for done.
func gone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// explain says to people what an answer of the forge means.
func (r *Runners) explain(op, name string, err error) error {
	var already *fault.Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	f := &fault.Error{Op: op, What: name, Err: err}
	switch {
	case errors.Is(err, ErrDisabled) && r.kindOfToken() == registrationToken:
		f.Why = "the forge does not know the token as an API token, and takes no registration tokens"
		f.Remedy = "Give an API token that is still good, with the scope api (forge.token)."
	case errors.Is(err, ErrDisabled):
		f.Why = "the forge takes no registration tokens"
		f.Remedy = "Give an API token instead (forge.token), or allow registration tokens in the forge: Admin, Settings, CI/CD, Runners; in the API the application setting allow_runner_registration_token."
	case errors.Is(err, ErrUnsupported):
		f.Why = "the forge is too old to create runners by API"
		f.Remedy = "Give a registration token (runner.registration_token_file); the forge shows it under Admin, CI/CD, Runners."
	case errors.Is(err, ErrNotFound) && op == "create runner":
		f.Why = "its group or project does not exist in the forge"
		f.Remedy = "Correct group or project in the configuration."
	case errors.Is(err, ErrNotFound):
		f.Why = "it does not exist in the forge any more"
		f.Remedy = "Create it again: hepta runner verify --fix"
	case errors.Is(err, ErrRefused) && r.opts.connect != nil:
		f.Why = "the forge rejects the API token that hepta keeps for itself"
		f.Remedy = "Create another one: hepta token renew"
	case errors.Is(err, ErrRefused):
		f.Why = "the forge rejects the token of the configuration (forge.token_file)"
		f.Remedy = "The token needs the scope api and, for runners that serve everybody, an administrator as its owner; a registration token has to be the instance's present one."
	}
	return f
}
