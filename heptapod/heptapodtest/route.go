package heptapodtest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
)

// access says who may call an endpoint at all; what the endpoint is about is
// checked where it is looked up.
type access int

const (
	byRunner access = iota // credentials are the endpoint's own affair
	upload                 // the same, and the body is read by the endpoint
	anyone                 // with or without credentials
	member                 // a user, not a job
	jobToo                 // a user or a job
	admin                  // an administrator
)

// router is a mux that can tell what it serves.
type router struct {
	*http.ServeMux
	patterns []string
}

func (m *router) HandleFunc(pattern string, fn http.HandlerFunc) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, fn)
}

func (s *Server) routes() http.Handler {
	api, mux := &router{ServeMux: http.NewServeMux()}, &router{ServeMux: http.NewServeMux()}
	s.runnerRoutes(api)
	s.projectRoutes(api)
	s.instanceRoutes(api)
	api.ServeMux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":"404 Not Found"}`)) // whoever asked may be gone
	})
	s.health(mux)
	s.pages(mux)
	s.patterns = slices.Concat(api.patterns, mux.patterns)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 64 {
			w.Header().Set("X-Request-Id", id)
		}
		if strings.HasPrefix(r.URL.Path, "/api/") {
			api.ServeHTTP(w, r)
		} else if r.URL.Path == "/jwt/auth" {
			s.registryAuth(w, r)
		} else if path, ok := vcs.Project(r); ok {
			s.serveRepository(w, r, path)
		} else {
			mux.ServeHTTP(w, r)
		}
	})
}

func (s *Server) api(mux *router, pattern string, who access, fn func(*call) error) {
	method, path, _ := strings.Cut(pattern, " ")
	mux.HandleFunc(method+" /api/v4"+path, func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, w: w, r: r}
		if err := s.admit(c, who, path); err != nil {
			c.refuse(err)
			return
		}
		if err := fn(c); err != nil {
			c.refuse(err)
		}
	})
}

// admit finds out who calls and whether they may.
func (s *Server) admit(c *call, who access, path string) error {
	var err error
	if who == upload {
		c.p = params{}
		c.p.addForm(c.r.URL.Query())
		return nil
	}
	if who != byRunner {
		err := s.db.View(func(tx *store.Tx) (err error) {
			c.who, err = s.identify(tx, c.r)
			return err
		})
		if err != nil {
			return err
		}
		switch {
		case who != anyone && c.who.anonymous():
			return unauthorized()
		case who == admin && !c.who.admin(), who == member && c.who.job != nil:
			return forbidden()
		}
		if !inScope(c.who, c.r.Method, path) {
			return &problem{http.StatusForbidden, map[string]any{
				"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.", "scope": "api",
			}}
		}
	}
	c.p, err = readParams(c.r)
	return err
}

// inScope reports whether a token's scopes cover an endpoint.
func inScope(who identity, method, path string) bool {
	reads := method == http.MethodGet || method == http.MethodHead
	scopes := []string{"api"}
	if reads {
		scopes = append(scopes, "read_api")
	}
	switch {
	case path == "/personal_access_tokens/self":
		return true // a token may always look at itself, and end itself
	case reads && (path == "/user" || strings.HasPrefix(path, "/users")):
		scopes = append(scopes, "read_user")
	case path == "/user/runners":
		scopes = append(scopes, "create_runner")
	case strings.HasPrefix(path, "/runners"):
		scopes = append(scopes, "manage_runner")
	case reads && (path == "/version" || path == "/metadata"):
		scopes = append(scopes, "read_user")
	case reads && slices.Contains(strings.Split(path, "/"), "repository"):
		scopes = append(scopes, "read_repository")
	}
	return who.scoped(scopes...)
}

func (s *Server) runnerRoutes(mux *router) {
	s.api(mux, "POST /runners", byRunner, s.registerRunner)
	s.api(mux, "DELETE /runners", byRunner, s.deleteRunner((*call).asRunner))
	s.api(mux, "POST /runners/verify", byRunner, s.verifyRunner)
	s.api(mux, "DELETE /runners/managers", byRunner, s.unregisterManager)
	s.api(mux, "POST /runners/reset_authentication_token", byRunner, s.resetRunnerToken((*call).asRunner))
	s.api(mux, "GET /runners/router/discovery", byRunner, s.routerDiscovery)
	s.api(mux, "POST /jobs/request", byRunner, s.requestJob)
	s.api(mux, "PUT /jobs/{id}", byRunner, s.updateJob)
	s.api(mux, "PATCH /jobs/{id}/trace", upload, s.appendTrace)
	s.api(mux, "POST /jobs/{id}/artifacts", upload, s.uploadArtifact)
	s.api(mux, "GET /jobs/{id}/artifacts", byRunner, s.downloadArtifact)
}

func (s *Server) instanceRoutes(mux *router) {
	s.api(mux, "GET /version", jobToo, s.getVersion)
	s.api(mux, "GET /metadata", jobToo, s.getVersion)
	s.api(mux, "GET /application/settings", admin, s.getSettings)
	s.api(mux, "PUT /application/settings", admin, s.putSettings)
	s.api(mux, "GET /user", member, s.getUser)
	s.api(mux, "GET /users", member, s.listUsers)
	s.api(mux, "POST /users", admin, s.createUser)
	s.api(mux, "GET /users/{id}", member, s.getUserByID)
	s.api(mux, "POST /users/{id}/personal_access_tokens", admin, s.createTokenFor)
	s.api(mux, "GET /user/keys", member, s.listKeys)
	s.api(mux, "POST /user/keys", member, s.createKey)
	s.api(mux, "DELETE /user/keys/{id}", member, s.deleteKey)
	s.api(mux, "POST /user/runners", member, s.createUserRunner)
	s.api(mux, "GET /personal_access_tokens", member, s.listTokens)
	s.api(mux, "GET /personal_access_tokens/self", member, s.getOwnToken)
	s.api(mux, "DELETE /personal_access_tokens/self", member, s.revokeOwnToken)
	s.api(mux, "DELETE /personal_access_tokens/{id}", member, s.revokeToken)
	s.api(mux, "GET /runners", member, s.listRunners)
	s.api(mux, "GET /runners/all", admin, s.listAllRunners)
	s.api(mux, "GET /runners/{id}", member, s.getRunner)
	s.api(mux, "PUT /runners/{id}", member, s.editRunner)
	s.api(mux, "DELETE /runners/{id}", member, s.deleteRunner((*call).runner))
	s.api(mux, "GET /runners/{id}/jobs", member, s.listRunnerJobs)
	s.api(mux, "GET /runners/{id}/managers", member, s.listManagers)
	s.api(mux, "POST /runners/{id}/reset_authentication_token", member, s.resetRunnerToken((*call).runner))
	s.api(mux, "GET /groups", anyone, s.listGroups)
	s.api(mux, "POST /groups", member, s.createGroup)
	s.api(mux, "GET /groups/{id}", anyone, s.getGroup)
	s.api(mux, "DELETE /groups/{id}", member, s.deleteGroup)
	s.api(mux, "GET /groups/{id}/custom_attributes", admin, s.listAttributes)
	s.api(mux, "GET /groups/{id}/custom_attributes/{key}", admin, s.getAttribute)
	s.api(mux, "PUT /groups/{id}/custom_attributes/{key}", admin, s.setAttribute)
	s.api(mux, "DELETE /groups/{id}/custom_attributes/{key}", admin, s.deleteAttribute)
	s.api(mux, "GET /job", jobToo, s.getOwnJob)
}

func (s *Server) projectRoutes(mux *router) {
	s.api(mux, "GET /projects", anyone, s.listProjects)
	s.api(mux, "POST /projects", member, s.createProject)
	s.api(mux, "GET /projects/vcs_type_stats", jobToo, s.vcsTypeStats)
	s.api(mux, "GET /projects/{id}", anyone, s.getProject)
	s.api(mux, "PUT /projects/{id}", member, s.editProject)
	s.api(mux, "DELETE /projects/{id}", member, s.deleteProject)
	s.api(mux, "GET /projects/{id}/hgrc", member, s.getHGRC)
	s.api(mux, "PUT /projects/{id}/hgrc", member, s.putHGRC)
	s.api(mux, "GET /projects/{id}/runners", member, s.listProjectRunners)
	s.api(mux, "GET /projects/{id}/members", anyone, s.members("projects", s.listMembers))
	s.api(mux, "POST /projects/{id}/members", member, s.members("projects", s.addMember))
	s.api(mux, "DELETE /projects/{id}/members/{user}", member, s.members("projects", s.removeMember))
	s.api(mux, "GET /groups/{id}/members", anyone, s.members("groups", s.listMembers))
	s.api(mux, "POST /groups/{id}/members", member, s.members("groups", s.addMember))
	s.api(mux, "DELETE /groups/{id}/members/{user}", member, s.members("groups", s.removeMember))

	s.api(mux, "GET /projects/{id}/repository/branches", anyone, s.listBranches)
	s.api(mux, "GET /projects/{id}/repository/branches/{ref}", anyone, s.getBranch)
	s.api(mux, "GET /projects/{id}/repository/tags", anyone, s.listTags)
	s.api(mux, "GET /projects/{id}/repository/tags/{ref}", anyone, s.getTag)
	s.api(mux, "GET /projects/{id}/repository/commits", anyone, s.listCommits)
	s.api(mux, "GET /projects/{id}/repository/commits/{ref}", anyone, s.getCommit)
	s.api(mux, "GET /projects/{id}/repository/tree", anyone, s.tree)
	s.api(mux, "GET /projects/{id}/repository/files/{path}", anyone, s.getFile)
	s.api(mux, "GET /projects/{id}/repository/files/{path}/raw", anyone, s.getRawFile)

	s.api(mux, "GET /projects/{id}/variables", member, s.listVariables)
	s.api(mux, "POST /projects/{id}/variables", member, s.createVariable)
	s.api(mux, "GET /projects/{id}/variables/{key}", member, s.getVariable)
	s.api(mux, "PUT /projects/{id}/variables/{key}", member, s.editVariable)
	s.api(mux, "DELETE /projects/{id}/variables/{key}", member, s.deleteVariable)

	s.api(mux, "GET /projects/{id}/pipelines", anyone, s.listPipelines)
	s.api(mux, "POST /projects/{id}/pipeline", member, s.createPipeline)
	s.api(mux, "GET /projects/{id}/pipelines/{pipeline}", anyone, s.getPipeline)
	s.api(mux, "DELETE /projects/{id}/pipelines/{pipeline}", member, s.deletePipeline)
	s.api(mux, "GET /projects/{id}/pipelines/{pipeline}/jobs", anyone, s.listPipelineJobs)
	s.api(mux, "GET /projects/{id}/pipelines/{pipeline}/bridges", anyone, s.listBridges)
	s.api(mux, "GET /projects/{id}/pipelines/{pipeline}/variables", member, s.listPipelineVariables)
	s.api(mux, "POST /projects/{id}/pipelines/{pipeline}/cancel", member, s.cancelPipeline)
	s.api(mux, "POST /projects/{id}/pipelines/{pipeline}/retry", member, s.retryPipeline)
	s.api(mux, "GET /projects/{id}/jobs", anyone, s.listJobs)
	s.api(mux, "GET /projects/{id}/jobs/{job}", anyone, s.getJob)
	s.api(mux, "GET /projects/{id}/jobs/{job}/trace", anyone, s.getTrace)
	s.api(mux, "GET /projects/{id}/jobs/{job}/artifacts", anyone, s.getArtifact)
	s.api(mux, "POST /projects/{id}/jobs/{job}/cancel", member, s.cancelJob)
	s.api(mux, "POST /projects/{id}/jobs/{job}/retry", member, s.retryJob)
	s.api(mux, "POST /projects/{id}/jobs/{job}/play", member, s.playJob)
	s.api(mux, "POST /projects/{id}/jobs/{job}/erase", member, s.eraseJob)
	s.api(mux, "GET /projects/{id}/registry/repositories", anyone, s.listRepositories)
	s.api(mux, "GET /projects/{id}/registry/repositories/{repository}/tags", anyone, s.listImageTags)
	s.api(mux, "GET /projects/{id}/registry/repositories/{repository}/tags/{tag}", anyone, s.getImageTag)
	s.api(mux, "DELETE /projects/{id}/registry/repositories/{repository}/tags/{tag}", member, s.deleteImageTag)
	s.api(mux, "GET /projects/{id}/deploy_tokens", member, s.listDeployTokens)
	s.api(mux, "POST /projects/{id}/deploy_tokens", member, s.createDeployToken)
	s.api(mux, "DELETE /projects/{id}/deploy_tokens/{token}", member, s.revokeDeployToken)
	s.api(mux, "POST /projects/{id}/ci/lint", member, s.lint)
	s.api(mux, "GET /projects/{id}/ci/lint", member, s.lint)
}
