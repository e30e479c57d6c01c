package ci

import (
	"slices"
	"strconv"
	"strings"
)

// decoder reads values into what they mean. A path names the entry in messages.
type decoder struct {
	errs     *problems
	warnings []string
}

// ignored notes a keyword that GitLab knows and the embedded forge does not act upon.
func (d *decoder) ignored(path string) {
	d.warn(path + " is ignored here")
}

func (d *decoder) warn(text string) {
	if !slices.Contains(d.warnings, text) && len(d.warnings) < maxProblems {
		d.warnings = append(d.warnings, text)
	}
}

// known reports the keys that are not in the list.
func (d *decoder) known(v *value, path string, keys []string) {
	for _, f := range v.fields {
		if !slices.Contains(keys, f.key) {
			d.errs.add(f.at, "%s config contains unknown keys: %s", path, f.key)
		}
	}
}

// present gives a field's value; nil when it is missing or null.
func present(v *value, key string) *value {
	if f := v.get(key); f != nil && f.kind != kNull {
		return f
	}
	return nil
}

// strings reads a list of strings, or a single one.
func (d *decoder) strings(v *value, path string) []string {
	if s, ok := v.str(); ok {
		return []string{s}
	}
	if v != nil && v.kind != kNull && v.kind != kList {
		d.errs.add(v.at, "%s config should be an array of strings or a string", path)
		return nil
	}
	return d.list(v, path)
}

// list reads a list of strings.
func (d *decoder) list(v *value, path string) []string {
	if v == nil || v.kind == kNull {
		return nil
	}
	if v.kind != kList {
		d.errs.add(v.at, "%s config should be an array of strings", path)
		return nil
	}
	out := []string{}
	for _, i := range v.items {
		s, ok := i.str()
		if !ok {
			d.errs.add(i.at, "%s config should be an array of strings", path)
			continue
		}
		out = append(out, s)
	}
	return out
}

// nested reads strings in lists of lists, as !reference leaves them.
func (d *decoder) nested(v *value, path string) []string {
	if v.kind != kList {
		d.errs.add(v.at, "%s config should be an array of strings", path)
		return nil
	}
	return d.list(&value{kind: kList, at: v.at, items: flatten(v, 0)}, path)
}

// text reads a string.
func (d *decoder) text(v *value, path string) string {
	if v == nil || v.kind == kNull {
		return ""
	}
	if v.kind != kText {
		d.errs.add(v.at, "%s should be a string", path)
		return ""
	}
	return v.text
}

func (d *decoder) boolean(v *value, path string) bool {
	if v == nil || v.kind == kNull {
		return false
	}
	if v.kind != kBool {
		d.errs.add(v.at, "%s should be a boolean value", path)
	}
	return v.text == "true"
}

// integer reads a number between low and high.
func (d *decoder) integer(v *value, path string, low, high int) int {
	n, err := strconv.Atoi(v.text)
	switch {
	case v.kind != kInt || err != nil:
		d.errs.add(v.at, "%s is not a number", path)
	case n < low:
		d.errs.add(v.at, "%s must be greater than or equal to %d", path, low)
	case n > high:
		d.errs.add(v.at, "%s must be less than or equal to %d", path, high)
	default:
		return n
	}
	return 0
}

func (d *decoder) oneOf(v *value, path string, words []string) string {
	if v == nil || v.kind == kNull {
		return ""
	}
	if s, ok := v.str(); ok && slices.Contains(words, s) {
		return s
	}
	d.errs.add(v.at, "%s should be one of: %s", path, strings.Join(words, ", "))
	return ""
}

// The longest durations that are taken, in seconds.
const (
	maxTimeout = 2_629_746 // the month of a year's twelfth
	maxStartIn = 7 * 86400
)

// duration reads a duration in seconds, up to a limit.
func (d *decoder) duration(v *value, path string, limit int) int {
	switch n, ok := seconds(v.text); {
	case !ok || v.kind != kText:
		d.errs.add(v.at, "%s should be a duration", path)
	case n > limit:
		d.errs.add(v.at, "%s should not exceed the limit", path)
	default:
		return n
	}
	return 0
}

// script reads a string or nested arrays of strings. Text that aliases
// multiply stays bounded.
func (d *decoder) script(v *value, path string) []string {
	if v == nil || v.kind == kNull {
		return nil
	}
	lines := []string{}
	total := 0
	ok := true
	var walk func(v *value, depth int)
	walk = func(v *value, depth int) {
		if v.kind == kList && depth < 10 {
			for _, i := range v.items {
				walk(i, depth+1)
			}
			return
		}
		s, isText := v.str()
		if total += len(s); !isText || total > 4*maxSource {
			ok = false
			return
		}
		lines = append(lines, s)
	}
	walk(v, 0)
	if !ok {
		d.errs.add(v.at, "%s config should be a string or a nested array of strings up to 10 levels deep", path)
		return nil
	}
	return lines
}

// simple reads a hash of variables whose values are text.
func (d *decoder) simple(v *value, path string) []Variable {
	if v != nil && v.kind == kMap {
		for _, f := range v.fields {
			if f.val.kind == kMap {
				d.errs.add(f.at, "%s config should be a hash of key value pairs, value can be an array", path)
				return nil
			}
		}
	}
	return d.variables(v, path, false)
}

// variables reads a hash of variables. Descriptions and options belong to the
// pipeline's own.
func (d *decoder) variables(v *value, path string, described bool) []Variable {
	if v == nil || v.kind == kNull {
		return nil
	}
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash", path)
		return nil
	}
	keys := []string{"value", "expand"}
	if described {
		keys = append(keys, "description", "options")
	}
	var list []Variable
	for _, f := range v.fields {
		one := Variable{Key: f.key}
		val := f.val
		if val.kind == kMap {
			d.known(val, path+":"+f.key, keys)
			if e := present(val, "expand"); e != nil {
				one.Raw = !d.boolean(e, path+":"+f.key+" expand")
			}
			options := d.list(val.get("options"), path+":"+f.key+" options")
			if val = val.get("value"); val == nil {
				if !described {
					d.errs.add(f.val.at, "%s:%s value can't be blank", path, f.key)
				}
				val = &value{kind: kText, at: f.val.at}
			}
			if f.val.has("options") && !slices.Contains(options, val.text) {
				d.errs.add(f.val.at, "%s:%s config value must be present in options", path, f.key)
			}
		}
		switch val.kind {
		case kText, kInt:
			one.Value = val.text
		case kFloat:
			one.Value = val.text
			d.warn(path + ":" + f.key + " is a number and becomes " + strconv.Quote(val.text) + ": quote it to keep it as it is written")
		case kNull:
		case kBool:
			d.errs.add(val.at, "%s:%s config variable definition must be either a string or a hash (yes, no, on, off, true and false are booleans: quote them)", path, f.key)
		default:
			d.errs.add(val.at, "%s:%s config variable definition must be either a string or a hash", path, f.key)
		}
		list = append(list, one)
	}
	return list
}

// image reads image or one entry of services.
func (d *decoder) image(v *value, path string, service bool) Image {
	keys := []string{"name", "entrypoint", "docker", "kubernetes", "pull_policy", "ports"}
	if service {
		keys = append(keys, "alias", "command", "variables")
	}
	if s, ok := v.str(); ok {
		if s == "" {
			d.errs.add(v.at, "%s name can't be blank", path)
		}
		return Image{Name: s}
	}
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash or a string", path)
		return Image{}
	}
	if v.has("ports") {
		d.errs.add(v.get("ports").at, "%s config contains disallowed keys: ports", path)
	}
	d.known(v, path, keys)
	i := Image{
		Name:       d.text(v.get("name"), path+" name"),
		Alias:      d.text(v.get("alias"), path+" alias"),
		Entrypoint: d.list(v.get("entrypoint"), path+" entrypoint"),
		Command:    d.list(v.get("command"), path+" command"),
		Variables:  d.variables(v.get("variables"), path+":variables", false),
	}
	if i.Name == "" {
		d.errs.add(v.at, "%s name can't be blank", path)
	}
	if p := present(v, "pull_policy"); p != nil {
		i.PullPolicy = d.strings(p, path+" pull policy")
		if i.PullPolicy != nil && len(i.PullPolicy) == 0 {
			d.errs.add(p.at, "%s:pull_policy config can't be blank", path)
		}
		for _, one := range i.PullPolicy {
			if !slices.Contains([]string{"always", "never", "if-not-present"}, one) {
				d.errs.add(p.at, "%s config should be one of: always, never, if-not-present", path+":pull_policy")
			}
		}
	}
	if k := present(v, "docker"); k != nil {
		d.known(k, path+":docker", []string{"platform", "user"})
		i.Platform = d.text(k.get("platform"), path+":docker platform")
		i.User = d.text(k.get("user"), path+":docker user")
		for _, key := range []string{"platform", "user"} {
			if u, ok := k.get(key).str(); ok && u == "" {
				d.errs.add(k.get(key).at, "%s:docker %s can't be blank", path, key)
			}
		}
	}
	if v.has("kubernetes") {
		d.ignored(path + ":kubernetes")
	}
	return i
}

func (d *decoder) services(v *value, path string) []Image {
	if v.kind != kList {
		d.errs.add(v.at, "%s config should be an array", path)
		return nil
	}
	list := []Image{}
	for _, i := range v.items {
		list = append(list, d.image(i, path+":service", true))
	}
	return list
}

var artifactKeys = []string{"name", "untracked", "paths", "reports", "when", "expire_in", "expose_as", "exclude", "public", "access"}

func (d *decoder) artifacts(v *value, path string) *Artifacts {
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash", path)
		return nil
	}
	d.known(v, path, artifactKeys)
	a := &Artifacts{
		Name:    d.text(v.get("name"), path+" name"),
		Paths:   d.list(v.get("paths"), path+":paths"),
		Exclude: d.list(v.get("exclude"), path+":exclude"),
		When:    d.oneOf(v.get("when"), path+" when", []string{"on_success", "on_failure", "always"}),
	}
	if u := present(v, "untracked"); u != nil {
		a.Untracked = d.boolean(u, path+" untracked")
	}
	if e := present(v, "expire_in"); e != nil {
		a.ExpireIn = d.text(e, path+" expire in")
		if _, ok := seconds(a.ExpireIn); !ok && a.ExpireIn != "never" && a.ExpireIn != "0" {
			d.errs.add(e.at, "%s expire in should be a duration", path)
		}
	}
	if public := present(v, "public"); public != nil {
		d.boolean(public, path+" public")
		if v.has("access") {
			d.errs.add(v.get("access").at, "%s config these keys cannot be used together: public, access", path)
		}
	}
	d.oneOf(v.get("access"), path+" access", []string{"none", "developer", "all"})
	d.exposeAs(v, path, a.Paths)
	for _, key := range []string{"expose_as", "public", "access"} {
		if v.has(key) {
			d.ignored(path + ":" + key)
		}
	}
	if r := present(v, "reports"); r != nil {
		d.reports(r, path+":reports", a)
	}
	return a
}

var reportKeys = []string{
	"junit", "codequality", "sast", "dependency_scanning", "container_scanning", "dast", "performance", "browser_performance",
	"load_performance", "license_scanning", "metrics", "lsif", "dotenv", "terraform", "accessibility", "cluster_image_scanning",
	"requirements", "requirements_v2", "coverage_fuzzing", "api_fuzzing", "cyclonedx", "annotations", "repository_xray",
	"secret_detection", "coverage_report", "cobertura", "scip",
}

func (d *decoder) reports(v *value, path string, a *Artifacts) {
	if v.kind != kMap {
		d.errs.add(v.at, "%s config should be a hash", path)
		return
	}
	d.known(v, path, reportKeys)
	a.Reports = map[string][]string{}
	for _, f := range v.fields {
		files := f.val
		if f.key == "coverage_report" {
			if files.kind != kMap {
				d.errs.add(files.at, "%s:coverage_report config should be a hash", path)
				continue
			}
			d.known(files, path+":coverage_report", []string{"coverage_format", "path"})
			if d.oneOf(files.get("coverage_format"), path+":coverage_report coverage format", []string{"cobertura", "jacoco"}) == "" || d.text(files.get("path"), path+":coverage_report path") == "" {
				d.errs.add(files.at, "%s:coverage_report config needs coverage_format and path", path)
			}
			files = files.get("path")
		}
		a.Reports[f.key] = d.strings(files, path+" "+f.key)
	}
}

var cacheKeys = []string{"key", "untracked", "paths", "when", "policy", "unprotect", "fallback_keys"}

func (d *decoder) caches(v *value, path string) []Cache {
	items := []*value{v}
	if v.kind == kList {
		items = v.items
	}
	if len(items) > 4 {
		d.errs.add(v.at, "%s config no more than 4 caches can be created", path)
		return nil
	}
	var list []Cache
	for _, i := range items {
		if i.kind != kMap {
			d.errs.add(i.at, "%s config should be a hash", path)
			continue
		}
		if len(i.fields) == 0 {
			continue
		}
		list = append(list, d.cache(i, path))
	}
	return list
}

func (d *decoder) cache(v *value, path string) Cache {
	d.known(v, path, cacheKeys)
	c := Cache{
		Key:      "default",
		Paths:    d.list(v.get("paths"), path+":paths"),
		Policy:   "pull-push",
		When:     "on_success",
		Fallback: d.list(v.get("fallback_keys"), path+":fallback_keys"),
	}
	if len(c.Fallback) > 5 {
		d.errs.add(v.get("fallback_keys").at, "%s:fallback_keys config has too many items (maximum is 5)", path)
	}
	if u := present(v, "untracked"); u != nil {
		c.Untracked = d.boolean(u, path+" untracked")
	}
	if u := present(v, "unprotect"); u != nil {
		d.boolean(u, path+" unprotect")
		d.ignored(path + ":unprotect")
	}
	if w := d.oneOf(v.get("when"), path+" when", []string{"on_success", "on_failure", "always"}); w != "" {
		c.When = w
	}
	if p, ok := v.get("policy").str(); ok && strings.Contains(p, "$") {
		c.Policy = p
	} else if p := d.oneOf(v.get("policy"), path+" policy", []string{"pull-push", "push", "pull"}); p != "" {
		c.Policy = p
	}
	switch k := present(v, "key"); {
	case k == nil:
	case k.kind == kMap:
		d.known(k, path+":key", []string{"files", "files_commits", "prefix"})
		c.KeyFiles = d.list(k.get("files"), path+":key:files")
		if k.has("files_commits") {
			d.ignored(path + ":key:files_commits")
		} else if !k.has("files") {
			d.errs.add(k.at, "%s:key config missing required keys: files", path)
		}
		if c.KeyFiles != nil && len(c.KeyFiles) == 0 {
			d.errs.add(k.at, "%s:key:files config requires at least 1 item", path)
		}
		if len(c.KeyFiles) > 2 {
			d.errs.add(k.at, "%s:key:files config has too many items (maximum is 2)", path)
		}
		c.KeyPrefix = d.text(k.get("prefix"), path+":key prefix")
	default:
		c.Key = d.text(k, path+":key config")
		if strings.Contains(c.Key, "/") || c.Key == "." || c.Key == ".." {
			d.errs.add(k.at, "%s key config cannot contain the \"/\" character, and cannot be \".\" or \"..\"", path)
		}
	}
	return c
}
