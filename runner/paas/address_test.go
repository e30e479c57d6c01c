package paas

import (
	"context"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/secret"
)

// A job, its secrets and the organisation's token are pushed over TLS only,
// whatever address the provider names. A provider on this machine, in a test,
// may name an address on this machine.
func TestPushIsOverTLS(t *testing.T) {
	const real, double = "https://api.clever-cloud.com/v2", "http://127.0.0.1:8080/v2"
	for _, c := range []struct {
		api, address string
		want         string
	}{
		{real, "https://push.clever-cloud.com/app.git", ""},
		{real, "http://push.clever-cloud.com/app.git", `has the scheme "http" and not https`},
		{real, "http://127.0.0.1/app.git", `has the scheme "http"`},
		{real, "git://push.clever-cloud.com/app.git", `has the scheme "git"`},
		{real, "", "not a URL"},
		{real, "/srv/git", "not a URL"},
		{double, "http://localhost:9/app.git", ""},
		{double, "http://[::1]:9/app.git", ""},
		{double, "https://push.example.org/app.git", ""},
		{double, "http://push.example.org/app.git", `has the scheme "http"`},
		{double, "http://127.0.0.1.example.org/app.git", `has the scheme "http"`},
	} {
		if err := pushable(c.api, c.address); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v", c.api, c.address, err)
		}
	}
	p := &CleverCloud{Clever: Clever{API: real}, Organisation: func(context.Context, string) (Organisation, error) {
		t.Error("the organisation's token is looked for")
		return Organisation{Token: secret.New("t")}, nil
	}}
	if err := p.Push(t.Context(), Host{Name: hostName, DeployURL: "http://push.example.org/app.git"}, Files{}); !refused(err) {
		t.Errorf("push: %v", err)
	}
}

// Plain http is refused for the provider's API, and told for a forge that hosts
// reach over the internet.
func TestPlainHTTPIsNotSilent(t *testing.T) {
	read := func(forge, api string) (string, []Problem) {
		_, warnings, err := Read([]byte("state_file='x'\n[[runners]]\nurl='" + forge + "'\ntoken='abcdefghij'\nexecutor='clever-docker'\ncc_orga_id='o'\ncc_token='t'\n" +
			"cc_api_url='" + api + "'\ncc_extra_env={CC_ENABLE_HEPTAPOD_RUNNER='true'}\n"))
		if err != nil {
			return err.Error(), warnings
		}
		return "", warnings
	}
	for _, c := range []struct{ forge, api, err, warning string }{
		{"https://f", "https://api", "", ""},
		{"https://f", "http://api", "line 8: cc_api_url: want https://", ""},
		{"https://f", "http://127.0.0.1:1", "", ""},
		{"http://f", "https://api", "", "line 3: url: is http: the tokens"},
		{"http://localhost:3000", "https://api", "", ""},
	} {
		err, warnings := read(c.forge, c.api)
		if (err == "") != (c.err == "") || !strings.Contains(err, c.err) {
			t.Errorf("%+v: %s", c, err)
		}
		if (len(warnings) == 0) != (c.warning == "") || len(warnings) > 0 && !strings.Contains(warnings[0].String(), c.warning) {
			t.Errorf("%+v: %v", c, warnings)
		}
	}
}
