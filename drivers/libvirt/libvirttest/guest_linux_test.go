package libvirttest

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/guest"
)

const networkXML = `<network>
  <name>lan</name>
  <forward mode='nat'/>
  <bridge stp='off' delay='0'/>
  <ip address='10.99.3.1' netmask='255.255.255.0'>
    <dhcp><range start='10.99.3.100' end='10.99.3.200'/><host mac='52:54:00:aa:00:01' ip='10.99.3.10'/></dhcp>
  </ip>
</network>`

// The first NIC gets its address by DHCP, the second from the seed. PCI ports up to the twelfth leave room for what comes later.
const domainXML = `<domain type='qemu'>
  <name>tiny</name>
  <memory unit='MiB'>192</memory>
  <vcpu>1</vcpu>
  <os %s><type arch='x86_64' machine='q35'>hvm</type>%s</os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s/root.qcow2'/><target dev='vda' bus='virtio'/><serial>root</serial></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='%[3]s/seed.iso'/><target dev='vdb' bus='virtio'/><readonly/></disk>
    <interface type='network'><mac address='52:54:00:aa:00:01'/><source network='lan'/><model type='virtio'/></interface>
    <interface type='network'><mac address='52:54:00:aa:00:02'/><source network='lan'/><model type='virtio'/></interface>
    <serial type='file'><source path='%[3]s/serial.log'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='pcie-root-port'/><controller type='pci' index='2' model='pcie-root-port'/><controller type='pci' index='3' model='pcie-root-port'/><controller type='pci' index='4' model='pcie-root-port'/><controller type='pci' index='5' model='pcie-root-port'/><controller type='pci' index='6' model='pcie-root-port'/><controller type='pci' index='7' model='pcie-root-port'/><controller type='pci' index='8' model='pcie-root-port'/><controller type='pci' index='9' model='pcie-root-port'/><controller type='pci' index='10' model='pcie-root-port'/><controller type='pci' index='11' model='pcie-root-port'/><controller type='pci' index='12' model='pcie-root-port'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>`

const networkConfig = `version: 2
ethernets:
  lan:
    match:
      macaddress: "52:54:00:aa:00:01"
    set-name: lan
    dhcp4: true
  back:
    match:
      macaddress: "52:54:00:aa:00:02"
    set-name: back
    dhcp4: false
    addresses:
      - 10.99.3.20/24
`

func TestGuestBootsAndDoesAsItsSeedSays(t *testing.T) {
	image := Guest(t)
	tests := []struct{ name, osAttributes, osElements string }{
		{"bios", "", ""},
		{"uefi", "firmware='efi'", "<firmware><feature enabled='no' name='secure-boot'/></firmware>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := Start(t)
			key := newKey(t)
			boot(t, h, image, fmt.Sprintf(domainXML, test.osAttributes, test.osElements, h.Dir), &resource.Seed{
				MetaData:      secret("instance-id: i-1\nlocal-hostname: web-1\n"),
				VendorData:    secret("#cloud-config\nssh_authorized_keys:\n  - \"" + authorizedKey(key) + "\"\n"),
				UserData:      secret("#!/bin/sh\necho made by user data > /root/made\n"),
				NetworkConfig: secret(networkConfig),
			})
			session := dialSSH(t, h, "10.99.3.10:22", "debian", key)
			if got := session("id -un; hostname"); got != "debian\nweb-1\n" {
				t.Errorf("as debian: %q", got)
			}
			session = dialSSH(t, h, "10.99.3.20:22", "root", key)
			eventually(t, "the script in user data has run", func() bool { return session("cat /root/made || true") == "made by user data\n" })
			if got := session("lsblk; ls /dev/disk/by-id"); !strings.HasPrefix(got, "vda 268435456 root\n") || !strings.HasSuffix(got, "virtio-root\n") {
				t.Errorf("lsblk and by-id: %q", got)
			}
			for _, command := range []string{"free", "ip addr show lan", "cat /proc/sys/kernel/random/boot_id"} {
				session(command)
			}
			virsh(t, h, "", "attach-disk", "tiny", h.Dir+"/seed.iso", "vdc", "--serial", "late", "--mode", "readonly")
			eventually(t, "a disk that comes later has its link", func() bool { return strings.Contains(session("ls /dev/disk/by-id"), "virtio-late") })
			virsh(t, h, "", "attach-interface", "tiny", "network", "lan", "--model", "virtio")
			eventually(t, "an interface that comes later gets an address", func() bool { return strings.Count(session("ip -4 addr"), "inet 10.99.3.1") == 2 })
			eventually(t, "the agent answers", func() bool {
				out, err := h.Command("virsh", "-c", h.URI, "qemu-agent-command", "tiny", `{"execute":"guest-get-host-name"}`).Output()
				return err == nil && strings.Contains(string(out), `"web-1"`)
			})
			virsh(t, h, "", "shutdown", "tiny", "--mode", "acpi")
			eventually(t, "the guest has shut itself down", func() bool {
				out, err := h.Command("virsh", "-c", h.URI, "list", "--name").Output()
				return err == nil && strings.TrimSpace(string(out)) == ""
			})
			console, err := os.ReadFile(h.Dir + "/serial.log")
			if err != nil || !strings.Contains(string(console), "guest: power button") {
				t.Errorf("the console does not show the power button (%v):\n%s", err, console)
			}
		})
	}
}

func TestGuestIsBuiltOnce(t *testing.T) {
	first, second := Guest(t), Guest(t)
	if first != second {
		t.Errorf("two builds of the same: %v and %v", first, second)
	}
	for _, file := range []string{first.Disk, first.Kernel, first.Initrd} {
		if info, err := os.Stat(file); err != nil || info.Size() < 1<<20 {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

// boot starts the guest on h, with a disk of 256 MiB over the image.
func boot(t *testing.T, h *Host, image Image, xml string, seed *resource.Seed) {
	t.Helper()
	iso, err := guest.BuildSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Dir+"/seed.iso", iso, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image.Disk, h.Dir+"/root.qcow2", "256M").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	virsh(t, h, networkXML, "net-create", "/dev/stdin")
	virsh(t, h, xml, "create", "/dev/stdin")
	t.Cleanup(func() {
		if t.Failed() {
			console, _ := os.ReadFile(h.Dir + "/serial.log")
			t.Logf("serial console:\n%s", console)
		}
	})
}

func secret(text string) resource.Secret { return resource.NewSecret(text, nil) }

func virsh(t *testing.T, h *Host, stdin string, args ...string) {
	t.Helper()
	cmd := h.Command("virsh", append([]string{"-c", h.URI}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("virsh %s: %v\n%s", args[0], err, out)
	}
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func authorizedKey(key ssh.Signer) string {
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// dialSSH waits until the guest lets the user in; what it gives runs a command there.
func dialSSH(t *testing.T, h *Host, address, user string, key ssh.Signer) func(command string) string {
	t.Helper()
	config := &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second,
	}
	var client *ssh.Client
	var last error
	for deadline := time.Now().Add(2 * time.Minute); client == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("ssh to %s: %v", address, last)
		}
		conn, err := h.Dial(t.Context(), "tcp", address)
		if err != nil {
			last = err
			continue
		}
		c, channels, requests, err := ssh.NewClientConn(conn, address, config)
		if err != nil {
			last = err
			conn.Close()
			continue
		}
		client = ssh.NewClient(c, channels, requests)
	}
	t.Cleanup(func() { client.Close() })
	return func(command string) string {
		t.Helper()
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		out, err := session.CombinedOutput(command)
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		return string(out)
	}
}
