// Package ci reads .gitlab-ci.yml and decides which jobs an event makes.
// It computes only.
package ci

// Config is a parsed and validated file.
type Config struct {
	file         string
	jobs         []jobNode // in the file's order
	stages       []string  // with .pre and .post
	variables    []Variable
	workflow     []rule
	hasWorkflow  bool
	workflowName string
	autoCancel   AutoCancel
	warnings     []string
}

// Event is what happened to a project.
type Event struct {
	Source    string // push, web, api, trigger, schedule
	Ref       string // branch or tag name
	Tag       bool
	Default   string            // the default branch's name
	Variables map[string]string // what rules and only:variables can see, predefined ones included
	// Masked reports whether a variable is masked; nil says that none is.
	Masked func(name string) bool
	// User are variables about who made the event: rules of the workflow and of
	// jobs see them, those of includes do not.
	User map[string]string
	// Changed are the paths that differ from the commit before; nil when
	// there is nothing to compare with.
	Changed []string
	// ChangedSince gives the paths that changed since another ref; nil makes
	// compare_to the same as no comparison at all. An error: there is no such ref.
	ChangedSince func(ref string) ([]string, error)
	// Files gives all paths of the commit's tree. It is called when a rule or
	// an include asks.
	Files func() []string

	failed error // of what rules asked
}

// Pipeline is what an event makes: jobs in the order of stages, then of the
// file. Only stages with jobs are listed. Each job's variables hold those of
// the pipeline that it inherits.
type Pipeline struct {
	Stages    []string
	Jobs      []Job
	Variables []Variable
	Warnings  []string
	Name      string // of workflow:name, expanded
	Cancel    AutoCancel
}

// AutoCancel says what a pipeline does to older ones and to its own jobs.
type AutoCancel struct {
	// OnNewCommit is conservative, interruptible or none; "" is conservative.
	OnNewCommit string
	// OnJobFailure is none or all; "" is none.
	OnJobFailure string
}

// Variable is one CI variable.
type Variable struct {
	Key   string
	Value string
	Raw   bool // expand: false
}

// Image is an image or a service.
type Image struct {
	Name       string     `json:"name"`
	Alias      string     `json:"alias,omitempty"`
	Entrypoint []string   `json:"entrypoint,omitempty"`
	Command    []string   `json:"command,omitempty"`
	PullPolicy []string   `json:"pull_policy,omitempty"`
	User       string     `json:"-"`
	Platform   string     `json:"-"`
	Variables  []Variable `json:"-"`
}

// Artifacts is what a job hands on.
type Artifacts struct {
	Name      string
	Paths     []string
	Exclude   []string
	Untracked bool
	When      string // on_success, on_failure, always
	ExpireIn  string
	Reports   map[string][]string // dotenv, junit …
}

// Cache is one cache entry of a job.
type Cache struct {
	Key       string
	Paths     []string
	Untracked bool
	Policy    string
	When      string
	Fallback  []string
	// KeyFiles, where the key is made of files: the key is then KeyPrefix and
	// a hash of what these files hold. Key is "default" meanwhile.
	KeyFiles  []string
	KeyPrefix string
}

// Need is one entry of needs.
type Need struct {
	Job       string
	Artifacts bool
	Optional  bool
}

// UpstreamNeed is a job of another pipeline of the same family whose artifacts
// a job gets. It waits for none.
type UpstreamNeed struct {
	Pipeline  string // its number, with variables that are not expanded
	Job       string
	Artifacts bool
}

// Environment is where a job deploys to.
type Environment struct {
	Name   string
	URL    string // not expanded: variables of the job itself may be in it
	Action string // start, prepare, stop, verify, access
	Tier   string
	OnStop string
	// AutoStopIn is a duration as it was written.
	AutoStopIn string
}

// IDToken is a variable with a token by which the job proves itself to others.
type IDToken struct {
	Name string
	// Audience are those who are to take it; variables in it are not expanded.
	Audience []string
	// Listed says that it was written as a list, which a token then has.
	Listed bool
}

// Job is one job of a pipeline, fully resolved.
type Job struct {
	Name         string
	Stage        string
	Image        *Image
	Services     []Image
	Variables    []Variable
	Script       []string // before_script and script
	AfterScript  []string
	Tags         []string
	When         string // on_success, on_failure, always, manual, delayed
	AllowFailure bool
	Artifacts    *Artifacts
	Cache        []Cache
	Needs        []Need // nil: stage order
	HasNeeds     bool   // needs was written, even if empty
	Upstream     []UpstreamNeed
	Dependencies []string
	HasDeps      bool
	TimeoutSecs  int // 0: the project's
	RetryMax     int
	RetryWhen    []string // failure reasons; none: all of them
	// RetryExitCodes limit the retries to these exit codes; none: any.
	RetryExitCodes []int
	// AllowExitCodes are the exit codes with which the job may fail although
	// AllowFailure is false.
	AllowExitCodes []int
	NodeIndex      int // parallel, from 1; 0 when not parallel
	NodeTotal      int
	Trigger        *Trigger // instead of a script
	Environment    *Environment
	IDTokens       []IDToken
	PreGetSources  []string // hooks:pre_get_sources_script
	ResourceGroup  string   // of which one job of the project runs at a time
	Interrupt      bool
	StartInSecs    int // of when: delayed

	raw []need // until they are bound to the jobs that are there
}
