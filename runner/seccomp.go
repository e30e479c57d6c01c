package runner

import (
	"encoding/json"
)

// rootlessDenied are the system calls that a rootless job is refused. Docker's
// own profile refuses them too: they change the machine, look into other
// processes, or open parts of the kernel that building does not need to those
// who have the rights of a user namespace.
//
// What that profile refuses beyond them is what building takes: to make
// namespaces, to mount inside them and to change the root directory.
var rootlessDenied = []string{
	"acct", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module", "fanotify_init", "finit_module",
	"get_kernel_syms", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load",
	"kexec_load", "lookup_dcookie", "mbind", "migrate_pages", "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at",
	"perf_event_open", "pidfd_getfd", "process_vm_readv", "process_vm_writev", "ptrace", "query_module", "quotactl", "quotactl_fd", "reboot",
	"set_mempolicy", "settimeofday", "stime", "swapoff", "swapon", "syslog", "uselib", "userfaultfd", "ustat", "vhangup",
	"vm86", "vm86old",
}

// rootlessAbsent are refused as by a kernel without keyrings: runc, which
// BuildKit runs steps with, goes on without one then, and fails otherwise.
var rootlessAbsent = []string{"add_key", "keyctl", "request_key"}

// rootlessSeccomp is the profile of a rootless job on one line, as the Engine
// takes it: everything but rootlessDenied and rootlessAbsent. Without privileges the kernel still
// asks for a capability wherever it always does.
func rootlessSeccomp() string {
	type rule struct {
		Names  []string `json:"names"`
		Action string   `json:"action"`
		Errno  int      `json:"errnoRet,omitempty"` // EPERM when it is left out
	}
	profile := struct {
		Default string `json:"defaultAction"`
		Rules   []rule `json:"syscalls"`
	}{"SCMP_ACT_ALLOW", []rule{{rootlessDenied, "SCMP_ACT_ERRNO", 0}, {rootlessAbsent, "SCMP_ACT_ERRNO", 38}}} // ENOSYS
	text, err := json.Marshal(profile)
	if err != nil { // strings alone
		return ""
	}
	return string(text)
}
