package configkeys_test

import (
	"fmt"

	"github.com/heptaup/hepta/runner/configkeys"
)

// The runner takes a list where people write one text, and ignores a key that
// it does not know.
func ExampleNormal() {
	values, problems := configkeys.Normal(configkeys.Runner, map[string]any{
		"docker": map[string]any{"image": "alpine:3.22", "volumes": "/cache", "privilaged": true},
	})
	fmt.Println(values["docker"])
	for _, p := range problems {
		fmt.Println(p.Key, p.Ignored)
	}
	// Output:
	// map[image:alpine:3.22 privilaged:true volumes:[/cache]]
	// docker.privilaged true
}
