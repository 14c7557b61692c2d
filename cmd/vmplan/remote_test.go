//go:build linux && !nolibvirt

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// remoteProject sends bits to its host: an image, and a seed for each guest.
const remoteProject = `
-- main.hcl --
variable "uri" {}

host "far" {
  uri         = var.uri
  domain_type = "qemu"
}
pool "main" { path = "/var/lib/libvirt/main" }
network "lan" { cidr = "10.73.9.0/24" }
image "os" { source = "os.qcow2" }
vm "node" {
  count   = 2
  running = false
  image   = image.os
  memory  = "64MiB"
  disk "root" { size = "16MiB" }
  nic "lan" {
    network = network.lan
    address = "auto"
  }
  cloud_init { hostname = "node-${count.index}" }
}
`

// TestAHostBehindSSH: a host that a real ssh server leads to is worked on like one of this machine, and its bits go through the
// connection. A key that is not let in is an error that says what to try.
func TestAHostBehindSSH(t *testing.T) {
	host := libvirttest.Start(t)
	before := hostSnapshot(t, host)
	w := newWorkdir(t, remoteProject)
	if err := os.WriteFile(filepath.Join(w.dir, "os.qcow2"), emptyImages()[0], 0o600); err != nil {
		t.Fatal(err)
	}
	port := startSSHServer(t, w.dir)
	uri := func(key string) string {
		return fmt.Sprintf("uri=qemu+ssh://root@127.0.0.1:%d/system?socket=%s/sock/libvirt-sock&keyfile=%s&no_verify=1&no_tty=1", port, host.Dir, filepath.Join(w.dir, key))
	}
	good, bad := uri("key"), uri("stranger")
	p := &example{t: t}
	p.contains(w.must(1, "plan", "--var", bad), "Error: host.far: connect to qemu+ssh://root@127.0.0.1", "host cannot be reached", "Permission denied", "Try: ssh -o BatchMode=yes")
	w.must(0, "apply", "--auto-approve", "--var", good)
	p.contains(w.must(0, "plan", "--detailed-exitcode", "--var", good), "No changes")
	w.write("-- main_override.hcl --\nvm \"node\" {\n  cloud_init { hostname = \"other-${count.index}\" }\n}\n")
	p.contains(w.must(2, "plan", "--detailed-exitcode", "--var", good), "vm.node[1].seed")
	w.must(0, "apply", "--auto-approve", "--var", good)
	w.must(0, "plan", "--detailed-exitcode", "--var", good)
	w.must(0, "destroy", "--auto-approve", "--var", good)
	if diff := before.Diff(hostSnapshot(t, host)); len(diff) > 0 {
		t.Errorf("destroy left the host not as it was: %q", diff)
	}
}

// startSSHServer runs sshd on a port of this machine for the test, which lets in the key "key" of the folder and not the key
// "stranger".
func startSSHServer(t *testing.T, dir string) (port int) {
	t.Helper()
	for _, key := range []string{"host", "key", "stranger"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", filepath.Join(dir, "host"), "-p", fmt.Sprint(port),
		"-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "StrictModes=no", "-o", "PermitRootLogin=prohibit-password",
		"-o", "AuthorizedKeysFile="+filepath.Join(dir, "key.pub"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
			return port
		}
		if time.Now().After(deadline) {
			t.Fatalf("sshd does not answer: %v", err)
		}
	}
}
