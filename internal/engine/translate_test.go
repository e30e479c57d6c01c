package engine

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

func TestTranslate(t *testing.T) {
	s := &converge.Stack{Name: "s", Data: "/srv/hepta"}
	c := &converge.Container{
		Image: "x", Hostname: "h", User: "1", Cmd: []string{"a"}, Env: []string{"A=1"}, Labels: map[string]string{"l": "1", "hepta.stack": "no"},
		Mounts: []converge.Mount{
			{Kind: converge.Data, Source: "forge/config", Target: "/etc/gitlab"}, {Kind: converge.VolumeKind, Source: "cache", Target: "/cache", ReadOnly: true},
			{Kind: converge.HostPath, Source: "/var/run/docker.sock", Target: "/var/run/docker.sock", ReadOnly: true},
			{Kind: converge.HostPath, Source: "/etc/docker/certs.d", Target: "/certs"},
		},
		Ports:   []converge.Port{{Host: 443, Container: 443}, {HostIP: "::1", Host: 53, Container: 5353, Proto: "udp"}, {Container: 80}},
		ShmSize: 1 << 20, NoFile: 1024, Memory: 1 << 30, Restart: "unless-stopped", StopTimeout: 1500 * time.Millisecond, InitProcess: true,
		LogMaxSize: "10m", LogMaxFiles: 3, CgroupParent: "/g", Privileged: true, ReadOnly: true,
		CapAdd: []string{"CHOWN"}, CapDrop: []string{"ALL"}, PidsLimit: 64, Tmpfs: []string{"/tmp"},
	}
	f := newFake()
	got, err := translate(s, c, map[string]string{"hepta.stack": "s"}, "172.17.0.1", f)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("labels", got.config.Labels, map[string]string{"l": "1", "hepta.stack": "s"})
	check("binds", got.host.Binds, []string{"cache:/cache:ro", "/etc/docker/certs.d:/certs"})
	check("mounts", got.host.Mounts, []mount.Mount{{Type: mount.TypeBind, Source: "/srv/hepta/forge/config", Target: "/etc/gitlab"},
		{Type: mount.TypeBind, Source: "/var/run/docker.sock", Target: "/var/run/docker.sock", ReadOnly: true}})
	check("ports", got.host.PortBindings, nat.PortMap{"443/tcp": {{HostPort: "443"}}, "5353/udp": {{HostIP: "::1", HostPort: "53"}}, "80/tcp": {{}}})
	check("stop timeout", *got.config.StopTimeout, 2)
	check("log", got.host.LogConfig, container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}})
	check("limits", []int64{got.host.Memory, got.host.ShmSize, got.host.Ulimits[0].Soft, got.host.Ulimits[0].Hard}, []int64{1 << 30, 1 << 20, 1024, 1024})
	check("switches", []bool{got.host.Privileged, got.host.ReadonlyRootfs, *got.host.Init}, []bool{true, true, true})
	check("capabilities", [][]string{got.host.CapAdd, got.host.CapDrop}, [][]string{{"CHOWN"}, {"ALL"}})
	check("processes", *got.host.PidsLimit, int64(64))
	check("memory", got.host.Tmpfs, map[string]string{"/tmp": ""})
	if got.net != nil || got.host.NetworkMode != "" {
		t.Error("a container without networks has some")
	}

	c.Mounts = []converge.Mount{{Kind: converge.HostPath, Source: "relative", Target: "/x"}}
	if _, err := translate(s, c, nil, "", f); err == nil {
		t.Error("a relative host path was mounted")
	}
}

func TestHere(t *testing.T) {
	for file, want := range map[string]string{
		"a/b": "/hepta/a/b", "./a//b": "/hepta/a/b", "a/../b": "/hepta/b", "/etc/docker/certs.d/x": "/host/etc/docker/certs.d/x",
		"../a": "", "..": "", "": "", ".": "", "/etc/docker": "", "/etc/passwd": "", "/etc/docker/../passwd": "", "a/../../b": "",
	} {
		if got, err := here(file); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", file, got, err, want)
		}
	}
}

func TestStamp(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	a := stamp(now, []byte("a"), 0, 0)
	if !a.Equal(stamp(a, []byte("a"), 0, 0)) {
		t.Error("what was written is not known again")
	}
	for _, word := range []string{"a", "b", "c", "d", "e", "f"} {
		for _, now := range []time.Time{now, now.Add(500 * time.Millisecond), now.Add(999999999)} {
			if at := stamp(now, []byte(word), 0, 0); at.Before(now) || at.Sub(now) >= time.Second {
				t.Errorf("%s written at %s is said to be of %s", word, now, at)
			}
		}
	}
	if at := later(now, a); !at.After(a) || !stamp(at, []byte("a"), 0, 0).After(a) {
		t.Errorf("what replaces a file of %s is no newer: %s", a, at)
	}
	if at := later(a.Add(time.Hour), a); !at.Equal(a.Add(time.Hour)) {
		t.Errorf("the time of writing is lost: %s", at)
	}
	for _, other := range []time.Time{stamp(now, []byte("b"), 0, 0), stamp(now, []byte("a"), 1, 0), stamp(now, []byte("a"), 0, 1), now} {
		if a.Equal(other) {
			t.Error("something else looks the same")
		}
	}
}

func TestHealthOf(t *testing.T) {
	for status, want := range map[string]string{
		"Up 3 minutes (healthy)": "healthy", "Up 3 minutes (unhealthy)": "unhealthy", "Up 1 second (health: starting)": "starting",
		"Up 3 minutes": "", "Exited (137) 2 hours ago": "", "Up 2 days (Paused)": "",
	} {
		if got := healthOf(status); got != want {
			t.Errorf("%q: %q, want %q", status, got, want)
		}
	}
	if got := nameOf(container.Summary{Names: []string{"/web/alias", "/db"}}); got != "db" {
		t.Errorf("name %q", got)
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := &lines{emit: func(s string) { got = append(got, s) }}
	for _, s := range []string{"a\nb", "c\r\n", "", "\n", "end"} {
		if _, err := l.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	l.flush()
	l.flush()
	if diff := cmp.Diff([]string{"a", "bc", "", "end"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
