package relay

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
)

// variable is one of a job; of several with a name the last counts.
type variable struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Public bool   `json:"public"`
	File   bool   `json:"file,omitempty"`
}

// trusting is a job's JSON with the authority of its forge in it. A runner that
// asks a forge over TLS gives its authority to the job; this one asks the
// relay. Nothing else changes, fields that are not known here included.
func trusting(payload []byte, forge *url.URL, authority []byte) ([]byte, error) {
	var job map[string]json.RawMessage
	var list []json.RawMessage
	if err := json.Unmarshal(payload, &job); err != nil {
		return nil, fmt.Errorf("add the forge's authority to the job: not a JSON object")
	}
	if raw, there := job["variables"]; there && json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("add the forge's authority to the job: variables have another type")
	}
	const ca, count = "CI_SERVER_TLS_CA_FILE", "GIT_CONFIG_COUNT"
	n := 0 // settings of git that the job brings along
	for _, raw := range list {
		var v struct{ Key, Value string }
		if json.Unmarshal(raw, &v) == nil && v.Key == count {
			n, _ = strconv.Atoi(v.Value)
		}
	}
	root := url.URL{Scheme: forge.Scheme, Host: forge.Host, Path: "/"}
	for _, v := range []variable{
		{Key: ca, Value: string(authority), Public: true, File: true},
		{Key: count, Value: strconv.Itoa(n + 1), Public: true},
		{Key: fmt.Sprint("GIT_CONFIG_KEY_", n), Value: "http." + root.String() + ".sslCAInfo", Public: true},
		// Where runners of all versions write such a file. The name alone would be
		// its content for old ones.
		{Key: fmt.Sprint("GIT_CONFIG_VALUE_", n), Value: "${CI_PROJECT_DIR}.tmp/" + ca, Public: true},
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("add the forge's authority to the job: %w", err)
		}
		list = append(list, raw)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("add the forge's authority to the job: %w", err)
	}
	job["variables"] = raw
	return json.Marshal(job)
}
