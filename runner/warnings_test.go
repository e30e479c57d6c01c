package runner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

// A plan says by what the jobs of which runner can get at the host, and who may
// send them.
func TestWarnings(t *testing.T) {
	yes, no := true, false
	keys := func(name string, value any) Runner { return Runner{Docker: map[string]any{name: value}} }
	volume := func(v string) Runner { return keys("volumes", []any{"/cache", v}) }
	const nobody, tagged, everything = "", ", and it takes the jobs of every project that names its tags", ", and it takes the jobs of every project, also those that name no tags"
	for name, c := range map[string]struct {
		runner Runner
		by     string // "": nothing is said
		who    string
	}{
		"no mode":         {Runner{}, "", nobody},
		"plain":           {Runner{Mode: Plain}, "", nobody},
		"rootless":        {Runner{Mode: Rootless}, "", nobody},
		"dind":            {Runner{Mode: Dind}, "privileged", everything},
		"tagged":          {Runner{Mode: Dind, Tags: []string{"x"}}, "privileged", tagged},
		"untagged too":    {Runner{Mode: Dind, Tags: []string{"x"}, RunUntagged: &yes}, "privileged", everything},
		"of a group":      {Runner{Mode: Dind, Group: 7}, "", nobody},
		"of a project":    {Runner{Mode: Dind, Project: 7}, "", nobody},
		"created by hand": {Runner{Mode: Dind, Token: NewSecret("glrt-x")}, "", nobody},
		"socket":          {Runner{Mode: Socket, Project: 7}, "the host's Docker, mode socket", nobody},
		"socket for all":  {Runner{Mode: Socket}, "the host's Docker, mode socket", everything},
		"privileged":      {keys("privileged", true), "privileged", everything},
		"in another case": {keys("PRIVILEGED", "yes"), "privileged", everything},
		"its services":    {keys("services_privileged", true), "privileged", everything},
		"not privileged":  {keys("privileged", false), "", nobody},
		"socket mounted":  {volume("/var/run/docker.sock:/var/run/docker.sock"), "/var/run/docker.sock mounted", everything},
		"as it is called": {volume("/run/docker.sock:/x:ro"), "/run/docker.sock mounted", everything},
		"its own socket":  {volume("/srv/engine/docker.sock:/x"), "/srv/engine/docker.sock mounted", everything},
		"target":          {volume("/srv/x:/run/docker.sock"), "/srv/x mounted", everything},
		"/var/run":        {volume("/var/run:/host"), "/var/run mounted", everything},
		"/run":            {volume("/run/:/host:ro"), "/run/ mounted", everything},
		"/":               {volume("/:/host"), "/ mounted", everything},
		"by a detour":     {volume("/srv/../var/:/host"), "/srv/../var/ mounted", everything},
		"Docker's data":   {volume("/var/lib:/host"), "/var/lib mounted", everything},
		"the data":        {volume("/srv:/host"), "/srv mounted", everything},
		"the tokens":      {volume("/srv/hepta/runner:/host"), "/srv/hepta/runner mounted", everything},
		"a directory":     {volume("/srv/models:/models:ro"), "", nobody},
		"a volume":        {volume("run:/var/run"), "", nobody},
		"pid":             {keys("Pid_Mode", "host"), "pid_mode: host", everything},
		"network":         {keys("network_mode", "Host"), "network_mode: host", everything},
		"another network": {keys("network_mode", "web"), "", nobody},
		"ipc":             {keys("ipcmode", "host"), "ipcmode: host", everything},
		"users":           {keys("userns_mode", "host"), "userns_mode: host", everything},
		"all":             {keys("cap_add", []any{"all"}), "cap_add: ALL", everything},
		"admin":           {keys("cap_add", []any{"NET_BIND_SERVICE", "cap_sys_admin"}), "cap_add: SYS_ADMIN", everything},
		"small ones":      {keys("cap_add", []any{"NET_BIND_SERVICE"}), "", nobody},
		"devices":         {keys("devices", []any{"/dev/kvm"}), "devices", everything},
		"of services":     {keys("services_devices", map[string]any{"x": []any{"/dev/sda"}}), "services_devices", everything},
		"device rules":    {keys("device_cgroup_rules", []any{"a *:* rwm"}), "device_cgroup_rules", everything},
		"seccomp":         {keys("security_opt", []any{"seccomp:unconfined"}), "security_opt: seccomp:unconfined", everything},
		"apparmor":        {keys("services_security_opt", "apparmor=unconfined"), "services_security_opt: apparmor=unconfined", everything},
		"SELinux":         {keys("security_opt", "label=disable"), "security_opt: label=disable", everything},
		"less":            {keys("security_opt", "no-new-privileges"), "", nobody},
		"two":             {Runner{Project: 7, Docker: map[string]any{"privileged": true, "pid_mode": "host"}}, "privileged; pid_mode: host", nobody},
		"dind and more":   {Runner{Mode: Dind, Project: 7, Docker: map[string]any{"pid_mode": "host"}}, "privileged; pid_mode: host", nobody},
	} {
		c.runner.Name = "a"
		var want []string
		if c.by != "" {
			want = []string{"runner a: its jobs can get at the Docker host itself (" + c.by + ")" + c.who + "; let only those use it who may be root there"}
		}
		if diff := cmp.Diff(want, Config{Socket: "/srv/engine/docker.sock", Runners: []Runner{c.runner}}.Warnings()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	for _, tls := range []*bool{nil, &yes, &no} {
		said := strings.Join(Config{Runners: []Runner{{Name: "a", Mode: Dind, Project: 7, TLS: tls}}}.Warnings(), "\n")
		if plain := tls == &no; strings.Contains(said, "tls: false") != plain {
			t.Errorf("tls %v: %s", tls, said)
		}
	}
}

// A runner that names no mode was one of mode dind: who made it so is told before
// its jobs lose their privileges, once.
func TestNoModeAnyMore(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	dind := at(f, Runner{Name: "a", Mode: Dind, Project: 7}, Runner{Name: "b", Mode: Dind, Project: 7})
	m.must(runners(t, dind))
	notes := func(cfg Config) string {
		s := runners(t, cfg).resources()
		plan, err := converge.Up(&s, m.observe(&s))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(plan.Notes, "\n")
	}
	unnamed := at(f, Runner{Name: "a", Project: 7}, Runner{Name: "b", Mode: Plain, Project: 7}, Runner{Name: "new", Project: 7})
	if said := notes(unnamed); strings.Count(said, "names no mode") != 1 || !strings.Contains(said, "runner a: it names no mode") || !strings.Contains(said, "write mode: dind") {
		t.Errorf("it says\n%s", said)
	}
	kept := at(f, Runner{Name: "a", Project: 7, Docker: map[string]any{"privileged": true}}, dind.Runners[1])
	if said := notes(kept); strings.Contains(said, "names no mode") {
		t.Errorf("of one that stays privileged it says\n%s", said)
	}
	m.must(runners(t, unnamed))
	if got := m.files[FileConfig]; strings.Contains(got, "privileged = true") {
		t.Errorf("it is privileged still:\n%s", got)
	}
	unnamed.Runners[0].Tags = []string{"x"}
	if said := notes(unnamed); strings.Contains(said, "names no mode") {
		t.Errorf("afterwards it says\n%s", said)
	}
}

// Attributes beside a token that was created by hand have no effect: the plan
// says so, and no list shows them as if they had.
func TestAttributesBesideAGivenTokenAreTold(t *testing.T) {
	no := false
	given := Runner{Name: "vm-2", Tags: []string{"docker"}, RunUntagged: &no, Locked: true, Paused: true, AccessLevel: "ref_protected",
		MaximumTimeout: 3600, Group: 42, Token: NewSecret("glrt-canary")}
	cfg := Config{Forge: Forge{URL: "https://gitlab.example.com"}, Runners: []Runner{given,
		{Name: "bare", Token: NewSecret("glrt-canary-2")}, {Name: "ours", Tags: []string{"x"}}, {Name: "project", Project: 7, Token: NewSecret("glrt-canary-3")}}}
	want := []string{
		"runners[vm-2]: no effect on a runner whose token was created by hand (forge.token_file): tags, run_untagged, locked, paused, access_level, maximum_timeout, group; set that in https://gitlab.example.com, at the runner itself, and leave it out here",
		"runners[project]: no effect on a runner whose token was created by hand (forge.token_file): project; set that in https://gitlab.example.com, at the runner itself, and leave it out here",
	}
	if diff := cmp.Diff(want, cfg.Warnings()); diff != "" {
		t.Error(diff)
	}
	cfg.Forge.Token = NewSecret("glpat-canary")
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"vm-2", "ours"} {
		state := r.roster(newMachine(t)).state(hostState{}, s)
		if s == "vm-2" && len(state.Tags) > 0 || s == "ours" && len(state.Tags) != 1 {
			t.Errorf("%s: tags %v", s, state.Tags)
		}
	}
}
