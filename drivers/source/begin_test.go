package source_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFileOfThisMachineIsGivenOutWhileItIsChecked(t *testing.T) {
	dir := t.TempDir()
	bits := qcow2(1<<30, nil)
	path := filepath.Join(dir, "disk.qcow2")
	if err := os.WriteFile(path, bits, 0o600); err != nil {
		t.Fatal(err)
	}
	early, wait, err := newStore(t, dir).Begin(t.Context(), image(path, "sha256:"+strings.Repeat("0", 64)), nil)
	if err != nil || early.Path != path || early.Format != "qcow2" || early.Digest != "" {
		t.Errorf("begins with %+v, %v: want the file, and no digest yet", early, err)
	}
	for range 2 {
		if got, err := wait(); err == nil || !strings.Contains(err.Error(), "wrong checksum") || got.Path != "" {
			t.Errorf("ends with %+v, %v: want a wrong checksum", got, err)
		}
	}
	_, wait, err = newStore(t, dir).Begin(t.Context(), image(path, ""), nil)
	if got, waitErr := wait(); errors.Join(err, waitErr) != nil || got.Digest != "sha256:"+sha256sum(bits) {
		t.Errorf("ends with %+v, %v, %v", got, err, waitErr)
	}
	if _, wait, err = newStore(t, dir).Begin(t.Context(), image(filepath.Join(dir, "none"), ""), nil); err == nil {
		t.Error("a file that is not there is no error")
	}
	if _, again := wait(); again == nil {
		t.Error("and none at the end either")
	}
}

func TestAfterTheMachineWasStartedAnewBitsAreLookedAtAgain(t *testing.T) {
	dir := t.TempDir()
	bits := disk(1_000_000, 1)
	web := serve(t, bits)
	img := image(web.URL+"/disk.raw", "sha256:"+sha256sum(bits))
	got := mustFetch(t, newStore(t, dir), img, bits)
	found, err := filepath.Glob(filepath.Join(dir, "cache", "sources", "*", "versions.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("found %q: %v", found, err)
	}
	boot := bootID(t)
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	before := strings.ReplaceAll(string(text), boot, "another boot")
	if before == string(text) {
		t.Fatalf("no boot is recorded:\n%s", text)
	}
	// The size and the time are as recorded, and what was in the file never reached the disk.
	info, err := os.Stat(got.Path)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.WriteFile(found[0], []byte(before), 0o600), os.Chmod(got.Path, 0o600),
		os.WriteFile(got.Path, make([]byte, len(bits)), 0o600), os.Chtimes(got.Path, info.ModTime(), info.ModTime()))
	if err != nil {
		t.Fatal(err)
	}
	mustFetch(t, newStore(t, dir), img, bits)
	if asked := web.asked(); len(asked) != 2 {
		t.Errorf("asked %q, want the bits once more", asked)
	}
}
