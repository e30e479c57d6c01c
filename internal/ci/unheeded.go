package ci

import (
	"regexp"
	"slices"
	"strings"
)

// maxTags is the number of tags that is too much for a job.
const maxTags = 50

var releaseKeys = []string{"tag_name", "tag_message", "name", "description", "ref", "released_at", "milestones", "assets"}

// unheeded checks what GitLab checks of keywords that change nothing here.
func (d *decoder) unheeded(job, path string, v *value) {
	if c := present(v, "coverage"); c != nil {
		text, ok := c.str()
		if _, err := compile(text); !ok || err != nil {
			d.errs.add(c.at, "%s:coverage config must be a regular expression", path)
		}
	}
	if r := present(v, "release"); r != nil && r.kind != kMap {
		d.errs.add(r.at, "%s:release config should be a hash", path)
	} else if r != nil {
		d.known(r, path+":release", releaseKeys)
		for _, key := range []string{"tag_name", "description"} {
			if d.text(r.get(key), path+":release "+words(key)) == "" {
				d.errs.add(r.at, "%s:release %s can't be blank", path, words(key))
			}
		}
		for _, key := range []string{"tag_message", "name", "ref", "released_at"} {
			d.text(r.get(key), path+":release "+words(key))
		}
	}
	if p := present(v, "publish"); p != nil && present(v, "pages") == nil && job != "pages" {
		d.errs.add(p.at, "%s publish can only be used within a `pages` job", path)
	}
	d.text(v.get("manual_confirmation"), path+" manual confirmation")
}

// words is a key as messages have it.
func words(key string) string { return strings.ReplaceAll(key, "_", " ") }

var exposedText = regexp.MustCompile(`^\w[-\w ]*$`)

// exposeAs checks the name under which artifacts are shown.
func (d *decoder) exposeAs(v *value, path string, paths []string) {
	e := present(v, "expose_as")
	if e == nil {
		return
	}
	switch text := d.text(e, path+" expose as"); {
	case len(text) > 100:
		d.errs.add(e.at, "%s expose as is too long (maximum is 100 characters)", path)
	case !exposedText.MatchString(text):
		d.errs.add(e.at, "%s expose as can contain only letters, digits, '-', '_' and spaces", path)
	case len(paths) == 0:
		d.errs.add(e.at, "%s paths can't be blank", path)
	case slices.ContainsFunc(paths, func(p string) bool { return strings.Contains(p, "*") }):
		d.errs.add(e.at, "%s paths can't contain '*' when used with 'expose_as'", path)
	}
}
