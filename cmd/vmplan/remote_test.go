//go:build linux && !nolibvirt

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// TestHostsThroughTheNetwork: a host that ssh, TLS or TCP leads to is worked on like one of this machine, and its bits go through
// the connection. Who is not let in is told so, and what to try.
func TestHostsThroughTheNetwork(t *testing.T) {
	t.Parallel()
	keys := t.TempDir()
	certify(t, keys)
	host := libvirttest.Start(t, libvirttest.Listening(keys))
	startSSHServer(t, host, keys)
	ssh := fmt.Sprintf("qemu+ssh://root@127.0.0.1:2222/system?socket=%s/sock/libvirt-sock&no_verify=1&no_tty=1&keyfile=%s/", host.Dir, keys)
	for _, c := range []struct{ name, uri, refused, why string }{
		{"ssh", ssh + "key", ssh + "stranger", "Cannot recv data"},
		{"tls", "qemu+tls://127.0.0.1/system?pkipath=" + keys, "qemu+tls://127.0.0.1/system?pkipath=" + keys + "/others", "ertificate"},
		{"tcp", "qemu+tcp://127.0.0.1/system", "qemu+tcp://127.0.0.1:1/system", "Connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := hostSnapshot(t, host)
			p := &example{t: t, host: host, dir: newWorkdir(t, remoteProject).dir, env: append(os.Environ(), "VMPLAN_CACHE="+t.TempDir())}
			p.write("os.qcow2", string(emptyImages()[0]))
			inside := slices.Clone(p.env)
			p.env = append(inside, "VMPLAN_VAR_uri="+c.refused)
			_, said := p.output(1, "plan")
			p.contains(said, "Error: host.far: connect to qemu+"+c.name, "host cannot be reached", c.why, "Try: ")
			p.env = append(inside, "VMPLAN_VAR_uri="+c.uri)
			p.vmplan(0, "apply", "--auto-approve")
			p.contains(p.vmplan(0, "plan", "--detailed-exitcode"), "No changes")
			p.write("main_override.hcl", "vm \"node\" {\n  cloud_init { hostname = \"other-${count.index}\" }\n}\n")
			p.contains(p.vmplan(2, "plan", "--detailed-exitcode"), "vm.node[1].seed")
			p.vmplan(0, "apply", "--auto-approve")
			p.vmplan(0, "plan", "--detailed-exitcode")
			p.destroy(before)
		})
	}
}

// certify makes an authority, with certificates for the daemon and its clients in the folder, and in the folder others below
// it a client's of another authority.
func certify(t *testing.T, dir string) {
	t.Helper()
	const script = `set -e
mkdir "$1/others"
authority() { openssl req -x509 -newkey ed25519 -nodes -subj "/CN=$2" -days 2 -keyout "$1/cakey.pem" -out "$1/cacert.pem"; }
issue() {
	openssl req -newkey ed25519 -nodes -subj "/CN=$2" -keyout "$1/$2key.pem" -out "$1/$2.csr"
	openssl x509 -req -in "$1/$2.csr" -CA "$1/cacert.pem" -CAkey "$1/cakey.pem" -CAcreateserial -days 2 -out "$1/$2cert.pem" -extfile "$1/names"
}
echo 'subjectAltName = IP:127.0.0.1' | tee "$1/names" >"$1/others/names"
authority "$1" ours
issue "$1" server
issue "$1" client
authority "$1/others" theirs
issue "$1/others" client
cp "$1/cacert.pem" "$1/others/"`
	if out, err := exec.Command("sh", "-c", script, "certify", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// startSSHServer runs sshd on port 2222 of the host, which lets in the key "key" of the folder and not the key "stranger".
func startSSHServer(t *testing.T, host *libvirttest.Host, dir string) {
	t.Helper()
	for _, key := range []string{"host", "key", "stranger"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	sshd := host.Command("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", filepath.Join(dir, "host"), "-p", "2222",
		"-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "StrictModes=no", "-o", "PermitRootLogin=prohibit-password",
		"-o", "AuthorizedKeysFile="+filepath.Join(dir, "key.pub"))
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sshd.Process.Kill()
		_ = sshd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); host.Command("nc", "-z", "127.0.0.1", "2222").Run() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("sshd does not answer")
		}
	}
}
