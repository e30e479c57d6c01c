package runner

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/opaque"
)

// FileSystemID is where a runner since 15.7 keeps the name by which the forge
// tells it from others with the same token.
const FileSystemID = "runner/.runner_system_id"

// shortToken is the least that runners call themselves by.
const shortToken = 8

// Manager is the program behind the runners of a stack, as GitLab calls it, in
// what the containers of its jobs are known by.
type Manager struct {
	stack  string
	system string   // "" when it has none
	isRead bool     // its config.toml was there to be read
	tokens []Secret // of all its runners
	made   []Secret // of those that are made for this stack and used nowhere else
}

// ManagerFiles are the files below the data directory that ManagerOf reads.
var ManagerFiles = []string{FileConfig, FileRecords, FileSystemID}

// ManagerOf reads what the containers of the runners' jobs are known by in a
// snapshot that holds ManagerFiles. Of those that it does not hold it knows
// nothing.
func (r *Runners) ManagerOf(s Snapshot) (Manager, error) {
	return r.roster(view{o: opaque.Show(s)}).Manager(context.Background())
}

// Manager reads what the containers of the runners' jobs are known by.
func (ro *Roster) Manager(ctx context.Context) (Manager, error) {
	m := Manager{stack: ro.r.cfg.Stack}
	b, err := ro.read(ctx)
	if err != nil {
		return m, err
	}
	m.isRead = b.config != nil
	for _, h := range b.list {
		if h.token.Empty() {
			continue
		}
		m.tokens = append(m.tokens, h.token)
		if b.known[h.name].ID != 0 {
			m.made = append(m.made, h.token)
		}
	}
	id, err := readFile(ctx, ro.host, FileSystemID)
	m.system = string(bytes.TrimSpace(id))
	return m, err
}

// owns reports whether a container belongs to a job of this manager, by the
// labels that it has beyond those of its image. Where the runner sets hepta's
// own label, that tells; else the token, and with it the name of the manager,
// for a token may be in use by several, and so may a name: it can come from the
// runner's image. Runners without names are known by tokens that nobody else has.
func (m Manager) owns(own map[string]string) bool {
	for _, key := range []string{LabelJob, markPrefix + LabelJob} { // so on services of runner 17.8
		if stack := own[key]; stack != "" {
			return stack == m.stack
		}
	}
	short, tokens := own[markPrefix+"runner.id"], m.made
	if system := own[markPrefix+"runner.system_id"]; system != "" {
		if system != m.system {
			return false
		}
		tokens = m.tokens
	}
	return len(short) >= shortToken && slices.ContainsFunc(tokens, func(t Secret) bool { return begins(short, t.Reveal()) })
}

// left reports whether what a runner labelled is of this manager and of a token
// that no section holds any more: a cache that no job will find. Runners before
// 15.7 have no name for their manager, and then nobody can say.
func (m Manager) left(labels map[string]string) bool {
	short, system := labels[markPrefix+"runner.id"], labels[markPrefix+"runner.system_id"]
	return m.isRead && system != "" && system == m.system && len(short) >= shortToken &&
		!slices.ContainsFunc(m.tokens, func(t Secret) bool { return begins(short, t.Reveal()) })
}

// findOrphans marks the containers that run for a job of m whose runner is no
// more: none of the stack's runs, or it started after the container was made.
// The containers were listed before, so that what starts meanwhile is not among
// them. A start that is still to come tells of a clock that was put back since:
// then there is no saying.
func (y engineSnapshot) findOrphans(ctx context.Context, docker PruneAPI, m Manager, now time.Time) error {
	var started time.Time // the first start of those that run
	for i := range y.containers {
		c := &y.containers[i]
		if c.Labels[converge.LabelStack] != m.stack || c.Labels[converge.LabelService] != Service {
			continue
		}
		full, err := docker.ContainerInspect(ctx, c.ID)
		switch {
		case errdefs.IsNotFound(err):
			continue
		case err != nil:
			return fmt.Errorf("look at container %s: %w", c.ID, err)
		case full.ContainerJSONBase == nil || full.State == nil || !full.State.Running:
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, full.State.StartedAt)
		if err != nil {
			return fmt.Errorf("look at container %s: when it started: %w", c.ID, err)
		}
		if started.IsZero() || at.Before(started) {
			started = at
		}
	}
	if started.After(now) {
		return nil
	}
	for i := range y.containers {
		c := &y.containers[i]
		inherited, known := y.inherited[c.ImageID]
		_, made := containerMarks(c, inherited)
		if !made || !known || !isUp(c) || !m.owns(ownLabels(c.Labels, inherited)) {
			continue
		}
		// The Engine lists the second in which it was made.
		if before := time.Unix(c.Created+1, 0); started.IsZero() || !before.After(started) {
			y.orphans[c.ID] = true
		}
	}
	return nil
}

// isUp reports whether a container's processes are there.
func isUp(c *container.Summary) bool {
	return c.State == container.StateRunning || c.State == container.StatePaused || c.State == container.StateRestarting
}

// JobsRun reports whether the container of some runner's job runs.
func JobsRun(ctx context.Context, docker PruneAPI) (bool, error) {
	list, err := docker.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return false, fmt.Errorf("list containers: %w", err)
	}
	return slices.ContainsFunc(list, func(c container.Summary) bool { return isUp(&c) && mayBeMarked(&c) }), nil
}

// LeftRunning says in one line which containers run for jobs of a manager that
// is no more, "" when there are none.
func LeftRunning(ctx context.Context, docker PruneAPI, m Manager) (string, error) {
	y, err := takeSnapshot(ctx, docker, PruneOptions{Now: time.Now(), Manager: func(context.Context) Manager { return m }})
	if err != nil || len(y.orphans) == 0 {
		return "", err
	}
	var list []string
	for _, l := range y.leftovers(time.Time{}, false) {
		if l.orphan {
			list = append(list, fmt.Sprintf("%s (job %s of project %s)", l.Name, l.Job, l.Project))
		}
	}
	return "the runner has ended before its jobs, and these containers of theirs run on for nobody: " + strings.Join(list, ", ") + "; remove them: hepta runner prune --force", nil
}
