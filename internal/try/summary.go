package try

// Summary is what a trial has shown; it is the last line of `try --json`.
type Summary struct {
	Event   string            `json:"event"` // always "summary"
	OK      bool              `json:"ok"`
	Seconds float64           `json:"seconds"`
	Jobs    []Job             `json:"jobs"`
	Images  []Image           `json:"images"`
	URLs    map[string]string `json:"urls"`
	Sandbox *Sandbox          `json:"sandbox,omitempty"` // where it is kept
	Error   string            `json:"error,omitempty"`
}

// Sandbox is a sandbox that runs on. In it hepta, run in Dir, is the program
// that made the trial.
type Sandbox struct {
	Container    string `json:"container"`
	Dir          string `json:"dir"`
	PasswordFile string `json:"password_file"` // in the sandbox: that of root
}

// Job is one CI job that ran.
type Job struct {
	Name    string  `json:"name"`
	Mode    string  `json:"mode"` // dind or socket
	Status  string  `json:"status"`
	Seconds float64 `json:"seconds"`
}

// Image is one image that came back out of the forge's registry.
type Image struct {
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}
