package vcs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// mercurial is the hg of the host and the Python that runs it.
type mercurial struct {
	hg     string
	python string
	topics bool // the extensions topic and evolve are there
}

// findHg looks for hg and for its own Python: the first python3 of PATH may
// not have Mercurial's modules.
func findHg(s *store) (mercurial, error) {
	name, err := exec.LookPath("hg")
	if err != nil {
		return mercurial{}, fmt.Errorf("look for hg (install Mercurial, or put it in PATH): %w", err)
	}
	m := mercurial{hg: name, python: shebang(name)}
	// A program of the host that answers at once or fails: no caller's
	// context may end what all later callers rely on.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if m.python == "" {
		out, err := s.output(ctx, invocation{name: name, args: []string{"debuginstall", "-T", "{pythonexe}"}})
		if err != nil {
			return mercurial{}, fmt.Errorf("ask hg for its python: %w", err)
		}
		m.python = strings.TrimSpace(string(out))
	}
	var out bytes.Buffer
	err = s.hgOutput(ctx, m, []string{
		"--config", "extensions.topic=", "--config", "extensions.evolve=", "debugextensions", "-T", `{name}\n`,
	}, into(&out))
	if err != nil {
		return mercurial{}, fmt.Errorf("ask hg for its extensions: %w", err)
	}
	found := strings.Fields(out.String())
	config := ""
	if m.topics = slices.Contains(found, "topic") && slices.Contains(found, "evolve"); m.topics {
		config = hgTopicConfig
	}
	if err := s.keep("topic.hgrc", []byte(config)); err != nil {
		return mercurial{}, err
	}
	return m, nil
}

// shebang gives the interpreter of a script when that is an absolute path of a
// Python, else nothing.
func shebang(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 512).ReadString('\n')
	words, ok := strings.CutPrefix(line, "#!")
	fields := strings.Fields(words)
	if !ok || len(fields) == 0 || !filepath.IsAbs(fields[0]) || !strings.HasPrefix(filepath.Base(fields[0]), "python") {
		return ""
	}
	return fields[0]
}

// hgRepo answers for one Mercurial repository.
type hgRepo struct {
	s   *store
	dir string
}

// into reads all of an output.
func into(b *bytes.Buffer) func(io.Reader) error {
	return func(r io.Reader) error { _, err := b.ReadFrom(r); return err }
}

// read runs an hg command and gives its output to fn.
func (h hgRepo) read(ctx context.Context, fn func(io.Reader) error, args ...string) error {
	m, err := h.s.hg()
	if err != nil {
		return err
	}
	return h.s.hgOutput(ctx, m, append([]string{"-R", h.dir}, args...), fn)
}

func (h hgRepo) run(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := h.read(ctx, into(&out), args...)
	return out.Bytes(), err
}

func (s *store) hgInit(ctx context.Context, dir string) error {
	m, err := s.hg()
	if err != nil {
		return err
	}
	return s.hgOutput(ctx, m, []string{"init", "--", dir}, into(&bytes.Buffer{}))
}

// hgChangeset is what the templates below print of one changeset.
type hgChangeset struct {
	ID      string   `json:"id"`
	Parents []string `json:"parents"`
	Author  string   `json:"author"`
	Date    string   `json:"date"`
	Message string   `json:"message"`
	Branch  string   `json:"branch"`
	Topic   string   `json:"topic"`
	Head    string   `json:"head"` // "y" on a head of its named branch
	Closed  string   `json:"closed"`
	Tags    []string `json:"tags"`
}

const (
	hgCommitTemplate = `{dict(id=node, parents=splitlines("{p1node}\n{p2node}"), author=author, date=date|rfc3339date, message=desc, branch=branch)|json}` + "\n"
	hgRefFields      = `id=node, branch=branch, tags=tags, head=ifcontains(rev, revset("head()"), "y", ""), closed=get(extras, "close")`
)

func (h hgRepo) log(ctx context.Context, revset, template string, more ...string) ([]hgChangeset, error) {
	out, err := h.run(ctx, append([]string{"log", "--rev", revset, "--template", template}, more...)...)
	if err != nil {
		return nil, err
	}
	var list []hgChangeset
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var c hgChangeset
		if err := d.Decode(&c); err != nil {
			return nil, fmt.Errorf("read hg log: %w", err)
		}
		list = append(list, c)
	}
	return list, nil
}

// refs names the tip-most open head of every named branch and of every topic,
// and the tags.
func (h hgRepo) refs(ctx context.Context) ([]Ref, error) {
	state := h.state()
	if refs, ok := h.s.refs.get(h.dir, state); ok {
		return refs, nil
	}
	m, err := h.s.hg()
	if err != nil {
		return nil, err
	}
	fields := hgRefFields
	if m.topics {
		fields += ", topic=topic"
	}
	list, err := h.log(ctx, "head() or tag()", "{dict("+fields+")|json}\n")
	if err != nil {
		return nil, err
	}
	heads := map[string]string{}
	var refs []Ref
	for _, c := range list {
		if c.Head != "" && c.Closed == "" {
			name := "branch/" + c.Branch
			if c.Topic != "" {
				name = "topic/" + c.Branch + "/" + c.Topic
			}
			heads[name] = c.ID
		}
		for _, t := range c.Tags {
			if t != "tip" {
				refs = append(refs, Ref{Name: t, Tag: true, ID: c.ID})
			}
		}
	}
	for name, id := range heads {
		refs = append(refs, Ref{Name: name, ID: id})
	}
	sortRefs(refs, "branch/default")
	h.s.refs.put(h.dir, state, refs)
	return refs, nil
}

func (h hgRepo) expand(ctx context.Context, id string) (string, error) {
	list, err := h.log(ctx, `id("`+id+`")`, `{dict(id=node)|json}`)
	if f := (*failure)(nil); errors.As(err, &f) || err == nil && len(list) != 1 {
		return "", fmt.Errorf("revision %q: %w", id, fs.ErrNotExist)
	}
	if err != nil {
		return "", err
	}
	return list[0].ID, nil
}

func (h hgRepo) commits(ctx context.Context, id string, limit int) ([]Commit, error) {
	list, err := h.log(ctx, `reverse(::id("`+id+`"))`, hgCommitTemplate, "--limit", fmt.Sprint(limit))
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for _, c := range list {
		var parents []string
		for _, p := range c.Parents {
			if p != Zero {
				parents = append(parents, p)
			}
		}
		commits = append(commits, Commit{
			ID: c.ID, Title: title(c.Message), Message: c.Message, Author: c.Author,
			Timestamp: c.Date, Parents: parents, Branch: c.Branch,
		})
	}
	return commits, nil
}

// file relies on a tree in which no name is both a file and a directory: what
// hg prints first is the file itself, or something below a directory.
func (h hgRepo) file(ctx context.Context, id, name string) ([]byte, error) {
	out, err := h.run(ctx, "cat", "--rev", id, "--template", `{path}\0{data}`, "--", "path:"+name)
	if f := (*failure)(nil); errors.As(err, &f) && f.status == 1 {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	path, data, ok := bytes.Cut(out, []byte{0})
	if !ok || string(path) != name {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (h hgRepo) files(ctx context.Context, id string) ([]string, error) {
	out, err := h.run(ctx, "files", "--rev", id, "--template", `{path}\0`)
	if f := (*failure)(nil); errors.As(err, &f) && f.status == 1 && f.text == "" {
		err = nil // an empty tree
	}
	return split0(out), err
}

// tagMessage: a tag of Mercurial has none, only the commit that records it has.
func (h hgRepo) tagMessage(context.Context, string) (string, error) { return "", nil }

func (h hgRepo) ancestor(ctx context.Context, a, b string) (string, error) {
	out, err := h.run(ctx, "log", "--rev", "ancestor("+a+", "+b+")", "--template", "{node}")
	return strings.TrimSpace(string(out)), err
}

func (h hgRepo) changed(ctx context.Context, from, to string) ([]string, error) {
	out, err := h.run(ctx, "status", "--rev", from, "--rev", to, "-mar", "--no-status", "--print0")
	return split0(out), err
}

// state changes with everything that refs depend on: Mercurial only appends.
func (h hgRepo) state() string {
	var b strings.Builder
	for _, name := range []string{"00changelog.i", "00changelog.d", "phaseroots", "obsstore"} {
		if st, err := os.Stat(filepath.Join(h.dir, ".hg", "store", name)); err == nil {
			fmt.Fprintf(&b, "%d.%d ", st.Size(), st.ModTime().UnixNano())
		} else {
			b.WriteString("- ")
		}
	}
	return b.String()
}

// refCache remembers the refs of one state of each repository.
type refCache struct {
	mu sync.Mutex
	m  map[string]refState
}

type refState struct {
	state string
	refs  []Ref
}

func (c *refCache) get(dir, state string) ([]Ref, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.m[dir]
	if !ok || r.state != state {
		return nil, false
	}
	return append([]Ref(nil), r.refs...), true
}

func (c *refCache) put(dir, state string, refs []Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]refState{}
	}
	c.m[dir] = refState{state, append([]Ref(nil), refs...)}
}

func (c *refCache) drop(dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, dir)
}
