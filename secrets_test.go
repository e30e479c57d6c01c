package hepta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/internal/render"
)

// canary is in every secret of these tests.
const canary = "c4n4ry"

// pair is a certificate for hosts and its key, with the canary in the key's file.
func pair(t *testing.T, hosts ...string) (certificate, key []byte) {
	t.Helper()
	a, err := pki.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := a.Issue(hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(bundle, []byte("-----BEGIN EC PRIVATE KEY"))
	if at < 0 {
		at = bytes.Index(bundle, []byte("-----BEGIN PRIVATE KEY"))
	}
	if at < 0 {
		t.Fatal("there is no key in the bundle")
	}
	if end := bytes.Index(bundle[at:], []byte("-----BEGIN CERTIFICATE")); end >= 0 {
		return bundle[at+end:], []byte(canary + "\n" + string(bundle[at:at+end]))
	}
	return bundle[:at], []byte(canary + "\n" + string(bundle[at:]))
}

// secretive has a secret in every place that takes one.
func secretive(t *testing.T) *Config {
	t.Helper()
	certificate, key := pair(t, "hg.example.org", "monitor.example.org")
	return &Config{
		Forge: Forge{Host: "hg.example.org"},
		TLS:   TLS{Mode: "files", Certificate: certificate, Key: key},
		Traefik: Traefik{Dashboard: &Dashboard{Host: "monitor.example.org",
			Users: []string{"admin:$2y$05$" + canary + strings.Repeat("a", 53-len(canary))}}},
		Heptapod: Heptapod{
			RootPassword: NewSecret("Passw0rd-" + canary),
			SMTP:         &SMTP{Address: "smtp.example.org", User: "hg", Password: NewSecret("smtp-" + canary)},
		},
		Registry: &Registry{Port: "5050", Certificate: certificate, Key: key},
		Runner:   RunnerContainer{RegistrationToken: NewSecret("GR-" + canary)},
		Runners: []Runner{
			{Name: "dind", Tags: []string{"docker"}},
			{Name: "elsewhere", Mode: "socket", Forge: &RunnerForge{URL: "https://gitlab.example.com", Token: NewSecret("glrt-" + canary)}},
		},
	}
}

// withACME is secretive with certificates from an ACME server, whose account
// lies in a file that the proxy writes.
func withACME(t *testing.T) *Config {
	t.Helper()
	cfg := secretive(t)
	cfg.TLS = TLS{Mode: "acme", Email: "admin@example.org", Challenge: "dns", Provider: "ovh", Credentials: map[string][]byte{"OVH_CONSUMER_KEY": []byte("ovh-" + canary)}}
	return cfg
}

// withShortACME is withACME in the short form.
func withShortACME(t *testing.T) *Config {
	t.Helper()
	cfg := withACME(t)
	cfg.ACME = &ACME{Email: cfg.TLS.Email, Challenge: cfg.TLS.Challenge, Provider: cfg.TLS.Provider, Credentials: cfg.TLS.Credentials}
	cfg.TLS = TLS{}
	return cfg
}

// besideAnother is runners of an external forge, with a token for its API.
func besideAnother(t *testing.T) *Config {
	t.Helper()
	return &Config{
		Forge:    Forge{URL: "https://gitlab.example.com", Token: NewSecret("glpat-" + canary)},
		Registry: &Registry{Mirror: &Mirror{User: "hub", Password: NewSecret("hub-" + canary)}},
		Runners:  []Runner{{Name: "dind", Tags: []string{"docker"}}, {Name: "given", Forge: &RunnerForge{Token: NewSecret("glrt-" + canary)}}},
	}
}

// secretives are configurations that have every secret among them.
var secretives = map[string]func(*testing.T) *Config{"files": secretive, "acme": withACME, "acme, short": withShortACME, "elsewhere": besideAnother}

// Every key whose file is private has the canary in one of the configurations,
// so that a new one is not forgotten here.
func TestEverySecretIsWatched(t *testing.T) {
	watched := map[string]bool{}
	for _, make := range secretives {
		watch(reflect.ValueOf(make(t)).Elem(), "", watched)
	}
	for key, seen := range watched {
		if !seen {
			t.Errorf("%s: no configuration of secretives has it", key)
		}
	}
	if len(watched) < 8 {
		t.Errorf("only %v are secret", watched)
	}
}

// watch notes for each private key whether its content holds the canary.
func watch(v reflect.Value, path string, watched map[string]bool) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, value := strings.TrimPrefix(path+"."+f.Tag.Get("yaml"), "."), v.Field(i)
		if f.Tag.Get("private") == "true" {
			content := v.FieldByName(f.Tag.Get("into")).Interface()
			if s, ok := content.(Secret); ok {
				content = s.Reveal()
			}
			watched[key] = watched[key] || strings.Contains(fmt.Sprintf("%s", content), canary)
		}
		if value.Kind() == reflect.Pointer {
			value = reflect.Zero(f.Type.Elem())
			if !v.Field(i).IsNil() {
				value = v.Field(i).Elem()
			}
		}
		switch {
		case f.Tag.Get("yaml") == "-":
		case value.Kind() == reflect.Struct:
			watch(value, key, watched)
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
			for j := range value.Len() {
				watch(value.Index(j), key+"[]", watched)
			}
		}
	}
}

// held looks for the canary in what somebody may read.
type held struct {
	t    *testing.T
	seen int
}

func (h *held) in(where string, values ...any) {
	h.t.Helper()
	for _, v := range values {
		text, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				h.t.Fatal(err)
			}
			text = string(b)
		}
		h.seen += len(text)
		if i := strings.Index(text, canary); i >= 0 {
			h.t.Errorf("%s holds a secret: …%s…", where, text[max(0, i-60):min(len(text), i+len(canary))])
		}
	}
}

// Nothing that is shown, kept in labels or handed to a container holds a
// secret; what lies on the host and holds one is for root alone.
func TestSecretsAreSeenNowhere(t *testing.T) {
	for name, make := range secretives {
		t.Run(name, func(t *testing.T) { seenNowhere(t, make(t)) })
	}
}

func seenNowhere(t *testing.T, cfg *Config) {
	var mu sync.Mutex
	var events []Event
	var log bytes.Buffer
	s, err := New(cfg,
		WithProgress(func(e Event) { mu.Lock(); defer mu.Unlock(); events = append(events, e) }),
		WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil {
		t.Fatal(err)
	}
	h := &held{t: t}
	h.in("the configuration as JSON", cfg, s.Config())

	bare, err := converge.Up(&s.want, &converge.Observed{})
	if err != nil {
		t.Fatal(err)
	}
	h.plan("the plan for a bare host", bare)
	changed := s.lived(t)
	plan, err := converge.Up(&s.want, changed)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(plan.Operations, func(o Operation) bool {
		return o.Kind == converge.WriteFile && strings.Contains(o.Cause, "content changed")
	}) {
		t.Errorf("no file has changed:\n%s", plan)
	}
	h.plan("the plan for changed secrets", plan)
	h.in("the status", s.status(changed, plan))

	for _, c := range s.want.Containers {
		h.in("container "+c.Service, c.Spec(), c)
	}

	_, engine := onBareOf(t, s, "1.24")
	_, err = s.Up(t.Context(), UpOptions{})
	if err == nil || len(engine.changes()) == 0 {
		t.Errorf("up on a host that refuses everything: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	h.in("an error", fmt.Sprint(err), fault.Describe(err))
	h.in("the events", events)
	h.in("the log", log.String())
	if h.seen < 5_000 {
		t.Errorf("only %d bytes were looked at", h.seen)
	}

	secrets, least := 0, 5
	if s.cfg.isExternal() {
		least = 1 // config.toml
	}
	for _, f := range s.want.Files {
		content, err := f.Render(changed, changed.Files[f.Path].Content)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(content, []byte(canary)) && !f.Secret {
			continue
		}
		secrets++
		// Directories that are made for such a file are 0700 by the same bits.
		if f.Mode.Perm() != 0o600 || f.Mode.Perm()&0o077 != 0 || !f.Secret {
			t.Errorf("%s holds a secret: mode %04o, marked as one: %v", f.Path, f.Mode.Perm(), f.Secret)
		}
	}
	if secrets < least {
		t.Errorf("only %d files hold secrets", secrets)
	}
}

// plan looks at everything that a plan shows and sends to the Engine beside
// the content of files.
func (h *held) plan(where string, p *Plan) {
	h.t.Helper()
	var text bytes.Buffer
	if err := render.Plan(&text, p, "up", false); err != nil {
		h.t.Fatal(err)
	}
	h.in(where, p, p.String(), text.String())
	for _, op := range p.Operations {
		h.in(where+": "+op.Text(), op.Labels, op.Text(), op.Apply)
		for _, undo := range op.Undo {
			h.in(where+": "+undo.Text(), undo)
		}
	}
}

// lived is a host on which the stack runs with other secrets.
func (s *Stack) lived(t *testing.T) *converge.Observed {
	t.Helper()
	o := &converge.Observed{
		Networks: []converge.ObservedNetwork{{ID: "w", Name: "web", Labels: map[string]string{converge.LabelStack: "hepta"}}},
		Images:   map[string]string{}, Files: map[string]converge.ObservedFile{},
	}
	for i, c := range s.want.Containers {
		o.Images[converge.NormalizeImage(c.Image)] = fmt.Sprint("sha256:", i)
		o.Containers = append(o.Containers, converge.ObservedContainer{
			ID: c.Service, Name: c.Name, Image: c.Image, State: "running", Health: "healthy", Service: c.Service, Networks: map[string]string{"web": "w"},
			Labels: map[string]string{converge.LabelStack: "hepta", converge.LabelService: c.Service, converge.LabelSpec: c.Spec(), converge.LabelData: s.want.Data, converge.LabelProof: "p"},
		})
	}
	for _, f := range s.want.Files {
		var mode fs.FileMode = f.Perm()
		content := []byte("# " + canary + " of before\n")
		switch {
		case strings.HasSuffix(f.Path, "acme.json"):
			content = []byte(`{"le": {"Account": {"PrivateKey": "` + canary + `"}}}`)
		case strings.HasSuffix(f.Path, ".json"):
			content = nil
		}
		o.Files[f.Path] = converge.ObservedFile{Exists: true, Content: content, Mode: uint32(mode)}
	}
	return o
}

// What is wrong with a secret is told without the secret.
func TestWrongSecretsAreNotTold(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"root password of two lines": func(c *Config) { c.Heptapod.RootPassword = NewSecret(canary + "\nx" + canary) },
		"short root password":        func(c *Config) { c.Heptapod.RootPassword = NewSecret(canary) },
		"smtp password of two lines": func(c *Config) { c.Heptapod.SMTP.Password = NewSecret(canary + "\n" + canary) },
		"key that is none":           func(c *Config) { c.TLS.Key = []byte(canary) },
		"key in the certificate":     func(c *Config) { c.TLS.Certificate = c.TLS.Key },
		"another key":                func(c *Config) { _, c.TLS.Key = pair(t, "other.example.org") },
		"registry key that is none":  func(c *Config) { c.Registry.Key = []byte(canary) },
		"line without a user":        func(c *Config) { c.Traefik.Dashboard.Users = []string{canary} },
		"user without a hash":        func(c *Config) { c.Traefik.Dashboard.Users = []string{"admin:" + canary} },
		"user with an old hash":      func(c *Config) { c.Traefik.Dashboard.Users = []string{"admin:$apr1$" + canary} },
		"variable without a name":    func(c *Config) { c.Runners[0].Environment = []string{"TOKEN " + canary} },
		"password in external_url":   func(c *Config) { c.Heptapod.ExternalURL = "https://root:" + canary + "@hg.example.org" },
		"password in a forge's url":  func(c *Config) { c.Runners[1].Forge.URL = "https://root:" + canary + "@gitlab.example.com" },
		"password in another scheme": func(c *Config) { c.Runners[1].Forge.URL = "ftp://root:" + canary + "@gitlab.example.com" },
		"password in the acme server": func(c *Config) {
			c.TLS = TLS{Mode: "acme", Email: "a@example.org", Server: "https://u:" + canary + "@acme.example.org/directory"}
		},
		"flag in two words": func(c *Config) { c.Traefik.Flags = []string{"--metrics.influxdb2.token", canary} },
		"setting of a list": func(c *Config) {
			c.Runners[0].Settings = map[string]any{"cache": map[string]any{"s3": map[string]any{"SecretKey": []any{canary}}}}
		},
		"variable of a service": func(c *Config) {
			c.Runners[0].Docker = map[string]any{"services": []any{map[string]any{"name": "db:1", "environment": []any{[]any{"A=" + canary}}}}}
		},
		"token as a setting": func(c *Config) { c.Runners[0].Settings = map[string]any{"token": canary} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := secretive(t)
			spoil(cfg)
			_, err := New(cfg)
			if err == nil {
				t.Fatal("it is taken")
			}
			h := &held{t: t}
			h.in("the error", err.Error(), fault.Describe(err), fmt.Sprintf("%+v", err))
		})
	}
}
