package paas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Short is what the runner is called in the names of its hosts and in the
// state file. It is made of the token: its first 8 characters for the old
// tokens; the first 9 after the prefix for those that begin with glrt-, whose
// first 8 are the same for all runners. Empty for a token that is too short.
func (r Runner) Short() string {
	token := r.Token.Reveal()
	n := 8
	if rest, ok := strings.CutPrefix(token, "glrt-"); ok {
		if len(rest) > 3 && rest[0] == 't' && rest[1] >= '0' && rest[1] <= '9' && rest[2] == '_' {
			rest = rest[3:]
		}
		token, n = rest, 9
	}
	if len(token) < n {
		return ""
	}
	return token[:n]
}

// beginning is a token with the same short name that opens nothing.
func (r Runner) beginning() string {
	if strings.HasPrefix(r.Token.Reveal(), "glrt-") {
		return "glrt-t1_" + r.Short()
	}
	return r.Short()
}

// namePrefix begins the names of all hosts.
const namePrefix = "hpd-job-"

// HostName names the host of a job. One job of one runner has one name: a host
// that was asked for and never answered is found again by it.
func HostName(short string, job int64) string { return fmt.Sprint(namePrefix, short, "-", job) }

// JobOf is the job that a host was made for, if the name is one of the runner's.
func JobOf(short, name string) (job int64, ok bool) {
	rest, ok := strings.CutPrefix(name, namePrefix+short+"-")
	if !ok {
		return 0, false
	}
	job, err := strconv.ParseInt(rest, 10, 64)
	return job, err == nil && job > 0 && HostName(short, job) == name
}

// ContainersOf begins the names of what the runner on a host makes on its
// Engine: containers, networks and the volumes of caches. Hosts that share an
// Engine do not get into each other's way, and what a host left is known.
func ContainersOf(host string) string { return "runner-" + TokenOn(host) }

// TokenOn is how the token begins that the runner on a host has for the relay
// beside it; a runner names things after it.
func TokenOn(host string) string {
	sum := sha256.Sum256([]byte(host))
	return hex.EncodeToString(sum[:4])
}
