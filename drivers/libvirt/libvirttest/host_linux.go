package libvirttest

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed host.sh
var hostScript string

// Folders of hosts are called this. They are in /tmp, whatever $TMPDIR says, because the path of a unix socket has to be
// shorter than 108 bytes and libvirt makes long ones.
const (
	hostsIn    = "/tmp"
	hostPrefix = "vmh"
)

// Host is a libvirt daemon with everything of its own: configuration, pools' default folder, processes and, unless shared,
// network. It ends with Close, and at the latest with the process that started it, however that one ends.
type Host struct {
	URI string // what clients connect to, from inside and outside of the host's namespaces
	Dir string // a short path; the same inside and outside

	pid  int // of the process whose namespaces (but for the process namespace) are the host's
	lock *os.File
	done chan error // what the host's first process ended with
}

// An Option changes how a host is set up.
type Option func(*options)

type options struct {
	certificates string
	programs     string
}

// Listening has the daemon listen on 127.0.0.1 of the host's network: by TCP for everybody, and by TLS for those whose
// certificate is of the authority in the folder, which has cacert.pem, servercert.pem and serverkey.pem.
func Listening(certificates string) Option { return func(o *options) { o.certificates = certificates } }

// Programs has the daemon find the programs in the folder before those of the machine.
func Programs(folder string) Option { return func(o *options) { o.programs = folder } }

// Missing says what this machine lacks to run private hosts; nil if nothing.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("a private libvirt host needs root")
	}
	for _, name := range []string{"libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "unshare", "nsenter", "ip", "dnsmasq", "iptables"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed (make setup installs it)", name)
		}
	}
	return nil
}

// New starts a host and waits until its daemon answers. The caller has to Close it.
func New(ctx context.Context, opts ...Option) (*Host, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if err := Missing(); err != nil {
		return nil, err
	}
	removeStale()
	caps, err := cacheDir("capabilities")
	if err != nil {
		return nil, err
	}
	h, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := h.start(o, caps); err != nil {
		return nil, errors.Join(err, h.removeDir())
	}
	if err := h.Wait(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// prepare makes the host's folder with libvirt's configuration in it.
func prepare(o options) (*Host, error) {
	dir, err := os.MkdirTemp(hostsIn, hostPrefix)
	if err != nil {
		return nil, err
	}
	h := &Host{Dir: dir, URI: "qemu+unix:///system?socket=" + dir + "/sock/libvirt-sock", done: make(chan error, 1)}
	if err := h.fill(o); err != nil {
		return nil, errors.Join(err, h.removeDir())
	}
	return h, nil
}

func (h *Host) fill(o options) (err error) {
	if h.lock, err = lockFile(filepath.Join(h.Dir, "lock")); err != nil {
		return err
	}
	// Other users, such as the one dnsmasq turns into, have to get through.
	if err := os.Chmod(h.Dir, 0o755); err != nil {
		return err
	}
	for _, d := range []string{"run", "etc", "lib/images", "cache/qemu/capabilities", "log/qemu", "sock"} {
		if err := os.MkdirAll(filepath.Join(h.Dir, d), 0o755); err != nil {
			return err
		}
	}
	var id [16]byte
	rand.Read(id[:])
	// host_uuid: hosts on one machine would have the same, and libvirt refuses to migrate between those.
	daemon := fmt.Sprintf(`unix_sock_dir = "%[1]s/sock"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:%[1]s/log/libvirtd.log"
host_uuid = "%[2]x-%[3]x-%[4]x-%[5]x-%[6]x"
`, h.Dir, id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if o.certificates != "" {
		daemon += fmt.Sprintf(`listen_addr = "127.0.0.1"
listen_tcp = 1
auth_tcp = "none"
listen_tls = 1
ca_file = "%[1]s/cacert.pem"
cert_file = "%[1]s/servercert.pem"
key_file = "%[1]s/serverkey.pem"
`, o.certificates)
	}
	// QEMU runs as root: if it could not open /dev/kvm, libvirt would probe it anew for each definition, 20 s each.
	const qemu = `user = "root"
group = "root"
stdio_handler = "file"
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
`
	if err := os.WriteFile(filepath.Join(h.Dir, "libvirtd.conf"), []byte(daemon), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(h.Dir, "etc", "qemu.conf"), []byte(qemu), 0o644)
}

func (o options) listen() string {
	if o.certificates == "" {
		return ""
	}
	return "--listen"
}

// start runs the host's first process.
func (h *Host) start(o options, caps string) error {
	cmd := exec.Command("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--propagation", "private",
		"sh", "-c", hostScript, "host", h.Dir, caps, o.listen())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if o.programs != "" {
		cmd.Env = append(os.Environ(), "PATH="+o.programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	out, err := os.Create(filepath.Join(h.Dir, "log", "out"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	started := make(chan error)
	go func() {
		// The death signal comes when this thread ends: it must stay while the host is there, and after it, as it may have
		// started something else before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			h.done <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	h.pid = cmd.Process.Pid
	return nil
}

// Wait waits until the daemon answers, which it does in less than a second on an idle machine. After a minute it gives up.
func (h *Host) Wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// The socket is there before the daemon is; a call is answered only after all drivers have set themselves up.
		err := h.answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case err := <-h.done:
			h.done <- err // for Close
			return fmt.Errorf("private libvirt host: its first process ended: %w\n%s", err, h.Log())
		case <-ctx.Done():
			return fmt.Errorf("private libvirt host: %w: %w:\n%s", err, ctx.Err(), h.Log())
		case <-tick.C:
		}
	}
}

func (h *Host) answers(ctx context.Context) error {
	conn, err := net.Dial("unix", h.Dir+"/sock/libvirt-sock")
	if err != nil {
		return err
	}
	conn.Close()
	return exec.CommandContext(ctx, "virsh", "--connect", h.URI, "list").Run()
}

// KillDaemon kills libvirtd as a crash would. Guests live on; the daemon is back in about 0.3 s (see Wait).
func (h *Host) KillDaemon() error {
	first := children(h.pid)
	if len(first) == 0 {
		return errors.New("private libvirt host: it does not run")
	}
	for _, pid := range children(first[0]) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(name)) == "libvirtd" {
			return kill(pid)
		}
	}
	return errors.New("private libvirt host: libvirtd does not run just now")
}

// kill ends a process that is not our child, and waits until it is no more.
func kill(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return err
		}
	}
}

// Log gives the ends of what the daemon and each guest's QEMU had to say.
func (h *Host) Log() string {
	var b strings.Builder
	files, _ := filepath.Glob(h.Dir + "/log/qemu/*.log")
	for _, name := range append([]string{h.Dir + "/log/out", h.Dir + "/log/libvirtd.log"}, files...) {
		text, err := os.ReadFile(name)
		if err != nil || len(text) == 0 {
			continue
		}
		fmt.Fprintf(&b, "--- %s\n%s\n", filepath.Base(name), text[max(0, len(text)-4000):])
	}
	return b.String()
}

// Close kills everything that runs in the host and removes its folder.
func (h *Host) Close() error {
	// When the first process of a process namespace dies the kernel kills all others before unshare hears of it.
	if first := children(h.pid); len(first) > 0 {
		_ = syscall.Kill(first[0], syscall.SIGKILL)
	} else {
		_ = syscall.Kill(h.pid, syscall.SIGKILL)
	}
	<-h.done
	return h.removeDir()
}

func (h *Host) removeDir() error {
	err := os.RemoveAll(h.Dir)
	if h.lock != nil {
		h.lock.Close()
	}
	return err
}

// removeStale removes the folders of hosts whose process was killed: nobody holds their lock. Mounts need no such care, they
// ended with the namespace.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(hostsIn, hostPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute { // its lock may not be taken yet
			continue
		}
		file, err := os.Open(filepath.Join(dir, "lock"))
		if err != nil {
			continue // not one of ours
		}
		if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		file.Close()
	}
}

// lockFile creates the file if need be and waits for the lock on it, which ends when the file is closed, also by a crash.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	return file, nil
}

// cacheDir makes the named folder in this package's part of the user's cache folder.
func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir() // no $HOME, as in some build systems
	}
	dir := filepath.Join(base, "vmplan", "libvirttest", name)
	return dir, os.MkdirAll(dir, 0o755)
}
