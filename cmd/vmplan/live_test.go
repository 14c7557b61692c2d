//go:build linux && !nolibvirt

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vmplan.dev/vmplan/drivers"
)

// liveProject is a vm with room to grow. What cloud-init is told of names and networks is fixed, so that a change of a NIC or of
// the vm's name is no change of its seed.
const liveProject = `
variable "uri" {}
variable "image" {}
variable "image_checksum" {}
variable "ssh_key" {}

host "lab" { uri = var.uri }

network "lan" { cidr = "10.72.1.0/24" }
network "back" { cidr = "10.72.2.0/24" }
network "third" { cidr = "10.72.3.0/24" }

image "tiny" {
  source   = var.image
  checksum = var.image_checksum
}

vm "web" {
  # name
  # title
  image      = image.tiny
  vcpus      = 1
  max_vcpus  = 2
  memory     = "192MiB"
  max_memory = "256MiB"
  autostart  = false
  # virtual hardware

  disk "root" { size = "1GiB" }
  # disks
  nic "lan" {
    network = network.lan
    address = "10.72.1.10"
    model   = "virtio"
  }
  # nics
  cloud_init {
    hostname            = "web"
    ssh_authorized_keys = [var.ssh_key]
    network_config      = "version: 2\nethernets: {}\n"
    vendor_data         = "# one"
  }
  ready {
    ssh {}
    agent {}
    timeout = "5m"
  }
}
# more
`

// liveRow is one edit of the files, and what has to come of it.
type liveRow struct {
	name   string
	edits  [][2]string // a text of the files, and what takes its place
	addr   string      // of the object whose change the plan must name; default vm.web
	path   string      // the field of it that the plan must name
	impact drivers.Impact
	guest  string                    // a command in the guest that shows it, or else
	virsh  []string                  // a question to libvirt, or else
	host   string                    // a command on the host
	shows  func(was, is string) bool // what is printed before and after
}

func matches(pattern string) func(was, is string) bool {
	re := regexp.MustCompile(pattern)
	return func(_, is string) bool { return re.MatchString(is) }
}

// within tells whether a number went up or down by about so much.
func changedBy(by, tolerance int) func(was, is string) bool {
	return func(was, is string) bool {
		a, err1 := strconv.Atoi(strings.TrimSpace(was))
		b, err2 := strconv.Atoi(strings.TrimSpace(is))
		return err1 == nil && err2 == nil && b-a > by-tolerance && b-a < by+tolerance
	}
}

func edit(pairs ...string) (out [][2]string) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, [2]string{pairs[i], pairs[i+1]})
	}
	return out
}

const (
	memTotal = `awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo`
	// renew asks the DHCP server of the NIC with this MAC again, and shows what it says.
	renew = `n=$(basename $(dirname $(grep -li 52:54:00:72:02:01 /sys/class/net/*/address))); udhcpc -n -q -t 5 -i $n -s /etc/udhcpc >/dev/null 2>&1; ip -4 -o addr show dev $n`
	cable = `cat $(dirname $(grep -li 52:54:00:72:02:01 /sys/class/net/*/address))/carrier`
)

// greeting shows what a server behind a port of the host says first.
func greeting(port int) string {
	return fmt.Sprintf("timeout 20 bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d && head -n 1 <&3' 2>/dev/null", port)
}

var liveRows = []liveRow{
	{name: "the balloon takes memory", edits: edit(`memory     = "192MiB"`, `memory     = "160MiB"`), path: "memory", impact: drivers.ImpactLive, guest: memTotal, shows: changedBy(-32, 4)},
	{name: "the balloon gives memory", edits: edit(`memory     = "160MiB"`, `memory     = "256MiB"`), path: "memory", impact: drivers.ImpactLive, guest: memTotal, shows: changedBy(96, 4)},
	{name: "a vCPU is plugged in", edits: edit(`vcpus      = 1`, `vcpus      = 2`), path: "vcpus", impact: drivers.ImpactLive, guest: "nproc", shows: matches(`^2\n$`)},
	{name: "texts", edits: edit("# title", `title = "the web"`+"\n"+`description = "two\nlines"`), path: "title", impact: drivers.ImpactLive, virsh: []string{"desc", "web", "--title"}, shows: matches("the web")},
	{name: "autostart", edits: edit("autostart  = false", "autostart  = true"), path: "autostart", impact: drivers.ImpactLive, virsh: []string{"dominfo", "web"}, shows: matches(`Autostart: +enable`)},
	{name: "four disks are plugged in", edits: edit("# disks", `disk "data" { size = "32MiB" }
  disk "more" { size = "16MiB" }
  disk "raw" {
    size   = "24MiB"
    format = "raw"
  }
  disk "scsi" {
    size = "8MiB"
    bus  = "scsi"
  }`), path: "disk.data", impact: drivers.ImpactLive, guest: "lsblk", shows: func(_, is string) bool {
		return strings.Contains(is, " 33554432 data\n") && strings.Contains(is, " 16777216 more\n") && strings.Contains(is, " 25165824 raw\n") && regexp.MustCompile(`sd[a-z] 8388608`).MatchString(is)
	}},
	{name: "a data disk grows", edits: edit(`disk "data" { size = "32MiB" }`, `disk "data" { size = "64MiB" }`), addr: "vm.web.disk.data", path: "size", impact: drivers.ImpactLive, guest: "lsblk", shows: matches(`vd. 67108864 data\n`)},
	{name: "the root disk grows", edits: edit(`disk "root" { size = "1GiB" }`, `disk "root" { size = "2GiB" }`), addr: "vm.web.disk.root", path: "size", impact: drivers.ImpactLive, guest: "lsblk", shows: matches(`vda 2147483648 root\n`)},
	{name: "disks are unplugged", edits: edit(`
  disk "more" { size = "16MiB" }`, "", `
  disk "scsi" {
    size = "8MiB"
    bus  = "scsi"
  }`, ""), path: "disk.more", impact: drivers.ImpactLive, guest: "lsblk", shows: func(_, is string) bool {
		return strings.Contains(is, " data\n") && !strings.Contains(is, " more\n") && !strings.Contains(is, " 8388608")
	}},
	{name: "two NICs are plugged in", edits: edit("# nics", `nic "back" {
    network = network.back
    mac     = "52:54:00:72:02:01"
    address = "10.72.2.10"
  }
  nic "third" { network = network.third }`), path: "nic.back", impact: drivers.ImpactLive, guest: "ip -4 -o addr", shows: func(_, is string) bool {
		return strings.Contains(is, "inet 10.72.2.10/") && strings.Contains(is, "inet 10.72.3.")
	}},
	{name: "a DHCP host changes", edits: edit(`address = "10.72.2.10"`, `address = "10.72.2.77"`), addr: "network.back", path: "reservation.52:54:00:72:02:01.address", impact: drivers.ImpactLive, guest: renew, shows: matches(`inet 10\.72\.2\.77/`)},
	{name: "a NIC's cable is pulled", edits: edit(`address = "10.72.2.77"`, `address = "10.72.2.77"`+"\n    link = false"), path: "nic.back.link", impact: drivers.ImpactLive, guest: cable, shows: matches(`^0\n$`)},
	{name: "and plugged in again, into another network", edits: edit("\n    link = false", "", `network = network.back
    mac     = "52:54:00:72:02:01"
    address = "10.72.2.77"`, `network = network.third
    mac     = "52:54:00:72:02:01"
    address = "10.72.3.88"`), path: "nic.back.source", impact: drivers.ImpactLive, guest: renew, shows: matches(`inet 10\.72\.3\.88/`)},
	{name: "a NIC is unplugged", edits: edit("\n"+`  nic "third" { network = network.third }`, ""), path: "nic.third", impact: drivers.ImpactLive, guest: "ls /sys/class/net | wc -l", shows: changedBy(-1, 1)},
	{name: "a user-mode NIC with a port of the host is plugged in", edits: edit(`
  cloud_init {`, `
  nic "out" {
    user = true
    port_forward "ssh" {
      host_port  = 2222
      guest_port = 22
    }
  }
  cloud_init {`), path: "nic.out", impact: drivers.ImpactLive, host: greeting(2222), shows: matches("SSH-2.0-")},
	{name: "another port leads there", edits: edit("host_port  = 2222", "host_port  = 2223"), path: "nic.out.port_forward.ssh.host_port", impact: drivers.ImpactLive, host: greeting(2222) + ";" + greeting(2223), shows: matches("^SSH-2.0-[^S]*$")},
	{name: "another vm's DHCP host comes", edits: edit("# more", `vm "idle" {
  running = false
  memory  = "64MiB"
  disk "root" { size = "8MiB" }
  nic "lan" {
    network = network.lan
    address = "10.72.1.99"
  }
}`), addr: "network.lan", path: "reservation", impact: drivers.ImpactLive, virsh: []string{"net-dumpxml", "lan"}, shows: matches(`10\.72\.1\.99`)},

	{name: "a new seed", edits: edit(`vendor_data         = "# one"`, `vendor_data         = "# two"`), path: "disk.seed.source", impact: drivers.ImpactNextBoot, virsh: []string{"dumpxml", "web", "--inactive"}, shows: func(was, is string) bool {
		seed := regexp.MustCompile(`web-seed-[0-9a-f]+\.iso`)
		return seed.FindString(was) != seed.FindString(is)
	}},

	{name: "memory above its maximum", edits: edit(`memory     = "256MiB"
  max_memory = "256MiB"`, `memory     = "320MiB"
  max_memory = "320MiB"`), path: "memory", impact: drivers.ImpactRestart, guest: memTotal, shows: changedBy(64, 8)},
	{name: "fewer vCPUs, and a greater maximum", edits: edit("vcpus      = 2\n  max_vcpus  = 2", "vcpus      = 1\n  max_vcpus  = 3"), path: "vcpus", impact: drivers.ImpactRestart, guest: "nproc; cat /sys/devices/system/cpu/possible", shows: matches(`^1\n0-2\n`)},
	{name: "another CPU", edits: edit("# virtual hardware", "cpu        = \"qemu64\"\n  # virtual hardware"), path: "cpu", impact: drivers.ImpactRestart, guest: "grep -m1 'model name' /proc/cpuinfo", shows: func(was, is string) bool { return was != is }},
	{name: "an older machine and UEFI", edits: edit("# virtual hardware", "machine    = \"pc-q35-6.2\"\n  firmware   = \"uefi\"\n  # virtual hardware"), path: "firmware", impact: drivers.ImpactRestart, guest: "ls -d /sys/firmware/efi; cat /sys/class/dmi/id/product_version", shows: matches("(?s)^/sys/firmware/efi\n.*6.2")},
	{name: "another bus and NIC model", edits: edit(`disk "data" { size = "64MiB" }`, "disk \"data\" {\n    size = \"64MiB\"\n    bus  = \"scsi\"\n  }", `mac     = "52:54:00:72:02:01"`, "mac     = \"52:54:00:72:02:01\"\n    model   = \"e1000e\""), path: "disk.data.bus", impact: drivers.ImpactRestart, guest: "lsblk; cat /sys/bus/pci/devices/*/device", shows: matches("(?s)sd. 67108864.*\n0x10d3\n")},
	{name: "what is staged", edits: edit("max_vcpus  = 3", "max_vcpus  = 2\n  update     = \"stage\""), path: "max_vcpus", impact: drivers.ImpactNextBoot, virsh: []string{"vcpucount", "web", "--maximum", "--config"}, shows: matches(`^2\n`)},
	{name: "another name", edits: edit("# name", `name = "www"`, "\n  update     = \"stage\"", ""), path: "name", impact: drivers.ImpactRestart, virsh: []string{"list", "--all", "--name"}, shows: func(was, is string) bool {
		return strings.Contains(was, "web\n") && strings.Contains(is, "www\n") && !strings.Contains(is, "web\n")
	}},
}

// TestLiveChanges edits the files of a guest that runs: for each change the plan says what it will do to the guest, apply does
// just that, and the guest itself shows it, with the boot id it had before or, after a restart, a new one.
func TestLiveChanges(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(liveProject)}})
	empty := p.snapshot()
	p.vmplan(0, "apply", "--auto-approve")
	for _, row := range liveRows {
		ok := t.Run(row.name, func(t *testing.T) {
			p.t = t
			p.change(row)
		})
		if p.t = t; !ok {
			return // what follows starts from what this one should have done
		}
	}
	p.forwardsRepaired()
	p.bandwidth()
	p.destroy(empty)
}

// change edits the files, plans, applies and looks.
func (p *example) change(row liveRow) {
	p.t.Helper()
	boot, was := p.bootID(), p.look(row)
	p.edit(row.edits)
	p.planSays(row)
	p.vmplan(0, "apply", "--auto-approve")
	deadline := time.Now().Add(time.Minute)
	for is := p.look(row); !row.shows(was, is); is = p.look(row) {
		if time.Now().After(deadline) {
			p.t.Fatalf("before it was\n%s\nand a minute after apply it is\n%s", was, is)
		}
		time.Sleep(200 * time.Millisecond)
	}
	restarted := p.bootID() != boot
	if want := row.impact == drivers.ImpactRestart; restarted != want {
		p.t.Errorf("restarted: %v, and the plan said %s", restarted, row.impact)
	}
	if row.impact == drivers.ImpactNextBoot {
		p.restartPending(row, boot)
	}
	p.vmplan(0, "plan", "--detailed-exitcode")
}

// restartPending checks that what waits for a restart is shown until there is one.
func (p *example) restartPending(row liveRow, boot string) {
	p.t.Helper()
	if plan := p.plan(0); !plan.pending("vm.web", row.path) {
		p.t.Errorf("the plan after apply does not say that %s is pending: %+v", row.path, plan.Pending)
	}
	p.vmplan(0, "apply", "--auto-approve", "--restart-pending")
	if p.bootID() == boot {
		p.t.Error("apply --restart-pending does not restart the guest")
	}
	if plan := p.plan(0); len(plan.Pending) > 0 {
		p.t.Errorf("after the restart there is still pending: %+v", plan.Pending)
	}
}

func (p *example) edit(edits [][2]string) {
	p.t.Helper()
	file := filepath.Join(p.dir, "main.hcl")
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range edits {
		if strings.Count(string(text), e[0]) != 1 {
			p.t.Fatalf("the files do not have %q once:\n%s", e[0], text)
		}
		text = []byte(strings.Replace(string(text), e[0], e[1], 1))
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// shownPlan is what tests look at of a plan's JSON.
type shownPlan struct {
	Objects []shownChange `json:"objects"`
	Pending []shownChange `json:"pending"`
	Steps   []struct {
		ID     string         `json:"id"`
		Impact drivers.Impact `json:"impact"`
	} `json:"steps"`
}

type shownChange struct {
	Addr   string `json:"addr"`
	Fields []struct {
		Path   string         `json:"path"`
		Impact drivers.Impact `json:"impact"`
	} `json:"fields"`
}

func (p *example) plan(code int) (out shownPlan) {
	p.t.Helper()
	text := p.vmplan(code, "plan", "--detailed-exitcode", "--format", "json")
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		p.t.Fatalf("%v in %s", err, text)
	}
	return out
}

func (s *shownPlan) pending(addr, path string) bool {
	for _, c := range s.Pending {
		for _, f := range c.Fields {
			if c.Addr == addr && strings.HasPrefix(f.Path, path) {
				return true
			}
		}
	}
	return false
}

// planSays checks that the plan names the field with its impact, and nothing that reaches further.
func (p *example) planSays(row liveRow) {
	p.t.Helper()
	plan, said := p.plan(2), false
	for _, c := range plan.Objects {
		for _, f := range c.Fields {
			addr := row.addr
			if addr == "" {
				addr = "vm.web"
			}
			if c.Addr == addr && strings.HasPrefix(f.Path, row.path) {
				said = said || f.Impact == row.impact
			}
		}
	}
	if !said {
		p.t.Errorf("the plan does not say %s of %s: %+v", row.impact, row.path, plan.Objects)
	}
	for _, s := range plan.Steps {
		if s.Impact > row.impact && !strings.Contains(s.ID, "delete") {
			p.t.Errorf("step %s is %s, beyond %s", s.ID, s.Impact, row.impact)
		}
	}
}

// look shows what the row is about.
func (p *example) look(row liveRow) string {
	p.t.Helper()
	if row.guest != "" {
		return p.inGuest(row.guest)
	}
	if row.host != "" {
		out, _ := p.host.Command("bash", "-c", row.host).Output()
		return string(out)
	}
	out, err := p.host.Command("virsh", append([]string{"--connect", p.host.URI}, row.virsh...)...).CombinedOutput()
	if err != nil && row.path != "name" {
		p.t.Fatalf("virsh %q: %v: %s", row.virsh, err, out)
	}
	return string(out)
}

func (p *example) bootID() string {
	p.t.Helper()
	return p.inGuest("cat /proc/sys/kernel/random/boot_id")
}

// inGuest runs a command in the guest, whose ssh server has new keys after each boot. Its exit code does not matter.
func (p *example) inGuest(command string) string {
	p.t.Helper()
	cmd := p.host.Command("ssh", "-i", p.key(), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "ConnectTimeout=20", "-o", "BatchMode=yes", "root@10.72.1.10", command+"; true")
	out, err := cmd.Output()
	if err != nil {
		var said string
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			said = string(exit.Stderr)
		}
		p.t.Fatalf("ssh %s: %v %s", command, err, said)
	}
	return string(out)
}
