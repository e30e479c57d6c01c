package vcs

import "testing"

// BenchmarkMercurialRequest is one request of Mercurial's protocol; a push is eight.
func BenchmarkMercurialRequest(b *testing.B) {
	f := newForge(b)
	f.create(b, "g/p", Hg)
	for b.Loop() {
		if status, _ := get(b, f.url+"/g/p?cmd=branchmap"); status != 200 {
			b.Fatal(status)
		}
	}
}
