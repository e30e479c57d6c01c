package heptapodtest

import (
	"net/http"
	"strconv"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// level is what a user may do in a project by membership, the highest of the
// project's and its groups'.
func level(tx *store.Tx, u *store.User, p *store.Project) int {
	if u == nil {
		return store.NoAccess
	}
	if u.Admin {
		return store.Owner
	}
	return max(p.Members[u.ID], groupLevel(tx, u, tx.Groups.Get(p.GroupID)))
}

func groupLevel(tx *store.Tx, u *store.User, g *store.Group) int {
	best := store.NoAccess
	for ; g != nil && u != nil; g = tx.Groups.Get(g.ParentID) {
		if u.Admin || g.OwnerID == u.ID {
			return store.Owner
		}
		best = max(best, g.Members[u.ID])
	}
	return best
}

// can reports whether someone may act in a project at a level. Guest means to
// see the project, Reporter to read its code, Developer to push, Maintainer to
// change its settings. A job acts in its own project alone, and below settings;
// elsewhere it sees what is public.
func can(tx *store.Tx, who identity, p *store.Project, want int) bool {
	if who.job != nil && who.job.ProjectID != p.ID {
		return p.Visibility == store.Public && want <= store.Reporter
	}
	if who.job != nil && want > store.Developer {
		return false
	}
	if want <= store.Reporter && (p.Visibility == store.Public || p.Visibility == store.Internal && !who.anonymous()) {
		return true
	}
	return level(tx, who.user, p) >= want
}

// project finds the project that the path's {id} names, by number or by path.
// One that the caller may not even see does not exist.
func (c *call) project(tx *store.Tx, want int) (*store.Project, error) {
	name := c.r.PathValue("id")
	var p *store.Project
	if n, err := strconv.ParseInt(name, 10, 64); err == nil {
		p = tx.Projects.Get(n)
	} else {
		p = tx.Project(name)
	}
	if p == nil || !can(tx, c.who, p, store.Guest) {
		if c.who.anonymous() && c.r.Method != http.MethodGet {
			return nil, unauthorized()
		}
		return nil, notFound("Project")
	}
	if !can(tx, c.who, p, want) {
		if c.who.anonymous() {
			return nil, unauthorized()
		}
		return nil, forbidden()
	}
	return p, nil
}

// isProtected reports whether runners for protected refs may run it: the default
// branch is protected, as GitLab does for new projects.
func isProtected(p *store.Project, ref string, tag bool) bool {
	return !tag && ref == p.DefaultBranch
}
