package converge

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// FileIdentity is the file below the data directory that says whose it is. It
// is made at the first up, before anything else, and its ID never changes.
const FileIdentity = "identity.json"

// IdentityTarget is where every container of a service that mounts the data
// directory has the identity file, read-only. An Engine that boots without the
// disk of the data directory does not start such a container: the file is not
// there to be mounted.
const IdentityTarget = "/run/hepta/" + FileIdentity

// ProofPlaceholder stands for the stack's proof in the command and the labels
// of a described container. It is replaced when the container is created, and
// stays in LabelSpec: a plan never shows the proof.
const ProofPlaceholder = "${" + LabelProof + "}"

// FileMark is the file that shows that a directory is the one that hepta made
// for a service, and not the place where a disk belongs. What begins with this
// name and a hyphen is for the time of a write alone.
const FileMark = ".hepta"

// Mark is the path of the mount's mark below the data directory, "" when it
// needs none.
func (m Mount) Mark() string {
	if !m.Marked || m.Kind != Data {
		return ""
	}
	return path.Join(m.Source, FileMark)
}

// Identity says whose a data directory is. Its ID is the proof that a
// container carries as LabelProof: no image can know it.
type Identity struct {
	Stack string `json:"stack"`
	Forge string `json:"forge,omitempty"` // as in Stack.Forge
	ID    string `json:"id"`
}

// Encode is the content of the identity file.
func (i Identity) Encode() []byte {
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil { // three strings
		panic(err)
	}
	return append(b, '\n')
}

// ParseIdentity reads the content of an identity file.
func ParseIdentity(content []byte) (Identity, error) {
	var i Identity
	if err := json.Unmarshal(content, &i); err != nil {
		return Identity{}, err
	}
	if i.Stack == "" || i.ID == "" {
		return Identity{}, errors.New("it has no stack or no id")
	}
	return i, nil
}

// ObservedIdentity is what was seen of the identity file of the data
// directory. The zero value means that nothing showed it.
type ObservedIdentity struct {
	Looked bool // its place was looked at
	Exists bool
	// Identity is what the file holds; where it does not exist, and the stack's
	// lock is held, what it is going to hold.
	Identity
	Unreadable string // why the content is none of an identity, or ""
}

// IdentityIn is what an identity file that was looked at says.
func IdentityIn(file ObservedFile) ObservedIdentity {
	o := ObservedIdentity{Looked: true, Exists: file.Exists}
	if !file.Exists {
		return o
	}
	var err error
	if o.Identity, err = ParseIdentity(file.Content); err != nil {
		o.Unreadable = err.Error()
	}
	return o
}

// Recognize sets the Service of each container that is the stack's. A label
// alone proves nothing, because a container inherits the labels of its image:
// the container has the stack's proof, or mounts the data directory as the
// service does, which nobody but its creator decides.
func (s *Stack) Recognize(o *Observed) {
	for i := range o.Containers {
		c := &o.Containers[i]
		c.Service = ""
		if s.proven(c, o.Identity.ID) {
			c.Service = c.Labels[LabelService]
		}
	}
}

func (s *Stack) proven(c *ObservedContainer, id string) bool {
	if c.Labels[LabelStack] != s.Name || c.Labels[LabelService] == "" || c.Name == s.LockName() {
		return false
	}
	if s.Data == "" { // nothing to keep a proof in
		return true
	}
	return id != "" && c.Labels[LabelProof] == id || s.mountedBy(c)
}

// mountedBy reports whether the container mounts the data directory that it
// names, or else the stack's, as its service does: a described mount at its
// place, or a writable one of the service's own directory.
func (s *Stack) mountedBy(c *ObservedContainer) bool {
	data := cmp.Or(c.Labels[LabelData], s.Data)
	service := c.Labels[LabelService]
	return slices.ContainsFunc(c.Mounts, func(m ObservedMount) bool {
		rest, below := strings.CutPrefix(m.Source, strings.TrimSuffix(data, "/")+"/")
		if m.Volume != "" || !below {
			return false
		}
		if !m.ReadOnly && (rest == service || strings.HasPrefix(rest, service+"/")) {
			return true
		}
		return slices.ContainsFunc(s.Containers, func(d Container) bool {
			return d.Service == service && slices.ContainsFunc(d.Mounts, func(w Mount) bool {
				return w.Kind == Data && path.Clean(w.Source) == rest && w.Target == m.Target && w.ReadOnly == m.ReadOnly
			})
		})
	})
}

// The reasons for which a data directory is refused. They are the Err of a
// *fault.Error.
var (
	ErrOtherStack     = errors.New("it belongs to another stack")
	ErrOtherForge     = errors.New("it belongs to another forge")
	ErrNoIdentity     = errors.New("the data directory has lost its identity")
	ErrOtherDirectory = errors.New("a container runs on another data directory")
)

// CheckIdentity refuses a data directory that is not this stack's, before
// anything is planned on it.
func (s *Stack) CheckIdentity(o *Observed) error {
	i, file := o.Identity, path.Join(s.Data, FileIdentity)
	refuse := func(err error, why, remedy string) error {
		return &fault.Error{Op: "use data directory", What: s.Data, Why: why, Remedy: remedy, Err: err}
	}
	if !i.Looked {
		return nil
	}
	if i.Unreadable != "" {
		return refuse(ErrNoIdentity, fmt.Sprintf("%s cannot be read: %s", file, i.Unreadable),
			"Put that file back from a backup of the data directory.")
	}
	if i.Exists && i.Stack != s.Name && !s.Allow.Renamed {
		return refuse(ErrOtherStack, fmt.Sprintf("it is the one of stack %s, as %s says, and this is stack %s", i.Stack, file, s.Name),
			fmt.Sprintf("Name another directory for this stack (data: %s in hepta.yaml), or the other stack (stack: %s) if that is meant. If that stack is to have this name: hepta down under its old one, then hepta up --renamed", DefaultData(s.Name), i.Stack))
	}
	if i.Exists && i.Forge != "" && s.Forge != "" && i.Forge != s.Forge && !s.Allow.Renamed {
		return refuse(ErrOtherForge, fmt.Sprintf("it is the one of %s, as %s says, and this stack is for %s", i.Forge, file, s.Forge),
			fmt.Sprintf("Name another stack and directory in hepta.yaml (stack: and data:), or the forge %s if that is meant. If the forge got a new name: hepta up --renamed", i.Forge))
	}
	for _, c := range o.Containers {
		proof := c.Labels[LabelProof]
		if c.Service == "" || proof == "" || c.Labels[LabelData] != s.Data {
			continue
		}
		if !i.Exists {
			return refuse(ErrNoIdentity, fmt.Sprintf("%s is not there, and container %s was made with it: is the disk mounted?", file, c.Name),
				"Mount the disk of the data directory and run the command again. Nothing was changed.")
		}
		if proof != i.ID {
			return refuse(ErrOtherDirectory, fmt.Sprintf("container %s runs on another directory than the one that is there now: a disk was mounted over it, or the directory was replaced", c.Name),
				"If what is there now is right, run hepta down and then hepta up: the containers start on it. What the other directory holds stays where it is.")
		}
	}
	return nil
}
