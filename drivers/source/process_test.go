package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/http"
)

// TestMain lets the test binary be a process of its own that fetches one image: FETCH=URL CACHE=DIR; with STAY it does not end.
func TestMain(m *testing.M) {
	location := os.Getenv("VMPLAN_TEST_FETCH")
	if location == "" {
		os.Exit(m.Run())
	}
	s, err := source.NewStore(source.Options{
		Sources: source.Registry{"http": http.New(http.Options{IdleTimeout: time.Minute})}, CacheDir: os.Getenv("VMPLAN_TEST_CACHE"),
	})
	if err == nil {
		s.Hurry()
		var bits drivers.Bits
		bits, err = s.Fetch(contextOfTests(), image(location, ""), func(p drivers.Progress) {
			if p.Phase == "waiting for another download" {
				os.WriteFile(os.Getenv("VMPLAN_TEST_CACHE")+".waiting", nil, 0o600)
			}
		})
		fmt.Print(bits.Digest)
	}
	if err == nil && os.Getenv("VMPLAN_TEST_STAY") != "" {
		if _, _, err = s.Scratch(); err == nil {
			os.WriteFile(os.Getenv("VMPLAN_TEST_CACHE")+".staying", nil, 0o600)
			io.Copy(io.Discard, os.Stdin) // which ends with the test; until then it is killed
		}
	}
	if err != nil {
		fmt.Print(err)
		if errors.Is(err, drivers.ErrNoSpace) {
			os.Exit(28)
		}
		os.Exit(1)
	}
}

// fetchProcess starts a process that fetches location; wrap goes before its command line.
func fetchProcess(t *testing.T, cache, location string, wrap ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(wrap, self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "VMPLAN_TEST_FETCH="+location, "VMPLAN_TEST_CACHE="+cache)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, &out
}

func TestAKilledDownloadIsContinued(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "cache")
	bits := disk(size, 1)
	web := serve(t, bits)
	web.misbehaves(func(n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if n >= 3 {
			return false
		}
		// Three times a MiB more, then nothing until the process is killed.
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("ETag", web.etag)
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, size-1, size))
		}
		w.Header().Set("Content-Length", fmt.Sprint(size-from))
		w.WriteHeader(map[bool]int{false: 200, true: 206}[from > 0])
		w.Write(bits[from : from+1<<20])
		w.(nethttp.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	for i := range 3 {
		cmd, _ := fetchProcess(t, cache, web.URL+"/disk.raw")
		eventually(t, "the part holds another MiB", func() bool {
			parts, _ := filepath.Glob(filepath.Join(cache, "sources", "*", "part"))
			return len(parts) == 1 && fileSize(parts[0]) >= int64(i+1)<<20
		})
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
	}
	if got, known, err := openStore(t, cache, dir).Probe(t.Context(), image(web.URL+"/disk.raw", "")); got != 1<<20 || !known {
		t.Errorf("probe says %d, %v, %v; want the MiB that is missing", got, known, err)
	}
	mustFetch(t, openStore(t, cache, dir), image(web.URL+"/disk.raw", ""), bits)
	asked := web.asked()
	if last := asked[len(asked)-1]; last != fmt.Sprintf("GET bytes=%d-", 3<<20) {
		t.Errorf("asked %q, want only the last MiB at last", asked)
	}
}

func TestTwoProcessesShareOneDownload(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	bits := disk(size, 1)
	web := serve(t, bits)
	both := make(chan struct{})
	web.misbehaves(func(n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if n == 0 {
			select { // the first download goes on only when the second process waits
			case <-both:
			case <-r.Context().Done():
			}
		}
		return false
	})
	first, out1 := fetchProcess(t, cache, web.URL+"/disk.raw")
	eventually(t, "the first process downloads", func() bool { return len(web.asked()) == 1 })
	second, out2 := fetchProcess(t, cache, web.URL+"/disk.raw")
	eventually(t, "the second process waits", func() bool { return fileSize(cache+".waiting") == 0 })
	close(both)
	for i, cmd := range []*exec.Cmd{first, second} {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("process %d: %v: %s%s", i, err, out1, out2)
		}
	}
	if want := "sha256:" + sha256sum(bits); out1.String() != want || out2.String() != want {
		t.Errorf("the processes got %s and %s, want %s", out1, out2, want)
	}
	// The second one compares the version, as the image has no checksum, and takes no bits.
	if asked := web.asked(); len(asked) != 2 {
		t.Errorf("asked %q, want one download and one look", asked)
	}
}

func TestAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root of a Linux machine can mount a small disk")
	}
	for name, announce := range map[string]bool{"is refused before the download when the size is known": true, "is an error that leaves room when it is not": false} {
		t.Run(name, func(t *testing.T) {
			web := serve(t, disk(3*size, 1))
			var sent atomic.Int64
			web.misbehaves(func(_ int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
				if announce {
					w.Header().Set("Content-Length", fmt.Sprint(3*size))
				}
				n, _ := w.Write(web.content)
				sent.Add(int64(n))
				return true
			})
			cache := t.TempDir()
			// The process says what went wrong; then the shell lists what it left.
			cmd, out := fetchProcess(t, cache, web.URL+"/disk.raw", "unshare", "-m", "sh", "-c",
				fmt.Sprintf(`mount -t tmpfs -o size=%d none "$VMPLAN_TEST_CACHE" && "$0"; code=$?; find "$VMPLAN_TEST_CACHE" -size +1k; exit $code`, size))
			err := cmd.Wait()
			if cmd.ProcessState.ExitCode() != 28 {
				t.Fatalf("%v, want ErrNoSpace: %s", err, out)
			}
			for _, want := range []string{"image.debian: ", "not enough space in the image cache " + cache, "VMPLAN_CACHE"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("error %q lacks %q", out, want)
				}
			}
			if strings.Contains(out.String(), "\n") || announce && sent.Load() == 3*size {
				t.Errorf("%d bytes were sent, and left is: %s", sent.Load(), out)
			}
		})
	}
}
