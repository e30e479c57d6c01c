package traefik

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
)

// disk is a host of files only.
type disk struct {
	converge.Host
	files  map[string][]byte
	modes  map[string]fs.FileMode
	writes []string
	fail   string // a path that cannot be written
}

func newDisk() *disk { return &disk{files: map[string][]byte{}, modes: map[string]fs.FileMode{}} }

func (d *disk) ReadFile(_ context.Context, path string) ([]byte, error) {
	content, ok := d.files[path]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	return content, nil
}

var errFull = errors.New("no space left on device")

func (d *disk) WriteFile(_ context.Context, path string, content []byte, mode fs.FileMode, _, _ int) error {
	if path == d.fail {
		return errFull
	}
	d.files[path], d.modes[path] = content, mode
	d.writes = append(d.writes, path)
	return nil
}

// lab is a proxy with certificates of its own, on a disk, at a time.
type lab struct {
	t    *testing.T
	cfg  Config
	disk *disk
	now  time.Time
}

func newLab(t *testing.T) *lab {
	return &lab{t: t, cfg: Config{Hosts: []string{"hg.example.org"}}, disk: newDisk(), now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

// up does what one run would: decide by what is seen, call, write. It gives
// the cause of the call, "" when there was none.
func (l *lab) up(looked bool) (string, error) {
	l.t.Helper()
	p, err := New(l.cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	p.now = func() time.Time { return l.now }
	s := p.resources()
	o := &converge.Observed{Files: map[string]converge.ObservedFile{}}
	current := l.disk.files[leafFile]
	if looked {
		o.Files[leafFile] = converge.ObservedFile{Exists: current != nil, Content: current}
	}
	tasks, err := s.Decide[0](o)
	if err != nil || len(tasks) > 1 {
		l.t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	cause := ""
	for _, task := range tasks {
		cause = task.Cause
		if err := task.Run(l.t.Context(), l.disk); err != nil {
			return cause, err
		}
	}
	for _, f := range s.Files {
		if f.Path == leafFile {
			if l.disk.files[leafFile], err = f.Render(o, current); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	return cause, nil
}

// must is up without an error, with a cause that contains want.
func (l *lab) must(looked bool, want string) {
	l.t.Helper()
	cause, err := l.up(looked)
	if err != nil {
		l.t.Fatal(err)
	}
	if (want == "") != (cause == "") || !strings.Contains(cause, want) {
		l.t.Errorf("cause %q, want %q", cause, want)
	}
	l.verify()
}

// verify checks that what is served is trusted by who trusts the root file.
func (l *lab) verify() {
	l.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(l.disk.files[RootFile]) {
		l.t.Fatal("no root certificate")
	}
	block, _ := pem.Decode(l.disk.files[leafFile])
	if block == nil {
		l.t.Fatal("no leaf")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, host := range l.cfg.Hosts {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool, CurrentTime: l.now}); err != nil {
			l.t.Errorf("%s: %v", host, err)
		}
	}
	if err := pki.Check(l.disk.files[leafFile], l.disk.files[leafFile], l.cfg.Hosts, l.now); err != nil {
		l.t.Error(err)
	}
	if l.disk.modes[rootKeyFile] != 0o600 || l.disk.modes[RootFile] != 0o644 {
		l.t.Errorf("modes %v", l.disk.modes)
	}
}

func TestCertificateLifetime(t *testing.T) {
	l := newLab(t)
	l.must(true, "no certificate yet")
	root, leaf := l.disk.files[RootFile], l.disk.files[leafFile]
	if got := strings.Join(l.disk.writes, " "); got != rootKeyFile+" "+RootFile {
		t.Errorf("written: %s", got)
	}

	l.must(true, "")
	l.now = l.now.Add(pki.LeafLife - pki.LeafRenew)
	l.must(true, "")
	if !bytes.Equal(leaf, l.disk.files[leafFile]) {
		t.Error("a good certificate was replaced")
	}

	l.now = l.now.Add(time.Hour)
	l.must(true, "expires on 2028-02-29")
	if bytes.Equal(leaf, l.disk.files[leafFile]) {
		t.Error("an old certificate stays")
	}

	l.cfg.Hosts = []string{"hg.example.org", "registry.example.org"}
	l.must(true, "host names changed: +registry.example.org")
	if !bytes.Equal(root, l.disk.files[RootFile]) || len(l.disk.writes) != 2 {
		t.Errorf("the root changed: %v", l.disk.writes)
	}
}

func TestCertificateSurvivesTheContainer(t *testing.T) {
	l := newLab(t)
	l.must(false, converge.CauseUnseen)
	leaf := l.disk.files[leafFile]
	l.must(false, converge.CauseUnseen)
	if !bytes.Equal(leaf, l.disk.files[leafFile]) {
		t.Error("a good certificate was replaced because nobody could see it")
	}
}

func TestCertificateAfterLosses(t *testing.T) {
	for _, c := range []struct {
		name     string
		lose     string
		looked   bool
		cause    string
		sameRoot bool
	}{
		{"leaf", leafFile, true, "no certificate yet", true},
		{"root, unseen leaf", RootFile, false, converge.CauseUnseen, false}, // made again from the key
		{"root replaced, unseen leaf", "", false, converge.CauseUnseen, false},
		{"key, good leaf", rootKeyFile, true, "", true},
		{"key, root and leaf", rootKeyFile + " " + RootFile + " " + leafFile, true, "no certificate yet", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.must(true, "no certificate yet")
			root := l.disk.files[RootFile]
			for lost := range strings.FieldsSeq(c.lose) {
				delete(l.disk.files, lost)
			}
			if c.lose == "" {
				l.disk.files[RootFile] = newLabRoot(t)
			}
			l.must(c.looked, c.cause)
			if same := bytes.Equal(root, l.disk.files[RootFile]); same != c.sameRoot {
				t.Errorf("the same root: %v", same)
			}
		})
	}
}

// Whoever trusts the authority is not locked out because its key was lost.
func TestAuthorityWithoutItsKeyIsNotReplaced(t *testing.T) {
	l := newLab(t)
	l.must(true, "no certificate yet")
	root := l.disk.files[RootFile]
	delete(l.disk.files, rootKeyFile)
	delete(l.disk.files, leafFile)
	if _, err := l.up(true); err == nil || !strings.Contains(fault.Describe(err), "from a backup, or remove ca/ca.crt") {
		t.Errorf("got %v", err)
	}
	if !bytes.Equal(root, l.disk.files[RootFile]) || l.disk.files[rootKeyFile] != nil {
		t.Error("another authority was made")
	}
}

// newLabRoot is the root of another authority.
func newLabRoot(t *testing.T) []byte {
	l := newLab(t)
	l.must(true, "no certificate yet")
	return l.disk.files[RootFile]
}

// Who has had certificates from files gets ones of the own authority, with its
// root; a stack that has got another name keeps its authority.
func TestCertificateOfAnotherAuthority(t *testing.T) {
	l := newLab(t)
	other, err := pki.New("somebody's", l.now)
	if err != nil {
		t.Fatal(err)
	}
	if l.disk.files[leafFile], err = other.Issue(l.cfg.Hosts, l.now); err != nil {
		t.Fatal(err)
	}
	l.must(true, "of another authority")
	root := l.disk.files[RootFile]
	l.must(true, "")
	l.cfg.Stack = "renamed"
	l.must(true, "")
	if !bytes.Equal(root, l.disk.files[RootFile]) {
		t.Error("another name, another root")
	}
}

func TestCertificateInterrupted(t *testing.T) {
	l := newLab(t)
	l.disk.fail = RootFile
	if _, err := l.up(true); !errors.Is(err, errFull) {
		t.Fatalf("got %v", err)
	}
	key := l.disk.files[rootKeyFile]
	l.disk.fail = ""
	l.must(true, "no certificate yet")
	if !bytes.Equal(key, l.disk.files[rootKeyFile]) {
		t.Error("a second key was made")
	}
}

func TestDamagedKeyIsNotReplaced(t *testing.T) {
	l := newLab(t)
	l.must(true, "no certificate yet")
	l.disk.files[rootKeyFile] = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	l.cfg.Hosts = []string{"registry.example.org"}
	_, err := l.up(true)
	if err == nil || !strings.Contains(fault.Remedy(err), "backup") {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(fault.Describe(err), "AAAA") {
		t.Error("the key shows")
	}
}

// Names that the installed root certificate is not for are refused when they
// are planned, and had by whoever begins with a new one as the error says.
func TestCertificateForNamesElsewhere(t *testing.T) {
	l := newLab(t)
	l.must(true, "no certificate yet")
	before := bytes.Clone(l.disk.files[RootFile])
	l.cfg.Hosts = []string{"hg.example.org", "hg.example.net"}
	p, err := New(l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := p.resources()
	o := &converge.Observed{Files: map[string]converge.ObservedFile{leafFile: {Exists: true, Content: l.disk.files[leafFile]}}}
	_, err = converge.Up(&s, o)
	if text := fault.Describe(err); err == nil || !strings.Contains(text, "the stack's authority is for example.org, and hg.example.net is none of that") ||
		!strings.Contains(text, "`sudo rm /srv/hepta/ca/ca.crt /srv/hepta/traefik/dynamic/leaf.pem`") {
		t.Fatalf("got %s", text)
	}
	// Where the leaf cannot be seen the task finds the same out.
	if _, err := l.up(false); err == nil || fault.Remedy(err) == "" || !bytes.Equal(before, l.disk.files[RootFile]) {
		t.Errorf("unseen: %v", err)
	}
	delete(l.disk.files, RootFile)
	delete(l.disk.files, leafFile)
	l.must(true, "no certificate yet")
	if bytes.Equal(before, l.disk.files[RootFile]) {
		t.Error("the root is the one of before")
	}
}

func TestPlan(t *testing.T) {
	p, err := New(Config{Hosts: []string{"hg.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	s := p.resources()
	plan, err := converge.Up(&s, &converge.Observed{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `pull image traefik:v3.6.12: not on the host
pull image haproxy:3.0.11-alpine: not on the host
create network web: not there
create network hepta-socket: not there
create container hepta-traefik: not there
create container hepta-socket-proxy: not there
call issue certificate: known only while up runs
write file traefik/dynamic/leaf.pem: for the new container hepta-traefik
write file traefik/dynamic/hepta.yaml: for the new container hepta-traefik
write file socket-proxy/haproxy.cfg: for the new container hepta-socket-proxy
start container hepta-socket-proxy: not there
wait for container hepta-socket-proxy: until it has run for 500ms
start container hepta-traefik: not there
wait for container hepta-traefik: until it is healthy
`
	var got strings.Builder
	for _, op := range plan.Operations {
		fmt.Fprintf(&got, "%s: %s\n", op.Text(), op.Cause)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}
