package converge

import (
	"fmt"
	"strings"
)

// Kind is what an operation does. Each is one call.
type Kind string

// The kinds of operation. Their text is part of plan --json.
const (
	CreateNetwork   Kind = "create network"
	RemoveNetwork   Kind = "remove network"
	ConnectNetwork  Kind = "connect network"
	CreateVolume    Kind = "create volume"
	RemoveVolume    Kind = "remove volume"
	PullImage       Kind = "pull image"
	CreateContainer Kind = "create container"
	StartContainer  Kind = "start container"
	StopContainer   Kind = "stop container"
	RemoveContainer Kind = "remove container"
	RenameContainer Kind = "rename container"
	WaitContainer   Kind = "wait for container"
	WriteFile       Kind = "write file"
	RestoreFiles    Kind = "restore files" // in an Undo alone
	RunInContainer  Kind = "run in container"
	RunTask         Kind = "call"
)

// CauseUnseen is the cause of what depends on a file that no container shows:
// up decides once it can look.
const CauseUnseen = "known only while up runs"

// Operation is one call with its reason. What is not in its JSON is for the
// executor; people and programs read the rest.
type Operation struct {
	ID       int    `json:"id"`
	Kind     Kind   `json:"kind"`
	Resource string `json:"resource"` // "container hepta-traefik", "file traefik/dynamic.yaml"
	Cause    string `json:"cause"`
	After    []int  `json:"after,omitempty"` // ids of operations that must be done first
	Group    string `json:"group,omitempty"` // what belongs together in progress: "recreate traefik"

	// Target names the object on the Engine: a container, network or volume
	// name or id, an image reference, a file path.
	Target string `json:"-"`
	// NewName is the name to rename to.
	NewName string `json:"-"`

	Container *Container `json:"-"`
	Network   *Network   `json:"-"`
	// Like is, on ConnectNetwork, the id of a container on that network whose
	// aliases and addresses there are taken over.
	Like   string  `json:"-"`
	Volume *Volume `json:"-"`
	File   *File   `json:"-"`
	// NewFile says that WriteFile makes a file, and ForContainer for which new
	// container it is written.
	NewFile      bool   `json:"-"`
	ForContainer string `json:"-"`
	// Apply is the command of RunInContainer. On WriteFile it says that such a
	// command follows: the file is marked as pending until it was done.
	Apply *Apply `json:"-"`
	// Applies are the paths whose mark a RunInContainer or a StartContainer
	// takes away.
	Applies []string `json:"-"`
	Task    *Task    `json:"-"`

	// Labels are hepta's own labels for what is created.
	Labels map[string]string `json:"-"`
	// Keep, on WriteFile and RestoreFiles, is the id of a container: what the
	// file held when that one served is kept beside it, and comes back.
	Keep string `json:"-"`
	// Files are those that RestoreFiles brings back; after any other operation
	// what was kept of them goes.
	Files []string `json:"-"`

	// Replaces is the service whose container the operation, together with
	// others, replaces; NewTarget is the container that takes over.
	Replaces, NewTarget string `json:"-"`
	// Undo, of an operation that was begun, brings back what served before; of
	// several for one service the longest counts. See Undone.
	Undo []Operation `json:"-"`
	// Stays says why nothing is undone once the new container has run.
	Stays string `json:"-"`
}

// Plan is a value: what would be done, in an order in which every operation
// comes after those it waits for.
type Plan struct {
	Stack      string      `json:"stack"`
	Operations []Operation `json:"operations"`
	// Orphans are the containers that go because nothing describes their service.
	Orphans []string `json:"orphans,omitempty"`
	// Notes are things worth knowing that need no operation: an adopted
	// network, a container that is unhealthy although nothing changed.
	Notes []string `json:"notes,omitempty"`
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Operations) == 0 }

// String is the plan's graph, one operation a line, for tests and for people
// who want to see the order:
//
//	[1,2] #3 create container hepta-traefik: not there
func (p *Plan) String() string {
	var b strings.Builder
	for _, o := range p.Operations {
		after := make([]string, len(o.After))
		for i, a := range o.After {
			after[i] = fmt.Sprint(a)
		}
		fmt.Fprintf(&b, "[%s] #%d %s %s: %s\n", strings.Join(after, ","), o.ID, o.Kind, o.Name(), o.Cause)
	}
	return b.String()
}

// Name is the resource without its kind, which the operation's kind repeats.
func (o Operation) Name() string {
	if _, n, ok := strings.Cut(o.Resource, " "); ok {
		return n
	}
	return o.Resource
}

// Text is what an operation says in one line without the graph.
func (o Operation) Text() string { return fmt.Sprintf("%s %s", o.Kind, o.Name()) }
