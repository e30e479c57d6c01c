// Package heptapodtest is a Heptapod, GitLab with Mercurial, inside the process
// of a test: real hg and git repositories over HTTP, pipelines made of their
// .gitlab-ci.yml, a coordinator that satisfies real runners, tokens for a real
// container registry, and the part of the REST API that tools use.
//
//	forge := heptapodtest.New(t)
//	project := forge.CreateProject(t, "group/project", "hg")
//	// hg push project.CloneURL("root") …
//	pipeline, err := forge.WaitPipeline(ctx, project.Path, "branch/default")
//
// Start runs the same forge without a test, as a daemon that keeps everything
// it acknowledged, whatever ends it.
package heptapodtest
