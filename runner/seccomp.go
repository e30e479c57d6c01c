package runner

import (
	"bytes"
	_ "embed"
	"encoding/json"
)

// rootlessProfile is Docker's own seccomp profile with what building an image
// takes. TestRootlessProfileIsDockersOwn says how it is made of that one, and
// makes it anew with -update.
//
//go:embed seccomp_rootless.json
var rootlessProfile []byte

// rootlessSeccomp is the profile of a rootless job on one line, as the Engine
// takes it. Without privileges the kernel still asks for a capability wherever
// it always does.
func rootlessSeccomp() string {
	var line bytes.Buffer
	if err := json.Compact(&line, rootlessProfile); err != nil { // part of the program
		return ""
	}
	return line.String()
}
