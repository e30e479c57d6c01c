package paas

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heptaup/hepta/internal/fault"
)

// sized are runners at Clever Cloud with a quota of so many hosts of flavor M.
func (w *realm) sized(runners, jobs int) Config {
	w.flat = Flavors{{"XS", 1024, 1}, {"M", 8192, 4}}
	cfg := w.runners(runners)
	for i := range cfg.Runners {
		cfg.Runners[i].Executor, cfg.Runners[i].Clever = CleverDocker, &Clever{Flavor: "M"}
	}
	cfg.Quota = &Quota{Line: 5, Runner: cfg.Runners[0].Name, Flavor: "M", Jobs: jobs}
	return cfg
}

// most is the most hosts at once while jobs are done.
func (w *realm) most(s *started, limit time.Duration) (most int) {
	w.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Second) {
		if most = max(most, w.alive()); len(s.Journal.Records()) == 0 && most > 0 {
			break
		}
	}
	w.settle(s, time.Hour)
	return most
}

// The hosts of all runners together never weigh more than the quota, and a host
// that cannot be removed counts.
func TestQuotaBoundsHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.spoil("delete", "500", 12)
		w.spoil("flavors", "500", 5) // nothing is known of the quota at first
		s := w.start(w.sized(3, 3), nil)
		for id := int64(1); id <= 12; id++ {
			w.add(tokenOf(int(id%3)), id, nil)
		}
		if most := w.most(s, 3*time.Hour); most != 3 {
			t.Errorf("%d hosts at once, want 3", most)
		}
		w.check("success")
	})
}

// A quota that no job fits in is an error at the start; while the provider
// cannot be asked it is not.
func TestQuotaIsCheckedAtStart(t *testing.T) {
	w := newRealm(t)
	cfg := w.sized(1, 1)
	m := &Manager{Hosts: func(context.Context, Runner, *Coordinator) (Provider, error) { return w, nil }}
	if err := m.Check(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	cfg.Quota.Flavor = "XS"
	w.spoil("flavors", "500", 1)
	if err := m.Check(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	err := m.Check(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "it would never ask for a job") || !strings.Contains(fault.Remedy(err), "cc_max_flavor") {
		t.Errorf("error %v", err)
	}
	cfg.Runners[0].Clever.MaxFlavor = "XS"
	if err := m.Check(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	cfg.Quota.Flavor = "XXL"
	if err := m.Check(t.Context(), cfg); err == nil || !strings.Contains(fault.Remedy(err), "XS, M") {
		t.Errorf("error %v", err)
	}
}

// Launches keep their distance, and only so many hosts are in the making.
func TestLaunchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.spoil("prepare", "hang", 4) // makes it long
		cfg := w.runners(1)
		cfg.MaxProvisioning, cfg.LaunchSpacing = 2, 10*time.Second
		s := w.start(cfg, nil)
		for id := int64(1); id <= 6; id++ {
			w.add(tokenOf(0), id, nil)
		}
		most := 0
		for range 600 {
			most = max(most, s.statistics().InMaking)
			time.Sleep(time.Second)
		}
		if most != 2 {
			t.Errorf("%d hosts in the making at once, want 2", most)
		}
		w.settle(s, time.Hour)
		w.check("success", "failed")
		for i := 1; i < len(w.ledger); i++ {
			if apart := w.ledger[i].made.Sub(w.ledger[i-1].made); apart < 10*time.Second {
				t.Errorf("hosts %d and %d are %v apart", i-1, i, apart)
			}
		}
	})
}

// Who came first goes first, also when it needs more room; and a poll is held
// only while there is room for others.
func TestGateTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.bound(3, 3, 10)
		enter := func(weight float64) (*ticket, func() bool) {
			t.Helper()
			var got *ticket
			in := false
			go func() {
				got, _ = g.enter(t.Context(), weight)
				in = true
			}()
			synctest.Wait()
			return got, func() bool { synctest.Wait(); return in }
		}
		first, _ := enter(4)
		second, _ := enter(4)
		if first == nil || second == nil || !first.hold || second.hold {
			t.Fatalf("%+v, %+v", first, second)
		}
		_, heavy := enter(8)
		_, light := enter(1)
		if heavy() || light() {
			t.Error("there is room beyond the quota, or the light one has passed the heavy one")
		}
		g.leave(first)
		if heavy() || light() {
			t.Error("the light one has passed the heavy one")
		}
		g.leave(second)
		if !heavy() || !light() {
			t.Error("there is room and they wait")
		}
		// While the quota is not known only what weighs nothing goes.
		g.bound(20, 20, -1)
		_, some := enter(1)
		if some() {
			t.Error("a quota that is not known lets something in")
		}
		g.bound(20, 20, 30)
		if !some() {
			t.Error("it is known and something waits")
		}
		g.bound(20, 20, -1)
		if _, none := enter(0); !none() {
			t.Error("what weighs nothing waits for the quota")
		}
		g.bound(20, 20, 11)
		// Whoever gives up is not waited for.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = g.enter(ctx, 9) }()
		synctest.Wait()
		_, small := enter(1)
		if small() {
			t.Error("passed")
		}
		cancel()
		if !small() {
			t.Error("still waits for one that is gone")
		}
	})
}
