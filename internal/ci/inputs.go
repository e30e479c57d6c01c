package ci

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	specKeys  = []string{"inputs", "include", "component", "description"}
	inputKeys = []string{"default", "description", "options", "regex", "type", "rules"}
	// inputRef is a reference to an input with the functions that it goes through.
	inputRef = regexp.MustCompile(`\$\[\[\s*(.*?)\s*\]\]`)
	// inputName follows "inputs.".
	inputName   = regexp.MustCompile(`^inputs\.([A-Za-z0-9_-]+)$`)
	truncateArg = regexp.MustCompile(`^truncate\(\s*(\d+)\s*,\s*(\d+)\s*\)$`)
)

const (
	maxInputFunctions = 3
	maxInputText      = maxSource
)

// header reads the document that declares inputs, and what is given for them.
func (r *reader) header(n *yaml.Node, given *value) {
	v := r.read(n, 0)
	r.inputs = map[string]*value{}
	spec := v.get("spec")
	if spec == nil {
		r.errs.add(v.at, "of two documents, the first should be a header with spec:")
		return
	}
	d := &decoder{errs: r.errs}
	d.known(v, "header", []string{"spec"})
	if spec.kind == kMap {
		d.known(spec, "header:spec", specKeys)
	}
	declared := present(spec, "inputs")
	if declared != nil && declared.kind != kMap {
		r.errs.add(declared.at, "header:spec:inputs config should be a hash")
		return
	}
	if given != nil {
		for _, f := range given.fields {
			if !declared.has(f.key) {
				r.errs.add(f.at, "unknown input arguments: %s", f.key)
			}
		}
	}
	if declared == nil {
		return
	}
	for _, f := range declared.fields {
		r.input(d, f, given.get(f.key))
	}
}

// input checks one declaration and notes the value that it has.
func (r *reader) input(d *decoder, f field, given *value) {
	path := "header:spec:inputs:" + f.key
	spec := f.val
	if spec.kind == kNull {
		spec = newMap(f.at)
	}
	if spec.kind != kMap {
		r.errs.add(f.at, "%s config should be a hash or nil", path)
		return
	}
	d.known(spec, path, inputKeys)
	kind := firstOf(d.oneOf(spec.get("type"), path+" type", []string{"string", "array", "boolean", "number"}), "string")
	// What is wrong is told once; whatever refers to the input goes on.
	r.inputs[f.key] = &value{kind: kText, at: f.at, size: 1}
	v := given
	if v == nil {
		v = spec.get("default")
	}
	if v == nil {
		r.errs.add(f.at, "`%s` input: required value has not been provided", f.key)
		return
	}
	if !ofType(v, kind) {
		what := "provided value"
		if given == nil {
			what = "default value"
		}
		r.errs.add(v.at, "`%s` input: %s is not %s", f.key, what, map[string]string{"string": "a string", "array": "an array", "boolean": "a boolean", "number": "a number"}[kind])
		return
	}
	if options := present(spec, "options"); options != nil {
		if kind == "array" || kind == "boolean" {
			r.errs.add(options.at, "`%s` input: options can be only used with string and number inputs", f.key)
		} else if options.kind != kList || !slices.ContainsFunc(options.items, func(o *value) bool { return o.text == v.text }) {
			r.errs.add(v.at, "`%s` input: `%s` cannot be used because it is not in the list of allowed options", f.key, cut(v.text, 40))
		}
	}
	if pattern := present(spec, "regex"); pattern != nil {
		switch re, err := regexp.Compile(strings.TrimSuffix(strings.TrimPrefix(pattern.text, "/"), "/")); {
		case kind != "string":
			r.errs.add(pattern.at, "`%s` input: RegEx validation can only be used with string inputs", f.key)
		case err != nil:
			r.errs.add(pattern.at, "`%s` input: invalid regular expression", f.key)
		case !re.MatchString(v.text):
			r.errs.add(v.at, "`%s` input: provided value does not match required RegEx pattern", f.key)
		}
	}
	r.inputs[f.key] = v
}

func ofType(v *value, kind string) bool {
	switch kind {
	case "array":
		return v.kind == kList
	case "boolean":
		return v.kind == kBool
	case "number":
		return v.kind == kInt || v.kind == kFloat
	}
	return v.kind == kText || v.kind == kNull
}

// interpolate puts inputs into a scalar of a file that has a header. A scalar
// that is one reference takes the input's own type.
func (r *reader) interpolate(n *yaml.Node) (text string, whole *value) {
	if r.inputs == nil || !strings.Contains(n.Value, "$[[") {
		return n.Value, nil
	}
	if at := inputRef.FindStringIndex(n.Value); at != nil && at[0] == 0 && at[1] == len(n.Value) {
		v := r.inputValue(inputRef.FindStringSubmatch(n.Value)[1], n)
		if v == nil {
			return "", nil
		}
		return v.text, v
	}
	text = inputRef.ReplaceAllStringFunc(n.Value, func(ref string) string {
		v := r.inputValue(inputRef.FindStringSubmatch(ref)[1], n)
		switch {
		case v == nil:
			return ""
		case v.kind == kList || v.kind == kMap:
			return inlineText(v, 0)
		}
		return v.text
	})
	if len(text) > maxInputText {
		r.errs.add(r.at(n), "interpolated text is longer than %d characters", maxInputText)
		return "", nil
	}
	return text, nil
}

// inputValue evaluates what stands between $[[ and ]]: an input and functions.
func (r *reader) inputValue(block string, n *yaml.Node) *value {
	parts := strings.Split(block, "|")
	name := strings.TrimSpace(parts[0])
	m := inputName.FindStringSubmatch(name)
	if m == nil || r.inputs[m[1]] == nil {
		r.errs.add(r.at(n), "unknown interpolation key: `%s`", strings.TrimPrefix(name, "inputs."))
		return nil
	}
	v := r.inputs[m[1]]
	if len(parts)-1 > maxInputFunctions {
		r.errs.add(r.at(n), "too many functions in interpolation block")
		return nil
	}
	for _, call := range parts[1:] {
		call = strings.TrimSpace(call)
		cut := truncateArg.FindStringSubmatch(call)
		switch {
		case call != "expand_vars" && call != "posix_escape" && cut == nil:
			r.errs.add(r.at(n), "no function matching `%s`: check that the function name, arguments, and types are correct", call)
			return nil
		case v.kind != kText && v.kind != kNull:
			r.errs.add(r.at(n), "invalid input type: %s can only be used with string inputs", strings.SplitN(call, "(", 2)[0])
			return nil
		}
		text := v.text
		switch {
		case call == "expand_vars":
			if r.event != nil {
				if name := r.event.maskedIn(text); name != "" {
					r.errs.add(r.at(n), "variable expansion error: masked variables cannot be expanded (%s)", name)
					return nil
				}
				text = Expand(text, r.event.bare().written)
			}
		case call == "posix_escape":
			text = posixEscape(text)
		default:
			runes := []rune(text)
			from, _ := strconv.Atoi(cut[1])
			size, _ := strconv.Atoi(cut[2])
			from = min(from, len(runes))
			text = string(runes[from:min(from+min(size, len(runes)), len(runes))])
		}
		v = &value{kind: kText, text: text, at: v.at, size: 1}
	}
	return v
}

var shellWord = regexp.MustCompile(`[^A-Za-z0-9_\-.,:+/@\n]`)

// posixEscape escapes text for a Bourne shell.
func posixEscape(text string) string {
	if text == "" {
		return "''"
	}
	return strings.ReplaceAll(shellWord.ReplaceAllString(text, `\$0`), "\n", "'\n'")
}

// inlineText is an array inside of text, as JSON has it.
func inlineText(v *value, depth int) string {
	switch {
	case depth > maxDepth:
		return ""
	case v.kind == kList:
		parts := make([]string, len(v.items))
		for i, item := range v.items {
			parts[i] = inlineText(item, depth+1)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case v.kind == kMap:
		parts := make([]string, len(v.fields))
		for i, f := range v.fields {
			parts[i] = strconv.Quote(f.key) + ": " + inlineText(f.val, depth+1)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case v.kind == kText:
		return strconv.Quote(v.text)
	}
	return v.text
}
