package sandbox

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"
)

func TestSpecPrivileges(t *testing.T) {
	tests := []struct {
		name       string
		privileges Privileges
		privileged bool
		caps       int
		rules      int
		binds      int
		cgroupns   container.CgroupnsMode
	}{
		{"privileged, cgroup v1", Privileges{Privileged: true}, true, 0, 0, 0, ""},
		{"privileged, cgroup v2", Privileges{Privileged: true, CgroupV2: true}, true, 0, 0, 0, "private"},
		{"capabilities, cgroup v1", Privileges{CapAdd: []string{"CAP_SYS_ADMIN"}}, false, 1, 1, 1, ""},
		{"capabilities, cgroup v2", Privileges{CapAdd: []string{"CAP_SYS_ADMIN"}, CgroupV2: true}, false, 1, 1, 0, "private"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, h := Config{Name: "box", Image: "base"}.Spec(tt.privileges)
			if h.Privileged != tt.privileged || len(h.CapAdd) != tt.caps || len(h.DeviceCgroupRules) != tt.rules ||
				len(h.Binds) != tt.binds || h.CgroupnsMode != tt.cgroupns {
				t.Errorf("got privileged %v, caps %v, rules %v, binds %v, cgroupns %q", h.Privileged, h.CapAdd, h.DeviceCgroupRules, h.Binds, h.CgroupnsMode)
			}
		})
	}
}

func TestSpec(t *testing.T) {
	labels := map[string]string{"a": "b"}
	c, h := Config{
		Name: "box", Image: "base", Labels: labels, Volume: "data", Network: "net",
		Publish: []Port{{Container: 80}, {HostIP: "127.0.0.1", Host: 8443, Container: 443}},
		Args:    []string{"--insecure-registry=x"},
	}.Spec(Privileges{})
	if want := map[string]string{"a": "b", LabelSandbox: "box"}; !cmp.Equal(c.Labels, want) {
		t.Errorf("labels %v, want %v", c.Labels, want)
	}
	if len(labels) != 1 {
		t.Errorf("the caller's labels were changed: %v", labels)
	}
	want := nat.PortMap{"80/tcp": {{}}, "443/tcp": {{HostIP: "127.0.0.1", HostPort: "8443"}}}
	if d := cmp.Diff(want, h.PortBindings); d != "" {
		t.Error(d)
	}
	if len(h.Mounts) != 1 || h.Mounts[0].Source != "data" || h.Mounts[0].Target != "/var/lib/docker" {
		t.Errorf("mounts %v", h.Mounts)
	}
	if h.NetworkMode != "net" {
		t.Errorf("network %q", h.NetworkMode)
	}
	if d := cmp.Diff([]string{"--insecure-registry=x"}, []string(c.Cmd)); d != "" {
		t.Error(d)
	}
}
