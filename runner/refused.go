package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// listen is enough of the log to find a refusal in: a runner that was refused
// three times asks again after an hour.
var listen = converge.Listen{Lines: 500, Within: 2 * time.Hour}

const causeRefused = "the forge refuses its token, says the runner's log"

// refused is when the forge last refused this token, as the log of the running
// container has it; zero when it did not, or has given a job for it since.
func (r *Runners) refused(o *converge.Observed, token Secret) (at time.Time) {
	if token.Empty() {
		return at
	}
	for _, c := range o.Containers {
		if !r.ours(c) {
			continue
		}
		for _, line := range c.Heard {
			if !strings.Contains(line.Text, "Checking for jobs") || !about(line.Text, token.Reveal()) {
				continue
			}
			switch {
			case strings.Contains(line.Text, "forbidden"):
				at = line.At
			case strings.Contains(line.Text, "received"):
				at = time.Time{}
			}
		}
	}
	return at
}

// mendTask asks the forge what is true about a refused token of ours, and gives
// the runner another one where it has to have one.
func (r *Runners) mendTask(x Runner, verb, cause string, heard time.Time) converge.Task {
	return r.task(x.Name, verb, cause, func(ctx context.Context, host converge.Host, name string) error {
		if err := r.settle(ctx, host, name); err != nil {
			return err
		}
		// It counts as dealt with once config.toml has the new token.
		r.mu.Lock()
		defer r.mu.Unlock()
		s := r.settled[name]
		s.heard = heard
		r.settled[name] = s
		return nil
	})
}

// givenTask asks a runner's forge about a refused token that was made
// elsewhere. It comes last: nobody here can repair that, and what fails ends a run.
func (r *Runners) givenTask(x Runner, heard time.Time) converge.Task {
	t := r.task(x.Name, "see", causeRefused, func(ctx context.Context, host converge.Host, name string) error {
		config, err := readFile(ctx, host, FileConfig)
		if err != nil {
			return err
		}
		have, err := holdings(config)
		if err != nil {
			return err
		}
		api, err := r.forgeAt(ctx, host, x.URL)
		if err == nil {
			_, err = api.Verify(ctx, have[name].token)
		}
		if err == nil {
			return r.note(ctx, host, func(other string, now *record) {
				if other == name {
					now.Heard = heard
				}
			})
		}
		f := &fault.Error{Op: "verify token of runner", What: name, Err: err, Why: "the forge refuses its token, which was created by hand", Remedy: remedyGiven(x)}
		if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNotFound) {
			f.Why = fmt.Sprintf("its log says that the forge refuses its token, which was created by hand, and the forge could not be asked from here: %v", err)
		}
		return f
	})
	t.Ref += "-token"
	t.Before, t.After = nil, append(t.After, written...)
	return t
}

// remedyGiven is what to do about a token that was created by hand and is
// refused.
func remedyGiven(x Runner) string {
	return "Make a new token in " + x.URL + ", put it into the file that forge.token_file names, and run hepta up."
}

// forgeAt reaches a forge for calls that a runner's own token is enough for.
func (r *Runners) forgeAt(ctx context.Context, host converge.Host, url string) (API, error) {
	if url == r.cfg.Forge.URL && r.connect != nil {
		return r.connect(ctx, host)
	}
	return r.cfg.reach(ctx, host, url, Secret{})
}
