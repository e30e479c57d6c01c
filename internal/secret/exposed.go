package secret

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/heptaup/hepta/internal/shell"
)

// Exposed is a warning about a file with secrets that everybody on this machine
// can read, with the command that ends that; empty for any other file.
func Exposed(path string, mode fs.FileMode) string {
	if mode.Perm()&0o004 == 0 {
		return ""
	}
	return fmt.Sprintf("%s holds secrets and everybody on this machine can read it (mode %04o): chmod 600 %s", path, mode.Perm(), shell.Path(path))
}

var (
	// What comes before the value of an assignment in Ruby, YAML, JSON or an
	// environment: a name, perhaps in quotes and brackets.
	assignment = regexp.MustCompile(`([\w-]+)['"]?\]?\s*(?:=>|=|:)\s*`)
	secretName = regexp.MustCompile(`(?i)passw(or)?d|secret|token|credential|auth_?config|(private|access|api|signing)[_-]?key`)
	// Values that are no secret: empty, of another type, or where to find one.
	noSecret = regexp.MustCompile(`^(['"]{2}|nil\b|null\b|true\b|false\b|\d+$|\d+[,;\s]|\$|ENV\[|File\.|IO\.)`)
)

// IsSecret reports whether a value looks like a secret by its name.
func IsSecret(name, value string) bool {
	value = strings.TrimSpace(value)
	file := strings.HasSuffix(strings.ToLower(name), "file") || strings.HasSuffix(strings.ToLower(name), "path")
	return secretName.MatchString(name) && !file && value != "" && !noSecret.MatchString(value)
}

// HasSecret reports whether a text of assignments, such as a gitlab.rb, assigns
// what looks like a secret. Comments do not count.
func HasSecret(text string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, m := range assignment.FindAllStringSubmatchIndex(line, -1) {
			if IsSecret(line[m[2]:m[3]], line[m[1]:]) {
				return true
			}
		}
	}
	return false
}
