package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"syscall"
)

// The permissions of a file, as in the last three bits of its mode.
const (
	mayRead  fs.FileMode = 0o4
	mayWrite fs.FileMode = 0o2
	mayEnter fs.FileMode = 0o1
)

// warnOfUser tells what keeps a user of this machine from working with a
// configuration: the file and the directories above it, and where the state
// file is to lie.
func warnOfUser(t terminal, name, file, state string) {
	u, err := user.Lookup(name)
	if err != nil {
		fmt.Fprintf(t.err, "warning: this machine has no user %s: useradd --system %s\n", name, name)
		return
	}
	if u.Uid == "0" {
		return
	}
	warn := func(format string, args ...any) {
		fmt.Fprintf(t.err, "warning: user "+name+" "+format+"\n", args...)
	}
	entered := map[string]bool{}
	enters := func(dir string) bool {
		for _, above := range pathTo(dir) {
			if entered[above] {
				return false // told before
			}
			if mode, can := allows(u, above, mayEnter); !can {
				entered[above] = true
				warn("cannot enter %s (mode %04o): chmod o+x %[1]s, or keep the files elsewhere", above, mode)
				return false
			}
		}
		return true
	}
	if enters(filepath.Dir(file)) {
		if mode, can := allows(u, file, mayRead); !can {
			warn("cannot read %s (mode %04o): chown %s %[1]s", file, mode, name)
		}
	}
	dir := filepath.Dir(state)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		warn("needs a directory for the state file: install -d -m 700 -o %s %s", name, dir)
		return
	}
	if !enters(dir) {
		return
	}
	if mode, can := allows(u, dir, mayWrite); !can {
		warn("cannot write to %s (mode %04o), where the state file is to lie: chown %s %[1]s", dir, mode, name)
		return
	}
	if _, err := os.Stat(state); err == nil {
		if mode, can := allows(u, state, mayRead|mayWrite); !can {
			warn("cannot read and write %s (mode %04o): chown %s %[1]s", state, mode, name)
		}
	}
}

// pathTo are a directory and those above it, the outermost first.
func pathTo(dir string) []string {
	var list []string
	for ; ; dir = filepath.Dir(dir) {
		list = append(list, dir)
		if dir == filepath.Dir(dir) {
			slices.Reverse(list)
			return list
		}
	}
}

// allows reports whether the mode of a file lets a user do what is wanted. Of a
// file that cannot be looked at nothing is said.
func allows(u *user.User, path string, want fs.FileMode) (mode fs.FileMode, can bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, true
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, true
	}
	groups, _ := u.GroupIds()
	mode = info.Mode().Perm()
	given := mode
	switch {
	case fmt.Sprint(owner.Uid) == u.Uid:
		given >>= 6
	case slices.Contains(groups, fmt.Sprint(owner.Gid)):
		given >>= 3
	}
	return mode, given&want == want
}
