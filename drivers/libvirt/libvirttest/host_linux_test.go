package libvirttest

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHostIsEmptyAndItsOwn(t *testing.T) {
	h, other := Start(t), Start(t)
	before := snapshot(t, h)
	for _, line := range before {
		if strings.HasPrefix(line, "domain") || strings.HasPrefix(line, "pool") || strings.HasPrefix(line, "network") {
			t.Errorf("a fresh host has %s", line)
		}
	}
	if out, err := h.Command("virsh", "-c", h.URI, "pool-create-as", "p", "dir", "--target", "/var/lib/libvirt/images").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := h.Command("virsh", "-c", h.URI, "vol-create-as", "p", "v", "1M").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{"+ file " + h.Dir + "/lib/images/v 1048576 bytes", "+ pool p", "+ volume p/v"}
	if got := before.Diff(snapshot(t, h)); !slices.Equal(got, want) {
		t.Errorf("after creating a volume the snapshot differs by %q, want %q", got, want)
	}
	for _, line := range snapshot(t, other) {
		if strings.HasPrefix(line, "pool") {
			t.Errorf("another host shows %s", line)
		}
	}
}

func TestDaemonComesBackAfterCrash(t *testing.T) {
	h := Start(t)
	if err := h.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := h.Command("virsh", "-c", h.URI, "uri").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestCommandRunsInTheHost(t *testing.T) {
	h := Start(t)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// The network and the files are the host's; the folder and the process are the caller's.
	out, err := h.Command("sh", "-c", "ls /sys/class/net; ls -d /var/lib/libvirt/images; pwd; test -e /proc/$$/exe").CombinedOutput()
	if want := "lo\n/var/lib/libvirt/images\n" + wd + "\n"; err != nil || string(out) != want {
		t.Errorf("got %q (%v), want %q", out, err, want)
	}
	cmd := h.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("a signal to the command ended it with %v, want terminated", err)
	}
}

// TestNothingSurvivesKill starts a host in another process and kills that one with no warning.
func TestNothingSurvivesKill(t *testing.T) {
	if os.Getenv("LIBVIRTTEST_CHILD") != "" {
		h, err := New(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		first := children(h.pid)
		os.Stdout.WriteString("host " + h.Dir + " " + strconv.Itoa(first[0]) + "\n")
		select {} // until killed
	}
	need(t, Missing())
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingSurvivesKill$")
	cmd.Env = append(os.Environ(), "LIBVIRTTEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	var pid int
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "host" {
			dir = fields[1]
			pid, _ = strconv.Atoi(fields[2])
		}
	}
	if pid == 0 {
		t.Fatal("the child did not start a host")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, "the host's processes are gone", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return errors.Is(err, fs.ErrNotExist) || strings.Contains(string(stat), ") Z ")
	})
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	removeStale()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the killed host is still there (%v)", err)
	}
}

func snapshot(t *testing.T, h *Host) Snapshot {
	t.Helper()
	s, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits up to a minute for the condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute not so: %s", what)
		}
	}
}
