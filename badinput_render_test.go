package hepta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/converge"
)

// rendering is a stack from a bait and one from a good value in its place.
type rendering struct {
	name, text string
	got, good  *Stack
}

// compare holds every rendered stack against that of the good value in which
// the good value's word is replaced by the bait.
func (b *badInput) compare() {
	b.Helper()
	trees := map[*Stack]map[string]any{}
	var order []*Stack
	var scripts []map[string]any
	for _, r := range b.todo {
		for _, s := range []*Stack{r.got, r.good} {
			if trees[s] != nil {
				continue
			}
			tree, ruby := rendered(b.T, r.name, s)
			trees[s], order, scripts = tree, append(order, s), append(scripts, ruby)
		}
	}
	for i, settings := range evalGitlabRB(b.T, scripts) {
		trees[order[i]]["gitlab.rb"] = settings
	}
	for _, r := range b.todo {
		want := replaced(trees[r.good], r.text)
		if d := gocmp.Diff(want, any(trees[r.got])); d != "" {
			b.Errorf("%s: comes out as something else (-want +got):\n%s", r.name, d)
		}
	}
}

// goodWord stands in a row's good value where the baits go.
const goodWord = "goodword"

// replaced is a tree with text for goodWord.
func replaced(v any, text string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, goodWord, text)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = replaced(v[i], text)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[strings.ReplaceAll(k, goodWord, text)] = replaced(v[k], text)
		}
		return out
	}
	return v
}

// rendered is everything of a stack, each file read as its program reads it;
// gitlab.rb, and the files that it reads, are left to Ruby.
func rendered(t *testing.T, name string, s *Stack) (tree, ruby map[string]any) {
	t.Helper()
	tree, ruby = map[string]any{}, map[string]any{"text": ""}
	inside := map[string]string{}
	for _, f := range s.want.Files {
		var current []byte
		if base := filepath.Base(f.Path); base == "root_password" && s.cfg.Heptapod.RootPassword.Empty() || base == "hepta.key" {
			current = []byte("made before\n")
		}
		content, err := f.Render(&converge.Observed{}, current)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var v any = string(content)
		switch filepath.Base(f.Path) {
		case "gitlab.rb":
			ruby["text"] = string(content)
			continue
		case "root_password", "smtp_password":
			inside["/etc/gitlab/hepta/"+filepath.Base(f.Path)] = string(content)
		case "config.toml":
			var table map[string]any
			err = toml.Unmarshal(content, &table)
			v = table
		case "hepta.json":
			v, err = recorded(content)
		case "config.yml": // of the mirror
			v = nil
			err = yaml.Unmarshal(content, &v)
		case "hepta.yaml":
			v = nil
			err = yaml.Unmarshal(usersHash.ReplaceAll(content, []byte("dashboard-HASH")), &v)
		}
		if err != nil {
			t.Errorf("%s: %s cannot be read: %v\n%s", name, f.Path, err, content)
		}
		tree[f.Path] = v
	}
	ruby["files"] = inside
	for _, c := range s.want.Containers {
		var spec any
		if err := json.Unmarshal([]byte(c.Spec()), &spec); err != nil {
			t.Errorf("%s: spec of %s: %v", name, c.Service, err)
		}
		tree["spec of "+c.Service] = spec
		tree["labels of "+c.Service] = plain(t, c.Labels)
		tree["command of "+c.Service] = plain(t, c.Cmd)
		tree["environment of "+c.Service] = plain(t, c.Env)
	}
	return tree, ruby
}

// usersHash is in the name of what asks for the dashboard's users.
var usersHash = regexp.MustCompile(`dashboard-[0-9a-f]{8}`)

// recorded is what the runners' records say, with their keys of config.toml
// read as TOML.
func recorded(content []byte) (any, error) {
	var file struct {
		Runners map[string]map[string]any `json:"runners"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	for _, r := range file.Runners {
		var lines strings.Builder
		for _, key := range r["keys"].([]any) {
			fmt.Fprintf(&lines, "%s = 0\n", key)
		}
		var keys map[string]any
		if err := toml.Unmarshal([]byte(lines.String()), &keys); err != nil {
			return nil, err
		}
		r["keys"] = keys
		delete(r, "given") // a fingerprint
	}
	out := map[string]any{}
	for name, r := range file.Runners {
		out[name] = r
	}
	return out, nil
}

// plain is v as JSON has it.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// omnibus evaluates each gitlab.rb as the forge does, with the files that it reads.
const omnibus = `
require 'json'
class File
  class << self
    def exist?(path) = $files.key?(path)
    def read(path, **) = $files.fetch(path).dup
  end
end
class Settings
  def initialize = @all = {}
  attr_reader :all
  def method_missing(name, *args)
    return @all[name.to_s] ||= {} if args.empty?
    @all[name.to_s] = args.first
  end
  def respond_to_missing?(*) = true
end
puts JSON.generate(JSON.parse(STDIN.read).map { |one|
  $files = one['files']
  settings = Settings.new
  settings.instance_eval(one['text'], 'gitlab.rb', 1)
  settings.all
})
`

func evalGitlabRB(t *testing.T, scripts []map[string]any) (settings []any) {
	t.Helper()
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Fatal("this test needs Ruby, which reads gitlab.rb: install it (apt-get install ruby)")
	}
	in, err := json.Marshal(scripts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ruby, "-e", omnibus)
	cmd.Env = append(cmd.Environ(), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "RUBYOPT=")
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &settings)
	}
	if err != nil || len(settings) != len(scripts) {
		t.Fatalf("ruby: %v, %d of %d\n%s", err, len(settings), len(scripts), stderr.String())
	}
	return settings
}
