package heptapodtest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/registrytoken"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// What the API tells of container repositories it asks the registry for, as
// GitLab does with file metadata. Repositories have numbers made from their
// paths.

// manifestKinds are the manifests that the forge can read.
const manifestKinds = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

func repositoryID(path string) int64 { return int64(crc32.ChecksumIEEE([]byte(path))) }

// askRegistry sends a GET for a path below /v2/ with the forge's own rights.
// What the registry does not have is a nil answer.
func (s *Server) askRegistry(ctx context.Context, scope registrytoken.Scope, path string, into any) (http.Header, error) {
	return s.callRegistry(ctx, http.MethodGet, scope, path, into)
}

// callRegistry is askRegistry for any method.
func (s *Server) callRegistry(ctx context.Context, method string, scope registrytoken.Scope, path string, into any) (http.Header, error) {
	key, err := s.registryKey()
	if err != nil {
		return nil, err
	}
	token, err := key.Sign(registrytoken.Grant{
		Issuer: s.cfg.RegistryIssuer, Service: registryService, Access: []registrytoken.Scope{scope}, Now: s.now(), Life: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	base := strings.TrimRight(cmp.Or(s.cfg.RegistryAPIURL, s.registry.get()), "/")
	req, err := http.NewRequestWithContext(ctx, method, base+"/v2/"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", manifestKinds)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask registry: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusAccepted:
		return resp.Header, nil
	case http.StatusOK:
		return resp.Header, json.NewDecoder(io.LimitReader(resp.Body, bodyLimit)).Decode(into)
	case http.StatusNotFound:
		return nil, nil
	}
	return nil, fmt.Errorf("ask registry for %s: %s", path, resp.Status)
}

func pullScope(path string) registrytoken.Scope {
	return registrytoken.Scope{Type: "repository", Name: path, Actions: []string{"pull"}}
}

// repositories are the paths of a project's repositories: its own and those below.
func (s *Server) repositories(c *call) (*store.Project, []string, error) {
	var p *store.Project
	err := c.view(func(tx *store.Tx) (err error) {
		p, err = c.project(tx, store.Reporter)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if s.registry.get() == "" {
		return nil, nil, notFound("")
	}
	paths, err := s.repositoriesOf(c.r.Context(), p)
	if err != nil {
		return nil, nil, err
	}
	return p, paths, nil
}

// repositoriesOf asks the registry for the paths of a project's repositories.
func (s *Server) repositoriesOf(ctx context.Context, p *store.Project) ([]string, error) {
	var catalog struct{ Repositories []string }
	everything := registrytoken.Scope{Type: "registry", Name: "catalog", Actions: []string{"*"}}
	if _, err := s.askRegistry(ctx, everything, "_catalog?n=1000", &catalog); err != nil {
		return nil, err
	}
	own := strings.ToLower(p.Path)
	return slices.DeleteFunc(catalog.Repositories, func(path string) bool {
		return path != own && !strings.HasPrefix(path, own+"/")
	}), nil
}

func (s *Server) listRepositories(c *call) error {
	p, paths, err := s.repositories(c)
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, path := range page(c, paths) {
		out = append(out, map[string]any{
			"id": repositoryID(path), "name": strings.TrimPrefix(strings.TrimPrefix(path, strings.ToLower(p.Path)), "/"), "path": path,
			"project_id": p.ID, "location": s.registryHost() + "/" + path, "created_at": p.CreatedAt, "status": nil,
		})
	}
	return c.json(http.StatusOK, out)
}

// repository is the path of the repository that the request names by number.
func (s *Server) repository(c *call) (string, error) {
	_, paths, err := s.repositories(c)
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		if repositoryID(path) == c.id("repository") {
			return path, nil
		}
	}
	return "", notFound("Repository")
}

func (s *Server) shownImageTag(path, tag string) map[string]any {
	return map[string]any{"name": tag, "path": path + ":" + tag, "location": s.registryHost() + "/" + path + ":" + tag}
}

// tagsOf asks the registry for the tags of a repository.
func (s *Server) tagsOf(ctx context.Context, path string) ([]string, error) {
	var list struct{ Tags []string }
	_, err := s.askRegistry(ctx, pullScope(path), path+"/tags/list", &list)
	return list.Tags, err
}

func (s *Server) listImageTags(c *call) error {
	path, err := s.repository(c)
	if err != nil {
		return err
	}
	tags, err := s.tagsOf(c.r.Context(), path)
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, tag := range page(c, tags) {
		out = append(out, s.shownImageTag(path, tag))
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) getImageTag(c *call) error {
	path, err := s.repository(c)
	if err != nil {
		return err
	}
	tag := c.r.PathValue("tag")
	image, err := s.readImage(c.r.Context(), path, tag)
	if err != nil {
		return err
	}
	if image == nil {
		return notFound("Tag")
	}
	out := s.shownImageTag(path, tag)
	out["digest"], out["total_size"], out["created_at"] = image.digest, nil, nil
	if image.revision != "" {
		out["total_size"], out["revision"], out["created_at"] = image.size, image.revision, image.created
	}
	return c.json(http.StatusOK, out)
}

// taggedImage is what the forge reads of the image behind a tag. An index has
// neither size nor revision nor age.
type taggedImage struct {
	digest, revision string
	size             int64
	created          *time.Time
}

// readImage asks the registry for the image behind a tag, nil for none.
func (s *Server) readImage(ctx context.Context, path, tag string) (*taggedImage, error) {
	type part struct {
		Digest string
		Size   int64
	}
	var manifest struct {
		Config part
		Layers []part
	}
	header, err := s.askRegistry(ctx, pullScope(path), path+"/manifests/"+tag, &manifest)
	if err != nil || header == nil {
		return nil, err
	}
	image := &taggedImage{digest: header.Get("Docker-Content-Digest")}
	if manifest.Config.Digest == "" {
		return image, nil
	}
	image.size, image.revision = manifest.Config.Size, strings.TrimPrefix(manifest.Config.Digest, "sha256:")
	for _, l := range manifest.Layers {
		image.size += l.Size
	}
	var config struct{ Created *time.Time }
	if _, err := s.askRegistry(ctx, pullScope(path), path+"/blobs/"+manifest.Config.Digest, &config); err != nil {
		return nil, err
	}
	image.created = config.Created
	return image, nil
}
