// Package vcs keeps the repositories of the stand-in: real Mercurial and real
// Git, served over HTTP and ssh by their own programs.
package vcs

import (
	"context"
	"io"
	"net/http"
)

// Kind is what a repository is kept with.
type Kind string

// The kinds, as the API's vcs_type names them.
const (
	Hg  Kind = "hg"
	Git Kind = "git"
)

// Zero is the id of nothing.
const Zero = "0000000000000000000000000000000000000000"

// Ref is a branch head or a tag. Mercurial branches are named as Heptapod
// names them: branch/default, topic/default/x.
type Ref struct {
	Name string
	Tag  bool
	ID   string // full commit or changeset id
}

// Commit is what is known of one revision.
type Commit struct {
	ID        string
	Title     string
	Message   string
	Author    string // Name <mail>
	Timestamp string // RFC 3339
	Parents   []string
	Branch    string // Mercurial only
}

// Store is a directory of repositories. No path that a request names leaves it.
// All methods are safe for concurrent use.
type Store interface {
	// Recover repairs what an earlier process left half done when it was killed.
	// It comes before anything else, and nobody else serves the store then.
	// Repositories that cannot be repaired are told of as damaged.
	Recover(ctx context.Context) (damaged, err error)
	// Close ends what the store keeps running. Requests under way come to their end.
	Close()

	Create(ctx context.Context, path string, kind Kind) error // path: group/sub/project
	Remove(ctx context.Context, path string) error
	Exists(path string) (Kind, bool)

	Refs(ctx context.Context, path string) ([]Ref, error)
	Commit(ctx context.Context, path, rev string) (Commit, error)
	Commits(ctx context.Context, path, rev string, limit int) ([]Commit, error)
	// File reads one file at a revision; fs.ErrNotExist when there is none.
	File(ctx context.Context, path, rev, name string) ([]byte, error)
	Files(ctx context.Context, path, rev string) ([]string, error)
	// TagMessage is what somebody wrote who made a tag; "" for a tag that is
	// only a name.
	TagMessage(ctx context.Context, path, tag string) (string, error)
	// Changed lists the paths that differ between two revisions; nil when from is Zero.
	Changed(ctx context.Context, path, from, to string) ([]string, error)
	// ChangedSince lists the paths that differ between rev and where it left base.
	ChangedSince(ctx context.Context, path, base, rev string) ([]string, error)

	// Snapshot makes sure that a Git repository holds rev's tree under
	// refs/pipelines/<id> (and, for Mercurial, as the single synthetic commit
	// that a stock runner can fetch) and returns the Git commit id.
	Snapshot(ctx context.Context, path, rev string, pipeline int64) (string, error)

	// ServeHTTP-like: Handler serves hg and git smart HTTP for the path, after
	// the caller has authenticated and authorized. write reports whether this
	// request may change the repository (git-receive-pack, hg unbundle/pushkey);
	// a request that would write without it gets 403.
	Handler(path, user string, write bool) http.Handler

	// SSH runs the original command of an ssh connection ("hg -R g/p serve
	// --stdio", "git-upload-pack 'g/p.git'") with the given streams. The path
	// and the need to write are told to allow first.
	SSH(ctx context.Context, command, user string, allow func(path string, write bool) error, stdin io.Reader, stdout, stderr io.Writer) (exit int, err error)
}
