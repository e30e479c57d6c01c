package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/heptaup/hepta/registry"
)

// A registry that lets everybody in is one that the forge does not guard.
func ExampleReport() {
	open := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer open.Close()

	report, err := registry.Probe(context.Background(), open.Client(), open.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.OK())
	for _, f := range report.Findings {
		fmt.Printf("%s: %s\n%s\n", f.Check, f.Saw, f.Means)
	}
	// Output:
	// false
	// registry answers: 200 OK
	// Everyone may pull and push without logging in, or this is not the forge's registry.
}
