package ci

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
)

const maxIncludes = 150

// Include names a file that another one includes.
type Include struct {
	// Kind is local, project, remote, template, component or artifact.
	Kind string
	// File is a path without a leading slash, an address, or the name of a
	// template or component.
	File string
	// Project and Ref say where the file lies: of project and component, and of
	// a local file that one of those includes. Empty: in the commit itself. Ref of
	// an artifact is the job that made it.
	Project, Ref string
}

// What ParseOptions.Include returns for a file of a kind that it does not serve,
// of a project that is not there or that the user may not read, and of a ref
// that the project does not have. Any other error says that there is no such file.
var (
	ErrNotServed   = errors.New("not served here")
	ErrNoProject   = errors.New("not found or access denied")
	ErrNoReference = errors.New("no such reference")
)

// String is the file as it is written.
func (i Include) String() string {
	switch i.Kind {
	case "component":
		return i.Project + "/" + i.File + "@" + i.Ref
	case "project":
		return i.Project + ":" + i.File
	}
	return i.File
}

// included lays root over what it includes, in order. The result has no
// include key. From says where local files are.
func (l *loader) included(root *value, from Include) *value {
	inc := root.get("include")
	own := newMap(root.at)
	for _, f := range root.fields {
		if f.key != "include" {
			own.set(f)
		}
	}
	if inc == nil || inc.kind == kNull {
		return own
	}
	entries := []*value{inc}
	if inc.kind == kList {
		entries = flatten(inc, 0)
	}
	base := newMap(root.at)
	for _, e := range entries {
		files, inputs := l.names(e, from)
		for _, file := range files {
			if v := l.include(file, inputs, e.at); v != nil {
				base = merge(base, v)
			}
		}
	}
	return merge(base, own)
}

var includeKeys = []string{"local", "file", "remote", "project", "ref", "template", "component", "artifact", "job", "inputs", "rules", "integrity", "cache"}

// names gives the files of one entry of include, and the inputs for them.
func (l *loader) names(e *value, from Include) ([]Include, *value) {
	if text, ok := e.str(); ok {
		if text = l.expand(text); strings.Contains(text, "://") {
			return []Include{{Kind: "remote", File: text}}, nil
		}
		return l.locals(text, from, e.at), nil
	}
	if e.kind != kMap {
		l.errs.add(e.at, "include config should be a hash or a string")
		return nil, nil
	}
	for _, f := range e.fields {
		if !slices.Contains(includeKeys, f.key) {
			l.errs.add(f.at, "include config contains unknown keys: %s", f.key)
			return nil, nil
		}
	}
	d := &decoder{errs: l.errs}
	kinds := slices.DeleteFunc([]string{"local", "project", "remote", "template", "component", "artifact"}, func(k string) bool { return !e.has(k) })
	if len(kinds) != 1 {
		l.errs.add(e.at, "include needs to match exactly one accessor!")
		return nil, nil
	}
	name := l.expand(d.text(e.get(kinds[0]), "include "+kinds[0]))
	if !l.wanted(e.get("rules")) {
		return nil, nil
	}
	inputs := present(e, "inputs")
	if inputs != nil && inputs.kind != kMap {
		l.errs.add(inputs.at, "include inputs should be a hash")
		return nil, nil
	}
	switch kinds[0] {
	case "local":
		return l.locals(name, from, e.at), inputs
	case "project":
		var list []Include
		for _, file := range d.strings(e.get("file"), "include file") {
			list = append(list, Include{"project", strings.TrimPrefix(l.expand(file), "/"), name, l.expand(d.text(e.get("ref"), "include ref"))})
		}
		if list == nil {
			l.errs.add(e.at, "include project needs file")
		}
		return list, inputs
	case "component":
		if c, ok := componentOf(name); ok {
			return []Include{c}, inputs
		}
		l.errs.add(e.at, "Component '%s' - the address should be HOST/PROJECT/NAME@VERSION", name)
		return nil, nil
	case "artifact":
		return []Include{{Kind: "artifact", File: name, Ref: d.text(e.get("job"), "include job")}}, inputs
	}
	return []Include{{Kind: kinds[0], File: name}}, inputs
}

// componentOf reads HOST/PROJECT/NAME@VERSION.
func componentOf(address string) (Include, bool) {
	path, version, ok := strings.Cut(address, "@")
	slash := strings.LastIndexByte(path, '/')
	if !ok || version == "" || slash < 0 || !strings.Contains(path[:slash], "/") {
		return Include{}, false
	}
	return Include{"component", path[slash+1:], path[:slash], version}, true
}

func (l *loader) expand(text string) string {
	if l.options.Event == nil {
		return text
	}
	return ExpandFully(text, l.options.Event.bare().written)
}

// locals are the files that a path or a pattern names.
func (l *loader) locals(name string, from Include, at place) []Include {
	name = strings.TrimPrefix(name, "/")
	one := Include{"local", name, from.Project, from.Ref}
	switch {
	case from.Kind == "remote" || from.Kind == "template":
		l.errs.add(at, "Local file `%s` does not exist!", name)
		return nil
	case !l.extension(one, at):
		return nil
	case !strings.Contains(name, "*"):
		return []Include{one}
	}
	re, err := regexp.Compile(globPattern(name))
	if err != nil {
		l.errs.add(at, "include pattern `%s` cannot be read", name)
		return nil
	}
	if from.Project != "" || l.options.Files == nil {
		l.errs.add(at, "include pattern `%s`: the files of this project cannot be listed here", name)
		return nil
	}
	var list []Include
	for _, f := range slices.Sorted(slices.Values(l.options.Files())) {
		if re.MatchString(f) {
			one.File = f
			list = append(list, one)
		}
	}
	if len(list) == 0 {
		l.missing(at, "Local file `%s` does not exist!", name)
	}
	return list
}

// wanted decides include:rules.
func (l *loader) wanted(v *value) bool {
	if v == nil {
		return true
	}
	d := &decoder{errs: l.errs}
	rules := d.rules(v, "include", ruleOfInclude)
	if l.options.Event == nil {
		l.warnings = append(l.warnings, "include:rules was not evaluated: every file is included")
		return true
	}
	r, ok := decide(rules, l.options.Event, l.options.Event.bare())
	return ok && r.when != "never"
}

var yamlFile = regexp.MustCompile(`(?i).\.ya?ml$`)

// extension reports whether a file's name is one that can be included, and says so
// where it is not. Names of components have none.
func (l *loader) extension(file Include, at place) bool {
	switch base := path.Base(file.File); {
	case file.Kind == "component" || variableIn(file.File):
	case file.Kind == "template" && !strings.HasSuffix(file.File, ".gitlab-ci.yml"):
		l.errs.add(at, "Template file `%s` is not a valid location!", file.File)
		return false
	case !yamlFile.MatchString(base):
		l.errs.add(at, "Included file `%s` does not have YAML extension!", file.File)
		return false
	}
	return true
}

// missing notes a file that is not there: what is left may lack what it had.
func (l *loader) missing(at place, format string, args ...any) {
	l.errs.incomplete = true
	l.errs.add(at, format, args...)
}

func (l *loader) include(file Include, inputs *value, at place) *value {
	if l.count++; l.count > maxIncludes {
		if l.count == maxIncludes+1 {
			l.missing(at, "Maximum of %d nested includes are allowed!", maxIncludes)
		}
		return nil
	}
	if !l.extension(file, at) {
		return nil
	}
	if slices.Contains(l.open, file) {
		l.errs.add(at, "include: `%s` includes itself", file)
		return nil
	}
	err := ErrNotServed
	var src []byte
	if l.options.Include != nil {
		src, err = l.options.Include(file)
	}
	switch {
	case errors.Is(err, ErrNotServed) && file.Kind != "local":
		l.missing(at, "include:%s is not served here: `%s` (the test or the caller can give it)", file.Kind, file)
		return nil
	case err != nil && file.Kind == "component":
		l.missing(at, "Component '%s' - content not found", file)
		return nil
	case file.Kind == "project" && errors.Is(err, ErrNoProject):
		l.missing(at, "Project `%s` not found or access denied! Make sure any includes in the pipeline configuration are correctly defined.", file.Project)
		return nil
	case file.Kind == "project" && errors.Is(err, ErrNoReference):
		l.missing(at, "Project `%s` reference `%s` does not exist!", file.Project, firstOf(file.Ref, "HEAD"))
		return nil
	case file.Kind == "project" && err != nil:
		l.missing(at, "Project `%s` file `%s` does not exist!", file.Project, file.File)
		return nil
	case err != nil:
		kind := map[string]string{"local": "Local", "remote": "Remote", "template": "Template", "artifact": "Artifact"}[file.Kind]
		l.missing(at, "%s file `%s` does not exist!", kind, file.File)
		return nil
	}
	l.open = append(l.open, file)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	before := l.errs.count()
	name := file.File
	if file.Kind != "local" || file.Project != "" {
		name = file.String()
	}
	v := l.load(src, name, file, inputs)
	if v == nil && l.errs.count() == before {
		l.errs.add(at, "%s file `%s` is empty!", strings.ToUpper(file.Kind[:1])+file.Kind[1:], file.File)
	}
	return v
}
