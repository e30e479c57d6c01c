package paas

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// throughProxy is the JSON of a job with the images and services from Docker
// Hub taken through the group's Dependency Proxy: hosts are new to every job
// and would meet Docker Hub's limits at once. Nothing else changes, fields that
// are not known here and the digits of numbers included. Without a proxy the
// job stays as it is.
func throughProxy(payload []byte) ([]byte, error) {
	var job fields
	var variables []variable
	if err := json.Unmarshal(payload, &job); err != nil || job == nil {
		return nil, fmt.Errorf("rewrite images of job: not a JSON object")
	}
	if raw, there := job["variables"]; there && json.Unmarshal(raw, &variables) != nil {
		return nil, fmt.Errorf("rewrite images of job: variables have another type")
	}
	p := proxy{values: map[string]string{}, files: map[string]bool{}}
	for _, v := range variables {
		p.values[v.Key], p.files[v.Key] = v.Value, v.File
	}
	// The direct prefix also works for those who are members of a subgroup only.
	for _, key := range []string{"CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX", "CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX"} {
		if p.prefix == "" {
			p.prefix = strings.TrimRight(p.values[key], "/")
		}
	}
	if p.prefix == "" {
		return payload, nil
	}
	var image fields
	var services []fields
	if err := job.peek("image", &image); err != nil {
		return nil, fmt.Errorf("rewrite images of job: %w", err)
	}
	if err := job.peek("services", &services); err != nil {
		return nil, fmt.Errorf("rewrite images of job: %w", err)
	}
	changed := p.rewrite(image, false)
	if changed {
		job.put("image", image)
	}
	for _, s := range services {
		if p.rewrite(s, true) {
			changed = true
			job.put("services", services)
		}
	}
	if !changed {
		return payload, nil
	}
	return json.Marshal(job)
}

// variable is one of a job; of several with a name the last counts.
type variable struct {
	Key, Value string
	File       bool
}

type proxy struct {
	prefix string
	values map[string]string
	files  map[string]bool // variables that stand for a path on the host
}

// rewrite changes an image's name if it is from Docker Hub. A service gets the
// alias that its name would have given it.
func (p proxy) rewrite(image fields, service bool) bool {
	var name, alias string
	if image.peek("name", &name) != nil || name == "" {
		return false
	}
	open := false
	name = os.Expand(name, func(key string) string {
		if key == "$" {
			return "$"
		}
		value, known := p.values[key]
		open = open || !known || p.files[key]
		return value
	})
	rest, hub := fromHub(name)
	if open || !hub {
		return false
	}
	if err := image.peek("alias", &alias); service && err == nil && alias == "" {
		image.put("alias", strings.ReplaceAll(untagged(rest), "/", "-"))
	}
	if !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	image.put("name", p.prefix+"/"+rest)
	return true
}

// fromHub splits a name as Docker does: the first part is a registry if it
// looks like a machine.
func fromHub(name string) (rest string, hub bool) {
	first, rest, more := strings.Cut(name, "/")
	switch {
	case name == "":
		return "", false
	case !more:
		return name, true
	case first == "docker.io" || first == "index.docker.io":
		return strings.TrimPrefix(rest, "library/"), rest != ""
	case strings.ContainsAny(first, ".:") || first == "localhost" || first != strings.ToLower(first):
		return "", false
	}
	return strings.TrimPrefix(name, "library/"), true
}

func untagged(name string) string {
	name, _, _ = strings.Cut(name, "@")
	slash := strings.LastIndex(name, "/")
	if i := strings.LastIndex(name, ":"); i > slash {
		name = name[:i]
	}
	return name
}

// peek reads a field and leaves it; a missing or null one changes nothing.
func (f fields) peek(name string, into any) error {
	raw, ok := f[name]
	if !ok || string(raw) == "null" {
		return nil
	}
	if json.Unmarshal(raw, into) != nil {
		return fmt.Errorf("%s has another type", name)
	}
	return nil
}

// put writes what can always be written as JSON.
func (f fields) put(name string, value any) {
	if raw, err := json.Marshal(value); err == nil {
		f[name] = raw
	}
}
