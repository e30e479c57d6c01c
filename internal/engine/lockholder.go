package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
)

// holderText says who has a lock, and since when:
// alice@host (pid 12, up, for 14 minutes, since 12:03).
func holderText(labels map[string]string, now time.Time) string {
	text := strings.TrimSuffix(labels[converge.LabelOwner], ")")
	if c := labels[converge.LabelCommand]; c != "" {
		text += ", " + c
	}
	if since, err := time.Parse(time.RFC3339, labels[converge.LabelSince]); err == nil {
		text += ", for " + roughly(now.Sub(since)) + ", since " + since.Local().Format("15:04")
	}
	return text + ")"
}

// roughly is a duration as people say it. The clocks of two machines may
// differ: less than nothing is nothing.
func roughly(d time.Duration) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < time.Minute:
		return count(max(0, int(d.Seconds())), "second")
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour")
	}
	return count(int(d.Hours()/24), "day")
}

// breakLock says how to take a lock away from an owner that is gone. It names
// the container by its id, so that no later lock is meant.
func (e *Engine) breakLock(id string) string {
	return "Where that command runs no more, its machine or its connection being dead, break its lock: " + e.docker("rm", "--force", id[:min(12, len(id))])
}
