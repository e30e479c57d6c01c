package converge

import (
	"slices"
	"strings"
	"testing"
)

// keyed is a stack whose service reads a secret file when it starts, as it is
// seen on a host that looks as described, with a label of the service's own.
func keyed(t *testing.T, content, key, label string) (*Stack, *Observed, *Plan) {
	t.Helper()
	secret := File{Path: "mirror/config", Mode: 0o600, Secret: true, Content: []byte(content)}
	s := &Stack{Name: "s", Data: "/d", Files: []File{secret, KeyFile("mirror/config")}, Containers: []Container{{
		Service: "mirror", Name: "s-mirror", Image: "m:1", RecreateOn: []string{"mirror/config"},
		Mounts: []Mount{{Kind: Data, Source: "mirror", Target: "/m"}},
	}}}
	o := &Observed{
		Images: map[string]string{NormalizeImage("m:1"): "sha256:1"},
		Files: map[string]ObservedFile{
			"mirror/config":    {Exists: true, Mode: 0o600, Content: []byte(content)},
			"mirror/hepta.key": {Exists: key != "", Mode: 0o600, Content: []byte(key)},
		},
	}
	if label != "" {
		o.Containers = []ObservedContainer{{ID: "1", Name: "s-mirror", State: "running", ImageID: "sha256:1", Service: "mirror", Labels: map[string]string{
			LabelStack: "s", LabelService: "mirror", LabelSpec: s.Containers[0].Spec(), LabelData: "/d", LabelImageID: "sha256:1", LabelFile + "mirror/config": label,
		}}}
	}
	p, err := Up(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, o, p
}

func createdLabel(t *testing.T, p *Plan) string {
	t.Helper()
	i := slices.IndexFunc(p.Operations, func(o Operation) bool { return o.Kind == CreateContainer })
	if i < 0 {
		t.Fatalf("nothing is created:\n%s", p)
	}
	return p.Operations[i].Labels[LabelFile+"mirror/config"]
}

// The label of a container that reads a secret file reports whether the file is
// the one that it was made for, to who has the key and to nobody else.
func TestLabelOfASecretFile(t *testing.T) {
	_, _, p := keyed(t, "password: hunter22", "the key", "")
	label := createdLabel(t, p)
	if strings.Contains(label, Hash([]byte("password: hunter22"))) {
		t.Error("the label is the plain hash of a secret")
	}
	if _, _, p := keyed(t, "password: hunter22", "another key", ""); createdLabel(t, p) == label {
		t.Error("the label does not depend on the key")
	}
	if _, _, p := keyed(t, "password: hunter22", "the key", label); !p.Empty() {
		t.Errorf("a file that has not changed:\n%s", p)
	}
	if _, _, p := keyed(t, "password: hunter33", "the key", label); createdLabel(t, p) == label {
		t.Error("another password has the same label")
	}
	// One of an earlier release shows the plain hash: it is created again, once.
	_, _, p = keyed(t, "password: hunter22", "the key", Hash([]byte("password: hunter22")))
	if createdLabel(t, p) != label || !strings.Contains(p.String(), "shows the hash of mirror/config without a key") {
		t.Errorf("a plain hash stays:\n%s", p)
	}
	// Without a key on the host one is made, and the label is made with it.
	s, _, p := keyed(t, "password: hunter22", "", "")
	made, err := s.Files[1].Merge(nil, nil)
	if err != nil || len(made) < 20 {
		t.Fatalf("key %q, %v", made, err)
	}
	if _, _, again := keyed(t, "password: hunter22", string(made), createdLabel(t, p)); !again.Empty() {
		t.Errorf("the key that was made is another one:\n%s", again)
	}
}

func TestSecretFileNeedsAKey(t *testing.T) {
	s, o, _ := keyed(t, "x", "k", "")
	s.Files = s.Files[:1]
	if _, err := Up(s, o); err == nil || !strings.Contains(err.Error(), "has no KeyFile") {
		t.Errorf("%v", err)
	}
}
