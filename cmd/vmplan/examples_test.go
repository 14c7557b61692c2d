//go:build linux && !nolibvirt

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// inGuest is what a command in a guest prints.
type inGuest struct {
	vm, command string
	want        string // regular expression
}

// Each folder of examples, and what its guests then show.
var examples = map[string][]inGuest{
	"quickstart": {{"vm.web", "id -un; hostname", `^debian\nweb\n$`}},
	"two-vms-cloud-init": {
		{"vm.db", "hostname; ls /srv/db || true", `^db\nREADME\n$`},
		{"vm.app", "hostname; cat /etc/app/config /etc/app/ping || true", `^app-1\ndatabase = 10\.71\.2\.\d+\n(?s:.*)1 packets received`},
	},
	"fleet": {
		{`vm.node["alder"]`, "hostname", `^node-alder\n$`},
		{`vm.node["birch"]`, "hostname", `^node-birch\n$`},
	},
	"appliance": {
		{"vm.north.vm.till", "hostname; cat /etc/till/motto /etc/till/ping || true; ls /dev/disk/by-id", `^north-till\nopen all day\nPING 10\.72\.1\.\d+ (?s:.*)1 packets received(?s:.*)virtio-goods\n`},
		{"vm.south.vm.till", "hostname; cat /etc/till/motto /etc/till/ping || true; nproc", `^south-till\nfresh fish\nPING 10\.72\.2\.\d+ (?s:.*)1 packets received(?s:.*)\n2\n`},
		{"vm.south.vm.db", "hostname", `^south-db\n$`},
	},
	"uefi":      {{"vm.web", "test -d /sys/firmware/efi && echo by UEFI", `^by UEFI\n$`}},
	"data-disk": {{"vm.db", "lsblk; ls /dev/disk/by-id", `^vda 4294967296 root\nvdb 2147483648 data\nvdc 1073741824 scratch\n(?s:.*)virtio-data\nvirtio-root\nvirtio-scratch\n`}},
	"modules": {
		{"module.north.vm.web", "ip addr", `inet 10\.71\.6\.10/24`},
		{"module.south.vm.web", "ip addr", `inet 10\.71\.7\.10/24`},
	},
}

// TestExamples plans and applies each example on real QEMU, looks into its guests, plans again, which must find nothing to do,
// and destroys, after which the host must be as it was before.
func TestExamples(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		name := folder.Name()
		if name == "embed" {
			continue // a Go program, with a test of its own
		}
		t.Run(name, func(t *testing.T) {
			checks, ok := examples[name]
			if !ok {
				t.Fatalf("nobody says what the guests of example %s show", name)
			}
			p := newExample(t, name)
			before := p.snapshot()
			p.vmplan(0, "fmt", "--check")
			p.vmplan(0, "validate")
			p.vmplan(2, "plan", "--detailed-exitcode")
			p.vmplan(0, "apply", "--auto-approve")
			p.vmplan(0, "plan", "--detailed-exitcode")
			for _, c := range checks {
				p.eventually(c)
			}
			p.destroy(before)
		})
	}
}

// example is a copy of an example's folder, and the host for it.
type example struct {
	t    *testing.T
	host *libvirttest.Host
	dir  string
	env  []string
}

func newExample(t *testing.T, name string) *example {
	return newProject(t, os.DirFS(filepath.Join("../../examples", name)))
}

// newProject makes a project of the files, and a host for it.
func newProject(t *testing.T, files fs.FS) *example {
	image := libvirttest.Guest(t)
	p := &example{t: t, host: libvirttest.Start(t), dir: t.TempDir()}
	if err := os.CopyFS(p.dir, files); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.key()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(p.key() + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	bits, err := os.ReadFile(image.Disk)
	if err != nil {
		t.Fatal(err)
	}
	p.env = append(os.Environ(),
		"VMPLAN_CACHE="+t.TempDir(),
		"VMPLAN_VAR_uri="+p.host.URI,
		"VMPLAN_VAR_image="+image.Disk,
		fmt.Sprintf("VMPLAN_VAR_image_checksum=sha256:%x", sha256.Sum256(bits)),
		"VMPLAN_VAR_ssh_key="+string(bytes.TrimSpace(public)),
	)
	return p
}

func (p *example) key() string { return filepath.Join(p.dir, "id") }

// vmplan runs it where the guests can be reached, and gives what it printed. The test ends when it does not exit with code.
func (p *example) vmplan(code int, args ...string) string {
	p.t.Helper()
	stdout, _ := p.output(code, args...)
	return stdout
}

// output is vmplan for who wants to see its errors and warnings too.
func (p *example) output(code int, args ...string) (printed, said string) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := p.host.Command("vmplan", args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("vmplan %q exits with %d, want %d\n%s%s", args, got, code, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}

// eventually waits until the guest shows what it should: ssh answers before a script in user data has ended.
func (p *example) eventually(c inGuest) {
	p.t.Helper()
	want := regexp.MustCompile(c.want)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		got := p.vmplan(0, "ssh", c.vm, "--user", "debian", "--identity", p.key(), "--", c.command)
		if want.MatchString(got) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Errorf("%s: after a minute %s prints %q, want %s", c.vm, c.command, got, want)
			return
		}
	}
}

func (p *example) snapshot() libvirttest.Snapshot {
	p.t.Helper()
	return hostSnapshot(p.t, p.host)
}

// destroy takes the project away, after which the host is as it was before.
func (p *example) destroy(before libvirttest.Snapshot) {
	p.t.Helper()
	p.vmplan(0, "destroy", "--auto-approve")
	isAsBefore(p.t, p.host, before)
}
