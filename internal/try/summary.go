package try

// Summary is what a trial has shown; it is the last line of `try --json`.
type Summary struct {
	Event   string            `json:"event"` // always "summary"
	OK      bool              `json:"ok"`
	Seconds float64           `json:"seconds"`
	Jobs    []Job             `json:"jobs"`
	Images  []Image           `json:"images"`
	URLs    map[string]string `json:"urls"`
	Error   string            `json:"error,omitempty"`
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
