package source_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers"
)

// inCache gives the cache's files that begin so.
func inCache(t *testing.T, cache, prefix string) (found []string) {
	t.Helper()
	for _, file := range cached(t, cache) {
		if strings.HasPrefix(file, prefix) {
			found = append(found, file)
		}
	}
	return found
}

// stayingProcess starts a process that has fetched location, has made a scratch file, and is not done.
func stayingProcess(t *testing.T, cache, location string) (kill func()) {
	t.Helper()
	t.Setenv("VMPLAN_TEST_STAY", "yes")
	cmd, out := fetchProcess(t, cache, location)
	eventually(t, "the process has what it wants: "+out.String(), func() bool { return len(inCache(t, cache, "scratch-")) > 0 && fileSize(cache+".staying") == 0 })
	return func() {
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		os.Remove(cache + ".staying")
	}
}

func TestWhatAnotherProcessUsesStaysInTheCacheUntilThatEnds(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	bits := disk(100_000, 1)
	web := serve(t, bits)
	kill := stayingProcess(t, cache, web.URL+"/disk.raw")
	s := openStore(t, cache, "")
	held, err := s.Cached()
	if err != nil || len(held) != 1 {
		t.Fatalf("the cache holds %+v: %v", held, err)
	}
	if err := s.Drop(held[0].Digest); !errors.Is(err, drivers.ErrInUse) || !strings.Contains(err.Error(), held[0].Digest) {
		t.Errorf("drop what is in use: %v", err)
	}
	if err := s.Sweep(); err != nil || len(inCache(t, cache, "scratch-")) != 1 || len(inCache(t, cache, "blobs/")) != 1 {
		t.Errorf("left is %q: %v", cached(t, cache), err)
	}
	kill()
	if err := errors.Join(s.Sweep(), s.Drop(held[0].Digest)); err != nil {
		t.Error(err)
	}
	for _, gone := range []string{"scratch-", "blobs/", "uses/"} {
		if left := inCache(t, cache, gone); len(left) > 0 {
			t.Errorf("left is %q", left)
		}
	}
	mustFetch(t, s, image(web.URL+"/disk.raw", ""), bits)
}

func TestWhatAKilledProcessLeftGoesWithTheNextFetch(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	bits := disk(100_000, 1)
	web := serve(t, bits)
	stayingProcess(t, cache, web.URL+"/disk.raw")()
	half := filepath.Join(cache, "sources", "0123", "work")
	if err := errors.Join(os.MkdirAll(half, 0o700), os.WriteFile(filepath.Join(half, "half"), bits, 0o600)); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, openStore(t, cache, ""), image(web.URL+"/disk.raw", ""), bits)
	if left := append(inCache(t, cache, "scratch-"), inCache(t, cache, "sources/0123/work")...); len(left) > 0 {
		t.Errorf("left is %q", left)
	}
}

func TestAScratchFileIsRemovedByWhoMadeIt(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	f, remove, err := openStore(t, cache, "").Scratch()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), openStore(t, cache, "").Sweep()); err != nil || fileSize(f.Name()) != 0 {
		t.Errorf("closed, and not removed, it is gone: %v", err)
	}
	if err := remove(); err != nil || len(cached(t, cache)) > 0 {
		t.Errorf("left is %q: %v", cached(t, cache), err)
	}
}

func TestWhatAProjectNeedsByNowIsNotDropped(t *testing.T) {
	dir := t.TempDir()
	bits := disk(100_000, 1)
	web := serve(t, bits)
	s := newStore(t, dir)
	got := mustFetch(t, s, image(web.URL+"/disk.raw", ""), bits)
	if err := s.Need("lineage", dir, []string{got.Digest}); err != nil {
		t.Fatal(err)
	}
	s.End()
	if err := s.Drop(got.Digest); !errors.Is(err, drivers.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("drop what is needed: %v", err)
	}
	if err := errors.Join(s.Need("lineage", dir, nil), s.Drop(got.Digest)); err != nil || fileSize(got.Path) >= 0 {
		t.Errorf("drop what is needed no more: %v", err)
	}
}

func TestTheFolderOfTheCacheMayBeCalledAnything(t *testing.T) {
	for _, name := range []string{"cache[1]", "cache[", "ca*he?"} {
		dir := t.TempDir()
		bits := disk(100_000, 1)
		web := serve(t, bits)
		s := openStore(t, filepath.Join(dir, name), dir)
		got := mustFetch(t, s, image(web.URL+"/disk.raw", ""), bits)
		if err := s.Need("lineage", dir, []string{got.Digest}); err != nil {
			t.Fatal(err)
		}
		held, err := s.Cached()
		if err != nil || len(held) != 1 || len(held[0].Sources) != 1 || len(held[0].NeededBy) != 1 {
			t.Errorf("%s: the cache holds %+v: %v", name, held, err)
		}
	}
}

// TestNoBitsGoBetweenFetchingAndUsingThem has one process after the other fetch an image, while another clears the cache of it.
func TestNoBitsGoBetweenFetchingAndUsingThem(t *testing.T) {
	dir := t.TempDir()
	bits := disk(100_000, 1)
	web := serve(t, bits)
	digest := "sha256:" + sha256sum(bits)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var dropped, refused atomic.Int64
	cleared := make(chan error, 1)
	go func() {
		var err error
		for s := newStore(t, dir); ctx.Err() == nil && err == nil; {
			there := fileSize(s.Blob(digest)) >= 0
			err = s.Drop(digest)
			switch {
			case errors.Is(err, drivers.ErrInUse):
				refused.Add(1)
				err = nil
			case there:
				dropped.Add(1)
			}
		}
		cleared <- err
	}()
	for dropped.Load() < 10 || refused.Load() < 10 {
		s := newStore(t, dir)
		got, err := s.Fetch(ctx, image(web.URL+"/disk.raw", digest), nil)
		if err != nil {
			t.Fatalf("dropped %d times, refused %d times, and then: %v", dropped.Load(), refused.Load(), err)
		}
		if text, err := os.ReadFile(got.Path); err != nil || !bytes.Equal(text, bits) {
			t.Fatalf("%d bytes of what was fetched: %v", len(text), err)
		}
		s.End()
	}
	stop()
	if err := <-cleared; err != nil {
		t.Error(err)
	}
}
