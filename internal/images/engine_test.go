package images

import (
	"strings"
	"testing"
)

func TestStreamError(t *testing.T) {
	if err := streamError(strings.NewReader(`{"status":"a"}{"stream":"b\n"}`)); err != nil {
		t.Error(err)
	}
	if err := streamError(strings.NewReader(`{"status":"a"}{"error":"no space left","errorDetail":{}}`)); err == nil || err.Error() != "no space left" {
		t.Errorf("got %v", err)
	}
	if err := streamError(strings.NewReader(`{"status":`)); err == nil {
		t.Error("a cut stream is taken for a whole one")
	}
}
