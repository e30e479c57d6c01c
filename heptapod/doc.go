// Package heptapod runs Heptapod, GitLab with Mercurial: its gitlab.rb, its
// container, the wait until it serves, API tokens, its REST API, gitlab-ctl.
package heptapod
