//go:build linux && !nolibvirt

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func (p *example) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// asked gives what virsh prints on the project's host.
func (p *example) asked(args ...string) string {
	p.t.Helper()
	out, err := p.host.Command("virsh", append([]string{"-q", "-c", p.host.URI}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("virsh %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// process is the number of the process that a guest runs in.
func (p *example) process(guest string) string {
	p.t.Helper()
	out, err := p.host.Command("cat", "/run/libvirt/qemu/"+guest+".pid").Output()
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (p *example) contains(text string, wants ...string) {
	p.t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			p.t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

const handMade = `<domain type='qemu'>
  <name>legacy</name>
  <title>by hand</title>
  <memory unit='MiB'>64</memory>
  <vcpu current='1'>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/legacy.qcow2'/>
      <target dev='sda' bus='scsi'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/var/lib/libvirt/images/more.raw'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <controller type='scsi' model='virtio-scsi'/>
    <interface type='network'>
      <source network='office'/>
      <model type='e1000'/>
    </interface>
    <graphics type='vnc' port='-1' autoport='yes'/>
    <serial type='pty'/>
  </devices>
</domain>`

const handMadeNetwork = `<network><name>office</name><bridge stp='off' delay='0'/><domain name='office.example'/>
<ip address='10.71.9.1' netmask='255.255.255.0'><dhcp><range start='10.71.9.100' end='10.71.9.200'/></dhcp></ip></network>`

// TestImportTakesOverWhatRuns: what was made by hand is described, adopted, and from then on planned to nothing, while the
// guest runs on in the same process.
func TestImportTakesOverWhatRuns(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{
		"main.hcl":    {Data: []byte("variable \"uri\" {\n  type = string\n}\n\nhost \"lab\" {\n  uri = var.uri\n}\n")},
		"domain.xml":  {Data: []byte(handMade)},
		"network.xml": {Data: []byte(handMadeNetwork)},
	})
	p.asked("pool-define-as", "default", "dir", "--target", "/var/lib/libvirt/images")
	p.asked("pool-build", "default")
	p.asked("pool-start", "default")
	p.asked("vol-create-as", "default", "legacy.qcow2", "64M", "--format", "qcow2")
	p.asked("vol-create-as", "default", "more.raw", "8M", "--format", "raw")
	p.asked("net-define", filepath.Join(p.dir, "network.xml"))
	p.asked("net-start", "office")
	p.asked("define", filepath.Join(p.dir, "domain.xml"))
	p.asked("start", "legacy")
	before, xml := p.process("legacy"), p.asked("dumpxml", "--inactive", "legacy")

	p.vmplan(0, "import", "--match", "office", "--kind", "network", "--write", "office.hcl")
	p.vmplan(0, "import", "--match", "leg*", "--write", "found.hcl")
	p.vmplan(0, "fmt", "--check")
	p.contains(p.vmplan(2, "plan", "--detailed-exitcode", "--max-impact", "live"), "vm.legacy  adopt")
	p.vmplan(0, "apply", "--auto-approve")
	p.vmplan(0, "plan", "--detailed-exitcode")
	if now := p.process("legacy"); now != before {
		t.Errorf("the guest ran in process %s, and now in %s", before, now)
	}
	if now := withoutMetadata(p.asked("dumpxml", "--inactive", "legacy")); now != withoutMetadata(xml) {
		t.Errorf("the definition was\n%s\nand is now\n%s", xml, now)
	}

	// The state can be lost: all that was taken over is found again.
	for _, name := range []string{"vmplan.vmstate", ".vmplan"} {
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p.contains(p.vmplan(0, "state", "rebuild"), "vm.legacy.disk.sda", "vm.legacy.disk.vda")
	p.vmplan(0, "plan", "--detailed-exitcode")
	p.contains(p.vmplan(0, "explain", "vm.legacy.memory"), "64 MiB", "found.hcl:")

	// Another address for it: the mark follows.
	p.vmplan(0, "state", "mv", "vm.legacy", "vm.modern")
	p.contains(p.asked("dumpxml", "legacy"), "vm.modern")
	found, err := os.ReadFile(filepath.Join(p.dir, "found.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("found.hcl", strings.NewReplacer(`vm "legacy"`, `vm "modern"`, "vm.legacy", "vm.modern").Replace(string(found)))
	p.vmplan(0, "plan", "--detailed-exitcode")

	// Forgotten, it is an orphan, and can be taken back or deleted with its disks.
	p.vmplan(0, "state", "rm", "vm.modern")
	p.contains(p.vmplan(0, "orphans"), "vm.modern", "is in no record")
	p.vmplan(0, "orphans", "--adopt")
	p.vmplan(0, "plan", "--detailed-exitcode")
	if now := p.process("legacy"); now != before {
		t.Errorf("the guest ran in process %s, and now in %s", before, now)
	}
}

// withoutMetadata is a definition but for the mark in it.
func withoutMetadata(xml string) string {
	head, rest, ok := strings.Cut(xml, "  <metadata>")
	_, tail, closed := strings.Cut(rest, "</metadata>\n")
	if !ok || !closed {
		return xml
	}
	return head + tail
}
