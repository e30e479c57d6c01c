package integration

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta"
)

// watch keeps what anybody can see of a site while a test works there, and in
// the end looks for secrets in it. Most secrets are made while it looks on, so
// that everything is kept until they are known.
type watch struct {
	s       *site
	secrets map[string]string // by what people call it
	away    map[string]bool   // of those: need not lie on the site

	mu   sync.Mutex
	seen map[string]string // by where it was seen
	kept int

	stop     context.CancelFunc // of the Engine's events
	commands func() string      // ends the look at processes
	events   chan struct{}      // closed when the last event was taken
}

// watch begins to look at the Engine's events, each container as it is when it
// is made and started, and the command lines and environments of processes.
func (s *site) watch(t *testing.T) *watch {
	t.Helper()
	w := &watch{s: s, secrets: map[string]string{}, away: map[string]bool{}, seen: map[string]string{}, events: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w.stop = cancel
	messages, failed := s.docker.Events(ctx, events.ListOptions{})
	go func() {
		defer close(w.events)
		for {
			select {
			case m := <-messages:
				w.event(ctx, m)
			case err := <-failed:
				if ctx.Err() == nil {
					w.saw("the watch of events", "it ended: "+err.Error())
				}
				return
			}
		}
	}()
	w.commands = s.commandLines(t)
	t.Cleanup(func() {
		cancel()
		<-w.events
		w.commands()
	})
	return w
}

func (w *watch) event(ctx context.Context, m events.Message) {
	w.saw(fmt.Sprintf("event %s of %s", strings.Fields(string(m.Action))[0], cmp.Or(m.Actor.Attributes["name"], m.Actor.ID)), asJSON(m))
	if m.Type != events.ContainerEventType || m.Action != events.ActionCreate && m.Action != events.ActionStart {
		return
	}
	if _, raw, err := w.s.docker.ContainerInspectWithRaw(ctx, m.Actor.ID, false); err == nil { // else it is gone again
		w.saw("docker inspect of "+m.Actor.Attributes["name"], string(raw))
	}
}

// looker prints each command line and environment of the machine once, until
// its standard input ends.
const looker = `import glob, select, sys
seen = set()
while True:
    for f in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
        try:
            text = open(f, 'rb').read()
        except OSError:
            continue
        if text and text not in seen:
            seen.add(text)
            line = f.rsplit('/', 1)[1] + ' ' + text.replace(b'\0', b' ').replace(b'\n', b' ').decode('latin-1') + '\n'
            sys.stdout.buffer.write(line.encode('latin-1'))
    if select.select([sys.stdin], [], [], 0.05)[0]:
        break
`

// commandLines looks at the site's processes until the function that it
// returns is called; what that returns is what was seen.
func (s *site) commandLines(t *testing.T) func() string {
	t.Helper()
	result := s.python(t, looker, nil)
	return sync.OnceValue(result)
}

// python starts a script on the site. The function that it returns ends the
// script's standard input, waits for its end and gives what it printed.
func (s *site) python(t *testing.T, script string, stdin []byte) func() string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	made, err := outer.docker.ContainerExecCreate(ctx, s.box.ID, container.ExecOptions{
		Cmd: []string{"python3", "-c", script}, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := outer.docker.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		_, err := stdcopy.StdCopy(&out, &errs, conn.Reader)
		ended <- err
	}()
	return func() string {
		defer conn.Close()
		_, err := conn.Conn.Write(stdin)
		if err == nil {
			err = conn.CloseWrite()
		}
		if err == nil {
			err = <-ended
		}
		if err != nil || errs.Len() > 0 {
			t.Errorf("a script on the site: %v\n%s", err, errs.String())
		}
		return out.String()
	}
}

// saw keeps what was seen somewhere.
func (w *watch) saw(where string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range values {
		text, ok := v.(string)
		if !ok {
			text = asJSON(v)
		}
		w.kept++
		w.seen[fmt.Sprintf("%s (%d)", where, w.kept)] = text
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	return string(b)
}

// secret is to be seen nowhere. Of a PEM file it is a line of the key.
func (w *watch) secret(t *testing.T, name, text string) {
	t.Helper()
	if _, key, found := strings.Cut(text, " PRIVATE KEY-----\n"); found {
		text, _, _ = strings.Cut(key, "\n")
	}
	if text = strings.TrimSpace(text); len(text) < 8 || strings.Contains(text, "\n") {
		t.Fatalf("%s: %d bytes are no secret that could be looked for", name, len(text))
	}
	w.secrets[name] = text
}

// absent is a secret that need not lie on the site.
func (w *watch) absent(name string) { w.away[name] = true }

// forms are the ways to write a secret that are looked for: as it is, quoted,
// escaped, in hexadecimal digits, in base64 from any byte on.
func forms(secret string) []string {
	quoted := strconv.Quote(secret)
	inJSON := asJSON(secret)
	list := []string{secret, quoted[1 : len(quoted)-1], inJSON[1 : len(inJSON)-1], url.QueryEscape(secret), url.PathEscape(secret),
		strings.ReplaceAll(secret, "'", "''"), hex.EncodeToString([]byte(secret))}
	for before := range 3 {
		bytes := append(make([]byte, before), secret...)
		for _, code := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			// The first and last digits hold bits of the neighbours, too.
			list = append(list, code.EncodeToString(bytes)[(8*before+5)/6:8*len(bytes)/6])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Every form of a secret has to be known again, wherever it stands.
func TestForms(t *testing.T) {
	const secret = `c4n4ry+"7/x&`
	for _, text := range []string{
		secret, asJSON(map[string]string{"a": secret}), url.QueryEscape("x " + secret), fmt.Sprintf("%q", secret), fmt.Sprintf("%x", "x"+secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("root:" + secret)),
		base64.URLEncoding.EncodeToString([]byte("someone:" + secret + "!")), base64.StdEncoding.EncodeToString([]byte(`{"password":"` + secret + `"}`)),
	} {
		if !slices.ContainsFunc(forms(secret), func(f string) bool { return strings.Contains(text, f) }) {
			t.Errorf("%s is not known again as %s", secret, text)
		}
	}
}

// stack adds what the Engine tells about a stack that is up, and its logs.
func (w *watch) stack(t *testing.T, stack *hepta.Stack) {
	t.Helper()
	if err := stack.Logs(t.Context(), hepta.LogOptions{}, func(l hepta.LogLine) { w.saw("log of "+l.Service, l.Text) }); err != nil {
		t.Error(err)
	}
	status, err := stack.Status(t.Context())
	if err != nil {
		t.Error(err)
	}
	w.saw("the status", status)
	w.engine(t)
}

// engine adds what the Engine tells about everything that it has.
func (w *watch) engine(t *testing.T) {
	t.Helper()
	ctx, docker := t.Context(), w.s.docker
	list, err := docker.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if _, raw, err := docker.ContainerInspectWithRaw(ctx, c.ID, false); err == nil { // a job's may be gone
			w.saw("docker inspect of "+c.Names[0][1:], string(raw))
		}
	}
	networks, err := docker.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := docker.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs()})
	if err != nil {
		t.Fatal(err)
	}
	w.saw("the networks", networks)
	w.saw("the volumes", volumes)
}

// finder reads forms of secrets, one a line, and tells each file below the
// directories of its first line that holds one, with its mode and its
// directory's. What ends while it looks is left out.
const finder = `import os, stat, sys
lines = sys.stdin.buffer.read().split(b'\n')
forms = [l for l in lines[1:] if l]
for top in lines[0].split():
    for directory, _, names in os.walk(top):
        for name in names:
            file = os.path.join(directory, name)
            try:
                mode = os.lstat(file).st_mode
                if not stat.S_ISREG(mode):
                    continue
                text = open(file, 'rb').read()
            except OSError:
                continue
            for i, form in enumerate(forms):
                if form in text:
                    print('%d %o %o %s' % (i, stat.S_IMODE(mode), stat.S_IMODE(os.lstat(directory).st_mode), os.fsdecode(file)))
`

// place is a file of the site that holds a secret.
type place struct {
	secret          string
	file            string
	mode, directory uint64
}

// places are the files of the site's directories that hold a secret, in
// whatever form.
func (w *watch) places(t *testing.T, directories ...string) []place {
	t.Helper()
	input := strings.Join(directories, " ") + "\n"
	var names []string
	for name, secret := range w.secrets {
		for _, form := range forms(secret) {
			input += form + "\n"
			names = append(names, name)
		}
	}
	var found []place
	for line := range strings.Lines(w.s.python(t, finder, []byte(input))()) {
		var i int
		p := place{}
		if _, err := fmt.Sscanf(line, "%d %o %o", &i, &p.mode, &p.directory); err != nil {
			t.Fatal(err)
		}
		p.secret, p.file = names[i], strings.SplitN(strings.TrimSpace(line), " ", 4)[3]
		if !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// check ends the watch and fails for each secret that was seen, and for each
// file with one that others can read. The stacks' data is below the directories
// data.
func (w *watch) check(t *testing.T, data ...string) {
	t.Helper()
	w.stop()
	<-w.events
	processes := w.commands()
	w.saw("the site's processes", processes)
	if n := strings.Count(processes, "\n"); n < 20 {
		t.Errorf("only %d command lines and environments were seen", n)
	}

	size := 0
	for where, text := range w.seen {
		size += len(text)
		for name, secret := range w.secrets {
			for _, form := range forms(secret) {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s is in %s, after …%s", name, where, w.without(text[max(0, at-60):at]))
					break
				}
			}
		}
	}
	t.Logf("%d secrets looked for in %d places, %d kB", len(w.secrets), len(w.seen), size>>10)
	for _, part := range []string{"event exec_create", "event start", "docker inspect of", "the site's processes"} {
		if !slices.ContainsFunc(keys(w.seen), func(where string) bool { return strings.HasPrefix(where, part) }) {
			t.Errorf("nothing was looked at that begins with %q", part)
		}
	}

	lies := map[string]bool{}
	for _, p := range w.places(t, append(data, "/etc", "/run", "/var/lib/docker/containers", "/var/lib/docker/volumes", "/var/log")...) {
		lies[p.secret] = true
		if reason := exposed(p, data); reason != "" {
			t.Errorf("%s lies in %s: %s", p.secret, p.file, reason)
		}
	}
	for name := range w.secrets {
		if !lies[name] && !w.away[name] {
			t.Errorf("%s lies nowhere on the site: was it the right one?", name)
		}
	}
}

// exposed says what is wrong with where a secret lies.
func exposed(p place, data []string) string {
	i := slices.IndexFunc(data, func(dir string) bool { return strings.HasPrefix(p.file, dir+"/") })
	if i < 0 {
		return "that is not below the data directory"
	}
	file := strings.TrimPrefix(p.file, data[i]+"/")
	if strings.HasPrefix(file, "heptapod/data/") || strings.HasPrefix(file, "heptapod/logs/") {
		// The forge's own, of which some belongs to programs that are not root.
		if p.mode&0o007 != 0 {
			return fmt.Sprintf("everybody may open it, with mode %04o", p.mode)
		}
		return ""
	}
	if p.mode != 0o600 {
		return fmt.Sprintf("its mode is %04o", p.mode)
	}
	// Programs of the forge that are not root pass through its directory.
	if dir := path.Dir(file); p.directory != 0o700 && dir != "heptapod/config" {
		return fmt.Sprintf("it is 0600, but the mode of %s is %04o", dir, p.directory)
	}
	return ""
}

// without is a text without secrets, for people.
func (w *watch) without(text string) string {
	for _, secret := range w.secrets {
		for _, form := range forms(secret) {
			text = strings.ReplaceAll(text, form, "***")
		}
	}
	return text
}

func keys(m map[string]string) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

// keyOf is the body of the private key in a PEM file.
func keyOf(t *testing.T, file string) string {
	t.Helper()
	for rest := []byte(file); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("there is no private key in the file")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return string(pem.EncodeToMemory(block))
		}
	}
}
