package store

import "time"

// User is somebody who can sign in.
type User struct {
	ID        int64
	Username  string
	Name      string
	Email     string
	Password  string // bcrypt; empty: no password signs in
	Admin     bool
	Blocked   bool
	CreatedAt time.Time
}

// Token is a personal access token; only its hash is kept.
type Token struct {
	ID        int64
	UserID    int64
	Name      string
	Scopes    []string
	Hash      string
	CreatedAt time.Time
	ExpiresOn string // date; empty: never
	Revoked   bool
}

// DeployToken gives access to one project; only its hash is kept.
type DeployToken struct {
	ID        int64
	ProjectID int64
	Name      string
	Username  string
	Scopes    []string
	Hash      string
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	Revoked   bool
}

// ExpirationPolicy says which tags of a project's images go by themselves.
type ExpirationPolicy struct {
	Cadence         string // 1d, 7d, 14d, 1month, 3month
	KeepN           int    // 0: none for their number
	OlderThan       string // 7d, 14d, 30d, 60d, 90d; empty: of any age
	NameRegexDelete string
	NameRegexKeep   string
	Enabled         bool
	NextRunAt       time.Time
}

// SSHKey is a public key that lets a user in.
type SSHKey struct {
	ID          int64
	UserID      int64
	Title       string
	Key         string // as in authorized_keys, without comment
	Fingerprint string // SHA256:…
	CreatedAt   time.Time
}

// Access levels as GitLab counts them.
const (
	NoAccess   = 0
	Guest      = 10
	Reporter   = 20
	Developer  = 30
	Maintainer = 40
	Owner      = 50
)

// Visibilities.
const (
	Private  = "private"
	Internal = "internal"
	Public   = "public"
)

// Group is a namespace: a group, or a user's own.
type Group struct {
	ID          int64
	Path        string // full
	Name        string
	Description string
	ParentID    int64
	OwnerID     int64 // the user whose namespace it is; 0 for a group
	Visibility  string
	Members     map[int64]int
	Attributes  map[string]string // custom attributes, by key
	CreatedAt   time.Time
}

// Variable is a CI variable.
type Variable struct {
	Key       string
	Value     string
	File      bool
	Masked    bool
	Protected bool
	Raw       bool
	Scope     string // environment scope, "*" for all
}

// Project is a repository and what belongs to it.
type Project struct {
	ID            int64
	Path          string // full
	Name          string
	Description   string
	GroupID       int64
	VCS           string // hg or git
	Visibility    string
	DefaultBranch string // empty until the first push
	CreatorID     int64
	CreatedAt     time.Time
	Members       map[int64]int
	Variables     []Variable
	Timeout       int // seconds
	ConfigPath    string
	Depth         int
	NoShared      bool // instance runners are off
	Archived      bool
	LastIID       int64
	HGRC          HGRC
	Expiration    *ExpirationPolicy // nil: as in a new project
}

// HGRC is the part of a Mercurial project's settings that Heptapod lets its
// members change. Nil values are not set.
type HGRC struct {
	Inherit            *bool  `json:"inherit,omitempty"`
	AllowBookmarks     *bool  `json:"allow_bookmarks,omitempty"`
	AllowMultipleHeads *bool  `json:"allow_multiple_heads,omitempty"`
	AutoPublish        string `json:"auto_publish,omitempty"`
}

// Runner types.
const (
	InstanceRunner = "instance_type"
	GroupRunner    = "group_type"
	ProjectRunner  = "project_type"
)

// Runner is the right to take jobs.
type Runner struct {
	ID          int64
	Type        string
	Description string
	Note        string
	TokenHash   string
	ShortToken  string
	Legacy      bool // registered with a registration token
	Tags        []string
	RunUntagged bool
	Locked      bool
	Paused      bool
	AccessLevel string // not_protected or ref_protected
	MaxTimeout  int
	GroupID     int64
	ProjectIDs  []int64
	CreatorID   int64
	CreatedAt   time.Time
	ContactedAt time.Time // written now and then; the server knows better
}

// Manager is one machine that polls with a runner's token.
type Manager struct {
	ID           int64
	RunnerID     int64
	SystemID     string
	Name         string
	Version      string
	Revision     string
	Platform     string
	Architecture string
	Executor     string
	Address      string
	CreatedAt    time.Time
	ContactedAt  time.Time
}

// Statuses of jobs and pipelines.
const (
	Created            = "created"
	Pending            = "pending"
	Running            = "running"
	Success            = "success"
	Failed             = "failed"
	Canceling          = "canceling"
	WaitingForResource = "waiting_for_resource"
	Canceled           = "canceled"
	Skipped            = "skipped"
	Manual             = "manual"
	Scheduled          = "scheduled"
)

// Finished reports whether nothing more happens by itself.
func Finished(status string) bool {
	switch status {
	case Success, Failed, Canceled, Skipped:
		return true
	}
	return false
}

// Pipeline is what one event made of a commit's CI configuration.
type Pipeline struct {
	ID         int64
	IID        int64
	ProjectID  int64
	UserID     int64
	Source     string
	Ref        string
	Tag        bool
	TagMessage string
	SHA        string
	BeforeSHA  string
	Snapshot   string // the Git commit that a runner without Mercurial fetches
	Commit     Commit
	Status     string
	YAMLErrors string
	Warnings   []string
	Stages     []string
	Name       string     // of workflow:name
	Variables  []Variable // given when the pipeline was made
	BridgeID   int64      // the job that made it
	// OnNewCommit and OnJobFailure are those of workflow:auto_cancel.
	OnNewCommit  string
	OnJobFailure string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	StartedAt    time.Time
	FinishedAt   time.Time
}

// Commit is what a pipeline's variables tell of its commit.
type Commit struct {
	Title     string
	Message   string
	Author    string
	Timestamp string
	Branch    string // Mercurial's named branch
}

// Need is a job that another one waits for.
type Need struct {
	Job       string
	Artifacts bool
	Optional  bool
}

// Job is one job of a pipeline. What it is to do is its spec.
type Job struct {
	ID            int64
	PipelineID    int64
	ProjectID     int64
	UserID        int64
	Name          string
	Stage         string
	StageIndex    int
	Status        string
	When          string
	AllowFailure  bool
	Needs         []Need
	DAG           bool // needs was written
	Tags          []string
	RetryMax      int
	Attempt       int  // automatic retries before this one
	Retried       bool // a newer job took its place
	Played        bool // somebody started it by hand
	Interruptible bool // a newer push may cancel it
	StartIn       int  // seconds that a delayed job waits once its turn has come
	ResourceGroup string
	Bridge        bool  // makes a pipeline; no runner takes it
	DownstreamID  int64 // the pipeline that it made

	RunnerID  int64
	SystemID  string
	TokenHash string
	Acked     bool // the runner was heard of after it took the job
	Graceful  bool // the runner understands canceling

	CreatedAt  time.Time
	DueAt      time.Time // of a scheduled job
	QueuedAt   time.Time
	StartedAt  time.Time
	FinishedAt time.Time
	ErasedAt   time.Time

	FailureReason string
	ExitCode      int
	TraceInvalid  bool // the runner was asked to send the trace again
	Artifacts     []Artifact
	Dotenv        []Variable
}

// Archive returns the job's archive, nil when it made none.
func (j *Job) Archive() *Artifact {
	for i := range j.Artifacts {
		if j.Artifacts[i].Type == "archive" {
			return &j.Artifacts[i]
		}
	}
	return nil
}

// Artifact is a file that a job handed in.
type Artifact struct {
	Type      string // archive, dotenv, junit …
	Format    string // zip, gzip, raw
	Filename  string
	Size      int64
	File      string // name below the store's artifacts
	ExpiresAt time.Time
}

// Settings are the instance's.
type Settings struct {
	RegistrationToken      string
	AllowRegistrationToken bool
	RegistryTokenMinutes   int
}
