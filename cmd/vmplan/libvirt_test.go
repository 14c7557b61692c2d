//go:build linux && !nolibvirt

package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// fleetProject has much to define, and starts nothing.
const fleetProject = `
-- main.hcl --
variable "uri" {}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
network "lan" {
  cidr = "10.73.1.0/24"
}
vm "node" {
  count   = 12
  running = false
  memory  = "64MiB"
  disk "root" {
    size = "8MiB"
  }
  nic "lan" {
    network = network.lan
    address = "auto"
  }
  cloud_init {
    hostname = "node-${count.index}"
  }
}
`

// TestTheDaemonDiesInTheMiddleOfAnApply: libvirtd is killed while an apply is at work. Either the driver gets over it, or the
// error names an object and says what happened; the next apply finishes, and destroy leaves the host as it was. The network is
// there before: what a libvirtd leaves that dies while it starts one is for the tests below.
func TestTheDaemonDiesInTheMiddleOfAnApply(t *testing.T) {
	t.Parallel()
	host := libvirttest.Start(t)
	before := hostSnapshot(t, host)
	network, _, _ := strings.Cut(fleetProject, "vm \"node\"")
	w := newWorkdir(t, "-- vmplan.vmvars.hcl --\nuri = \""+host.URI+"\"\n")
	for _, moment := range []string{`"step":"create pool.default"`, `"step":"create vm.node[3].disk.root"`, `"step":"create vm.node[8]"`} {
		w.write(network)
		w.must(0, "apply", "--auto-approve")
		w.write(fleetProject)
		b := w.start("apply", "--auto-approve")
		b.reached("vmplan.vmstate.journal", moment)
		if err := host.KillDaemon(); err != nil {
			t.Fatal(err)
		}
		_ = b.cmd.Wait()
		output := b.out.String()
		switch code := exitOf(b.cmd); {
		case code == 0:
		case code == 1 && regexp.MustCompile(`(?m)^Error: .*(vm\.node|network\.lan|pool\.default|host\.lab)`).MatchString(output) && strings.Contains(output, "cannot be reached"):
		default:
			t.Errorf("killed at %s it exits with %d and says:\n%s", moment, code, output)
		}
		if err := host.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.must(0, "apply", "--auto-approve")
		w.must(0, "plan", "--detailed-exitcode")
		w.must(0, "destroy", "--auto-approve")
		isAsBefore(t, host, before)
	}
}

// TestABridgeThatWasLeftBehind: a daemon that died while it started a network leaves a bridge of that name, which libvirt neither
// uses nor removes. The next apply gets over it, unless the bridge has the network's addresses already: then it says what to do
// on the host, and that helps.
func TestABridgeThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	host := libvirttest.Start(t)
	onHost := func(script string) {
		t.Helper()
		if out, err := host.Command("sh", "-ec", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	w := newWorkdir(t, "-- main.hcl --\n"+`
host "lab" { uri = "`+host.URI+`" }
network "lan" { cidr = "10.73.1.0/24" }
`)
	w.must(0, "apply", "--auto-approve")
	stop := "virsh --connect '" + host.URI + "' net-destroy lan; "
	onHost(stop + "ip link add virbr0 type bridge")
	w.must(0, "apply", "--auto-approve")
	w.must(0, "plan", "--detailed-exitcode")

	onHost(stop + "ip link add virbr7 type bridge; ip addr add 10.73.1.1/24 dev virbr7; ip link set virbr7 up")
	output := w.must(1, "apply", "--auto-approve")
	if remedy := "ip link delete virbr7"; !strings.Contains(output, "Error: network.lan") || !strings.Contains(output, remedy) {
		t.Errorf("it says\n%s", output)
	} else {
		onHost(remedy)
	}
	w.must(0, "apply", "--auto-approve")
	w.must(0, "plan", "--detailed-exitcode")
}

// TestALibvirtHostThatCannotBeReached names the host, and says what to look at.
func TestALibvirtHostThatCannotBeReached(t *testing.T) {
	w := newWorkdir(t, fleetProject)
	for uri, want := range map[string]string{
		"qemu+unix:///system?socket=/nonexistent/libvirt-sock": "Is libvirt's daemon installed and running?",
		"qemu+tcp://127.0.0.1:1/system":                        "Try: virsh --connect 'qemu+tcp://127.0.0.1:1/system' list",
		"qemu+ssh://nobody@127.0.0.1:1/system":                 "Try: ssh -o BatchMode=yes -p 1 nobody@127.0.0.1 virsh --connect qemu:///system list",
	} {
		output := w.must(1, "plan", "--var", "uri="+uri)
		for _, want := range []string{"Error: host.lab: connect to " + uri, "host cannot be reached", want} {
			if !strings.Contains(output, want) {
				t.Errorf("%s: %q is not in what it says:\n%s", uri, want, output)
			}
		}
	}
}

// TestWithoutTheLibvirtLibrary: a vmplan built with libvirt_dlopen runs where libvirt is not installed, and says what to install
// when a libvirt host is asked for. A library that cannot be loaded stands for none.
func TestWithoutTheLibvirtLibrary(t *testing.T) {
	w := newWorkdir(t, fleetProject+"-- lib/libvirt.so.0 --\n")
	program := filepath.Join(t.TempDir(), "vmplan")
	if out, err := exec.Command("go", "build", "-tags", "libvirt_dlopen", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(args ...string) (int, string) {
		cmd := w.command()
		cmd.Path, cmd.Args = program, append([]string{program}, args...)
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+filepath.Join(w.dir, "lib"))
		out, _ := cmd.CombinedOutput()
		return exitOf(cmd), string(out)
	}
	for want, args := range map[string][]string{
		"The files are valid.": {"validate", "--var", "uri=qemu:///system"},
		"Plan: 14 to create":   {"plan", "--var", "uri=sim:mem"},
		"qemu, sim, test":      {"version"},
	} {
		if code, output := run(args...); code != 0 || !strings.Contains(output, want) {
			t.Errorf("vmplan %q exits with %d and says\n%s\nwant %q", args, code, output, want)
		}
	}
	code, output := run("plan", "--var", "uri=qemu:///system")
	if code != 1 || !strings.Contains(output, "Error: host.lab: connect to qemu:///system") || !strings.Contains(output, "apt install libvirt0") {
		t.Errorf("it exits with %d and says\n%s", code, output)
	}
}

// TestLibvirtsTestDriver needs no daemon: a quick way to see a plan against libvirt itself. It forgets everything with the process.
func TestLibvirtsTestDriver(t *testing.T) {
	t.Parallel()
	w := newWorkdir(t, `
-- main.hcl --
host "lab" {
  uri = "test:///default"
}
pool "default" {
  managed = false
  name    = "default-pool"
}
vm "web" {
  disk "root" {
    size = "1GiB"
  }
}
`)
	output := w.must(2, "plan", "--detailed-exitcode")
	if !strings.Contains(output, "+ vm.web  create and start") {
		t.Errorf("it plans\n%s", output)
	}
	output = w.must(0, "apply", "--auto-approve")
	if !strings.Contains(output, "Apply complete: 1 created.") {
		t.Errorf("it says\n%s", output)
	}
}

// TestEightAppliesAtOnceOnOneHost: eight runs of one project, each of which wants another title, end in one whole project, of which
// destroy leaves nothing.
func TestEightAppliesAtOnceOnOneHost(t *testing.T) {
	t.Parallel()
	host := libvirttest.Start(t)
	before := hostSnapshot(t, host)
	project := strings.ReplaceAll(fleetProject, "  running = false\n", "  running = false\n  title   = var.who\n") + "-- who.hcl --\nvariable \"who\" {}\n"
	w := newWorkdir(t, project+"-- vmplan.vmvars.hcl --\nuri = \""+host.URI+"\"\n")
	var runs []*background
	for _, who := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		runs = append(runs, w.start("apply", "--auto-approve", "--lock-timeout", "5m", "--var", "who="+who))
	}
	for _, b := range runs {
		b.ends(0, 5*time.Minute)
	}
	title, err := host.Command("virsh", "-c", host.URI, "desc", "node-0", "--title").Output()
	if err != nil {
		t.Fatal(err)
	}
	who := "who=" + strings.TrimSpace(string(title))
	w.must(0, "plan", "--detailed-exitcode", "--var", who)
	w.must(0, "destroy", "--auto-approve", "--var", who)
	isAsBefore(t, host, before)
}

func hostSnapshot(t *testing.T, host *libvirttest.Host) libvirttest.Snapshot {
	t.Helper()
	s, err := host.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// isAsBefore: what destroyed a project left nothing of it, and took nothing else.
func isAsBefore(t *testing.T, host *libvirttest.Host, before libvirttest.Snapshot) {
	t.Helper()
	if diff := before.Diff(hostSnapshot(t, host)); len(diff) > 0 {
		t.Errorf("destroy left the host not as it was:\n%s", strings.Join(diff, "\n"))
	}
}
