// Package converge decides what has to happen so that a Docker host looks like
// a description. It computes only: Desired and Observed go in, a Plan comes
// out, and nothing in here can reach an Engine. Package engine observes and
// executes.
package converge

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/heptaup/hepta/internal/progress"
)

// Stack is the desired state: everything that carries the stack's label.
// The same configuration gives the same Stack, byte for byte, once rendered.
type Stack struct {
	Name string // label hepta.stack, prefix of every name
	Data string // directory on the Docker host below which all files lie
	// Forge is the address of the forge that the stack is or works for, "" when
	// it does not matter.
	Forge string
	// LockService is the service whose image is the first choice for the
	// container that locks the stack; "" where any will do.
	LockService string
	// SharedWith are the names of other containers that may write to Data.
	SharedWith []string
	// Drops are services that have no container because they are to go.
	Drops      []string
	Allow      Allow
	Networks   []Network
	Volumes    []Volume
	Files      []File
	Containers []Container
	Reads      []Read
	// Marks are those of Reads of which one is there as soon as a service has
	// something to lose.
	Marks []string

	// Resolve fills in what the host alone knows. Each function changes the
	// copy that it is given by the snapshot, and nothing else.
	Resolve []func(*Stack, *Observed) error

	// Publishes is the label by which a container of somebody else asks to be
	// published, which counts only beside LabelProof; "" without a proxy.
	Publishes string

	// Decide adds the calls that go elsewhere than to the Engine (the forge's
	// API). Each function sees the snapshot and returns the tasks that are
	// due; it must not do anything. Order does not matter.
	Decide []func(*Observed) ([]Task, error)
	// Warn adds notes to a plan that does something.
	Warn []func(*Observed) []string
}

// Read is files below the data directory that the snapshot holds besides Files:
// nothing here writes them.
type Read struct {
	Paths []string
	// When says, by the containers and images that were seen, whether anybody
	// is going to ask for them; nil: always. Each costs a call.
	When func(*Observed) bool
}

// DefaultData is the data directory of a stack that names none. Each stack has
// one of its own.
func DefaultData(stack string) string { return "/srv/" + stack }

// Network is a bridge network. One that exists without the stack's label is
// adopted as it is: never changed, never removed.
type Network struct {
	Name string
	MTU  int // bytes; 0: that of the Engine's default network
	// Internal networks lead nowhere else and are the stack's alone: one of that
	// name that somebody else made is refused.
	Internal bool
}

// Volume is a named volume.
type Volume struct {
	Name string
}

// Ref names a resource inside a stack: "network:web", "file:traefik/acme.json",
// "container:heptapod" (by service, not by container name), "task:token".
type Ref string

// File lies below the stack's data directory and reaches the Engine's host
// through the archive API. It is written beside its place and renamed.
type File struct {
	// Path is slash-separated and relative to Stack.Data. An absolute path is
	// a file of the Engine's host outside the data directory (the trust store
	// of the Engine itself); only such paths below /etc/docker are written.
	Path string
	// Mode is the permission bits, 0644 when zero. A directory that is made
	// gets 0755, or 0700 when a file of the stack goes there whose Mode has no
	// bits for group and others.
	Mode fs.FileMode
	UID  int
	GID  int

	Content []byte // what the file has to hold
	// Merge, when set, takes the place of Content: it computes the content
	// from the snapshot and from what is there (nil when the file is absent).
	// It is called when planning and again when writing, after the tasks that
	// File waits for.
	Merge func(o *Observed, current []byte) ([]byte, error)
	// Existing files are changed where they are there and never made: what a
	// service that is gone has left. A container of such a service that still
	// shows one is removed after the change.
	Existing bool
	// Once files are written when absent and never looked at again.
	Once   bool
	Secret bool // content is not shown in any plan or diff

	After []Ref
	// Apply is run inside a container that keeps running over the change,
	// when the program in it does not re-read the file by itself.
	Apply *Apply
}

// KeepContent is the Merge of a file that a task fills: what is there stays, and
// an absent file is made empty. The task has to come after it.
func KeepContent(_ *Observed, current []byte) ([]byte, error) { return current, nil }

// Apply is a command that makes a running container take a changed file over.
type Apply struct {
	Service string
	Cmd     []string
	Timeout time.Duration
}

// Container is one container. Every field without a json tag of "-" is part of
// its identity: a change there means a new container. The JSON form is kept in
// a label, so it holds no secret and a zero value must mean "as before".
type Container struct {
	Service string `json:"-"` // short name inside the stack: traefik, heptapod, runner
	Name    string `json:"-"` // container name on the host

	Image      string            `json:"image"`
	Hostname   string            `json:"hostname,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        []string          `json:"env,omitempty"` // KEY=value, sorted
	User       string            `json:"user,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"` // without hepta's own
	Mounts     []Mount           `json:"mounts,omitempty"`
	Networks   []Attachment      `json:"networks,omitempty"` // none: the Engine's default network
	Ports      []Port            `json:"ports,omitempty"`
	ExtraHosts []string          `json:"extra_hosts,omitempty"` // name:address

	Privileged   bool          `json:"privileged,omitempty"`
	CapAdd       []string      `json:"cap_add,omitempty"`
	CapDrop      []string      `json:"cap_drop,omitempty"` // before CapAdd; ALL for every one
	SecurityOpt  []string      `json:"security_opt,omitempty"`
	ReadOnly     bool          `json:"read_only,omitempty"`  // the root file system
	Tmpfs        []string      `json:"tmpfs,omitempty"`      // directories in memory, writable
	PidsLimit    int64         `json:"pids_limit,omitempty"` // processes and threads; 0: no limit
	ShmSize      int64         `json:"shm_size,omitempty"`   // bytes
	NoFile       int64         `json:"nofile,omitempty"`     // ulimit, soft and hard
	Memory       int64         `json:"memory,omitempty"`     // bytes
	Restart      string        `json:"restart,omitempty"`    // no, always, unless-stopped, on-failure
	StopSignal   string        `json:"stop_signal,omitempty"`
	StopTimeout  time.Duration `json:"stop_timeout,omitempty"`
	Health       *Health       `json:"health,omitempty"`
	LogMaxSize   string        `json:"log_max_size,omitempty"` // json-file, "10m"
	LogMaxFiles  int           `json:"log_max_files,omitempty"`
	InitProcess  bool          `json:"init,omitempty"`
	CgroupParent string        `json:"cgroup_parent,omitempty"`

	// KeepImage says that Image was chosen by what is there: whatever it names
	// by now, a container that was made from it keeps what it was made from.
	KeepImage bool `json:"-"`
	// MigratesData says that the program changes its data in a way that an older
	// one cannot undo. Once a container of another image has been started on them
	// the old one is never put back.
	MigratesData bool `json:"-"`
	// After is started (and, where it says so, ready) before this container.
	After []Ref `json:"-"`
	// Files whose change needs a new container rather than an Apply.
	RecreateOn []string `json:"-"`
	Ready      Ready    `json:"-"`
	// Hide is what the container's programs may quote, in logs and errors, and
	// nobody is to read: it is told as ***. Of two, the longer one comes first.
	Hide   []string `json:"-"`
	Listen Listen   `json:"-"`
	// NeedsProof says that the container must not run without the stack's proof
	// and its mount, as containers of early releases do: the proxy, what it
	// publishes, and what must never start on another directory than its own.
	NeedsProof bool `json:"-"`
}

// Listen says how much of a running container's log belongs to the snapshot,
// for what its program alone can tell. Zero: nothing.
type Listen struct {
	Lines  int           // at most so many of the last ones
	Within time.Duration // and none that is older
}

// Mount binds a host path or a named volume.
type Mount struct {
	// Source is a path relative to Stack.Data when Kind is Data, an absolute
	// host path when Kind is HostPath, a volume name when Kind is VolumeKind.
	Source   string    `json:"source"`
	Target   string    `json:"target"`
	Kind     MountKind `json:"kind"`
	ReadOnly bool      `json:"ro,omitempty"`
	// Marked says that a directory of the data directory holds what cannot be
	// made again: no Engine starts the container on one without hepta's mark,
	// such as the empty place of a disk that is not mounted.
	Marked bool `json:"-"`
}

// MountKind says what Mount.Source means.
type MountKind string

// The kinds of mount.
const (
	Data       MountKind = "data"
	HostPath   MountKind = "host"
	VolumeKind MountKind = "volume"
)

// Attachment puts a container on a network under further names.
type Attachment struct {
	Network string   `json:"network"`
	Aliases []string `json:"aliases,omitempty"`
}

// HostGateway, as a HostIP, is the host's address on the Engine's default
// network: where containers reach the host, and others do not.
const HostGateway = "host-gateway"

// Port publishes a container's port on the host.
type Port struct {
	HostIP    string `json:"host_ip,omitempty"`
	Host      int    `json:"host"`
	Container int    `json:"container"`
	Proto     string `json:"proto,omitempty"` // tcp when empty
}

// Health is a container's healthcheck. StartInterval is left out on engines
// that do not know it (API below 1.44).
type Health struct {
	Test          []string      `json:"test"`
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	StartPeriod   time.Duration `json:"start_period,omitempty"`
	StartInterval time.Duration `json:"start_interval,omitempty"`
	Retries       int           `json:"retries,omitempty"`
}

// Ready says when those that come after a container may go on. Without a
// healthcheck a container is ready when it has run for Settle (default 1 s)
// without exiting; with one, when it is healthy.
type Ready struct {
	Settle time.Duration
	// Timeout bounds the wait; 0 computes it from the healthcheck:
	// start period + retries × (interval + timeout) + 30 s.
	Timeout time.Duration
	// Progress reports whether a line of the container's log shows that the
	// start goes on. The time limit begins anew with each; nil: it never does.
	Progress func(line string) bool
	// Phase names the phase that a line of the container's log begins, or "".
	// It is told to people while they wait.
	Phase func(line string) string
	// Check, when set, must succeed after the container is healthy; it is
	// retried until Timeout, or until its error is ErrHopeless.
	Check func(context.Context, Host) error
}

// ErrHopeless ends a wait: what Ready.Check looks for will not come.
var ErrHopeless = errors.New("waiting longer does not help")

// Task is one call to something other than the Engine. It is safe to repeat.
type Task struct {
	Name   string // "runner dind": what the plan shows as the resource
	Verb   string // "create", "update", "mint"
	Cause  string
	Effect Effect // default EffectChange
	Ref    Ref    // "task:…", what others wait for
	After  []Ref
	Before []Ref // resources that must wait for this task
	// RunsOn is a service without whose container, running on as it is, the
	// task has nothing to do: it is left out where that one is replaced or starts.
	RunsOn string
	Run    func(context.Context, Host) error
}

// Host is what a task may use of the machine it works on.
type Host interface {
	// ReadFile reads a file below the data directory; fs.ErrNotExist when absent.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile replaces a file below the data directory atomically.
	WriteFile(ctx context.Context, path string, content []byte, mode fs.FileMode, uid, gid int) error
	// Exec runs a command in a running container of the stack. The input is
	// given on standard input, so that secrets need not be arguments.
	Exec(ctx context.Context, service string, cmd []string, stdin []byte) (ExecResult, error)
	// Run runs a container to its end and gives what it printed. Nothing is
	// left of it.
	Run(ctx context.Context, o OneOff) ([]byte, error)
	// Progress reports to whoever watches the current operation.
	Progress(text string)
	// Sink is the stream behind Progress.
	Sink() progress.Sink
}

// OneOff is a container that does one thing.
type OneOff struct {
	Container Container         // one of its name that is left from before is removed
	Files     map[string]string // by absolute path, mode 0600, put before it starts
}

// ExecResult is what a command in a container left behind.
type ExecResult struct {
	ExitCode int
	Stdout   []byte
	Stderr   []byte
}

// ReadsOf are the files of Reads that are wanted where o was seen.
func (s *Stack) ReadsOf(o *Observed) []string {
	var paths []string
	for _, r := range s.Reads {
		if r.When == nil || r.When(o) {
			paths = append(paths, r.Paths...)
		}
	}
	return paths
}

// Add appends the resources of o, which belongs to the same stack.
func (s *Stack) Add(o Stack) {
	s.Networks = append(s.Networks, o.Networks...)
	s.Volumes = append(s.Volumes, o.Volumes...)
	s.Files = append(s.Files, o.Files...)
	s.Containers = append(s.Containers, o.Containers...)
	s.Reads = append(s.Reads, o.Reads...)
	s.Marks = append(s.Marks, o.Marks...)
	s.Resolve = append(s.Resolve, o.Resolve...)
	s.Decide = append(s.Decide, o.Decide...)
	s.Warn = append(s.Warn, o.Warn...)
	s.Forge = cmp.Or(s.Forge, o.Forge)
	s.LockService = cmp.Or(s.LockService, o.LockService)
	s.Publishes = cmp.Or(s.Publishes, o.Publishes)
}
