package heptapod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

// fakeHost is a machine in memory.
type fakeHost struct {
	mu    sync.Mutex
	files map[string]string
	modes map[string]fs.FileMode
	cmds  [][]string
	exec  func(ctx context.Context, cmd []string, stdin []byte) (converge.ExecResult, error)
	run   func(converge.OneOff) ([]byte, error)
	said  []string
}

func (h *fakeHost) ReadFile(_ context.Context, path string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, ok := h.files[path]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	return []byte(text), nil
}

func (h *fakeHost) WriteFile(_ context.Context, path string, content []byte, mode fs.FileMode, _, _ int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.files == nil {
		h.files, h.modes = map[string]string{}, map[string]fs.FileMode{}
	}
	if h.modes == nil {
		h.modes = map[string]fs.FileMode{}
	}
	h.files[path], h.modes[path] = string(content), mode
	return nil
}

func (h *fakeHost) Run(_ context.Context, o converge.OneOff) ([]byte, error) {
	if h.run == nil {
		return nil, errors.New("nothing to run")
	}
	return h.run(o)
}

func (h *fakeHost) Exec(ctx context.Context, service string, cmd []string, stdin []byte) (converge.ExecResult, error) {
	h.mu.Lock()
	h.cmds = append(h.cmds, cmd)
	h.mu.Unlock()
	if service != Service {
		return converge.ExecResult{}, errors.New("another service")
	}
	return h.exec(ctx, cmd, stdin)
}

func (h *fakeHost) Progress(text string) { h.said = append(h.said, text) }
func (h *fakeHost) Sink() progress.Sink  { return nil }

func forge(t *testing.T, cfg Config) *Forge {
	t.Helper()
	if cfg.Host == "" {
		cfg.Host = "hg.example.org"
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.now = func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }
	return f
}

func resources(t *testing.T, f *Forge) converge.Stack {
	t.Helper()
	s, err := f.resources()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContainer(t *testing.T) {
	c := resources(t, forge(t, Config{
		Stack: "lab", SSH: SSH{Port: 2222}, RootEmail: "admin@example.org", Env: map[string]string{"TZ": "UTC"},
		Labels: map[string]string{"traefik.enable": "true"}, Ports: []Port{{Number: 8060}}, After: []string{"container:traefik"},
	})).Containers[0]
	if c.Name != "lab-heptapod" || c.Service != "heptapod" || c.Image != DefaultImage || c.Hostname != "hg.example.org" {
		t.Errorf("container %+v", c)
	}
	if diff := cmp.Diff([]string{"GITLAB_ROOT_EMAIL=admin@example.org", "TZ=UTC"}, c.Env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]converge.Port{{Host: 2222, Container: 22}, {Host: 8060, Container: 8060}}, c.Ports); diff != "" {
		t.Error(diff)
	}
	if c.ShmSize != 256<<20 || c.NoFile != 0 || c.StopTimeout != 2*time.Minute || c.Restart != "unless-stopped" || c.LogMaxSize == "" {
		t.Errorf("container %+v", c)
	}
	if c.Health.StartPeriod != 20*time.Minute || c.Ready.Timeout != 20*time.Minute || c.Ready.Check == nil || c.Ready.Phase == nil {
		t.Errorf("health %+v", c.Health)
	}
	if n := resources(t, forge(t, Config{OpenFiles: 4096})).Containers[0].NoFile; n != 4096 {
		t.Errorf("a limit of 4096 open files became %d", n)
	}
	for _, ssh := range []SSH{{Off: true}, {ViaProxy: true}} {
		if ports := resources(t, forge(t, Config{SSH: ssh})).Containers[0].Ports; len(ports) != 0 {
			t.Errorf("%+v publishes %v", ssh, ports)
		}
	}
}

func TestFiles(t *testing.T) {
	cfg := setups(t)["registry-port"]
	cfg.SMTP = &SMTP{Address: "smtp.example.org", User: "hg", Password: NewSecret("tell-nobody")}
	s := resources(t, forge(t, cfg))
	modes := map[string]fs.FileMode{}
	for _, f := range s.Files {
		modes[f.Path] = f.Mode
		if secret := f.Path != FileGitlabRB && f.Path != FileRegistryCert && f.Path != FileReadme && f.Path != fileImage; f.Secret != secret {
			t.Errorf("%s: secret is %v", f.Path, f.Secret)
		}
	}
	want := map[string]fs.FileMode{
		FileGitlabRB: 0o600, FileRootPassword: 0o600, FileToken: 0o600, fileSMTPPassword: 0o600,
		FileReadme: 0o644, fileImage: 0o644, FileRegistryCert: 0o644, FileRegistryKey: 0o600,
	}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
	if got := s.Containers[0].Ports; len(got) != 2 || got[1].Host != 5050 || got[1].Container != 5050 {
		t.Errorf("ports %v", got)
	}
	if strings.Contains(s.Containers[0].Spec(), "tell-nobody") {
		t.Error("the container's label holds a secret")
	}
}

func TestRootPassword(t *testing.T) {
	content := func(f *Forge, current []byte) string {
		s := resources(t, f)
		i := slices.IndexFunc(s.Files, func(f converge.File) bool { return f.Path == FileRootPassword })
		text, err := s.Files[i].Merge(&converge.Observed{}, current)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	made := forge(t, Config{})
	first := content(made, nil)
	if n := len(strings.TrimSpace(first)); n < 24 || first != content(made, nil) {
		t.Errorf("generated password has %d characters, or changes", n)
	}
	if content(forge(t, Config{}), nil) == first {
		t.Error("two forges got the same password")
	}
	if got := content(made, []byte("of the first boot\n")); got != "of the first boot\n" {
		t.Errorf("the password on the host became %q", got)
	}
	if got := content(forge(t, Config{RootPassword: NewSecret("given-by-me")}), nil); got != "given-by-me\n" {
		t.Errorf("the given password became %q", got)
	}
}

func TestNothingIsDueOnAForgeThatRuns(t *testing.T) {
	f := forge(t, Config{})
	o := &converge.Observed{
		Containers: []converge.ObservedContainer{{State: "running", Service: Service}},
		Files:      map[string]converge.ObservedFile{FileToken: {Exists: true, Content: Token{NewSecret("glpat-x"), f.now().AddDate(0, 0, 30)}.content()}},
	}
	for _, decide := range resources(t, f).Decide {
		if tasks, err := decide(o); err != nil || len(tasks) > 0 {
			t.Errorf("due: %+v (%v)", tasks, err)
		}
	}
	o.Containers[0].State = "created"
	if tasks, _ := f.decideData(o); len(tasks) != 1 {
		t.Error("a container that never ran hides the look at the data")
	}
}

func TestCheckData(t *testing.T) {
	const version = "heptapod/data/gitlab-rails/VERSION"
	for _, c := range []struct {
		name  string
		files map[string]string
		bad   bool
	}{
		{"empty", nil, false},
		{"complete", map[string]string{version: "17.8", fileSecrets: "{}"}, false},
		{"secrets alone", map[string]string{fileSecrets: "{}"}, false},
		{"no secrets", map[string]string{version: "17.8"}, true},
		{"empty secrets", map[string]string{"heptapod/data/bootstrapped": "", fileSecrets: "\n"}, true},
		{"database alone", map[string]string{"heptapod/data/postgresql/data/PG_VERSION": "14"}, true},
	} {
		err := forge(t, Config{}).checkData(t.Context(), &fakeHost{files: c.files})
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.bad && !strings.Contains(fault.Describe(err), "/srv/hepta/heptapod/config/gitlab-secrets.json") {
			t.Errorf("%s: no remedy in %q", c.name, fault.Describe(err))
		}
	}
}

func TestTheForgeAloneLeavesALargerStackAlone(t *testing.T) {
	f := forge(t, Config{})
	others := func(service string) *converge.Observed {
		return &converge.Observed{Containers: []converge.ObservedContainer{{Name: "x", Service: service}}}
	}
	s, err := f.resources()
	if err != nil {
		t.Fatal(err)
	}
	_, up := converge.Up(&s, others("traefik"))
	_, down := converge.Down(&s, others("traefik"), converge.DownOptions{})
	if !errors.Is(up, converge.ErrOrphans) || !errors.Is(down, converge.ErrOrphans) {
		t.Errorf("company is not refused: %v, %v", up, down)
	}
	for _, o := range []*converge.Observed{others(Service), others("")} {
		_, up := converge.Up(&s, o)
		_, down := converge.Down(&s, o, converge.DownOptions{})
		if up != nil || down != nil {
			t.Error(up, down)
		}
	}
}

func TestAForeignGitlabRBIsKept(t *testing.T) {
	ours, err := GitlabRB(Config{Host: "hg.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for text, kept := range map[string]bool{"external_url 'https://old.example.org'\n": true, ours: false, "": false} {
		host := &fakeHost{files: map[string]string{FileGitlabRB: text}}
		if err := forge(t, Config{}).checkData(t.Context(), host); err != nil {
			t.Fatal(err)
		}
		if got, ok := host.files[fileForeignRB]; ok != kept || kept && got != text {
			t.Errorf("%.30q: kept %v", text, ok)
		}
	}
}

func TestReady(t *testing.T) {
	for _, c := range []struct {
		answers map[string]string // by page
		code    int
		ok      bool
	}{
		{map[string]string{"/-/readiness?all=1": "200"}, 0, true},
		{map[string]string{"/-/readiness?all=1": "503"}, 0, false},
		{map[string]string{"/-/readiness?all=1": "404", "/users/sign_in": "200"}, 0, true},
		{map[string]string{"/-/readiness?all=1": "404", "/users/sign_in": "502"}, 0, false},
		{map[string]string{"/-/readiness?all=1": "000"}, 7, false},
	} {
		host := &fakeHost{exec: func(_ context.Context, cmd []string, _ []byte) (converge.ExecResult, error) {
			page := strings.TrimPrefix(cmd[len(cmd)-1], "http://localhost:80/forge")
			return converge.ExecResult{ExitCode: c.code, Stdout: []byte(c.answers[page]), Stderr: []byte("curl: (7) refused\n")}, nil
		}}
		err := forge(t, Config{ExternalURL: "https://hg.example.org/forge/"}).ready(t.Context(), host)
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.answers, err)
		}
	}
}

func TestWorkInTheContainer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Header.Get("Private-Token") != "glpat-x":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v4/version":
			fmt.Fprint(w, `{"version":"17.8.1"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"404 Not Found"}`)
		}
	}))
	defer server.Close()
	f := forge(t, Config{})
	local := here(t)
	host := &fakeHost{
		files: map[string]string{
			FileRootPassword: "of root\n",
			FileToken:        string(Token{NewSecret("glpat-x"), f.now().AddDate(0, 0, 1)}.content()),
		},
		exec: func(ctx context.Context, cmd []string, stdin []byte) (converge.ExecResult, error) {
			stdin = bytes.ReplaceAll(stdin, []byte("http://localhost:80"), []byte(server.URL))
			stdout, stderr, code, err := local(ctx, cmd, stdin)
			return converge.ExecResult{ExitCode: code, Stdout: stdout, Stderr: stderr}, err
		},
	}
	released := 0
	f.connect = func(context.Context, bool) (converge.Host, func(), error) { return host, func() { released++ }, nil }

	client, err := f.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v, _, err := client.Version.GetVersion(); err != nil || v.Version != "17.8.1" {
		t.Errorf("version %v, %v", v, err)
	}
	if p, err := f.RootPassword(t.Context()); err != nil || p.Reveal() != "of root" {
		t.Errorf("root password: %v", err)
	}
	for _, cmd := range host.cmds {
		if strings.Contains(strings.Join(cmd, " "), "glpat") {
			t.Errorf("the token is an argument: %q", cmd)
		}
	}
	delete(host.files, FileRootPassword)
	if _, err := f.RootPassword(t.Context()); fault.Remedy(err) == "" {
		t.Errorf("no remedy: %v", err)
	}
	f.now = func() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }
	if _, err := f.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "ended on 2026-11-21") || !strings.Contains(fault.Remedy(err), "hepta token renew") {
		t.Errorf("a token that has ended: %v", err)
	}
	if released == 0 {
		t.Error("nothing was released")
	}
}
