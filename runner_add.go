package hepta

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner"
)

// RunnerDraft is what a new entry of the list runners says.
type RunnerDraft struct {
	Name       string // required, and no other runner's
	Mode       string // "": plain
	Tags       []string
	Concurrent int    // 0: the default
	Image      string // "": the default
}

// line is the entry as one line of YAML.
func (d RunnerDraft) line() string {
	parts := []string{"name: " + quoteYAML(d.Name), "mode: " + quoteYAML(cmp.Or(d.Mode, string(runner.Plain)))}
	if len(d.Tags) > 0 {
		tags := make([]string, len(d.Tags))
		for i, t := range d.Tags {
			tags[i] = quoteYAML(t)
		}
		parts = append(parts, "tags: ["+strings.Join(tags, ", ")+"]")
	}
	if d.Concurrent > 0 {
		parts = append(parts, fmt.Sprintf("concurrent: %d", d.Concurrent))
	}
	if d.Image != "" {
		parts = append(parts, "image: "+quoteYAML(d.Image))
	}
	return "- {" + strings.Join(parts, ", ") + "}"
}

// AddRunner appends a runner to the list runners of a configuration and leaves
// every other byte of the file as it is. What would be wrong about the new
// file is a *ConfigError, and nothing is written then.
func AddRunner(path string, d RunnerDraft) error {
	for _, text := range append([]string{d.Name, d.Mode, d.Image}, d.Tags...) {
		if !utf8.ValidString(text) {
			return &fault.Error{Op: "add runner", What: strconv.Quote(d.Name), Why: strconv.Quote(text) + " is not UTF-8", Remedy: "Write it as text."}
		}
	}
	data, _, err := readConfig(path)
	if err != nil {
		return err
	}
	before, err := Parse(path, data)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(before.Runners, func(r Runner) bool { return r.Name == d.Name }) {
		return &fault.Error{Op: "add runner", What: d.Name, Why: path + " describes one of that name", Remedy: "Choose another name, or change that entry."}
	}
	content, err := withRunner(data, d)
	if err == nil {
		var after *Config
		// The name is for the errors, which are about lines that are not there yet.
		if after, err = Parse("runner "+d.Name, content); err == nil && (len(after.Runners) != len(before.Runners)+1 || after.Runners[len(before.Runners)].Name != d.Name) {
			err = unclear(d)
		}
	}
	if err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return unwritten(path, renameio.WriteFile(path, content, mode))
}

// unclear is a file that only a person can add to.
func unclear(d RunnerDraft) error {
	return &fault.Error{Op: "add runner", What: d.Name, Why: "the list runners is not written one entry a line",
		Remedy: "Add it by hand, under runners:\n  " + d.line()}
}

// withRunner puts the entry behind the last one of the list, or a list with it
// behind everything.
func withRunner(data []byte, d RunnerDraft) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, unclear(d)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	top := doc.Content[0].Content
	end, indent, found := len(lines), "  ", false
	for i := 0; i+1 < len(top); i += 2 {
		if found {
			end = top[i].Line - 1 // where the next key begins
			break
		}
		list := top[i+1]
		if top[i].Value != "runners" {
			continue
		}
		if list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 {
			return nil, unclear(d)
		}
		found, indent = true, strings.Repeat(" ", list.Column-1)
	}
	// Comments and blank lines before the next key belong to that.
	for end > 0 && (len(bytes.TrimSpace(lines[end-1])) == 0 || lines[end-1][0] == '#') {
		end--
	}
	entry := indent + d.line() + "\n"
	if !found {
		entry = "\nrunners:\n" + entry
	}
	if end > 0 && !bytes.HasSuffix(lines[end-1], []byte("\n")) {
		entry = "\n" + entry
	}
	return slices.Concat(bytes.Join(lines[:end], nil), []byte(entry), bytes.Join(lines[end:], nil)), nil
}
