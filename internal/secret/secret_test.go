package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "s3cr3t-canary"

func TestNothingPrintsTheText(t *testing.T) {
	v := New(canary)
	type holder struct {
		Password Value
		Pointer  *Value
	}
	h := holder{Password: v, Pointer: &v}
	var out bytes.Buffer
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", v, h, &h)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v, "h", h)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v, "h", h)
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	fmt.Fprint(&out, fmt.Errorf("login as %v: refused", v))
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Fatalf("the text got out:\n%s", strings.ReplaceAll(out.String(), canary, "<HERE>"))
	}
	if v.Reveal() != canary {
		t.Fatal("Reveal lost the text")
	}
}

func TestEmptyPrintsEmpty(t *testing.T) {
	if got := fmt.Sprint(New("")); got != "" {
		t.Fatalf("an empty secret prints %q", got)
	}
}
