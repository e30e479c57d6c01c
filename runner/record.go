package runner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// The runner's files below the data directory.
const (
	FileConfig  = "runner/config.toml"
	FileRecords = "runner/hepta.json"
)

// Attributes are what the forge knows about a runner.
type Attributes struct {
	Description    string   `json:"description"`
	Tags           []string `json:"tags,omitempty"`
	RunUntagged    bool     `json:"run_untagged,omitempty"`
	Locked         bool     `json:"locked,omitempty"`
	Paused         bool     `json:"paused,omitempty"`
	AccessLevel    string   `json:"access_level,omitempty"`
	MaximumTimeout int      `json:"maximum_timeout,omitempty"` // seconds; 0: the project's
	Group          int64    `json:"group,omitempty"`
	Project        int64    `json:"project,omitempty"`
	// Note tells the runners of one stack from those of another.
	Note string `json:"note,omitempty"`
}

// record is what is remembered of a runner of ours. It holds no token.
type record struct {
	ID    int64  `json:"id,omitempty"` // in the forge; 0 for a token created by hand
	Forge string `json:"forge"`        // its URL
	// Applied is what the forge was told last.
	Applied *Attributes `json:"applied,omitempty"`
	// Given is the fingerprint of a token created by hand. The runner may
	// replace such a token by itself; it is written again only when another
	// one is given.
	Given string `json:"given,omitempty"`
	// Keys are the keys of the section that were ours.
	Keys []string `json:"keys,omitempty"`
	// Reached is the fingerprint of where its jobs stand, once they were seen
	// to reach forge and registry from there.
	Reached string `json:"reached,omitempty"`
	// Heard is when its token was refused last, by the Engine's clock, of the
	// refusals in the log that were dealt with.
	Heard time.Time `json:"heard,omitzero"`
}

// records is the content of FileRecords, by name of the runner.
type records map[string]record

func parseRecords(content []byte) (records, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return records{}, nil
	}
	var file struct {
		Runners records `json:"runners"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, &fault.Error{Op: "read", What: FileRecords, Why: "it is no JSON",
			Remedy: "Restore the file from a backup, or remove it: then runners that are no longer described stay in the forge and in config.toml, and can be removed there by hand."}
	}
	if file.Runners == nil {
		return records{}, nil
	}
	return file.Runners, nil
}

func (r records) content() ([]byte, error) {
	text, err := json.MarshalIndent(struct {
		Runners records `json:"runners"`
	}{r}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", FileRecords, err)
	}
	return append(text, '\n'), nil
}

// attributes is what the forge has to know about r.
func (cfg Config) attributes(r Runner) Attributes {
	return Attributes{
		Description: r.Name, Tags: slices.Sorted(slices.Values(r.Tags)), RunUntagged: r.runUntagged(),
		Locked: r.Locked, Paused: r.Paused, AccessLevel: r.AccessLevel, MaximumTimeout: r.MaximumTimeout,
		Group: r.Group, Project: r.Project, Note: "hepta " + cfg.Stack + "/" + r.Name,
	}
}

// changes says in which ways a differs from what was.
func (a Attributes) changes(was Attributes) []string {
	var out []string
	say := func(name string, x, y any) {
		if fmt.Sprint(x) != fmt.Sprint(y) {
			out = append(out, fmt.Sprintf("%s %v → %v", name, x, y))
		}
	}
	say("description", was.Description, a.Description)
	say("tags", was.Tags, a.Tags)
	say("run_untagged", was.RunUntagged, a.RunUntagged)
	say("locked", was.Locked, a.Locked)
	say("paused", was.Paused, a.Paused)
	say("access_level", was.AccessLevel, a.AccessLevel)
	say("maximum_timeout", was.MaximumTimeout, a.MaximumTimeout)
	say("note", was.Note, a.Note)
	return out
}

// moved reports whether a runner of other attributes has to be another one: what
// a runner belongs to is settled when it is made.
func (a Attributes) moved(was Attributes) bool {
	return a.Group != was.Group || a.Project != was.Project
}

// fingerprint tells tokens apart without holding one.
func fingerprint(token Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// keysOf lists the keys that a section sets.
func keysOf(s Section) []string {
	s, err := s.normalized()
	if err != nil {
		return nil
	}
	var out []string
	for _, l := range leaves(s.Set, nil) {
		if k := dotted(l.path); k != "name" {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// unset are the keys that were ours and are no longer set.
func (r record) unset(s Section) [][]string {
	now := keysOf(s)
	var out [][]string
	for _, k := range r.Keys {
		if slices.Contains(now, k) || slices.ContainsFunc(now, func(n string) bool { return strings.HasPrefix(n, k+".") }) {
			continue
		}
		doc, err := parse([]byte(k + " = 0"))
		if err == nil && len(doc) == 1 && len(doc[0].exprs) == 1 {
			out = append(out, doc[0].exprs[0].path)
		}
	}
	return out
}

// held is what a config.toml says about one runner.
type held struct {
	name  string
	url   string
	token Secret
	id    int64 // as the runner itself may have noted it
}

// entries reads the runners of a config.toml in the file's order. Several may
// have one name.
func entries(content []byte) ([]held, error) {
	doc, err := parse(content)
	if err == nil {
		doc, err = doc.outOfLine(content)
	}
	if err != nil {
		return nil, brokenConfig(err)
	}
	var out []held
	for _, sec := range doc.sections() {
		table, err := decodeSection(document(sec).bytes())
		if err != nil {
			return nil, brokenConfig(err)
		}
		name, _ := table["name"].(string)
		url, _ := table["url"].(string)
		token, _ := table["token"].(string)
		id, _ := table["id"].(int64)
		out = append(out, held{name, strings.TrimRight(url, "/"), secret.New(token), id})
	}
	return out, nil
}

// holdings reads the runners of a config.toml, the first of each name.
func holdings(content []byte) (map[string]held, error) {
	list, err := entries(content)
	if err != nil {
		return nil, err
	}
	out := map[string]held{}
	for _, h := range list {
		if _, twice := out[h.name]; !twice {
			out[h.name] = h
		}
	}
	return out, nil
}

// brokenConfig says what to do about a config.toml that cannot be read.
func brokenConfig(err error) error {
	return &fault.Error{Op: "read", What: FileConfig, Err: err,
		Remedy: "Repair that line; the file lies below the data directory on the Docker host and was left as it is. A runner that runs keeps its last good configuration."}
}

// seen reads one of the files as it was observed.
func seen(o *converge.Observed, path string) (content []byte, looked bool) {
	f, ok := o.Files[path]
	return f.Content, ok
}
