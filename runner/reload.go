package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"reflect"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/bom"
	"github.com/heptaup/hepta/internal/converge"
)

// A runner takes a job with the settings that it had when it asked for it, and
// a forge holds such a request for up to 50 s: for that long after a change,
// jobs would run as it was before. A runner that runs on is therefore told of
// the change, and its request is ended.

// reread is how often gitlab-runner looks whether its file changed.
const reread = 3 * time.Second

// reading is how long gitlab-runner may take to read its file when it is told
// to: a moment, and longer on a busy host.
const reading = 2 * time.Second

// changed names the runners whose sections differ between two config.toml, in
// more than the token.
func changed(now, future []byte) map[string]bool {
	if bytes.Equal(now, future) {
		return nil
	}
	out := map[string]bool{}
	before, after := sectionsByName(now), sectionsByName(future)
	for name, s := range after {
		if was, there := before[name]; there && !reflect.DeepEqual(was, s) {
			out[name] = true
		}
	}
	return out
}

// sectionsByName are the runners of a config.toml without their tokens and what
// belongs to those, the first of each name.
func sectionsByName(content []byte) map[string]map[string]any {
	var config struct{ Runners []map[string]any }
	if toml.Unmarshal(bom.Trim(content), &config) != nil {
		return nil // whoever writes it is told
	}
	out := map[string]map[string]any{}
	for _, s := range config.Runners {
		name, _ := s["name"].(string)
		if _, twice := out[name]; !twice {
			delete(s, "token")
			for _, k := range keysOfToken {
				delete(s, k)
			}
			out[name] = s
		}
	}
	return out
}

// tellTask makes a runner that runs on take its changed section over. One in a
// new container reads it at its start.
func (r *Runners) tellTask(x Runner) converge.Task {
	t := r.task(x.Name, "tell", "its section of "+FileConfig+" changed", r.awaitReload)
	t.Ref, t.RunsOn = t.Ref+"-told", Service
	t.Before, t.After = nil, append(t.After, written...)
	return t
}

// awaitReload returns when the next job of a runner is one that was asked for
// with what config.toml says now.
func (r *Runners) awaitReload(ctx context.Context, host converge.Host, name string) error {
	known, err := noted(ctx, host)
	if err != nil {
		return err
	}
	host.Progress("waiting until its next job runs with the new settings")
	// It may begin a request with its settings of before for another round.
	pause, err := r.reload(ctx, host)
	if err != nil {
		return err
	}
	timer := time.NewTimer(r.round + pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	api, err := r.connect(ctx, host)
	if err != nil {
		return fmt.Errorf("reach the forge for runner %s: %w", name, err)
	}
	id := known[name].ID
	if id == 0 || !r.connected() {
		return nil
	}
	// A forge answers the requests of a runner that somebody changes, if only
	// to what it is.
	s, err := api.RunnerStatus(ctx, id)
	if err == nil {
		err = api.PauseRunner(ctx, id, s.Paused)
	}
	return r.explain("tell runner", name, gone(err))
}

// reload has the runners read config.toml, once for each of its contents, and
// says how long they may take: longer where they cannot be told and have to
// notice by themselves.
func (r *Runners) reload(ctx context.Context, host converge.Host) (time.Duration, error) {
	content, err := readFile(ctx, host, FileConfig)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(content)
	r.reloading.Lock()
	defer r.reloading.Unlock()
	if r.reloaded == sum {
		return r.reading, nil
	}
	if got, err := host.Exec(ctx, Service, []string{"sh", "-c", "kill -HUP 1"}, nil); err != nil || got.ExitCode != 0 {
		return r.reread + r.reading, nil
	}
	r.reloaded = sum
	return r.reading, nil
}
