package converge

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// changes says, in words for people, what is different between the container
// that a label describes and the desired one; nothing when they are the same.
func changes(was, want Container) []string {
	was, want = was.canonical(), want.canonical()
	var d diff
	if NormalizeImage(was.Image) != NormalizeImage(want.Image) {
		d.add("image changed %s → %s", was.Image, want.Image)
	}
	d.text("hostname", was.Hostname, want.Hostname)
	d.list("entrypoint", was.Entrypoint, want.Entrypoint)
	d.list("command", was.Cmd, want.Cmd)
	d.table("env", pairs(was.Env, "="), pairs(want.Env, "="))
	d.text("user", was.User, want.User)
	d.table("label", was.Labels, want.Labels)
	d.table("mount", mountTable(was.Mounts), mountTable(want.Mounts))
	d.table("network", networkTable(was.Networks), networkTable(want.Networks))
	d.ports(was.Ports, want.Ports)
	d.table("extra host", pairs(was.ExtraHosts, ":"), pairs(want.ExtraHosts, ":"))
	d.flag("privileged", was.Privileged, want.Privileged)
	d.list("capabilities", was.CapAdd, want.CapAdd)
	d.list("dropped capabilities", was.CapDrop, want.CapDrop)
	d.list("security options", was.SecurityOpt, want.SecurityOpt)
	d.flag("read-only root", was.ReadOnly, want.ReadOnly)
	d.list("directories in memory", was.Tmpfs, want.Tmpfs)
	d.text("process limit", number(was.PidsLimit), number(want.PidsLimit))
	d.text("shared memory", number(was.ShmSize), number(want.ShmSize))
	d.text("open files limit", number(was.NoFile), number(want.NoFile))
	d.text("memory limit", number(was.Memory), number(want.Memory))
	d.text("restart policy", was.Restart, want.Restart)
	d.text("stop signal", was.StopSignal, want.StopSignal)
	d.text("stop timeout", span(was.StopTimeout), span(want.StopTimeout))
	d.health(was.Health, want.Health)
	d.text("log size", was.LogMaxSize, want.LogMaxSize)
	d.text("log files", number(int64(was.LogMaxFiles)), number(int64(want.LogMaxFiles)))
	d.flag("init process", was.InitProcess, want.InitProcess)
	d.text("cgroup parent", was.CgroupParent, want.CgroupParent)
	return d
}

// diff gathers what changed.
type diff []string

func (d *diff) add(format string, args ...any) { *d = append(*d, fmt.Sprintf(format, args...)) }

func (d *diff) text(what, was, want string) {
	switch {
	case was == want:
	case was == "":
		d.add("%s set to %s", what, want)
	case want == "":
		d.add("%s %s no longer set", what, was)
	default:
		d.add("%s %s → %s", what, was, want)
	}
}

func (d *diff) flag(what string, was, want bool) {
	switch {
	case was == want:
	case want:
		d.add("%s switched on", what)
	default:
		d.add("%s switched off", what)
	}
}

// list compares lists whose order matters.
func (d *diff) list(what string, was, want []string) {
	if slices.Equal(was, want) {
		return
	}
	gone, come := without(was, want), without(want, was)
	switch {
	case len(gone) == 0 && len(come) == 0:
		d.add("%s in another order", what)
	case len(gone) == 0:
		d.add("%s with %s", what, strings.Join(come, " "))
	case len(come) == 0:
		d.add("%s without %s", what, strings.Join(gone, " "))
	default:
		d.add("%s %s → %s", what, strings.Join(gone, " "), strings.Join(come, " "))
	}
}

// without is a less each element of b, as often as b has it.
func without(a, b []string) []string {
	left := make(map[string]int, len(b))
	for _, s := range b {
		left[s]++
	}
	var rest []string
	for _, s := range a {
		if left[s] > 0 {
			left[s]--
			continue
		}
		rest = append(rest, s)
	}
	return rest
}

func (d *diff) table(what string, was, want map[string]string) {
	keys := make(map[string]bool, len(was)+len(want))
	for k := range was {
		keys[k] = true
	}
	for k := range want {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		old, had := was[k]
		now, has := want[k]
		switch {
		case !had:
			d.add("%s %s added", what, k)
		case !has:
			d.add("%s %s removed", what, k)
		case old != now:
			d.add("%s %s changed %s → %s", what, k, shown(old), shown(now))
		}
	}
}

func shown(v string) string {
	if v == "" {
		return "(empty)"
	}
	return v
}

func (d *diff) ports(was, want []Port) {
	gone, come := portsWithout(was, want), portsWithout(want, was)
	for _, g := range gone {
		i := slices.IndexFunc(come, func(c Port) bool {
			return c.Container == g.Container && c.Proto == g.Proto && c.HostIP == g.HostIP
		})
		if i < 0 {
			d.add("port %s removed", g)
			continue
		}
		d.add("port %d → %d", g.Host, come[i].Host)
		come = slices.Delete(come, i, i+1)
	}
	for _, c := range come {
		d.add("port %s added", c)
	}
}

func portsWithout(a, b []Port) []Port {
	var rest []Port
	for _, p := range a {
		if !slices.Contains(b, p) {
			rest = append(rest, p)
		}
	}
	return rest
}

// String is the port as people write it: 127.0.0.1:8443:443/udp, and 443 where
// host and container agree.
func (p Port) String() string {
	text := strconv.Itoa(p.Host)
	if p.HostIP != "" {
		text = p.HostIP + ":" + text
	}
	if p.Host != p.Container {
		text += ":" + strconv.Itoa(p.Container)
	}
	if p.Proto != "" && p.Proto != "tcp" {
		text += "/" + p.Proto
	}
	return text
}

func (d *diff) health(was, want *Health) {
	switch {
	case was == nil && want == nil:
	case was == nil:
		d.add("healthcheck added")
	case want == nil:
		d.add("healthcheck removed")
	default:
		d.list("healthcheck", was.Test, want.Test)
		d.text("healthcheck interval", span(was.Interval), span(want.Interval))
		d.text("healthcheck timeout", span(was.Timeout), span(want.Timeout))
		d.text("healthcheck start period", span(was.StartPeriod), span(want.StartPeriod))
		d.text("healthcheck start interval", span(was.StartInterval), span(want.StartInterval))
		d.text("healthcheck retries", number(int64(was.Retries)), number(int64(want.Retries)))
	}
}

func pairs(list []string, sep string) map[string]string {
	m := make(map[string]string, len(list))
	for _, s := range list {
		k, v, _ := strings.Cut(s, sep)
		m[k] = v
	}
	return m
}

func mountTable(list []Mount) map[string]string {
	m := make(map[string]string, len(list))
	for _, v := range list {
		text := v.Source
		if v.Kind == VolumeKind {
			text = "volume " + text
		}
		if v.ReadOnly {
			text += " (read-only)"
		}
		m[v.Target] = text
	}
	return m
}

func networkTable(list []Attachment) map[string]string {
	m := make(map[string]string, len(list))
	for _, v := range list {
		m[v.Network] = strings.Join(v.Aliases, ",")
	}
	return m
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
