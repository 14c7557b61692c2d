package libvirttest

import (
	"os"
	"testing"
)

// need skips the test on a machine that lacks something. In continuous integration nothing may be lacking: the test fails.
func need(t testing.TB, lack error) {
	t.Helper()
	switch {
	case lack == nil:
	case os.Getenv("CI") != "":
		t.Fatal(lack)
	default:
		t.Skip(lack)
	}
}

// Start runs a host for the length of a test. Where the machine lacks what it takes (see Missing) the test is skipped, but for
// continuous integration, where it fails. The host's logs are shown if the test fails.
func Start(t testing.TB, opts ...Option) *Host {
	t.Helper()
	need(t, Missing())
	h, err := New(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs of the private libvirt host:\n%s", h.Log())
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}
