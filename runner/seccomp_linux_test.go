package runner

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var (
	// building are the system calls that building takes and that Docker's own
	// profile lets none but the privileged make: namespaces, mounts inside them,
	// and another root directory and host name there.
	building = []string{"chroot", "clone", "clone3", "mount", "pivot_root", "setdomainname", "sethostname", "setns", "umount", "umount2", "unshare"}
	// keyrings are refused as by a kernel without them: runc, with which BuildKit
	// runs steps, goes on without one then, and fails when it is told no.
	keyrings = []string{"add_key", "keyctl", "request_key"}
)

// The profile of rootless jobs is Docker's, with what building takes added to it
// and nothing else, and that of the present release of Docker's.
func TestRootlessProfileIsDockersOwn(t *testing.T) {
	want := seccomp.DefaultProfile()
	for _, rule := range want.Syscalls {
		rule.Comment = ""
		rule.Names = slices.DeleteFunc(rule.Names, func(name string) bool { return slices.Contains(building, name) })
	}
	want.Syscalls = slices.DeleteFunc(want.Syscalls, func(rule *seccomp.Syscall) bool { return len(rule.Names) == 0 })
	for _, rule := range want.Syscalls {
		for _, name := range rule.Names {
			if slices.Contains(keyrings, name) {
				t.Errorf("Docker's own profile has a rule about %s", name)
			}
		}
	}
	absent := uint(unix.ENOSYS)
	want.Syscalls = append(want.Syscalls,
		&seccomp.Syscall{LinuxSyscall: specs.LinuxSyscall{Names: building, Action: specs.ActAllow}},
		&seccomp.Syscall{LinuxSyscall: specs.LinuxSyscall{Names: keyrings, Action: specs.ActErrno, ErrnoRet: &absent}})
	text, err := json.MarshalIndent(want, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("seccomp_rootless.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(rootlessProfile), string(text)); diff != "" {
		t.Errorf("Docker's profile is another one by now; go test ./runner -run RootlessProfile -update takes it over:\n%s", diff)
	}
}
