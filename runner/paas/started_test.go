package paas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/heptaup/hepta/internal/secret"
)

// tokenOf is that of the runner with a number.
func tokenOf(n int) string { return fmt.Sprintf("runner%02dtoken", n) }

// runners is a configuration with so many.
func (w *realm) runners(n int) Config {
	cfg := Config{
		Concurrent: 50, CheckInterval: 3 * time.Second, ProgressInterval: 30 * time.Second, StateFile: filepath.Join(w.t.TempDir(), "state.json"),
		MaxProvisioning: 50, RemoveFailedLaunch: true,
	}
	for i := range n {
		cfg.Runners = append(cfg.Runners, Runner{
			Name: fmt.Sprint("runner ", i), URL: "http://forge.test", Token: secret.New(tokenOf(i)), Executor: LocalDocker, Image: "runner:1",
			section: func() map[string]any { return map[string]any{} },
		})
	}
	return cfg
}

// started is a manager in the realm.
type started struct {
	*Manager
	reload chan Config
	stop   func() time.Duration // and how long that took
	log    *journalText
}

// journalText is a log that is read while it is written.
type journalText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journalText) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journalText) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// start runs a manager; change may spoil it before.
func (w *realm) start(cfg Config, change func(*Manager)) *started {
	w.t.Helper()
	j, err := OpenJournal(cfg.StateFile)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &started{reload: make(chan Config), log: &journalText{}}
	s.Manager = &Manager{
		Journal: j, HTTP: &http.Client{Transport: w}, Log: slog.New(slog.NewTextHandler(s.log, nil)),
		Hosts: func(context.Context, Runner, *Coordinator) (Provider, error) { return w, nil },
	}
	if change != nil {
		change(s.Manager)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, cfg, s.reload) }()
	stopped := false
	s.stop = func() time.Duration {
		if stopped {
			return 0
		}
		stopped = true
		at := time.Now()
		cancel()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			w.t.Error(err)
		}
		if w.t.Failed() {
			w.t.Log(s.log.String())
		}
		return time.Since(at)
	}
	w.t.Cleanup(func() { s.stop() })
	return s
}

// statistics are those of now.
func (s *started) statistics() Statistics {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.statistics()
}

// settle lets time pass until nothing is left to do, at most so long.
func (w *realm) settle(s *started, limit time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Second) {
		w.mu.Lock()
		open := 0
		for _, j := range w.jobs {
			if !j.done() {
				open++
			}
		}
		w.mu.Unlock()
		if open == 0 && w.alive() == 0 && len(s.Journal.Records()) == 0 {
			return
		}
	}
	w.t.Errorf("after %v: %d hosts, records %v", limit, w.alive(), s.Journal.Records())
}

// check holds what must be true whatever went wrong.
func (w *realm) check(statuses ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.jobs {
		if len(j.finals) != 1 || j.runs > 1 || !slices.Contains(statuses, j.status) {
			w.t.Errorf("job %d: ends %v, %d runs, want one of %v", j.id, j.finals, j.runs, statuses)
		}
	}
	for _, h := range w.ledger {
		if h.alive {
			w.t.Errorf("host %s is left", h.Name)
		}
	}
}
