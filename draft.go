package hepta

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/google/renameio/v2"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/yamlconfig"
	"github.com/heptaup/hepta/runner"
)

// Draft is what a new hepta.yaml needs to know.
type Draft struct {
	// Forge is the host name of a forge to bring up, or the URL of one that is
	// elsewhere, for runners alone; required.
	Forge    string
	Registry string   // host name; "": no registry
	Email    string   // of the ACME account; "": certificates of an own authority
	Data     string   // directory on the Docker host; "": the default
	SSHPort  int      // 0: 22
	Runners  []string // modes; each runner is named after its mode
	// TokenFile is where the token for an external forge lies: a file beside
	// hepta.yaml, env:NAME, or - for standard input; "": DraftTokenFile.
	TokenFile string
}

// DraftTokenFile is Draft.TokenFile when it is "".
const DraftTokenFile = "forge.token"

// External reports whether the draft is of runners alone.
func (d Draft) External() bool { return strings.Contains(d.Forge, "://") }

var draft = template.Must(template.New("hepta.yaml").Funcs(template.FuncMap{
	"quote": quoteYAML, "image": func() string { return heptapod.DefaultImage },
}).Parse(
	`# A forge on a Docker host. Every key: docs/configuration.md
#   hepta plan   shows what would be done
#   hepta up     does it

# Host name of the forge.
forge: {{quote .Forge}}
{{if .Registry}}
# Host name of its container registry.
registry: {{quote .Registry}}
{{else}}
# Host name of its container registry; none without this line.
# registry: registry.example.org
{{end}}
{{- if .Email}}
# Certificates from Let's Encrypt. The names above must lead here, port 443 must be open.
acme: {email: {{quote .Email}}}
{{else}}
# Certificates from an authority made here; people have to trust its ca/ca.crt.
# For Let's Encrypt write instead: acme: {email: admin@example.org}
tls: {mode: internal}
{{end}}
# Everything that must survive, on the Docker host.
{{if .Data}}data: {{quote .Data}}{{else}}# data: /srv/hepta{{end}}

heptapod:
  # An upgrade is a decision, made here.
  image: {{image}}
{{- if .SSHPort}}
  # Port for clones and pushes over ssh.
  ssh: {{.SSHPort}}
{{- else}}
  # Port for clones and pushes over ssh. With 22 the host's own sshd has to be elsewhere.
  ssh: 22
{{- end}}
  # Mail:
  # smtp: {address: smtp.example.org, user: hg, password_file: smtp.secret}
{{if .Runners}}
# Runners. dind: jobs build images in a Docker daemon of their own; socket: with the
# host's Docker, which they can then do everything with; rootless: without privileges.
runners:
{{- range .Runners}}
  - {name: {{quote .}}, mode: {{quote .}}, tags: [{{quote .}}]}
{{- end}}
{{else}}
# runners:
#   - {name: dind, mode: dind, tags: [dind]}
{{end}}`))

var aloneDraft = template.Must(template.New("hepta.yaml").Funcs(template.FuncMap{"quote": quoteYAML}).Parse(
	`# Runners on a Docker host, for an external forge. Every key: docs/configuration.md
#   hepta plan   shows what would be done
#   hepta up     does it

# The forge, and a token for it: one of its API, with the scope api, of an administrator or
# of whoever may make runners where they are to work; or the registration token of an old
# forge. It is the only line of that file; env:NAME is a variable, - is standard input.
forge:
  url: {{quote .Forge}}
  token_file: {{quote .TokenFile}}
{{- if .Registry}}
  # Host name of its container registry.
  registry: {{quote .Registry}}
{{- else}}
  # Host name of its container registry, so that jobs are seen to reach it.
  # registry: registry.example.org
{{- end}}

# Prefix of containers and labels. A stack is for one forge.
stack: {{quote .Stack}}

# Where the runners run; without this line it is this machine's Docker.
# docker: ssh://admin@vm-1

# What must survive, on the Docker host.
{{if .Data}}data: {{quote .Data}}{{else}}# data: /srv/{{.Stack}}{{end}}

# Where the authority of the forge's certificate is no public one:
# runner: {ca: ca.crt}

# Runners. dind: jobs build images in a Docker daemon of their own; socket: with the
# host's Docker, which they can then do everything with; rootless: without privileges.
# The names are those that the forge shows. For one project alone add project: ID.
runners:
{{- range .Runners}}
  - {name: {{quote .}}, mode: {{quote .}}, tags: [{{quote .}}]}
{{- end}}
`))

// Stack is the name of the stack: the default, or for runners alone one after
// their forge, so that they never take the place of another stack on the host.
func (d Draft) Stack() string {
	if !d.External() {
		return defaultStack
	}
	u, err := url.Parse(d.Forge)
	if err != nil {
		return defaultStack
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(u.Hostname()))
	name = strings.Trim(name, "-")
	return cmp.Or(strings.TrimRight(name[:min(len(name), maxDraftStack)], "-"), defaultStack)
}

// maxDraftStack leaves room for what is added to the name of a container.
const maxDraftStack = 40

// fits says which parts belong to the other kind of draft.
func (d Draft) fits() error {
	switch {
	case d.External() && (d.Email != "" || d.SSHPort != 0):
		return &fault.Error{Op: "write configuration for", What: d.Forge, Why: "a mail address and a port for ssh belong to a forge that is brought up", Remedy: "Leave them out, or name the forge by its host name alone."}
	case !d.External() && d.TokenFile != "":
		return &fault.Error{Op: "write configuration for", What: d.Forge, Why: "a token is for an external forge", Remedy: "Leave it out, or name the forge by its URL, as in https://hg.example.org."}
	case !utf8.ValidString(d.TokenFile):
		return &fault.Error{Op: "write configuration for", What: d.Forge, Why: "the name of the token's file is not UTF-8, which YAML is written in", Remedy: "Give the file another name."}
	}
	return nil
}

// YAML is the draft as a commented hepta.yaml. What is wrong with the draft is
// a *ConfigError.
func (d Draft) YAML() ([]byte, error) {
	if err := d.fits(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	text := draft
	if d.External() {
		text = aloneDraft
		d.TokenFile = cmp.Or(d.TokenFile, DraftTokenFile)
		if len(d.Runners) == 0 {
			d.Runners = []string{string(runner.Dind)}
		}
	}
	if err := text.Execute(&b, d); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	cfg, err := Parse("", b.Bytes())
	if err == nil {
		err = cfg.Validate()
	}
	var wrong *ConfigError
	if errors.As(err, &wrong) {
		// Lines of a file that is not there yet help nobody.
		for i := range wrong.Problems {
			wrong.Problems[i].Line, wrong.Problems[i].Column = 0, 0
		}
		// A runner's name and tag are its mode once more.
		wrong.Problems = slices.DeleteFunc(wrong.Problems, func(p yamlconfig.Problem) bool {
			runner, key, _ := strings.Cut(p.Path, "].")
			return (key == "name" || strings.HasPrefix(key, "tags")) && yamlconfig.Covered(runner+"].mode", wrong.Problems)
		})
	}
	return b.Bytes(), err
}

// quoteYAML writes a scalar on one line that reads as the same text.
func quoteYAML(text string) string {
	plain := text != "" && strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("./-_", r)
	}) < 0
	if plain && text[0] >= 'a' && text[0] <= 'z' && text != "true" && text != "false" && text != "null" {
		return text
	}
	return fmt.Sprintf("%q", text)
}

// WriteDraft writes the draft's YAML to a file. A file that is there is left
// alone unless replace says otherwise.
func WriteDraft(path string, d Draft, replace bool) error {
	content, err := d.YAML()
	if err != nil {
		return err
	}
	if replace {
		return unwritten(path, renameio.WriteFile(path, content, 0o644))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &fault.Error{Op: "write", What: path, Err: fs.ErrExist,
			Remedy: "Edit it, name another with --file, or replace it with --force."}
	}
	if err != nil {
		return unwritten(path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // half a file would be taken for one that is there
	}
	return unwritten(path, err)
}

// unwritten says that a configuration could not be written and is as it was.
func unwritten(path string, err error) error {
	if err == nil {
		return nil
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return &fault.Error{Op: "write", What: path, Err: err, Remedy: "Nothing has changed. Make room for it, or see who may write there, and run the same command again."}
}
