package traefik

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pki"
)

// What the mode internal leaves below the data directory for others, and what
// those who need it wait for. The key never leaves its file.
const (
	RootFile    = "ca/ca.crt" // certificate of the forge's own authority, 0644
	rootKeyFile = "ca/ca.key" // 0600; no container shows the directory

	CertificateRef Ref = "task:certificate"
)

// authorityName begins the name of an authority of a stack; the stack's name
// follows, as it was when the authority was made.
const authorityName = "hepta "

// issuer keeps the leaf certificate of the mode internal good. The task reads
// or makes the authority and issues; the leaf reaches the proxy as a file.
type issuer struct {
	name  string
	data  string // directory on the Docker host
	hosts []string
	now   func() time.Time

	mu   sync.Mutex
	leaf []byte // what the task of this run issued or found good
}

func newIssuer(cfg Config, now func() time.Time) *issuer {
	return &issuer{name: authorityName + cfg.Stack, data: cfg.Data, hosts: cfg.hosts(), now: now}
}

// decide asks for a certificate when the one that was seen is not good.
func (i *issuer) decide(o *converge.Observed) ([]converge.Task, error) {
	seen, looked := o.Files[leafFile]
	if outside, scope := pki.Outside(pki.RootOf(seen.Content), i.hosts); len(outside) > 0 {
		return nil, i.outOfScope(outside, scope)
	}
	cause := pki.Due(seen.Content, i.hosts, i.now())
	if cause == "" && !strings.HasPrefix(pki.IssuerOf(seen.Content), authorityName) {
		cause = "the certificate is of another authority" // of the mode files, before
	}
	switch {
	case cause == "":
		return nil, nil
	case !looked:
		cause = converge.CauseUnseen
	}
	return []converge.Task{{
		Name:   "certificate",
		Verb:   "issue",
		Effect: converge.EffectAdd,
		Cause:  cause,
		Ref:    CertificateRef,
		Before: []converge.Ref{"file:" + leafFile},
		Run:    i.run,
	}}, nil
}

// outOfScope refuses names that those who have installed the root certificate
// would not take a certificate for: one leaf is for all names, so that they would
// refuse the forge's too.
func (i *issuer) outOfScope(outside, scope []string) error {
	return &fault.Error{
		Op: "plan", What: "certificate", Why: fmt.Sprintf("the stack's authority is for %s, and %s is none of that", strings.Join(scope, ", "), strings.Join(outside, ", ")),
		Remedy: fmt.Sprintf("Take a name of those, or begin with a new root certificate, which everybody who has installed %s has to install again: on the Docker host run `sudo rm %[2]s/%[1]s %[2]s/%[3]s`, then hepta up.",
			RootFile, i.data, leafFile),
	}
}

// run finds a good leaf or issues one. The root goes to its place before
// anything that it signed can be served.
func (i *issuer) run(ctx context.Context, host converge.Host) error {
	now := i.now()
	leaf, err := readFile(ctx, host, leafFile)
	if err != nil {
		return err
	}
	root, err := readFile(ctx, host, RootFile)
	if err != nil {
		return err
	}
	if pki.Due(leaf, i.hosts, now) == "" && len(root) > 0 && bytes.Equal(root, pki.RootOf(leaf)) {
		i.keep(leaf)
		return nil
	}
	authority, err := i.authority(ctx, host, root, now)
	if err != nil {
		return err
	}
	if leaf, err = authority.Issue(i.hosts, now); err != nil {
		return err
	}
	i.keep(leaf)
	return nil
}

// authority reads the authority or makes it. The key is written first: a run
// that ends in between leaves a key from which the root is made again.
func (i *issuer) authority(ctx context.Context, host converge.Host, root []byte, now time.Time) (*pki.Authority, error) {
	key, err := readFile(ctx, host, rootKeyFile)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 && len(root) > 0 {
		return nil, &fault.Error{
			Op: "issue", What: "certificate", Why: "the key of the authority, " + rootKeyFile + ", is gone, and its certificate is there: a new authority is one that nobody trusts",
			Remedy: "Bring " + rootKeyFile + " below the data directory back from a backup, or remove " + RootFile + " as well to have a new authority made: then everyone who trusts the old one has to take the new " + RootFile + ".",
		}
	}
	if len(key) == 0 {
		authority, err := pki.New(i.name, now, i.hosts...)
		if err != nil {
			return nil, err
		}
		text, err := authority.Key()
		if err != nil {
			return nil, err
		}
		if err := host.WriteFile(ctx, rootKeyFile, text, 0o600, 0, 0); err != nil {
			return nil, fmt.Errorf("write authority key: %w", err)
		}
		return authority, writeRoot(ctx, host, authority)
	}
	authority, renewed, err := pki.Read(key, root, i.name, now, i.hosts...)
	if errors.Is(err, pki.ErrScope) {
		return nil, i.outOfScope(pki.Outside(root, i.hosts))
	}
	if err != nil {
		return nil, &fault.Error{
			Op: "read file", What: rootKeyFile, Why: "it is not the key that was written there", Err: err,
			Remedy: "Bring " + rootKeyFile + " below the data directory back from a backup, or remove it and " + RootFile + " to have a new authority made: then everyone who trusts the old one has to take the new " + RootFile + ".",
		}
	}
	if renewed {
		return authority, writeRoot(ctx, host, authority)
	}
	return authority, nil
}

func writeRoot(ctx context.Context, host converge.Host, authority *pki.Authority) error {
	if err := host.WriteFile(ctx, RootFile, authority.Root(), 0o644, 0, 0); err != nil {
		return fmt.Errorf("write root certificate: %w", err)
	}
	return nil
}

func (i *issuer) keep(leaf []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.leaf = leaf
}

// merge is the leaf that has to lie before the proxy: the one of this run, or
// the one that is there.
func (i *issuer) merge(_ *converge.Observed, current []byte) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.leaf != nil {
		return i.leaf, nil
	}
	return current, nil
}

// readFile gives nil for a file that is not there.
func readFile(ctx context.Context, host converge.Host, path string) ([]byte, error) {
	content, err := host.ReadFile(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return content, nil
}
