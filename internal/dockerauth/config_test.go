package dockerauth

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func basic(login string) string { return base64.StdEncoding.EncodeToString([]byte(login)) }

// Credentials are found where the docker command finds them, and no error
// quotes one.
func TestLookup(t *testing.T) {
	bin := t.TempDir()
	for name, script := range map[string]string{
		"keeps":  `printf '{"ServerURL":"%s","Username":"kept","Secret":"from helper"}' "$(cat)"`,
		"token":  `echo '{"Username":"<token>","Secret":"identity"}'`,
		"empty":  `echo "credentials not found in native keychain"; exit 1`,
		"broken": `echo "no session" >&2; exit 2`,
		"babble": `echo s3cret`,
	} {
		if err := os.WriteFile(filepath.Join(bin, "docker-credential-"+name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	alice, bob := basic("alice:s3cret"), basic("bob:s3cret")
	auths := func(more string) string {
		return fmt.Sprintf(`{"auths":{"r.example":{"auth":%q,"registrytoken":"bearer"}}%s}`, alice, more)
	}
	for _, c := range []struct {
		name, file, env string
		want            Credentials
		wrong           string
	}{
		{name: "nothing"},
		{name: "an empty file", file: " \n"},
		{name: "another registry", file: strings.ReplaceAll(auths(""), "r.example", "other.example")},
		{name: "auth", file: auths(""), want: Credentials{User: "alice", Password: "s3cret", RegistryToken: "bearer"}},
		{name: "user and password", file: `{"auths":{"r.example":{"username":"alice","password":"s3cret"}}}`, want: Credentials{User: "alice", Password: "s3cret"}},
		{name: "an identity token", file: `{"auths":{"r.example":{"identitytoken":"identity"}}}`, want: Credentials{IdentityToken: "identity"}},
		{name: "a whole address", file: fmt.Sprintf(`{"auths":{"https://r.example/v2/":{"auth":%q}}}`, alice), want: Credentials{User: "alice", Password: "s3cret"}},
		{name: "a damaged entry", file: `{"auths":{"r.example":{"auth":"s3cret"}}}`, wrong: "credentials for r.example: they are not user:password in base64"},
		{name: "a damaged entry of another registry", file: fmt.Sprintf(`{"auths":{"r.example":{"auth":%q},"other.example":{"auth":"x"}}}`, alice), want: Credentials{User: "alice", Password: "s3cret"}},

		{name: "a store", file: `{"credsStore":"keeps"}`, want: Credentials{User: "kept", Password: "from helper"}},
		{name: "a store's token", file: `{"credsStore":"token"}`, want: Credentials{IdentityToken: "identity"}},
		{name: "a store and the file", file: auths(`,"credsStore":"keeps"`), want: Credentials{User: "kept", Password: "from helper", RegistryToken: "bearer"}},
		{name: "a store that knows nothing", file: auths(`,"credsStore":"empty"`), want: Credentials{RegistryToken: "bearer"}},
		{name: "a helper of the registry", file: `{"credsStore":"empty","credHelpers":{"r.example":"keeps"}}`, want: Credentials{User: "kept", Password: "from helper"}},
		{name: "no helper for the registry", file: auths(`,"credsStore":"keeps","credHelpers":{"r.example":""}`), want: Credentials{User: "alice", Password: "s3cret", RegistryToken: "bearer"}},
		{name: "a helper that fails", file: `{"credsStore":"broken"}`, wrong: "credentials for r.example: docker-credential-broken: exit status 2"},
		{name: "a helper that is not there", file: `{"credsStore":"desktop"}`, wrong: `docker-credential-desktop": executable file not found`},
		{name: "a helper that babbles", file: `{"credsStore":"babble"}`, wrong: "docker-credential-babble gave no answer that can be read"},

		{name: "the variable", env: fmt.Sprintf(`{"auths":{"r.example":{"auth":%q}}}`, bob), file: auths(`,"credsStore":"keeps"`), want: Credentials{User: "bob", Password: "s3cret"}},
		{name: "the variable has another registry", env: fmt.Sprintf(`{"auths":{"other.example":{"auth":%q}}}`, bob), file: auths(""), want: Credentials{User: "alice", Password: "s3cret", RegistryToken: "bearer"}},
		{name: "the variable goes by the very key", env: fmt.Sprintf(`{"auths":{"https://r.example":{"auth":%q}}}`, bob)},
		{name: "a blank variable", env: " \n", file: `{"credsStore":"keeps"}`, want: Credentials{User: "kept", Password: "from helper"}},
		{name: "the variable has more than auths", env: fmt.Sprintf(`{"auths":{"r.example":{"auth":%q}},"credsStore":"keeps"}`, bob), file: `{"credsStore":"token"}`,
			want: Credentials{IdentityToken: "identity"}, wrong: "the environment variable DOCKER_AUTH_CONFIG is passed over"},
		{name: "the variable has user and password", env: `{"auths":{"r.example":{"username":"bob","password":"s3cret"}}}`, wrong: "nothing else"},
		{name: "the variable has two", env: `{"auths":{}} {"auths":{}}`, wrong: "nothing else"},
		{name: "the variable is a login", env: "bob:s3cret", wrong: "nothing else"},
		{name: "the variable has no auth", env: `{"auths":{"r.example":{}}}`, wrong: "credentials for r.example: auth is missing"},
		{name: "the variable has a damaged entry", env: `{"auths":{"r.example":{"auth":"bob:s3cret"}}}`, wrong: "credentials for r.example: they are not"},
	} {
		dir := t.TempDir()
		t.Setenv("DOCKER_CONFIG", dir)
		t.Setenv(Variable, c.env)
		if c.file != "" {
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		config, err := Read()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got, err := config.Lookup(t.Context(), "r.example")
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		switch {
		case (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong):
			t.Errorf("%s: error %v, want %q", c.name, err, c.wrong)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: the error shows a secret: %v", c.name, err)
		}
	}
}

// A damaged configuration is told with its place, and never quoted.
func TestDamagedConfiguration(t *testing.T) {
	for _, text := range []string{`{"auths":{"r.example":{"auth":s3cret}}}`, `{"auths":"s3cret"}`, `{"auths":{"r.example":{"auth":["s3cret"]}}}`, "s3cret"} {
		dir := t.TempDir()
		t.Setenv("DOCKER_CONFIG", dir)
		name := filepath.Join(dir, "config.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read()
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
