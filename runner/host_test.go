package runner

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/progress"
)

// machine is a Docker host in memory. It plans with the real planner and
// carries a plan out as far as runners are concerned.
type machine struct {
	t     *testing.T
	mu    sync.Mutex
	files map[string]string
	up    bool              // the runner container is there
	ended bool              // and does not run
	spec  map[string]string // its labels
	log   []converge.LogLine
	blind bool              // no container shows the files
	die   string            // the write of this file does not happen
	ran   []converge.OneOff // containers of their own
	says  func(converge.OneOff) string
	fails error // of containers of their own

	program string // what inspectScript prints
	looked  int    // how often it ran
}

// newMachine is a host that was inspected, with a runner program that has none of
// the features.
func newMachine(t *testing.T) *machine {
	return &machine{t: t, files: map[string]string{FileHost: `{"image": "` + DefaultImage + `"}`}, program: inspectEnd}
}

func (m *machine) ReadFile(_ context.Context, path string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.files[path]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	return []byte(text), nil
}

func (m *machine) WriteFile(_ context.Context, path string, content []byte, _ fs.FileMode, _, _ int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = string(content)
	return nil
}

func (m *machine) Exec(context.Context, string, []string, []byte) (converge.ExecResult, error) {
	return converge.ExecResult{}, fmt.Errorf("nothing to run in")
}

// Run answers for a runner's program to whom a forge has answered.
func (m *machine) Run(_ context.Context, o converge.OneOff) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return nil, m.fails
	}
	if strings.HasSuffix(o.Container.Name, "-runner-host") {
		m.looked++
		return []byte(m.program), nil
	}
	m.ran = append(m.ran, o)
	if m.says != nil {
		return []byte(m.says(o)), nil
	}
	return []byte("ERROR: Verifying runner... is removed   runner=nobody00\nERROR: Verifying runner... failed  runner=nobody01 status=401 Unauthorized\n"), nil
}

func (m *machine) Progress(string)     {}
func (m *machine) Sink() progress.Sink { return nil }

func (m *machine) observe(s *converge.Stack) *converge.Observed {
	o := &converge.Observed{
		Networks: []converge.ObservedNetwork{{ID: "b", Name: "bridge", Gateway: "172.17.0.1"}, {ID: "w", Name: "web"}},
		Images:   map[string]string{},
		Files:    map[string]converge.ObservedFile{},
	}
	for _, c := range s.Containers {
		o.Images[converge.NormalizeImage(c.Image)] = "sha256:1"
	}
	if m.up {
		state := "running"
		if m.ended {
			state = "exited"
		}
		o.Containers = []converge.ObservedContainer{{ID: "c", Name: s.Name + "-runner", State: state, Service: Service, Labels: m.spec, Networks: map[string]string{"web": "w"}, Heard: m.log}}
		if !m.blind {
			for _, f := range s.Files {
				text, ok := m.files[f.Path]
				o.Files[f.Path] = converge.ObservedFile{Exists: ok, Content: []byte(text), Mode: uint32(f.Mode)}
			}
		}
	}
	return o
}

// apply plans and does it. The error is the first of an operation; what comes
// after that is not done, as if the process had been killed.
func (m *machine) apply(r *Runners) (*converge.Plan, error) {
	m.t.Helper()
	s := r.unit().Part.Stack
	for _, c := range s.Containers {
		for _, ref := range c.After {
			m.t.Fatalf("the container waits for %s", ref)
		}
	}
	o := m.observe(&s)
	plan, err := converge.Up(&s, o)
	if err != nil {
		return nil, err
	}
	successor := false
	for _, op := range plan.Operations {
		switch op.Kind {
		case converge.RunTask:
			err = op.Task.Run(m.t.Context(), m)
		case converge.WriteFile:
			if m.die == op.Target {
				return plan, fmt.Errorf("killed before %s", op.Target)
			}
			var current, content []byte
			if text, ok := m.files[op.Target]; ok {
				current = []byte(text)
			}
			if content, err = op.File.Render(o, current); err == nil {
				m.files[op.Target] = string(content)
			}
		case converge.CreateContainer:
			m.spec, successor = maps.Clone(op.Labels), true
		case converge.StartContainer:
			m.up, m.ended = true, false
		case converge.WaitContainer: // that it comes online is not waited for
			err = r.reaches(m.t.Context(), m)
		case converge.RemoveContainer:
			m.up = successor
		}
		if err != nil {
			return plan, fmt.Errorf("%s: %w", op.Text(), err)
		}
	}
	return plan, nil
}

// must is apply without an error, and then once more without anything to do.
func (m *machine) must(r *Runners) *converge.Plan {
	m.t.Helper()
	plan, err := m.apply(r)
	if err != nil {
		m.t.Fatal(err)
	}
	m.settled(r)
	return plan
}

func (m *machine) settled(r *Runners) {
	m.t.Helper()
	s := r.unit().Part.Stack
	again, err := converge.Up(&s, m.observe(&s))
	if err != nil || !again.Empty() {
		m.t.Fatalf("planning again: %v\n%s\n%s", err, again, m.files[FileRecords])
	}
	if strings.Contains(m.files[FileRecords], "canary") {
		m.t.Fatalf("a token is in %s:\n%s", FileRecords, m.files[FileRecords])
	}
}
