package resource

import (
	"encoding/json"
	"strings"
	"testing"
)

// Earlier versions recorded of an image's pin only which version it was moved to. Names of files depend on that.
func TestAPinOfAnEarlierVersionIsReadAgain(t *testing.T) {
	const version = "2 of sha256:ab"
	var e Encoded
	err := json.Unmarshal([]byte(`{"addr":"image.debian","kind":"image","spec":{"source":"https://img.example/a","file":"f","revision":"`+version+`"}}`), &e)
	if err != nil {
		t.Fatal(err)
	}
	img := e.Resource.(*Image)
	if img.Pin == nil || *img.Pin != (Pin{Digest: "sha256:ab", Revision: 2}) || img.Pin.Version() != version || img.File != "f" {
		t.Errorf("it is read as %+v with the pin %+v", img, img.Pin)
	}
	text, err := json.Marshal(e)
	if err != nil || !strings.Contains(string(text), `"pin":{"digest":"sha256:ab","revision":2}`) {
		t.Errorf("it is written as %s (%v)", text, err)
	}
}

func TestOnlyAMovedPinHasAVersion(t *testing.T) {
	for _, p := range []*Pin{nil, {}, {Digest: "sha256:ab", Resolved: "id://ab"}} {
		if got := p.Version(); got != "" {
			t.Errorf("%+v is version %q", p, got)
		}
	}
}
