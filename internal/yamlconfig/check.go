package yamlconfig

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/runnername"
	"github.com/heptaup/hepta/internal/spelling"
)

// The longest texts that are taken where no max tag says otherwise.
const (
	maxLine = 1024
	maxText = 256 << 10
	// maxEnv is what Linux takes as one variable with its name, in bytes.
	maxEnv = 128<<10 - 1
)

// Check holds every value of the struct that v points at against its tags. A
// zero value is a default and passes, unless written says that it was written.
func Check(v any, written Positions) []Problem {
	var problems []Problem
	walk(reflect.ValueOf(v).Elem(), "", func(f field) {
		if _, there := written[f.path]; !there && f.value.IsZero() {
			return
		}
		check(f, func(path, format string, args ...any) {
			problems = append(problems, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
		})
	})
	return problems
}

type reporter func(path, format string, args ...any)

func check(f field, report reporter) {
	v := f.value
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		checkText(f.path, f.tag, v.String(), report)
	case reflect.Int, reflect.Int64:
		checkNumber(f.path, f.tag, v.Int(), report)
	case reflect.Slice:
		checkList(f, v, report)
	case reflect.Map:
		checkMap(f, v, report)
	}
}

func checkList(f field, v reflect.Value, report reporter) {
	if key := f.tag.Get("key"); key != "" {
		checkKeys(f.path, key, v, report)
		return
	}
	for i := range v.Len() {
		at := fmt.Sprintf("%s[%d]", f.path, i)
		switch e := v.Index(i); e.Kind() {
		case reflect.String:
			checkText(at, f.tag, e.String(), report)
		case reflect.Int:
			checkNumber(at, f.tag, e.Int(), report)
		}
	}
}

func checkKeys(at, key string, v reflect.Value, report reporter) {
	if v.Len() == 0 {
		return
	}
	i := fieldByKey(v.Type().Elem(), key)
	first := map[string]int{}
	for n := range v.Len() {
		name := v.Index(n).Field(i).String()
		path := fmt.Sprintf("%s[%d].%s", at, n, key)
		before, twice := first[name]
		switch {
		case name == "":
			report(path, "is missing")
		case twice:
			report(path, "%q is taken by %s[%d]", clip(name), at, before)
		default:
			first[name] = n
		}
	}
}

func checkMap(f field, v reflect.Value, report reporter) {
	keys := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	for _, k := range keys {
		at := join(f.path, k)
		if hasControl(k, "") || len(k) > maxLine {
			report(f.path, "the key %s has control characters or is too long", quoted(k))
			continue
		}
		if f.tag.Get("check") == "var" && !variable().MatchString(k) {
			report(at, "is not the name of a variable")
		}
		if slices.Contains(strings.Fields(f.tag.Get("refused")), k) {
			continue // by a check that knows the way out, whatever the value is
		}
		if e := v.MapIndex(reflect.ValueOf(k)); e.Kind() == reflect.String && e.Len() > 0 {
			tag := reflect.StructTag("")
			if f.tag.Get("check") == "var" {
				tag = `check:"value"`
			}
			checkText(at, tag, e.String(), report)
		}
	}
}

func checkNumber(at string, tag reflect.StructTag, n int64, report reporter) {
	if tag.Get("check") == "port" && (n < 1 || n > 65535) {
		report(at, "%d is not a port (1 to 65535)", n)
		return
	}
	if low, err := strconv.ParseInt(tag.Get("min"), 10, 64); err == nil && n < low {
		report(at, "%d is less than %d", n, low)
	}
	if high, err := strconv.ParseInt(tag.Get("max"), 10, 64); err == nil && n > high {
		report(at, "%d is more than %d", n, high)
	}
}

func checkText(at string, tag reflect.StructTag, s string, report reporter) {
	kind := tag.Get("check")
	longest, allowed := maxLine, ""
	size, unit := utf8.RuneCountInString(s), "characters"
	switch kind {
	case "text":
		longest, allowed = maxText, "\n\t"
	case "env", "value":
		longest, size, unit = maxEnv, len(s), "bytes"
	}
	if high, err := strconv.Atoi(tag.Get("max")); err == nil {
		longest = high
	}
	switch {
	case s == "":
		report(at, "is empty: leave the key out to get the default")
	case size > longest:
		report(at, "has %d %s, more than %d", size, unit, longest)
	case !utf8.ValidString(s):
		report(at, "is not UTF-8")
	case hasControl(s, allowed):
		report(at, "%s", controlIn(s, allowed))
	default:
		if values := strings.Fields(tag.Get("oneof")); len(values) > 0 && !slices.Contains(values, s) {
			text := fmt.Sprintf("%s is none of %s", quoted(s), strings.Join(values, ", "))
			if near := spelling.Nearest(s, values); near != "" {
				text += ": did you mean " + near + "?"
			}
			report(at, "%s", text)
			return
		}
		if wrong := kinds[kind]; wrong != nil {
			text := wrong(s)
			switch {
			case text == "":
			case kind == "env": // what is meant as a value may be a secret
				report(at, "%s", text)
			default:
				report(at, "%s %s", quoted(userinfo().ReplaceAllString(s, "//***@")), text)
			}
		}
	}
}

func hasControl(s, allowed string) bool { return control(s, allowed) >= 0 }

// control is the place of the first control character, -1 without any.
func control(s, allowed string) int {
	return strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune(allowed, r)
	})
}

// controlIn says where a text has its first control character. The text itself
// may be a secret: the line break at the end of one is the usual mistake.
func controlIn(s, allowed string) string {
	at := control(s, allowed)
	r, _ := utf8.DecodeRuneInString(s[at:])
	what := fmt.Sprintf("the control character %U", r)
	if r == '\n' || r == '\r' {
		what = "a line break"
	}
	if strings.TrimRight(s[at:], "\r\n") == "" {
		return "has " + what + " at its end"
	}
	return fmt.Sprintf("has %s in place %d", what, utf8.RuneCountInString(s[:at])+1)
}

var (
	network = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	label   = pattern.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// contextName is what the docker CLI takes as the name of a context.
	contextName = pattern.New(`^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$`)
	name        = pattern.New(`^[a-z0-9][a-z0-9_.-]{0,47}$`)
	userinfo    = pattern.New(`//[^/]*@`)
	variable    = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// kinds says for each value of the tag check what is wrong with a text, "" when nothing is.
var kinds = map[string]func(string) string{
	"name": func(s string) string {
		if name().MatchString(s) {
			return ""
		}
		return "is not a name: lower-case letters, digits, and . _ - after the first, 48 at most"
	},
	"runner":   runnername.Wrong,
	"host":     wrongHost,
	"engine":   wrongEngine,
	"registry": wrongRegistry,
	"ip": func(s string) string {
		if net.ParseIP(s) == nil {
			return "is not an IP address"
		}
		return ""
	},
	"hostentry": func(s string) string {
		name, address, _ := strings.Cut(s, ":")
		if wrongHost(name) != "" || address != "host-gateway" && net.ParseIP(address) == nil {
			return "is not name:address, as in hg.example.org:10.0.0.5; host-gateway stands for the Docker host"
		}
		return ""
	},
	"netname": func(s string) string {
		if network().MatchString(s) {
			return ""
		}
		return "is not the name of a network: letters, digits, and . _ - after the first"
	},
	"image": func(s string) string {
		if _, err := reference.ParseNormalizedNamed(s); err != nil {
			return "is not an image: write it as in registry.example.org/group/name:tag, in lower case but for the tag"
		}
		return ""
	},
	"url":       wrongURL,
	"published": wrongPort,
	"email": func(s string) string {
		if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
			return "is not a mail address: write it as in hg@example.org"
		}
		return ""
	},
	"abs": func(s string) string {
		if !path.IsAbs(s) || path.Clean(s) != s || s == "/" || strings.ContainsRune(s, ':') {
			return "is not an absolute path in its shortest form, without colons"
		}
		return ""
	},
	"volume": func(s string) string {
		if parts := strings.Split(s, ":"); len(parts) < 2 || len(parts) > 3 || !path.IsAbs(parts[0]) || !path.IsAbs(parts[1]) {
			return "is not /host/directory:/container/directory"
		}
		return ""
	},
	"env": func(s string) string {
		if k, _, ok := strings.Cut(s, "="); !ok || !variable().MatchString(k) {
			return "is not NAME=value"
		}
		return ""
	},
}

func wrongHost(s string) string {
	switch {
	case strings.Contains(s, "://"):
		return "is a URL: write the host name alone"
	case strings.ContainsAny(s, "/:"):
		return "is not a host name: leave out path and port"
	case s != strings.ToLower(s):
		return "is not a host name: write it in lower case"
	case len(s) > 253:
		return "is not a host name: it is longer than 253 characters"
	}
	last := ""
	for l := range strings.SplitSeq(s, ".") {
		if last = l; !label().MatchString(l) {
			return "is not a host name: each part has letters, digits and inner hyphens, 63 at most"
		}
	}
	if _, err := netip.ParseAddr(s); err != nil && strings.Trim(last, "0123456789") == "" {
		return "is not a host name: what ends in a number is read as an address"
	}
	return ""
}

func wrongURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "is not a URL: write it as in https://hg.example.org"
	case u.User != nil:
		return "has a user or password in it: those go elsewhere"
	case u.RawQuery != "" || u.Fragment != "":
		return "is not the bare address of a server"
	}
	return ""
}

func wrongEngine(s string) string {
	if contextName().MatchString(s) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil {
		return "is not the address of a Docker Engine"
	}
	if _, has := u.User.Password(); has {
		return "has a password in it: use a key, an agent or a certificate"
	}
	switch u.Scheme {
	case "unix", "npipe":
		if u.Path != "" {
			return ""
		}
	case "tcp", "ssh", "context", "http", "https":
		if u.Host != "" {
			return ""
		}
	}
	return "is not the address of a Docker Engine: unix:///path, tcp://host:port, ssh://user@host or the name of a docker context"
}

func wrongRegistry(s string) string {
	host, port, with := strings.Cut(s, ":")
	if n, err := strconv.Atoi(port); with && (err != nil || n < 1 || n > 65535) || wrongHost(host) != "" {
		return "is not a registry as images name it: host, or host:port"
	}
	return ""
}

// quoted is s for a message, without what could disturb a terminal.
func quoted(s string) string { return strconv.Quote(clip(s)) }

// SetDefaults fills in the default tags of what has its zero value.
func SetDefaults(v any) {
	walk(reflect.ValueOf(v).Elem(), "", func(f field) {
		text, ok := f.tag.Lookup("default")
		if !ok || !f.value.IsZero() {
			return
		}
		switch f.value.Kind() {
		case reflect.String:
			f.value.SetString(text)
		case reflect.Int, reflect.Int64:
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				panic("yamlconfig: default of " + f.path + " is not a number")
			}
			f.value.SetInt(n)
		default:
			panic("yamlconfig: no default for " + f.path)
		}
	})
}
