package registry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/fault"
)

// CheckTag is the tag under which Check pushes its image.
const CheckTag = "hepta-check"

// removeTimeout bounds the removal of the image, which is tried even when the
// context has ended.
const removeTimeout = 20 * time.Second

// Check does what Probe does and then goes all the way: it takes a token for
// creds, pushes an image of some hundred bytes to repository as CheckTag, pulls
// it back and removes it. It stops at the first thing without which the rest
// makes no sense. Where the registry does not let creds delete, the tag stays
// and the next Check replaces it.
func Check(ctx context.Context, client *http.Client, registryURL, repository string, creds Credentials, opts ...ProbeOption) (*Report, error) {
	c, err := connect(client, registryURL)
	if err != nil {
		return nil, err
	}
	if named, err := reference.ParseNormalizedNamed(c.base.Host + "/" + repository); err != nil || !reference.IsNameOnly(named) {
		return nil, &fault.Error{Op: "read repository", What: repository, Why: "it is not the name of one", Err: err,
			Remedy: "Write the path of a project in lower case, as in group/project."}
	}
	if creds.empty() {
		return nil, &fault.Error{Op: "check registry", What: c.base.Host, Why: "user or password is missing"}
	}
	report, err := Probe(ctx, client, registryURL, opts...)
	if err != nil || !report.OK() {
		return report, err
	}
	p := &probe{conn: c, report: *report}
	p.passes(ctx, &transfer{conn: c, repository: repository}, creds)
	return &p.report, ctx.Err()
}

// passes checks that an image gets in and out.
func (p *probe) passes(ctx context.Context, t *transfer, creds Credentials) {
	const login, push, pull = "user logs in", "image is pushed", "image is pulled"
	challenge, err := p.do(ctx, http.MethodGet, p.api(""), nil)
	if err == nil {
		t.token, err = p.token(ctx, challenge, creds, "repository:"+t.repository+":pull,push")
	}
	if err != nil {
		p.failed(login, err)
		return
	}
	p.ok(login, creds.User)
	i, err := newImage()
	if err != nil {
		p.failed(push, err)
		return
	}
	if err := t.push(ctx, i, CheckTag); err != nil {
		p.failed(push, err)
		return
	}
	p.ok(push, t.repository+":"+CheckTag)
	if err := t.pull(ctx, i); err != nil {
		p.failed(pull, err)
	} else {
		p.ok(pull, i.digest().String())
	}
	p.clean(ctx, t, i, creds, challenge)
}

// clean removes the image again. What a user may not remove, stays.
func (p *probe) clean(ctx context.Context, t *transfer, i *image, creds Credentials, challenge *answer) {
	const check = "image is removed again"
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	stays := func(why string) { p.ok(check, "no, "+t.repository+":"+CheckTag+" stays: "+why) }
	// A token of its own: a forge that does not grant one thing may refuse all.
	token, err := p.token(ctx, challenge, creds, "repository:"+t.repository+":delete,pull")
	if err != nil {
		stays("the forge grants no deletion")
		return
	}
	t.token = token
	got, err := t.remove(ctx, i)
	switch {
	case err != nil:
		p.failed(check, err)
	case got.StatusCode == http.StatusAccepted || got.StatusCode == http.StatusNotFound:
		p.ok(check, got.Status)
	case got.StatusCode == http.StatusUnauthorized || got.StatusCode == http.StatusForbidden:
		stays("this user or token may not delete")
	case got.StatusCode == http.StatusMethodNotAllowed:
		stays("deletion is switched off in the registry")
	default:
		p.failed(check, t.refused("DELETE of the manifest", got))
	}
}

// failed is a finding about an error of whatever kind.
func (p *probe) failed(check string, err error) {
	var s *snag
	var f *fault.Error
	switch {
	case errors.As(err, &s):
		p.bad(check, s.saw, s.means, s.remedy)
	case errors.As(err, &f) && f.Why != "":
		p.bad(check, f.Why, "Docker clients fail at the same point.", f.Remedy)
	case errors.As(err, &f) && f.Err != nil:
		p.unreachable(check, p.base.Host, f.Err)
	default:
		p.unreachable(check, p.base.Host, err)
	}
}
