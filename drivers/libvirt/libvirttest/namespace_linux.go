package libvirttest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command makes a command that runs inside the host, in its network and with its files, as if on that machine; but it is
// a process like any other, which can be signalled. It dies with the test.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	// The host's /proc shows only the host's processes, and a process that does not find itself there does not get far: so
	// the command sees the /proc of where it comes from. All is by exec, so that the process is the command in the end.
	const script = `pid=$1; shift
exec nsenter --target "$pid" --mount --net --wdns="$PWD" -- \
	unshare --mount --propagation private sh -c 'mount -t proc proc /proc && exec "$@"' sh "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", strconv.Itoa(h.pid), name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Dial connects from inside the host's network, where its guests are.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		runtime.LockOSThread()
		leave, err := enterNetwork(h.pid)
		if err != nil {
			runtime.UnlockOSThread()
			got <- answer{nil, fmt.Errorf("enter the network of the private libvirt host: %w", err)}
			return
		}
		var d net.Dialer
		d.FallbackDelay = -1 // the fallback would dial on another thread
		conn, err := d.DialContext(ctx, network, address)
		if leave() == nil {
			// A thread that is still in there ends with this goroutine, as nobody else may use it. Others go on: commands that they
			// have started would die with them.
			runtime.UnlockOSThread()
		}
		got <- answer{conn, err}
	}()
	a := <-got
	return a.conn, a.err
}

// enterNetwork takes the thread into the network of a process; leave takes it back.
func enterNetwork(pid int) (leave func() error, err error) {
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	other, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err == nil {
		defer other.Close()
		err = unix.Setns(int(other.Fd()), unix.CLONE_NEWNET)
	}
	if err != nil {
		own.Close()
		return nil, err
	}
	return func() error {
		defer own.Close()
		return unix.Setns(int(own.Fd()), unix.CLONE_NEWNET)
	}, nil
}

// children lists the processes that the given one started.
func children(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(field); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
