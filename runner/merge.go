package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/bom"
)

// Desired is what a config.toml has to say, as far as it is ours.
type Desired struct {
	Concurrent    int // 0 leaves what is there
	CheckInterval int // 0 leaves what is there
	// SessionServer are keys of that table; nil leaves what is there, none takes
	// the table away.
	SessionServer map[string]any
	Runners       []Section
	// Remove are the names of sections that were ours and have to go.
	Remove []string
}

// MergeConfig brings a config.toml, nil when there is none, to what want says.
//
// Everything else survives: other keys anywhere, sections of runners that want
// does not name, and their bytes, order and comments. In a named section
// comments and order stay too, unless something has to change that is written
// as an inline table or a dotted key: then that one section is written anew
// with all its keys. Merging what was merged changes nothing.
//
// A section is found by its name; of several with one name the first counts,
// and those for the same forge go where that is named.
// A file that is not valid TOML is an error that names line and column, and no
// error shows a value.
func MergeConfig(current []byte, want Desired) ([]byte, error) {
	doc, err := parse(current)
	if err != nil {
		return nil, fmt.Errorf("merge config.toml: %w", err)
	}
	if doc, err = doc.outOfLine(current); err != nil {
		return nil, fmt.Errorf("merge config.toml: %w", err)
	}
	if want.Concurrent > 0 {
		doc.top("concurrent", int64(want.Concurrent))
	}
	if want.CheckInterval > 0 {
		doc.top("check_interval", int64(want.CheckInterval))
	}
	if want.SessionServer != nil {
		doc = doc.table("session_server", want.SessionServer)
	}

	done := map[string]bool{}
	for _, sec := range doc.sections() {
		name, err := sec.name()
		if err != nil {
			return nil, fmt.Errorf("merge config.toml: %w", err)
		}
		if i := slices.IndexFunc(want.Runners, func(s Section) bool { return s.Name == name }); i >= 0 {
			if done[name] {
				if want.Runners[i].doubled(sec) {
					sec.become(nil)
				}
				continue
			}
			done[name] = true
			s, err := want.Runners[i].normalized()
			if err != nil {
				return nil, fmt.Errorf("merge config.toml: runner %s: %w", name, err)
			}
			raw, err := s.merge(sec)
			if err != nil {
				return nil, fmt.Errorf("merge config.toml: runner %s: %w", name, err)
			}
			sec.become(raw)
		} else if slices.Contains(want.Remove, name) {
			sec.become(nil)
		}
	}
	out := doc.bytes()
	for _, s := range want.Runners {
		if done[s.Name] {
			continue
		}
		done[s.Name] = true
		s, err := s.completed(nil).normalized()
		if err != nil {
			return nil, fmt.Errorf("merge config.toml: runner %s: %w", s.Name, err)
		}
		table := map[string]any{}
		s.apply(table)
		out = appendSection(out, render(table))
	}
	if _, err := parse(out); err != nil {
		return nil, fmt.Errorf("merge config.toml: the file is written in a way that cannot be changed safely")
	}
	return out, nil
}

// withoutSections is a config.toml without the sections that drop says, by
// their place among all of them.
func withoutSections(current []byte, drop func(i int) bool) ([]byte, error) {
	doc, err := parse(current)
	if err == nil {
		doc, err = doc.outOfLine(current)
	}
	if err != nil {
		return nil, brokenConfig(err)
	}
	for i, sec := range doc.sections() {
		if drop(i) {
			sec.become(nil)
		}
	}
	return doc.bytes(), nil
}

// normalized is s with the name among its keys and values that TOML has.
func (s Section) normalized() (Section, error) {
	v, err := normal(s.Set)
	if err != nil {
		return s, err
	}
	table, _ := v.(map[string]any)
	if table == nil {
		table = map[string]any{}
	}
	table["name"] = s.Name
	s.Set = table
	return s, nil
}

// appendSection puts a section behind the file, one blank line between.
func appendSection(file, section []byte) []byte {
	if n := len(file); n > 0 {
		if file[n-1] != '\n' {
			file = append(file, '\n')
		}
		if n := len(file); n < 2 || file[n-2] != '\n' {
			file = append(file, '\n')
		}
	}
	return append(file, section...)
}

// runnerBlocks are the blocks of one section, in the file's order; tables of
// other things may stand between them.
type runnerBlocks []*block

// sections finds the [[runners]] sections.
func (d document) sections() []runnerBlocks {
	var out []runnerBlocks
	for _, b := range d {
		if len(b.path) == 0 || b.path[0] != "runners" {
			continue
		}
		if len(b.path) == 1 {
			out = append(out, nil)
		}
		if len(out) > 0 {
			out[len(out)-1] = append(out[len(out)-1], b)
		}
	}
	return out
}

// doubled reports whether a section of the same name, behind the one that counts,
// is for the forge that s names.
func (s Section) doubled(sec runnerBlocks) bool {
	url, named := s.Set["url"].(string)
	table, err := decodeSection(document(sec).bytes())
	if err != nil || !named {
		return false
	}
	other, _ := table["url"].(string)
	return strings.TrimRight(other, "/") == strings.TrimRight(url, "/")
}

func (s runnerBlocks) name() (string, error) {
	table, err := decodeSection(document(s).bytes())
	if err != nil {
		return "", err
	}
	name, _ := table["name"].(string)
	return name, nil
}

// become puts raw in the place of the whole section.
func (s runnerBlocks) become(raw []byte) {
	for i, b := range s {
		b.raw = nil
		if i == 0 {
			b.raw = raw
		}
	}
}

// top sets a key of the file itself.
func (d document) top(name string, value any) {
	b := d[0]
	for _, e := range b.exprs {
		if len(e.path) == 1 && e.path[0] == name {
			if !sameText(b, e, value) {
				b.replace(e.value, e.end, inline(value))
			}
			return
		}
	}
	b.add([]string{name}, value, "")
	if b.exprs[len(b.exprs)-1].end+1 == len(b.raw) && len(d) > 1 {
		b.raw = append(b.raw, '\n')
	}
}

// outOfLine turns `runners = [{…}]`, which is TOML too, into sections. Runners
// that are not an array of tables at all are an error.
func (d document) outOfLine(data []byte) (document, error) {
	var whole map[string]any
	if err := toml.Unmarshal(bom.Trim(data), &whole); err != nil {
		return nil, fmt.Errorf("not valid TOML")
	}
	v, there := whole["runners"]
	if !there {
		return d, nil
	}
	v, err := normal(v)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("runners is not an array of tables: write each runner as a [[runners]] section")
	}
	for i := range list {
		if _, ok := list[i].(map[string]any); !ok {
			return nil, fmt.Errorf("runners[%d] is not a table: write each runner as a [[runners]] section", i)
		}
	}
	for _, e := range d[0].exprs {
		if len(e.path) != 1 || e.path[0] != "runners" {
			continue
		}
		d[0].cut(e)
		out := d.bytes()
		for i := range list {
			out = appendSection(out, render(list[i].(map[string]any)))
		}
		return parse(out)
	}
	return d, nil
}
