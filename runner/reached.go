package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/heptaup/hepta/internal/converge"
)

// look is what a probe has found, for all that are alike.
type look struct {
	mu    sync.Mutex
	found []string // of each call, "" where somebody answered
	at    time.Time
}

// stands is how long it need not be done again; pause is the time between two
// looks where the first found something wrong.
func (l *look) stands(pause time.Duration) time.Duration {
	if slices.ContainsFunc(l.found, func(why string) bool { return why != "" }) {
		return pause
	}
	return reachFresh
}

func (r *Runners) lookOf(p probe) *look {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.key()
	if r.looks[key] == nil {
		r.looks[key] = &look{}
	}
	return r.looks[key]
}

// pause is the time between two looks where the first found something wrong.
func (r *Runners) pause() time.Duration { return min(reachPause, r.patience/10) }

// stand is the fingerprint of where a runner's jobs stand and of what they have
// to reach from there. The program that calls is no part of it.
func (cfg Config) stand(probes []probe) string {
	sum := sha256.New()
	for _, p := range probes {
		where := converge.Container{Env: p.box.Env, Networks: p.box.Networks, Mounts: p.box.Mounts, ExtraHosts: p.box.ExtraHosts}
		fmt.Fprintln(sum, where.Spec())
		for _, c := range p.calls {
			fmt.Fprintf(sum, "%q %q %q %v\n", c.who, c.url, c.ca, c.forge)
		}
	}
	sum.Write(cfg.CA)
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// stands are the fingerprints of the runners that a config.toml holds.
func (r *Runners) stands(content []byte) map[string]string {
	list, err := jobPlaces(content)
	if err != nil {
		return nil // whoever looks is told
	}
	out := map[string]string{}
	for _, g := range list {
		for _, x := range r.cfg.Runners {
			if x.Name == g.Name {
				out[x.Name] = r.cfg.stand(r.cfg.probes(x, g))
			}
		}
	}
	return out
}

const causeUnseen = "not yet seen that its jobs reach forge and registry"

// unseen says why somebody has to look whether the jobs of x reach forge and
// registry from where the file that is to be written puts them, or "".
func unseen(stand string, was record) string {
	switch {
	case stand == "" || stand == was.Reached:
		return ""
	case was.Reached == "":
		return causeUnseen
	}
	return "its network settings changed"
}

// seeTask looks whether the jobs of x reach forge and registry.
func (r *Runners) seeTask(x Runner, cause string) converge.Task {
	t := r.task(x.Name, "see", cause, r.reachesNow)
	t.Ref += "-reach"
	t.Before, t.After = nil, append(t.After, r.beforeProbes()...)
	return t
}

// beforeProbes are what has to be there before somebody looks what jobs reach: where
// they stand, what they trust, and the way.
func (r *Runners) beforeProbes() []converge.Ref {
	list := slices.Clone(written)
	if r.cfg.CAFile != "" {
		list = append(list, converge.Ref("file:"+r.cfg.CAFile))
	}
	for _, ref := range r.cfg.Through {
		list = append(list, converge.Ref(ref))
	}
	return list
}

// reachesNow is reach for one runner. What is not there at once may be coming.
func (r *Runners) reachesNow(ctx context.Context, host converge.Host, name string) error {
	for try := 1; ; try++ {
		err := r.reach(ctx, host, func(x Runner) bool { return x.Name == name })
		if !errors.Is(err, ErrUnreached) || try == reachTries {
			return err
		}
		pause := time.NewTimer(r.pause())
		select {
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-pause.C:
		}
	}
}

// noteReachResults writes down whose jobs were seen to reach everything, so that the
// next run need not look, and of whom that is no longer true.
func (r *Runners) noteReachResults(ctx context.Context, host converge.Host, list []reachResult) error {
	stands := map[string]string{}
	for _, v := range list {
		switch err := v.err(); {
		case err == nil:
			stands[v.runner] = r.cfg.stand(v.probes)
		case errors.Is(err, ErrUnreached):
			stands[v.runner] = ""
		}
	}
	return r.note(ctx, host, func(name string, now *record) {
		if stand, looked := stands[name]; looked {
			now.Reached = stand
		}
	})
}

// note changes what is recorded of runners. The plan's own write of the file is
// over by then: tasks that note come after it, and so does the wait for the
// container.
func (r *Runners) note(ctx context.Context, host converge.Host, change func(name string, now *record)) error {
	r.noting.Lock()
	defer r.noting.Unlock()
	known, err := noted(ctx, host)
	if err != nil {
		return err
	}
	changed := false
	for name, was := range known {
		now := was
		change(name, &now)
		known[name] = now
		changed = changed || now.Reached != was.Reached || !now.Heard.Equal(was.Heard)
	}
	if !changed {
		return nil
	}
	content, err := known.content()
	if err != nil {
		return err
	}
	if err := host.WriteFile(ctx, FileRecords, content, 0o600, 0, 0); err != nil {
		return fmt.Errorf("write %s: %w", FileRecords, err)
	}
	return nil
}
