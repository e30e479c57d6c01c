package converge

import "time"

// Observed is one snapshot of the Engine, taken with one list call a kind and
// at most one archive call a file.
type Observed struct {
	Networks   []ObservedNetwork
	Volumes    []ObservedVolume
	Containers []ObservedContainer // every container of the host, ours and foreign
	// Images maps a normalized reference (docker.io/library/traefik:v3.6.12)
	// to the id it names locally.
	Images map[string]string
	// Files holds what could be looked at: a path is missing when no
	// container shows it, and maps to a File with Exists false when it was
	// looked for and is not there.
	Files map[string]ObservedFile
	// Identity is whose the data directory is.
	Identity ObservedIdentity
}

// ObservedNetwork is a network as the Engine lists it.
type ObservedNetwork struct {
	ID      string
	Name    string
	Driver  string
	Gateway string // address of the host on it, "" when none
	MTU     int    // bytes, as its options say; 0 when they do not
	// Subnets are the ranges of addresses of its containers: 172.18.0.0/16.
	Subnets []string
	// Internal says that the network leads nowhere else.
	Internal bool
	Created  time.Time
	Labels   map[string]string
}

// DefaultNetwork is where the Engine puts containers that name no network.
const DefaultNetwork = "bridge"

// Network is the network of that name, the zero one when it was not seen.
func (o *Observed) Network(name string) ObservedNetwork {
	for _, n := range o.Networks {
		if n.Name == name {
			return n
		}
	}
	return ObservedNetwork{}
}

// ObservedVolume is a volume as the Engine lists it.
type ObservedVolume struct {
	Name   string
	Labels map[string]string
	Device string // directory of the host that the volume is, where it is one
}

// ObservedContainer is a container as the Engine lists it.
type ObservedContainer struct {
	ID       string
	Name     string // without the leading slash
	Image    string // reference it was made from
	ImageID  string
	State    string // created, running, paused, restarting, removing, exited, dead
	Health   string // "", starting, healthy, unhealthy
	Status   string // the Engine's own words
	Created  time.Time
	Labels   map[string]string
	Networks map[string]string // network name → network id
	Mounts   []ObservedMount
	Ports    []Port // published ones
	// Service is the service of the stack that the container was proven to be
	// made for, "" when it is not the stack's: see Stack.Recognize.
	Service string
	// Heard is what Listen asks for, in the order of the log. None may also
	// mean that the log could not be read: it must prove nothing.
	Heard []LogLine
}

// ObservedMount is a mount as the Engine lists it.
type ObservedMount struct {
	Source   string // on the Engine's host, also of a volume
	Volume   string // name of the volume, "" for a bind mount
	Target   string
	ReadOnly bool
}

// LogLine is a line of a container's log.
type LogLine struct {
	At   time.Time // by the Engine's clock
	Text string
}

// Running reports whether the container's process is there.
func (c ObservedContainer) Running() bool {
	return c.State == "running" || c.State == "restarting" || c.State == "paused"
}

// ObservedFile is a file below the stack's data directory.
type ObservedFile struct {
	Exists  bool
	Content []byte
	Mode    uint32 // permission bits
	UID     int
	GID     int
	ModTime time.Time // zero when it was not looked at
	// Pending says that the file was written and its Apply has not been done
	// since: whoever was to do it was interrupted.
	Pending bool
	// Refused is, of a pending file, what the command of its Apply said last when
	// it failed; "" when it was not run, or was interrupted.
	Refused string
}

// The labels that hepta puts on what it makes.
const (
	LabelStack   = "hepta.stack"        // name of the stack
	LabelService = "hepta.service"      // short name inside the stack
	LabelSpec    = "hepta.spec"         // canonical JSON of Container, the base of every "what changed"
	LabelImageID = "hepta.image"        // id of the image that the container was made from
	LabelData    = "hepta.data"         // Stack.Data that the mounts of kind Data lie below
	LabelProof   = "hepta.proof"        // Identity.ID of the data directory
	LabelForge   = "hepta.forge"        // Stack.Forge that the container serves
	LabelOnce    = "hepta.once"         // of a container that does one thing: see OneOff
	LabelFile    = "hepta.file."        // + path: hash of a RecreateOn file
	LabelSchema  = "hepta.schema"       // version of this set of labels
	LabelOwner   = "hepta.lock.owner"   // lock container: user@host (pid)
	LabelSince   = "hepta.lock.since"   // lock container: RFC 3339
	LabelCommand = "hepta.lock.command" // lock container: up, down …
	LabelPrefix  = "hepta."             // refused in user labels
	Schema       = "1"
)
