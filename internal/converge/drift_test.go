package converge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// full is a container with every field of its identity set.
func full() Container {
	return Container{
		Service: "heptapod", Name: "hepta-heptapod",
		Image: "octobus/heptapod:17.8", Hostname: "hg.example.org", Entrypoint: []string{"/init"}, Cmd: []string{"a", "b"},
		Env: []string{"TZ=UTC", "LANG=C"}, User: "0:0", Labels: map[string]string{"traefik.enable": "true"},
		Mounts:   []Mount{{Source: "forge/config", Target: "/etc/gitlab", Kind: Data}, {Source: "cache", Target: "/cache", Kind: VolumeKind}, {Source: "/run/x", Target: "/x", Kind: HostPath, ReadOnly: true}},
		Networks: []Attachment{{Network: "web", Aliases: []string{"hg.example.org", "forge"}}}, Ports: []Port{{Host: 22, Container: 22, Proto: "tcp"}, {HostIP: "127.0.0.1", Host: 5050, Container: 5000, Proto: "udp"}},
		ExtraHosts: []string{"b:2", "a:1"}, Privileged: true, CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Tmpfs: []string{"/tmp"}, PidsLimit: 64, SecurityOpt: []string{"seccomp=unconfined"}, ReadOnly: true,
		ShmSize: 256 << 20, NoFile: 4096, Memory: 1 << 30, Restart: "unless-stopped", StopSignal: "SIGINT", StopTimeout: time.Minute,
		Health:     &Health{Test: []string{"CMD", "true"}, Interval: time.Minute, Timeout: time.Second, StartPeriod: time.Hour, StartInterval: time.Second, Retries: 5},
		LogMaxSize: "10m", LogMaxFiles: 3, InitProcess: true, CgroupParent: "/x",
	}
}

// fullOf is full without the fields that the release of a fixture did not know.
func fullOf(release string) Container {
	c := full()
	if release == "release-0.1" {
		c.CapDrop, c.Tmpfs, c.PidsLimit = nil, nil, 0
	}
	return c
}

// TestReleaseLabels reads the labels that releases wrote: to this one, what
// they describe is unchanged.
func TestReleaseLabels(t *testing.T) {
	files, err := filepath.Glob("testdata/release-*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var labels map[string]string
			if err := json.Unmarshal(b, &labels); err != nil {
				t.Fatal(err)
			}
			described := map[string]Container{"full": fullOf(filepath.Base(filepath.Dir(file))), "small": {Image: "traefik:v3.6"}}
			want, ok := described[strings.TrimSuffix(filepath.Base(file), ".json")]
			if !ok {
				t.Fatal("nothing in this test goes with the file")
			}
			want.Service, want.Name = labels[LabelService], "hepta-"+labels[LabelService]
			s := &Stack{Name: labels[LabelStack], Data: labels[LabelData], Containers: []Container{want},
				Files: []File{{Path: "forge/boot", Content: []byte("e\n")}}}
			if want.Service == "heptapod" {
				s.Containers[0].RecreateOn = []string{"forge/boot"}
			}
			for _, n := range want.Networks {
				s.Networks = append(s.Networks, Network{Name: n.Network})
			}
			s.Volumes = []Volume{{Name: "cache"}}
			o := &Observed{
				Images:   map[string]string{NormalizeImage(want.Image): labels[LabelImageID]},
				Networks: []ObservedNetwork{{ID: "n", Name: "web", Labels: labels}},
				Volumes:  []ObservedVolume{{Name: "cache", Labels: labels}},
				Files:    map[string]ObservedFile{"forge/boot": {Exists: true, Content: []byte("e\n"), Mode: 0o644}},
				Containers: []ObservedContainer{{ID: "c", Name: want.Name, State: "running", Labels: labels, Networks: map[string]string{"web": "n"},
					Mounts: []ObservedMount{{Source: labels[LabelData] + "/forge/config", Target: "/etc/gitlab"}, {Source: labels[LabelData] + "/traefik/logs", Target: "/var/log/traefik"}}}},
			}
			s.Recognize(o)
			p, err := Up(s, o)
			if err != nil || !p.Empty() {
				t.Errorf("labels of a release read as changed: %v\n%s", err, p)
			}
			if labels[LabelProof] != "" {
				return
			}
			// What the proxy believes is created again once, and for that reason alone.
			s.Containers[0].NeedsProof = true
			if p, err = Up(s, o); err != nil || len(p.Operations) == 0 || p.Operations[0].Cause != "carries no proof of this stack yet" {
				t.Errorf("a container without the proof: %v\n%s", err, p)
			}
		})
	}
}

// TestEveryFieldIsSeen changes each field that is part of the identity.
func TestEveryFieldIsSeen(t *testing.T) {
	base, typ := full(), reflect.TypeFor[Container]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Tag.Get("json") == "-" {
			continue
		}
		if !strings.HasSuffix(f.Tag.Get("json"), ",omitempty") && f.Name != "Image" {
			t.Errorf("%s: without omitempty the zero value would not mean as before", f.Name)
		}
		changed := base
		reflect.ValueOf(&changed).Elem().Field(i).SetZero()
		if c := changes(base, changed); len(c) != 1 && f.Type.Kind() != reflect.Slice {
			t.Errorf("%s taken away: %q", f.Name, c)
		}
		if c := changes(changed, base); len(c) == 0 {
			t.Errorf("%s added: nothing seen", f.Name)
		}
		if reflect.ValueOf(base).Field(i).IsZero() {
			t.Errorf("%s is not set in the test", f.Name)
		}
	}
	var nested []reflect.Type
	for _, v := range []any{Mount{}, Attachment{}, Port{}, Health{}} {
		nested = append(nested, reflect.TypeOf(v))
	}
	got := 0
	for _, typ := range nested {
		got += typ.NumField()
	}
	if got != 5+2+4+6 {
		t.Error("a nested struct has another number of fields: teach changes about them")
	}
}

func TestCauses(t *testing.T) {
	for _, c := range []struct {
		change func(*Container)
		want   string
	}{
		{func(c *Container) { c.Image = "octobus/heptapod:17.9" }, "image changed octobus/heptapod:17.8 → octobus/heptapod:17.9"},
		{func(c *Container) { c.Ports[0].Host = 2222 }, "port 22 → 2222"},
		{func(c *Container) { c.Ports = c.Ports[:1] }, "port 127.0.0.1:5050:5000/udp removed"},
		{func(c *Container) { c.Ports = append(c.Ports, Port{Host: 8443, Container: 443}) }, "port 8443:443 added"},
		{func(c *Container) { c.Ports[0].HostIP = "::1" }, "port 22 removed; port ::1:22 added"},
		{func(c *Container) { c.Cmd = []string{"b", "a"} }, "command in another order"},
		{func(c *Container) { c.Cmd = []string{"a", "c"} }, "command b → c"},
		{func(c *Container) { c.Cmd = []string{"a", "b", "b"} }, "command with b"},
		{func(c *Container) { c.Cmd = nil }, "command without a b"},
		{func(c *Container) { c.Env = []string{"TZ=", "LANG=C"} }, "env TZ changed UTC → (empty)"},
		{func(c *Container) { c.Mounts[0].Source = "forge/etc" }, "mount /etc/gitlab changed forge/config → forge/etc"},
		{func(c *Container) { c.Mounts[1].ReadOnly = true }, "mount /cache changed volume cache → volume cache (read-only)"},
		{func(c *Container) { c.Networks[0].Aliases = []string{"forge"} }, "network web changed forge,hg.example.org → forge"},
		{func(c *Container) { c.Privileged = false }, "privileged switched off"},
		{func(c *Container) { c.ShmSize = 1 }, "shared memory 268435456 → 1"},
		{func(c *Container) { c.Restart = "" }, "restart policy unless-stopped no longer set"},
		{func(c *Container) { c.Health = nil }, "healthcheck removed"},
		{func(c *Container) { h := *c.Health; h.Interval = time.Second; c.Health = &h }, "healthcheck interval 1m0s → 1s"},
		{func(c *Container) { c.Env = []string{"LANG=C", "TZ=UTC"} }, ""},
		{func(c *Container) { c.Ports[0], c.Ports[1] = c.Ports[1], Port{Host: 22, Container: 22} }, ""},
		{func(c *Container) { c.Networks[0].Aliases = []string{"forge", "hg.example.org"} }, ""},
		{func(c *Container) { c.Image = "docker.io/octobus/heptapod:17.8" }, ""},
		{func(c *Container) { slices.Reverse(c.ExtraHosts) }, ""},
	} {
		now := full()
		c.change(&now)
		if got := strings.Join(changes(full(), now), "; "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestSpecIsCanonical(t *testing.T) {
	a, b := full(), full()
	slices.Reverse(b.Env)
	slices.Reverse(b.Mounts)
	slices.Reverse(b.Ports)
	slices.Reverse(b.Networks[0].Aliases)
	if a.Spec() != b.Spec() {
		t.Errorf("the order of what has none shows:\n%s\n%s", a.Spec(), b.Spec())
	}
	if !slices.Equal(full().Env, []string{"TZ=UTC", "LANG=C"}) {
		t.Error("the container itself was put in order")
	}
	back, err := parseSpec(a.Spec())
	if err != nil || len(changes(back, a)) != 0 {
		t.Errorf("back from its label it differs: %v %v", changes(back, a), err)
	}
	if got := (Container{Image: "a"}).Spec(); got != `{"image":"a"}` {
		t.Errorf("zero values are in the label: %s", got)
	}
}

func FuzzParseSpec(f *testing.F) {
	c := full()
	f.Add(c.Spec())
	f.Add(`{"image":"a","later":[1]}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, label string) {
		c, err := parseSpec(label)
		if err != nil {
			return
		}
		if d := changes(c, c); len(d) != 0 {
			t.Errorf("differs from itself: %q", d)
		}
		again, err := parseSpec(c.Spec())
		if err != nil || again.Spec() != c.Spec() {
			t.Errorf("not stable: %s → %s (%v)", c.Spec(), again.Spec(), err)
		}
	})
}

func TestImages(t *testing.T) {
	o := &Observed{Images: map[string]string{
		"docker.io/library/traefik:v3":                    "sha256:1",
		"example.org/x@sha256:" + strings.Repeat("a", 64): "sha256:2",
	}}
	for ref, want := range map[string]string{
		"traefik:v3": "sha256:1", "docker.io/traefik:v3": "sha256:1", "sha256:1": "sha256:1", "traefik": "",
		"example.org/x:tag@sha256:" + strings.Repeat("a", 64): "sha256:2", "Not A Ref": "",
	} {
		if id, ok := o.ImageID(ref); id != want || ok != (want != "") {
			t.Errorf("%s is %q %v, want %q", ref, id, ok, want)
		}
	}
}
