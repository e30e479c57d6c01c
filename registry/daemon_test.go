package registry

import (
	"strings"
	"testing"
)

// The words are those of Engines 20.10 and 26.1.
func TestDaemonFinding(t *testing.T) {
	for said, want := range map[string]string{
		"errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n": "",
		"Error response from daemon: denied: access forbidden":                                                 "",
		"manifest unknown: manifest unknown":                                                                   "",
		`Get "https://a.b:5050/v2/": x509: certificate signed by unknown authority`:                            "/etc/docker/certs.d/a.b:5050/ca.crt",
		`Get "https://a.b:5050/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure")`: "runner: {ca: FILE}",
		`Get "https://a.b:5050/v2/": x509: certificate has expired or is not yet valid`:                                                                                         "good for a.b at this time",
		`Get "https://a.b:5050/v2/": http: server gave HTTP response to HTTPS client`:                                                                                           "insecure-registries",
		`Get "https://a.b:5050/v2/": dial tcp: lookup a.b on 10.0.0.1:53: no such host`:                                                                                         "Add a.b to the DNS",
		`Get "https://a.b:5050/v2/": dial tcp 10.0.0.1:5050: connect: connection refused`:                                                                                       "firewall",
		`Get "https://a.b:5050/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`:                                  "firewall",
	} {
		f := DaemonFinding("a.b:5050", said)
		if f.OK != (want == "") || !strings.Contains(f.Remedy, want) || (f.Means == "") != f.OK || strings.Contains(f.Saw, "\n") || f.Saw == "" {
			t.Errorf("%s: %+v", said, f)
		}
	}
}
