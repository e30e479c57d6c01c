package paas

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/heptaup/hepta/internal/secret"
)

// state is the content of a state file: lists that heptapod-paas-runner reads
// and writes, and in one more key what only this package knows.
type state struct {
	records map[Key]Record
	tenants map[string][]string // top-level groups whose organisations may hold hosts of a runner
	runners map[string]string   // coordinator of each short name
	system  string              // what this installation is called by coordinators
	extra   fields
}

func newState() *state {
	return &state{records: map[Key]Record{}, tenants: map[string][]string{}, runners: map[string]string{}, extra: fields{}}
}

// ours is the key that heptapod-paas-runner does not look at.
const ours = "hepta"

// appendix is what stands under it.
type appendix struct {
	Version int                 `json:"version"`
	Jobs    []note              `json:"jobs"`
	Tenants map[string][]string `json:"tenants,omitempty"`
	Runners map[string]string   `json:"runners,omitempty"`
	System  string              `json:"system_id,omitempty"`
}

// note completes the record of one job.
type note struct {
	Runner  string          `json:"runner"`
	Job     int64           `json:"job"`
	Phase   Phase           `json:"phase"`
	Tenant  string          `json:"tenant,omitempty"`
	Flavor  string          `json:"flavor,omitempty"`
	Failure string          `json:"failure,omitempty"`
	Handle  json.RawMessage `json:"handle,omitempty"` // when no list has a place for the record
}

const appendixVersion = 1

func decodeState(data []byte) (*state, error) {
	s := newState()
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&s.extra); err != nil || s.extra == nil {
		return nil, errors.New("not a JSON object")
	}
	if dec.More() {
		return nil, errors.New("text after the JSON object")
	}
	var pending [][]json.RawMessage
	var launched, leaving, standby []json.RawMessage
	var a appendix
	for _, l := range []struct {
		name string
		into any
	}{{"pending", &pending}, {"launched", &launched}, {"to_decommission", &leaving}, {"standby_resources", &standby}, {ours, &a}} {
		if err := s.extra.take(l.name, l.into); err != nil {
			return nil, err
		}
	}
	if a.Version > appendixVersion {
		return nil, fmt.Errorf("written by a newer hepta (version %d)", a.Version)
	}
	for i, pair := range pending {
		if len(pair) != 2 {
			return nil, fmt.Errorf("pending[%d]: want a handle and a job", i)
		}
		var r Record
		if err := r.decode(pair[0]); err != nil {
			return nil, fmt.Errorf("pending[%d]: %w", i, err)
		}
		r.Payload, r.Phase = secret.New(string(pair[1])), Acquired
		switch {
		case r.Host != nil && r.Host.Launched:
			r.Phase = Pushed
		case r.Host != nil:
			r.Phase = Created
		}
		s.records[r.Key] = r
	}
	// A host that stands by for reuse belongs to a job that is over.
	for _, l := range []struct {
		name  string
		list  []json.RawMessage
		phase Phase
	}{{"launched", launched, Running}, {"to_decommission", leaving, Deleting}, {"standby_resources", standby, Deleting}} {
		for i, raw := range l.list {
			r := Record{Phase: l.phase}
			if err := r.decode(raw); err != nil {
				return nil, fmt.Errorf("%s[%d]: %w", l.name, i, err)
			}
			s.records[r.Key] = r
		}
	}
	return s, s.complete(a)
}

// complete adds what the lists do not say. A note that contradicts its list is
// older than the list and not believed.
func (s *state) complete(a appendix) error {
	for i, n := range a.Jobs {
		if !n.Phase.known() {
			return fmt.Errorf("%s.jobs[%d]: unknown phase %q", ours, i, n.Phase)
		}
		r, listed := s.records[Key{n.Runner, n.Job}]
		if n.Handle != nil && !listed {
			if err := r.decode(n.Handle); err != nil {
				return fmt.Errorf("%s.jobs[%d]: %w", ours, i, err)
			}
			if r.Key != (Key{n.Runner, n.Job}) {
				return fmt.Errorf("%s.jobs[%d]: two names for one job", ours, i)
			}
			r.Phase = n.Phase
		} else if !listed || n.Handle != nil {
			continue
		}
		noted := r
		noted.Phase = n.Phase
		if noted.place() == r.place() {
			r.Phase, r.Failure = n.Phase, n.Failure
		}
		r.Flavor, r.Tenant = n.Flavor, cmp.Or(r.Tenant, n.Tenant)
		s.records[r.Key] = r
	}
	maps.Copy(s.tenants, a.Tenants)
	maps.Copy(s.runners, a.Runners)
	s.system = a.System
	return nil
}

// place is the list where heptapod-paas-runner would look for the record, empty
// when it would do the wrong thing with it in any list.
func (r Record) place() string {
	switch r.Phase {
	case Acquired, Creating, Created, Pushing, Pushed:
		return "pending"
	case Running:
		return "launched"
	case Failing, Deleting:
		if r.Host != nil {
			return "to_decommission"
		}
	}
	return ""
}

// encode is deterministic.
func (s *state) encode() ([]byte, error) {
	lists := map[string][]any{"pending": {}, "launched": {}, "to_decommission": {}, "standby_resources": {}}
	a := appendix{Version: appendixVersion, Jobs: []note{}, Tenants: s.tenants, Runners: s.runners, System: s.system}
	for _, k := range slices.SortedFunc(maps.Keys(s.records), byKey) {
		r := s.records[k]
		n := note{Runner: k.Runner, Job: k.Job, Phase: r.Phase, Tenant: r.Tenant, Flavor: r.Flavor, Failure: r.Failure}
		switch place := r.place(); place {
		case "":
			raw, err := json.Marshal(r.handle())
			if err != nil {
				return nil, fmt.Errorf("job %s: %w", k, err)
			}
			n.Handle = raw
		case "pending":
			lists[place] = append(lists[place], []any{r.handle(), json.RawMessage(cmp.Or(r.Payload.Reveal(), "{}"))})
		default:
			lists[place] = append(lists[place], r.handle())
		}
		a.Jobs = append(a.Jobs, n)
	}
	top := map[string]any{ours: a}
	for name, list := range lists {
		top[name] = list
	}
	return json.Marshal(s.extra.with(top))
}

func byKey(a, b Key) int { return cmp.Or(cmp.Compare(a.Runner, b.Runner), cmp.Compare(a.Job, b.Job)) }
