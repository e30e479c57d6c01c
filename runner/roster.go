package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/shell"
)

// Standing is how a runner stands, in one word.
type Standing string

// How a runner can stand.
const (
	Online   Standing = "online"
	Offline  Standing = "offline"
	Paused   Standing = "paused"          // takes no jobs, online or not
	Unheard  Standing = "never contacted" // the forge has not heard of it yet
	Gone     Standing = "gone in forge"
	NotMade  Standing = "not in config.toml"
	NotAsked Standing = "unknown" // only its token could tell: see Verify
)

// State is how one runner stands.
type State struct {
	Name     string   `json:"name"`
	Declared bool     `json:"declared"` // the configuration describes it
	Mode     Mode     `json:"mode,omitempty"`
	Tags     []string `json:"tags,omitempty"` // as described; none where its token was created by hand
	ID       int64    `json:"id,omitempty"`   // in the forge
	Forge    string   `json:"forge,omitempty"`
	State    Standing `json:"state"`
	// Problem says what is wrong, and Remedy what to do; empty when all is well.
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// Roster is every runner of one stack on a machine: those that are described,
// and whatever else its config.toml and our records hold. It is good as long
// as the machine is.
type Roster struct {
	r    *Runners
	host converge.Host
}

// Roster is the runners on a machine. What writes on it, Rotate, Remove and
// Repair, needs one that holds the stack's lock.
func (r *Runners) Roster(host Host) *Roster { return r.roster(opaque.Show(host)) }

func (r *Runners) roster(host converge.Host) *Roster { return &Roster{r, host} }

// hostState is what the machine's files say.
type hostState struct {
	config []byte
	list   []held
	have   map[string]held // the first of each name
	known  records
}

func (ro *Roster) read(ctx context.Context) (b hostState, err error) {
	if b.config, err = readFile(ctx, ro.host, FileConfig); err != nil {
		return b, err
	}
	if b.list, err = entries(b.config); err != nil {
		return b, err
	}
	if b.have, err = holdings(b.config); err != nil {
		return b, err
	}
	b.known, err = noted(ctx, ro.host)
	return b, err
}

// names are those that are described, in their order, and then the others.
func (ro *Roster) names(b hostState) []string {
	var out []string
	for _, x := range ro.r.cfg.Runners {
		out = append(out, x.Name)
	}
	others := map[string]bool{}
	for name := range b.known {
		others[name] = true
	}
	for name := range b.have {
		others[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		if !ro.r.declares(name) {
			out = append(out, name)
		}
	}
	return out
}

// state is what the machine alone tells of a runner.
func (ro *Roster) state(b hostState, name string) State {
	was, have := b.known[name], b.have[name]
	s := State{Name: name, ID: cmp.Or(was.ID, have.id), Forge: cmp.Or(was.Forge, have.url, ro.r.cfg.Forge.URL), State: NotAsked}
	for _, x := range ro.r.cfg.Runners {
		if x.Name == name {
			s.Declared, s.Mode, s.Forge = true, x.Mode, x.URL
			if !x.given() { // else the forge decides them
				s.Tags = x.Tags
			}
		}
	}
	if have.token.Empty() {
		s.State = NotMade
	}
	return s
}

// List says how each runner stands. The forge of the configuration is asked
// about every runner whose number in it is known.
func (ro *Roster) List(ctx context.Context) ([]State, error) {
	b, err := ro.read(ctx)
	if err != nil {
		return nil, err
	}
	var api API
	out := []State{}
	for _, name := range ro.names(b) {
		s := ro.state(b, name)
		if s.ID != 0 && s.Forge == ro.r.cfg.Forge.URL && ro.r.connected() {
			if api == nil {
				if api, err = ro.r.connect(ctx, ro.host); err != nil {
					return nil, fmt.Errorf("reach the forge: %w", err)
				}
			}
			if ro.r.connected() {
				ro.ask(ctx, api, &s)
			}
		}
		switch {
		case s.Problem != "":
		case s.State == NotMade:
			s.Problem, s.Remedy = "not in "+FileConfig, "Bring it up: hepta up"
			if !s.Declared {
				s.Remedy = "Remove what is left of it: hepta runner remove " + shell.Word(name)
			}
		case s.State == Offline || s.State == Unheard:
			s.Problem, s.Remedy = "the forge does not hear of it", "See why: hepta runner logs "+shell.Word(name)
		case !s.Declared:
			s.Problem, s.Remedy = "not described in the configuration", "Describe it, or remove it: hepta runner remove "+shell.Word(name)
		}
		out = append(out, s)
	}
	return out, nil
}

// ask fills in what the forge says.
func (ro *Roster) ask(ctx context.Context, api API, s *State) {
	got, err := api.RunnerStatus(ctx, s.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		s.State, s.Problem, s.Remedy = Gone, "the forge does not know it any more", "Make it anew: hepta runner verify --fix"
		if !s.Declared {
			s.Remedy = "Remove what is left of it: hepta runner remove " + shell.Word(s.Name)
		}
	case err != nil:
		s.Problem, s.Remedy = err.Error(), fault.Remedy(ro.r.explain("ask for runner", s.Name, err))
	case s.State == NotMade:
	case got.Paused:
		s.State = Paused
	case got.Online:
		s.State = Online
	case !got.Contacted:
		s.State = Unheard
	default:
		s.State = Offline
	}
}

// find is the state of one runner by name; a *fault.Error when there is none.
func (ro *Roster) find(b hostState, name string) (State, error) {
	names := ro.names(b)
	if slices.Contains(names, name) {
		return ro.state(b, name), nil
	}
	f := &fault.Error{Op: "find runner", What: name, Why: "there is no runner of that name", Remedy: "Add one: hepta runner add " + shell.Word(name)}
	if len(names) > 0 {
		f.Remedy = "Runners: " + strings.Join(names, ", ") + "."
	}
	return State{}, f
}

// ours is a runner of the configuration's forge with the number there of the
// runner whose token its section holds, and that forge's API.
func (ro *Roster) ours(ctx context.Context, b hostState, op, name string) (API, State, error) {
	s, err := ro.find(b, name)
	if err != nil {
		return nil, s, err
	}
	switch {
	case s.Forge != ro.r.cfg.Forge.URL:
		return nil, s, &fault.Error{Op: op, What: name, Why: "it takes its jobs from " + s.Forge, Remedy: "Do it there: this stack holds no API token of that forge."}
	case !ro.r.connected():
		return nil, s, &fault.Error{Op: op, What: name, Why: "there is no API token", Remedy: "Give an API token with scope api (forge.token)."}
	}
	api, err := ro.r.connect(ctx, ro.host)
	switch {
	case err != nil:
		return nil, s, fmt.Errorf("reach the forge for runner %s: %w", name, err)
	case !ro.r.connected():
		return nil, s, &fault.Error{Op: op, What: name, Why: "the forge does not know the token as an API token", Remedy: "Give an API token with scope api (forge.token)."}
	}
	if token := b.have[name].token; !token.Empty() {
		id, err := api.Verify(ctx, token)
		switch {
		case errors.Is(err, ErrRefused), errors.Is(err, ErrNotFound):
			f := &fault.Error{Op: op, What: name, Err: err, Why: "the forge rejects the token in its section of " + FileConfig, Remedy: "Repair it: hepta runner verify --fix"}
			if i := slices.IndexFunc(ro.r.cfg.Runners, func(x Runner) bool { return x.Name == name && x.given() }); i >= 0 {
				f.Remedy = remedyGiven(ro.r.cfg.Runners[i])
			}
			return nil, s, f
		case err != nil:
			return nil, s, ro.r.explain(op, name, err)
		}
		s.ID = cmp.Or(id, s.ID) // an old forge does not say whose token it is
	}
	if s.ID == 0 {
		return nil, s, &fault.Error{Op: op, What: name, Why: "its number in the forge is not known", Remedy: "Bring it up first: hepta up. A runner whose token was created by hand is changed in the forge."}
	}
	return api, s, nil
}

// Pause makes a runner take no more jobs, or with false take them again. Jobs
// that run go on. It lasts until it is undone or the description of the runner
// says another thing about it.
func (ro *Roster) Pause(ctx context.Context, name string, paused bool) error {
	b, err := ro.read(ctx)
	if err != nil {
		return err
	}
	op := "pause runner"
	if !paused {
		op = "resume runner"
	}
	api, s, err := ro.ours(ctx, b, op, name)
	if err != nil {
		return err
	}
	return ro.r.explain(op, name, api.PauseRunner(ctx, s.ID, paused))
}
