package paas

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// manager runs Step in a model of the cloud. disk survives it, the rest does not: life
// counts how often it was killed, and what an earlier life began still happens
// but is not heard of.
type manager struct {
	*cloudModel
	disk    map[Key]Record
	shorts  []string
	limit   int
	life    int
	busy    map[Key]bool // an action is under way
	held    map[Key]*Event
	seen    []map[string]Sighting
	touched int // events of the manager so far
	killAt  map[int]bool
	kills   int
	loses   int // with every so many kills the state file is lost
}

func newManager(w *cloudModel, runners, limit int) *manager {
	m := &manager{cloudModel: w, disk: map[Key]Record{}, limit: limit, killAt: map[int]bool{}}
	for i := range runners {
		m.shorts = append(m.shorts, fmt.Sprintf("runner%03d", i)[:9])
	}
	m.start()
	return m
}

// alive runs something of this life after a time. Every such moment is one at
// which the process can be killed.
func (m *manager) alive(d time.Duration, do func()) {
	life := m.life
	m.after(d, func() {
		if m.life != life {
			return
		}
		m.touched++
		if m.killAt[m.touched] {
			m.kill()
			return
		}
		do()
	})
}

func (m *manager) kill() {
	m.kills++
	if m.loses > 0 && m.kills%m.loses == 0 {
		clear(m.disk)
	}
	m.life++
	m.after(m.between(time.Second, 20*time.Second), m.start)
}

func (m *manager) start() {
	m.life++
	m.busy, m.held = map[Key]bool{}, map[Key]*Event{}
	m.seen = make([]map[string]Sighting, len(m.shorts))
	for _, k := range slices.SortedFunc(maps.Keys(m.disk), byKey) {
		m.alive(0, func() { m.happen(k, Event{Kind: Resumed}) })
	}
	for i := range m.shorts {
		m.alive(m.between(0, 3*time.Second), func() { m.poll(i) })
		m.alive(m.between(time.Minute, 2*time.Minute), func() { m.sweep(i) })
	}
}

func (m *manager) poll(runner int) {
	again := 3 * time.Second
	if len(m.disk) < m.limit {
		if j := m.give(runner); j != nil {
			// Between the answer and the disk lies a moment, too.
			m.alive(time.Millisecond, func() {
				r := j.key(m.shorts[runner])
				m.disk[r.Key] = r
				m.alive(0, func() { m.happen(r.Key, Event{Kind: Resumed}) })
			})
			again = 10 * time.Millisecond
		}
	}
	m.alive(again, func() { m.poll(runner) })
}

// happen is an event; during an action it waits for its end.
func (m *manager) happen(k Key, e Event) {
	r, there := m.disk[k]
	if !there {
		return
	}
	if m.busy[k] {
		m.held[k] = &e
		return
	}
	next, action := Step(r, e)
	m.alive(time.Millisecond, func() {
		m.disk[k] = next
		// And one between the disk and the deed.
		m.alive(0, func() { m.act(k, action, 1) })
	})
	m.busy[k] = true
	if e.Kind == Resumed && next.Phase.Provisioning() {
		m.alive(m.between(0, 30*time.Second), func() { m.beat(k) })
	}
}

// done ends an action; an event that waited goes first.
func (m *manager) done(k Key, e Event) {
	m.busy[k] = false
	if held := m.held[k]; held != nil {
		delete(m.held, k)
		// What was made meanwhile must be known before it can be removed.
		if e.Kind == HostMade {
			m.disk[k], _ = Step(m.disk[k], e)
		}
		e = *held
	}
	m.happen(k, e)
}

func (m *manager) beat(k Key) {
	r, there := m.disk[k]
	if !there || !r.Phase.Provisioning() {
		return
	}
	j := m.job(k.Job)
	if j.over() {
		m.happen(k, Event{Kind: Ended})
		return
	}
	j.beat = m.now
	m.alive(30*time.Second, func() { m.beat(k) })
}

// act makes the call: it takes effect in the model in the middle, and is heard
// of at its end, or not.
func (m *manager) act(k Key, a Action, attempt int) {
	r := m.disk[k]
	r.Key = k
	half := m.between(50*time.Millisecond, 2*time.Second)
	call := func(effect func() bool, then func(ok bool)) {
		lost := m.unlucky(0.1) // on the way there
		mute := m.unlucky(0.1) // on the way back
		life, ok := m.life, false
		arrives := half
		if m.unlucky(0.02) { // long after it was given up
			arrives += m.between(10*time.Second, time.Minute)
		}
		m.after(arrives, func() {
			if !lost {
				ok = effect()
			}
		})
		m.alive(2*half+1, func() {
			if m.life == life {
				then(ok && !mute)
			}
		})
	}
	retry := func(patience int) {
		if patience > 0 && attempt >= patience {
			m.done(k, Event{Kind: LaunchFailed, Text: "it could not be launched"})
			return
		}
		if m.held[k] != nil {
			m.done(k, Event{}) // no news
			return
		}
		m.alive(m.between(time.Second, 4*time.Second), func() { m.act(k, a, attempt+1) })
	}
	j := m.job(k.Job)
	switch a {
	case MakeHost:
		var host *Host
		call(func() bool {
			if found := m.named(r.Name()); len(found) > 0 {
				host = &found[0]
			} else {
				made := m.make(r.Name())
				host = &Host{ID: made.id, Name: made.name}
			}
			return true
		}, func(ok bool) {
			if !ok {
				retry(4)
				return
			}
			m.done(k, Event{Kind: HostMade, Host: host})
		})
	case Prepare:
		call(func() bool { return true }, func(ok bool) {
			if !ok {
				retry(4)
				return
			}
			m.done(k, Event{Kind: HostPrepared})
		})
	case HandOver:
		over := false
		call(func() bool {
			if over = j.over(); over {
				return true
			}
			j.status, j.beat = "running", m.now
			if h := m.hosts[r.Host.ID]; h != nil {
				m.push(h, k.Job)
			}
			return true
		}, func(ok bool) {
			switch {
			case !ok:
				retry(4)
			case over:
				m.done(k, Event{Kind: Ended})
			default:
				m.done(k, Event{Kind: HandedOver})
			}
		})
	case AwaitRun:
		call(func() bool { return true }, func(bool) {
			switch {
			case j.over():
				m.done(k, Event{Kind: Ended})
			case j.runs > 0:
				m.done(k, Event{Kind: Started})
			case attempt > 30:
				m.done(k, Event{Kind: LaunchFailed, Text: "it did not start"})
			default:
				m.alive(10*time.Second, func() { m.act(k, a, attempt+1) })
			}
		})
	case Observe:
		call(func() bool { return true }, func(ok bool) {
			if ok && j.over() {
				m.done(k, Event{Kind: Ended})
				return
			}
			m.alive(30*time.Second, func() { m.act(k, a, attempt+1) })
		})
	case Report:
		call(func() bool { j.end("failed"); return true }, func(ok bool) {
			if !ok {
				retry(0)
				return
			}
			m.done(k, Event{Kind: Reported})
		})
	case Remove:
		left := 0
		call(func() bool {
			if r.Host != nil {
				m.remove(r.Host.ID)
			}
			for _, h := range m.named(r.Name()) {
				left++
				m.remove(h.ID)
			}
			return true
		}, func(ok bool) {
			if !ok || left > 0 {
				retry(0)
				return
			}
			m.done(k, Event{Kind: HostGone})
		})
	case Forget:
		delete(m.disk, k)
		delete(m.busy, k)
	case Nothing:
		// A held event came late and the action it waited for is to be made again.
		m.busy[k] = false
		if r.Phase != Gone {
			m.busy[k] = true
			m.alive(0, func() { m.act(k, due(r), 1) })
		}
	}
}

func (m *manager) sweep(runner int) {
	var records []Record
	for _, r := range m.disk {
		records = append(records, r)
	}
	at := time.Unix(0, 0).Add(m.now)
	over := func(job int64) bool { return m.job(job).over() }
	var remove []Host
	remove, m.seen[runner] = Sweep(m.shorts[runner], m.named(""), records, m.seen[runner], at, 3*time.Minute, 10, over)
	for _, h := range remove {
		if !m.unlucky(0.2) {
			m.remove(h.ID)
		}
	}
	m.alive(2*time.Minute, func() { m.sweep(runner) })
}

// settled reports whether there is nothing more to wait for.
func (m *manager) settled() bool {
	for _, j := range m.jobs {
		if !j.over() {
			return false
		}
	}
	return len(m.disk) == 0 && len(m.hosts) == 0
}

// run goes on until all is settled, or for a day.
func (m *manager) run() bool {
	for check := 0; m.now < 24*time.Hour && len(m.queue) > 0; check++ {
		if check%(20+len(m.jobs)/2) == 0 && m.settled() {
			return true
		}
		h := heap.Pop(&m.queue).(happening)
		m.now = h.at
		h.do()
	}
	return m.settled()
}

// check holds what must be true whatever happened.
func (m *manager) check(t *testing.T) {
	t.Helper()
	for _, text := range m.broken {
		t.Error(text)
	}
	for _, j := range m.jobs {
		if j.finals != 1 || j.runs > 1 {
			t.Errorf("job %d: %s, %d ends, %d runs", j.record, j.status, j.finals, j.runs)
		}
		if j.runs == 1 && j.status == "failed" {
			t.Errorf("job %d ran and was failed", j.record)
		}
	}
	if len(m.hosts) > 0 || len(m.disk) > 0 {
		t.Errorf("%d hosts and %d records are left", len(m.hosts), len(m.disk))
	}
}

func (m *manager) count(status string) (n int) {
	for _, j := range m.jobs {
		if j.status == status {
			n++
		}
	}
	return n
}

// Killed at any one moment of its life, a job ends once, runs at most once and
// leaves nothing; with no other fault it succeeds, unless the kill hit between
// the coordinator's answer and the disk.
func TestKillAtEveryMoment(t *testing.T) {
	for _, twoPhase := range []bool{true, false} {
		w := newCloudModel(1, 1, 1, 0)
		w.jobs[0].twoPhase = twoPhase
		calm := newManager(w, 1, 1)
		calm.run()
		calm.check(t)
		if calm.count("success") != 1 {
			t.Fatalf("without a fault: %+v", calm.jobs[0])
		}
		failed := 0
		for at := 1; at <= calm.touched; at++ {
			w := newCloudModel(1, 1, 1, 0)
			w.jobs[0].twoPhase = twoPhase
			m := newManager(w, 1, 1)
			m.killAt[at] = true
			m.run()
			m.check(t)
			if m.count("success") != 1 {
				failed++
			}
			if t.Failed() {
				t.Fatalf("killed at moment %d of %d, two phases %v", at, calm.touched, twoPhase)
			}
		}
		if failed > 1 {
			t.Errorf("two phases %v: %d of %d kills cost the job, want one", twoPhase, failed, calm.touched)
		}
	}
}

func TestSimulation(t *testing.T) {
	for _, c := range []struct {
		name                 string
		jobs, runners, limit int
		faults               float64
		killEvery, loses     int
	}{
		{"calm", 500, 50, 50, 0, 0, 0},
		{"faults", 500, 50, 50, 1, 0, 0},
		{"kills", 500, 50, 50, 0, 211, 0},
		{"faults and kills", 500, 50, 50, 1, 977, 0},
		{"lost state files", 500, 50, 50, 1, 977, 5},
		{"many", 10_000, 50, 1000, 1, 20_011, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newManager(newCloudModel(7, c.runners, c.jobs, c.faults), c.runners, c.limit)
			m.loses = c.loses
			for at := c.killEvery; c.killEvery > 0 && at < 400_000; at += c.killEvery {
				m.killAt[at] = true
			}
			m.run()
			m.check(t)
			if c.faults == 0 && c.killEvery == 0 && m.count("success") != c.jobs {
				t.Errorf("%d of %d jobs succeeded", m.count("success"), c.jobs)
			}
			if c.killEvery > 0 && m.kills < 10 {
				t.Errorf("killed %d times only", m.kills)
			}
			t.Logf("%v, %d kills, %d hosts: %d success, %d failed, %d canceled", m.now, m.kills, m.made, m.count("success"), m.count("failed"), m.count("canceled"))
		})
	}
}
