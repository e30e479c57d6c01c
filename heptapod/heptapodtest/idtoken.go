package heptapodtest

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/registrytoken"
	"github.com/heptaup/hepta/internal/ci"
	"github.com/heptaup/hepta/internal/ci/expand"
)

// idTokenKey signs the tokens of jobs. It is another one than the registry's,
// which would take what this one signs.
func (s *Server) idTokenKey() (*registrytoken.Key, error) {
	return s.proving.load(filepath.Join(s.cfg.Dir, "id_token.key"), nil)
}

// withIDTokens adds a job's ID tokens to its variables.
func (s *Server) withIDTokens(c *claimed, vars []expand.Variable) ([]expand.Variable, error) {
	if len(c.spec.IDTokens) == 0 {
		return vars, nil
	}
	key, err := s.idTokenKey()
	if err != nil {
		return nil, err
	}
	known := make(map[string]string, len(vars))
	for _, v := range vars {
		known[v.Key] = v.Value
	}
	get := func(name string) (string, bool) { v, ok := known[name]; return v, ok }
	for _, t := range c.spec.IDTokens {
		audience := make([]string, len(t.Audience))
		for i, a := range t.Audience {
			audience[i] = ci.ExpandFully(a, get)
		}
		claims := s.idClaims(c)
		if claims["aud"] = any(audience); !t.Listed && len(audience) == 1 {
			claims["aud"] = audience[0]
		}
		text, err := key.SignClaims(claims)
		if err != nil {
			return nil, err
		}
		vars = append(vars, expand.Variable{Key: t.Name, Value: text, Masked: true, Raw: true})
	}
	return expand.Last(vars), nil
}

// idClaims are what a token says of its job; numbers are text, as in GitLab's.
func (s *Server) idClaims(c *claimed) map[string]any {
	p, pl, now := c.project, c.pipeline, s.now()
	kind, path := "branch", "refs/heads/"+pl.Ref
	if pl.Tag {
		kind, path = "tag", "refs/tags/"+pl.Ref
	}
	above, _, _ := cutLast(p.Path)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	claims := map[string]any{
		"iss": s.URL, "sub": "project_path:" + p.Path + ":ref_type:" + kind + ":ref:" + pl.Ref, "jti": random(16),
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(time.Duration(timeout(p, c.runner, c.spec)) * time.Second).Unix(),
		"namespace_id": number(p.GroupID), "namespace_path": above, "project_id": number(p.ID), "project_path": p.Path, "project_visibility": p.Visibility,
		"pipeline_id": number(pl.ID), "pipeline_source": pl.Source, "job_id": number(c.job.ID),
		"ref": pl.Ref, "ref_type": kind, "ref_path": path, "ref_protected": strconv.FormatBool(isProtected(p, pl.Ref, pl.Tag)),
		"runner_id": c.runner.ID, "runner_environment": "self-hosted", "sha": pl.SHA,
		"ci_config_ref_uri": s.host() + "/" + p.Path + "//" + or(p.ConfigPath, defaultConfigPath) + "@" + path, "ci_config_sha": pl.SHA,
	}
	if u := c.user; u != nil {
		claims["user_id"], claims["user_login"], claims["user_email"] = number(u.ID), u.Username, u.Email
	}
	if e := c.spec.Environment; e != nil {
		claims["environment"], claims["environment_protected"] = e.Name, "false"
		claims["deployment_tier"], claims["environment_action"] = or(e.Tier, expand.EnvironmentTier(e.Name)), e.Action
	}
	return claims
}

// openIDConfiguration tells whoever checks tokens where the keys are.
func (s *Server) openIDConfiguration(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, map[string]any{
		"issuer": s.URL, "jwks_uri": s.URL + "/oauth/discovery/keys",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "subject_types_supported": []string{"public"}, "response_types_supported": []string{"code"},
	})
}

func (s *Server) openIDKeys(w http.ResponseWriter, _ *http.Request) {
	key, err := s.idTokenKey()
	var set []byte
	if err == nil {
		set, err = key.JWKS()
	}
	if err != nil {
		s.log.Error("keys of ID tokens", "error", err)
		http.Error(w, "500 Internal Server Error", http.StatusInternalServerError)
		return
	}
	answerJSON(w, json.RawMessage(set))
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever asked may be gone
}
