package engine

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

// TestCheckSecurity: an Engine on which no container could use its files is
// refused with the setting that does it.
func TestCheckSecurity(t *testing.T) {
	usual := []string{"name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"}
	for option, want := range map[string]string{
		"": "", "name=rootless": "", "name=no-new-privileges": "", "name=usernsx": "",
		"name=userns": "userns-remap", "name=selinux": "selinux-enabled", "name=selinux,x=y": "selinux-enabled",
	} {
		err := CheckSecurity(append(usual[:3:3], option))
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", option, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(fault.Remedy(err), "/etc/docker/daemon.json") {
			t.Errorf("%q: %v", option, err)
		}
	}
}
