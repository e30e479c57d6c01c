package hepta

import (
	"bytes"
	stdcmp "cmp"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// golden compares text with a file below testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(was), text); d != "" {
		t.Errorf("%s is not what it was; -update writes it:\n%s", name, d)
	}
}

func stackOf(t *testing.T, text string) *Stack {
	t.Helper()
	cfg, err := Parse("hepta.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const internal = "forge: hg.example.org\nregistry: registry.example.org\nrunners:\n  - {name: dind, mode: dind, tags: [docker]}\n  - {name: socket, mode: socket, tags: [host]}\n"

// From nothing to a forge, in one golden text.
func TestPlanOnABareHost(t *testing.T) {
	s := stackOf(t, internal)
	plan, err := converge.Up(&s.want, &converge.Observed{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/bare.plan", plan.String())
}

func TestTheSameConfigurationGivesTheSameStack(t *testing.T) {
	a, b := stackOf(t, internal), stackOf(t, internal)
	for i := range a.want.Containers {
		if x, y := a.want.Containers[i].Spec(), b.want.Containers[i].Spec(); x != y {
			t.Errorf("specs differ:\n%s\n%s", x, y)
		}
	}
}

func TestPublish(t *testing.T) {
	s := stackOf(t, "forge: hg.example.org\nregistry: registry.example.org\nheptapod: {ssh: {via: traefik, port: 2222}, labels: {team: a}}\n")
	forge := s.service(t, heptapod.Service)
	for label, want := range map[string]string{
		"traefik.http.routers.hepta-forge.rule":                         "Host(`hg.example.org`)",
		"traefik.http.routers.hepta-registry.rule":                      "Host(`registry.example.org`)",
		"traefik.http.services.hepta-forge.loadbalancer.server.port":    "80",
		"traefik.http.services.hepta-registry.loadbalancer.server.port": "80",
		"traefik.tcp.services.hepta-ssh.loadbalancer.server.port":       "22",
		"team": "a",
	} {
		if got := forge.Labels[label]; got != want {
			t.Errorf("%s is %q, want %q", label, got, want)
		}
	}
	if len(forge.Ports) != 0 {
		t.Errorf("the forge publishes %v although ssh goes by the proxy", forge.Ports)
	}
	if p := s.service(t, traefik.Service).Ports; !slices.Contains(p, converge.Port{Host: 2222, Container: 22}) {
		t.Errorf("the proxy publishes %v", p)
	}
}

func (s *Stack) service(t *testing.T, name string) converge.Container {
	t.Helper()
	i := slices.IndexFunc(s.want.Containers, func(c converge.Container) bool { return c.Service == name })
	if i < 0 {
		t.Fatalf("no service %s", name)
	}
	return s.want.Containers[i]
}

// The key of the stack's authority lies where no container can read it.
func TestAuthorityKeyIsShownToNobody(t *testing.T) {
	for _, yaml := range []string{
		"forge: hg.example.org\nregistry: registry.example.org\nrunners: [{name: dind}, {name: plain, mode: plain}]\n",
		"forge: hg.example.org\nregistry: {host: registry.example.org, mirror: true}\nrunners: [{name: socket, mode: socket}, {name: rootless, mode: rootless}]\n",
	} {
		s := stackOf(t, yaml)
		for _, c := range s.want.Containers {
			if at, shown := s.want.Shows(&c, "ca/ca.key"); shown {
				t.Errorf("%s shows it as %s", c.Service, at)
			}
		}
		if box := s.service(t, "runner"); !slices.ContainsFunc(box.Mounts, func(m converge.Mount) bool { return m.Source == "runner-ca" && m.ReadOnly }) {
			t.Errorf("the runners are not given the authority's certificate: %v", box.Mounts)
		}
	}
}

func TestWithoutRunners(t *testing.T) {
	s := stackOf(t, "forge: hg.example.org\n")
	if got := s.Services(); !slices.Equal(got, []string{"traefik", "socket-proxy", "heptapod"}) {
		t.Errorf("got %v", got)
	}
}

// Taking all runners out of the file takes them out of the forge, and then
// their container away.
func TestRunnersTakenOut(t *testing.T) {
	was := stackOf(t, internal)
	runners := was.service(t, runner.Service)
	o := &converge.Observed{
		Containers: []converge.ObservedContainer{{ID: "r", Name: runners.Name, State: "running", Service: runner.Service, Labels: map[string]string{
			converge.LabelStack: "hepta", converge.LabelService: runner.Service, converge.LabelSpec: runners.Spec(), converge.LabelData: "/srv/hepta",
		}}},
		Files: map[string]converge.ObservedFile{
			runner.FileConfig:  {Exists: true, Mode: 0o600, Content: []byte("[[runners]]\n  name = \"dind\"\n  token = \"glrt-x\"\n")},
			runner.FileRecords: {Exists: true, Mode: 0o600, Content: []byte(`{"runners": {"dind": {"id": 1, "forge": "https://hg.example.org", "applied": {"description": "dind"}}}}`)},
		},
	}
	s := stackOf(t, "forge: hg.example.org\nregistry: registry.example.org\n")
	// Not without a word: the file may be another stack's.
	if _, err := converge.Up(&s.want, o); !errors.Is(err, ErrOrphans) {
		t.Errorf("what is not described would be removed: %v", err)
	}
	plan, err := converge.Up(s.wanted(converge.Allow{RemoveOrphans: true}), o)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{
		"call delete runner dind: no longer described", "write file runner/config.toml: content changed", "write file runner/hepta.json: content changed",
		"stop container hepta-runner: service runner is no longer described", "remove container hepta-runner:",
	} {
		i := strings.Index(plan.String()[at:], want)
		if i < 0 {
			t.Fatalf("%q is not in its place:\n%s", want, plan)
		}
		at += i
	}
}

// Nobody looks what jobs reach before the way there is in place: a proxy that
// is being replaced answers nobody.
func TestLooksWaitForTheWay(t *testing.T) {
	s := stackOf(t, internal)
	o := s.lived(t)
	for i, c := range o.Containers {
		if c.Service == traefik.Service {
			o.Containers[i].Labels[converge.LabelSpec] = "another"
		}
	}
	o.Files[runner.FileConfig] = converge.ObservedFile{Exists: true, Mode: 0o600, Content: []byte("[[runners]]\n  name = \"dind\"\n  url = \"https://hg.example.org\"\n  token = \"glrt-x\"\n")}
	o.Files[runner.FileRecords] = converge.ObservedFile{Exists: true, Mode: 0o600, Content: []byte(`{"runners": {"dind": {"id": 1, "forge": "https://hg.example.org"}}}`)}
	plan, err := converge.Up(&s.want, o)
	if err != nil {
		t.Fatal(err)
	}
	op := func(what string) *converge.Operation {
		i := slices.IndexFunc(plan.Operations, func(o converge.Operation) bool { return strings.HasPrefix(o.Text(), what) })
		if i < 0 {
			t.Fatalf("nobody is to %s:\n%s", what, plan)
		}
		return &plan.Operations[i]
	}
	waits := map[int]bool{}
	for list := op("call see runner dind").After; len(list) > 0; list = list[1:] {
		if !waits[list[0]] {
			waits[list[0]] = true
			list = append(list, plan.Operations[list[0]-1].After...)
		}
	}
	for _, what := range []string{"write file " + runner.FileConfig, "wait for container hepta-traefik", "rename container hepta-traefik_next"} {
		if !waits[op(what).ID] {
			t.Errorf("it does not wait for: %s\n%s", what, plan)
		}
	}
}

// The Engine trusts the stack's own authority for the registry, and for
// nothing else; it is not asked to where certificates are from elsewhere.
func TestTrust(t *testing.T) {
	const file = "/etc/docker/certs.d/registry.example.org/ca.crt"
	for text, want := range map[string]string{
		internal: file,
		"forge: hg.example.org\nregistry: registry.example.org\ntraefik: {https_port: 8443}\n":  "/etc/docker/certs.d/registry.example.org:8443/ca.crt",
		"forge: hg.example.org\nregistry: registry.example.org\nacme: {email: a@example.org}\n": "",
		"forge: hg.example.org\nregistry: registry.example.org\ntls: {mode: off}\n":             "",
		"forge: hg.example.org\nregistry: {port: 5050}\n":                                       "/etc/docker/certs.d/hg.example.org:5050/ca.crt",
		"forge: hg.example.org\n": "",
	} {
		s := stackOf(t, text)
		got := ""
		for _, f := range s.want.Files {
			if strings.HasPrefix(f.Path, "/etc/") {
				got += f.Path
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}

	s := stackOf(t, internal)
	i := slices.IndexFunc(s.want.Files, func(f converge.File) bool { return f.Path == file })
	trusted, leaf := s.want.Files[i], s.leaf()
	if !slices.Contains(trusted.After, converge.Ref("file:"+leaf.Path)) {
		t.Errorf("it waits for %v alone", trusted.After)
	}
	if _, ok := s.want.Shows(&s.want.Containers[0], file); !ok {
		t.Error("no container shows it, so no plan would ever be empty")
	}
	if got, err := trusted.Merge(nil, []byte("old")); err != nil || string(got) != "old" {
		t.Errorf("without a leaf: got %q, %v", got, err)
	}
	authority, err := pki.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := authority.Issue([]string{"hg.example.org"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Merge(nil, bundle); err != nil {
		t.Fatal(err)
	}
	if got, err := trusted.Merge(nil, []byte("old")); err != nil || string(got) != string(authority.Root()) {
		t.Errorf("with a leaf: got %q, %v", got, err)
	}
}

// A registry on a port of the forge's name has the certificate that the proxy
// has for it, and takes a new one over without a restart.
func TestRegistryPortHasTheStacksCertificate(t *testing.T) {
	s := stackOf(t, "forge: hg.example.org\nregistry: {port: 5050}\n")
	if got := s.RegistryHost(); got != "hg.example.org:5050" || s.cfg.registryPlain() {
		t.Errorf("the registry is %s, without TLS: %v", got, s.cfg.registryPlain())
	}
	authority, err := pki.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := authority.Issue([]string{"hg.example.org"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf := s.leaf()
	if _, err := leaf.Merge(nil, bundle); err != nil {
		t.Fatal(err)
	}
	served := map[string][]byte{}
	for _, f := range s.want.Files {
		if f.Path != heptapod.FileRegistryCert && f.Path != heptapod.FileRegistryKey {
			continue
		}
		if served[f.Path], err = f.Merge(nil, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(f.After, converge.Ref("file:"+leaf.Path)) || f.Apply == nil || !slices.Equal(f.Apply.Cmd, []string{"gitlab-ctl", "hup", "nginx"}) {
			t.Errorf("%s waits for %v and is taken over by %v", f.Path, f.After, f.Apply)
		}
		if isKey := f.Path == heptapod.FileRegistryKey; f.Secret != isKey || (f.Mode == 0o600) != isKey {
			t.Errorf("%s has mode %o, is secret: %v", f.Path, f.Mode, f.Secret)
		}
	}
	cert := served[heptapod.FileRegistryCert]
	if err := pki.Check(cert, served[heptapod.FileRegistryKey], []string{"hg.example.org"}, time.Now()); err != nil || bytes.Contains(cert, []byte("KEY")) {
		t.Errorf("what the registry serves: %v\n%s", err, cert)
	}
}

func TestNamesForJobs(t *testing.T) {
	s := stackOf(t, internal)
	want := []string{"hg.example.org:host-gateway", "registry.example.org:host-gateway"}
	if got := s.service(t, "runner").ExtraHosts; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestStatus(t *testing.T) {
	s := stackOf(t, internal)
	forge := s.service(t, heptapod.Service)
	made := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	labels := map[string]string{converge.LabelStack: "hepta", converge.LabelService: heptapod.Service, converge.LabelSpec: forge.Spec()}
	o := &converge.Observed{Containers: []converge.ObservedContainer{
		{ID: "1", Name: "hepta-heptapod", Image: "octobus/heptapod:17.8", State: "running", Health: "healthy", Status: "Up 3 minutes (healthy)", Created: made, Labels: labels, Service: heptapod.Service},
		{ID: "2", Name: "hepta-heptapod-next", Image: "octobus/heptapod:17.9", State: "created", Labels: labels, Service: heptapod.Service},
		// A job whose image bears the labels of the forge is none.
		{ID: "3", Name: "runner-1-project-1-concurrent-0-build", Image: "evil", State: "running", Created: made.AddDate(0, 0, 1), Labels: labels},
	}}
	st := s.status(o, &Plan{Operations: []Operation{
		{Kind: converge.CreateContainer, Cause: "not there", Container: &converge.Container{Service: "runner"}},
		{Kind: converge.RunInContainer, Cause: "heptapod/config/gitlab.rb changed", Apply: &converge.Apply{Service: "heptapod"}},
		{Kind: converge.WaitContainer, Cause: "until it is healthy", Container: &converge.Container{Service: "heptapod"}},
		{Kind: converge.RunTask, Cause: "the present one ends on 2026-02-01", Task: &converge.Task{Name: "api token", Ref: heptapod.RefToken}},
	}})
	want := &Status{Stack: "hepta", Changes: 4, Notes: []string{"api token: the present one ends on 2026-02-01"}, Services: []ServiceStatus{
		{Name: "traefik", Container: "hepta-traefik", State: "absent", Image: traefik.DefaultImage, Version: "3.6.12"},
		{Name: "socket-proxy", Container: "hepta-socket-proxy", State: "absent", Image: traefik.DefaultSocketProxyImage, Version: "3.0.11"},
		{Name: "heptapod", Container: "hepta-heptapod", State: "running", Health: "healthy", Detail: "Up 3 minutes (healthy)", Image: "octobus/heptapod:17.8", Version: "17.8",
			Created: made, URLs: []string{"https://hg.example.org", "https://registry.example.org"}, Drift: []string{"heptapod/config/gitlab.rb changed"}},
		{Name: "runner", Container: "hepta-runner", State: "absent", Image: runner.DefaultImage, Version: "0.7.0", Drift: []string{"not there"}},
	}}
	if d := cmp.Diff(want, st); d != "" {
		t.Error(d)
	}
	if st.OK() {
		t.Error("a stack that is half there is OK")
	}
}

// A change of its settings that the forge has refused is a problem, however well
// it serves.
func TestStatusOfARefusedChange(t *testing.T) {
	s := stackOf(t, internal)
	st := s.status(&converge.Observed{
		Containers: []converge.ObservedContainer{{Name: "hepta-heptapod", State: "running", Health: "healthy", Labels: map[string]string{converge.LabelStack: "hepta", converge.LabelService: heptapod.Service}}},
		Files:      map[string]converge.ObservedFile{heptapod.FileGitlabRB: {Exists: true, Pending: true, Refused: "no such setting"}},
	}, &Plan{})
	if x := st.Services[slices.IndexFunc(st.Services, func(x ServiceStatus) bool { return x.Name == heptapod.Service })]; x.OK() || x.Problem != "gitlab-ctl reconfigure has failed for heptapod/config/gitlab.rb: no such setting" {
		t.Errorf("%+v", x)
	}
}

// What up refuses is told beside how the services do.
func TestStatusOfWhatIsRefused(t *testing.T) {
	s := stackOf(t, internal+"heptapod: {image: \"octobus/heptapod:16.0\"}\n")
	forge := s.service(t, heptapod.Service)
	forge.Image = "octobus/heptapod:17.8"
	st, _ := s.statusOf(&converge.Observed{
		Containers: []converge.ObservedContainer{{ID: "1", Name: "hepta-heptapod", State: "running", Health: "healthy", Service: heptapod.Service,
			Labels: map[string]string{converge.LabelStack: "hepta", converge.LabelService: heptapod.Service, converge.LabelSpec: forge.Spec()}}},
		Files: map[string]converge.ObservedFile{"heptapod/data/gitlab-rails/VERSION": {Exists: true, Content: []byte("17.8.1\n")}},
	})
	if !strings.Contains(st.Refused, "GitLab 17.8.1 or newer") || len(st.Services) != 4 || !st.Services[2].OK() {
		t.Errorf("%+v", st)
	}
}

func TestDraft(t *testing.T) {
	for _, d := range []Draft{
		{Forge: "hg.example.org"},
		{Forge: "hg.example.org", Registry: "r.example.org", Email: "a+b@example.org", Data: "/srv/x", SSHPort: 2222, Runners: []string{"dind", "socket"}},
		{Forge: "true.example", Data: "/srv/with space", Runners: []string{"plain"}},
		{Forge: "https://hg.example.org"},
		{Forge: "https://hg.example.org/forge", Registry: "r.example.org", TokenFile: "env:TOKEN", Data: "/srv/x", Runners: []string{"dind", "plain"}},
		{Forge: "http://10.0.0.1:8080", TokenFile: "-", Runners: []string{"rootless"}},
	} {
		text, err := d.YAML()
		if err != nil {
			t.Errorf("%+v: %v\n%s", d, err, text)
			continue
		}
		cfg, err := Parse("hepta.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		n := cfg.normal()
		same := n.Heptapod.Host == d.Forge && n.Heptapod.Image == heptapod.DefaultImage && (d.Registry != "") == (n.Registry != nil) && len(n.Runners) == len(d.Runners)
		if n.Forge.URL != "" {
			same = n.Forge.URL == d.Forge && n.Forge.TokenFile == stdcmp.Or(d.TokenFile, DraftTokenFile) && n.Forge.Registry == d.Registry &&
				len(n.Runners) == max(1, len(d.Runners))
		}
		if stack := map[string]string{"https": "hg-example-org", "http": "10-0-0-1"}[strings.SplitN(d.Forge, ":", 2)[0]]; n.Stack != stdcmp.Or(stack, "hepta") || d.Data == "" && n.Data != "/srv/"+n.Stack {
			t.Errorf("%+v is stack %s with its data in %s", d, n.Stack, n.Data)
		}
		if !same || d.Data != "" && n.Data != d.Data || strings.Contains(d.Forge, "://") != (n.Forge.URL != "") {
			t.Errorf("%+v became %+v", d, n)
		}
	}
	for _, d := range []Draft{{}, {Forge: "a b"}, {Forge: "ftp://a"}, {Forge: "https://a.b", SSHPort: 22}, {Forge: "https://a.b", Email: "a@b.c"}, {Forge: "a.b", TokenFile: "x"}, {Forge: "a.b\nstack: x"}, {Forge: "a.b", Runners: []string{"x, mode: y"}}} {
		if text, err := d.YAML(); err == nil {
			t.Errorf("%+v became\n%s", d, text)
		}
	}
}
