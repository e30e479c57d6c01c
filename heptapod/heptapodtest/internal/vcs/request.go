package vcs

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The commands of Mercurial's wire protocol that only read. Whatever else a
// client names counts as a change.
var hgReads = []string{
	"batch", "between", "branches", "branchmap", "capabilities", "changegroup", "changegroupsubset", "clonebundles",
	"debugwireargs", "getbundle", "heads", "hello", "known", "listkeys", "lookup", "protocaps", "stream_out",
	// of the topic and evolve extensions
	"evoext_getbundle", "evoext_obshashrange_v1", "_tns_heads",
}

var hgWrites = []string{"unbundle", "pushkey"}

// wire is what a request of one of the protocols asks for.
type wire struct {
	project string
	kind    Kind   // the protocol's, not the repository's
	service string // git-upload-pack, git-receive-pack, or the hg command
	rest    string // git: /info/refs, /git-upload-pack, /git-receive-pack
	write   bool
}

// parse reads a request; not ok when it is none of the two protocols.
func parse(r *http.Request) (w wire, ok bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return wire{}, false
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	for _, rest := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		if project, found := strings.CutSuffix(path, rest); found {
			w := wire{project: strings.TrimSuffix(project, ".git"), kind: Git, service: rest[1:], rest: rest}
			if rest == "/info/refs" {
				if len(query["service"]) != 1 || r.Method != http.MethodGet {
					return wire{}, false
				}
				w.service = query["service"][0]
			} else if r.Method != http.MethodPost {
				return wire{}, false
			}
			if w.service != "git-upload-pack" && w.service != "git-receive-pack" {
				return wire{}, false
			}
			w.write = w.service == "git-receive-pack"
			return w, CheckPath(w.project) == nil
		}
	}
	if len(query["cmd"]) != 1 || r.Method != http.MethodGet && r.Method != http.MethodPost {
		return wire{}, false
	}
	w = wire{project: strings.TrimSuffix(path, "/"), kind: Hg, service: query["cmd"][0]}
	reads := slices.Contains(hgReads, w.service)
	if !reads && !slices.Contains(hgWrites, w.service) {
		return wire{}, false
	}
	w.write = !reads || w.service == "batch" && batchWrites(r, query)
	return w, CheckPath(w.project) == nil
}

// batchWrites looks into hg's batch command. Its arguments come in the query,
// in numbered headers, or, from few clients, ahead of the body, where they are
// not looked for.
func batchWrites(r *http.Request, query url.Values) bool {
	if v := r.Header.Get("X-HgArgs-Post"); v != "" && v != "0" {
		return true
	}
	var encoded strings.Builder
	for i := 1; ; i++ {
		v := r.Header.Get("X-HgArg-" + strconv.Itoa(i))
		if v == "" {
			break
		}
		encoded.WriteString(v)
	}
	args, err := url.ParseQuery(encoded.String())
	if err != nil {
		return true
	}
	for _, cmds := range append(query["cmds"], args["cmds"]...) {
		for cmd := range strings.SplitSeq(cmds, ";") {
			name, _, _ := strings.Cut(strings.TrimLeft(cmd, " "), " ")
			if !slices.Contains(hgReads, name) || name == "batch" {
				return true
			}
		}
	}
	return false
}

// Project tells which project a request of the hg or git HTTP protocol names,
// and whether r is such a request at all. The path is r's own, from the
// forge's root: /group/project.git/info/refs, /group/project?cmd=heads.
func Project(r *http.Request) (path string, ok bool) {
	w, ok := parse(r)
	if !ok {
		return "", false
	}
	return w.project, true
}

// WantsWrite reports whether a request for which Project says yes would change a
// repository. What it cannot tell counts as a change; other requests do not.
// Whoever answers such a request without its Handler (a 401, a 403) calls
// Drain first: hg reads the answer only after it has sent its bundle.
func WantsWrite(r *http.Request) bool {
	w, ok := parse(r)
	return ok && w.write
}

// Drain reads what the client of a refused request still sends, unless it
// waits to be asked for it. A body beyond 1 GiB is left.
func Drain(r *http.Request) {
	if r.Body == nil || strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		return
	}
	// A client that breaks off has nobody left to be told.
	_, _ = io.CopyN(io.Discard, r.Body, 1<<30)
}
