package libvirttest

import "testing"

// Start runs a host for the length of a test. Where the machine lacks what it takes (see Missing) the test is skipped. The
// host's logs are shown if the test fails.
func Start(t testing.TB, opts ...Option) *Host {
	t.Helper()
	if err := Missing(); err != nil {
		t.Skip(err)
	}
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
