//go:build linux && !nolibvirt

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// Two forms of a project, between which everything happens that a plan can do.
const (
	killHost = `
host "lab" {
  uri         = %[1]q
  domain_type = "qemu"
}
pool "main" { path = "%[2]s/pool" }
`
	killTarget = killHost + `
image "os" { source = "os1.qcow2" }
network "lan" { cidr = "10.81.1.0/24" }
volume "db" { size = "8MiB" }
vm "web" {
  image   = image.os
  memory  = "128MiB"
  running = false
  disk "root" {}
  disk "data" { size = "8MiB" }
  nic "lan" {
    network = network.lan
    address = "auto"
  }
  cloud_init { user_data = "#!/bin/sh" }
}
vm "db" {
  memory  = "128MiB"
  running = false
  disk "root" { size = "8MiB" }
  disk "db" { volume = volume.db }
}
vm "guest" {
  memory           = "64MiB"
  shutdown_timeout = "50ms"
  disk "root" { size = "8MiB" }
  nic "lan" { network = network.lan }
}
`
	killTargetLater = killHost + `
image "os" { source = "os2.qcow2" }
network "lan" {
  cidr   = "10.81.1.0/24"
  domain = "lab.example"
}
network "back" {
  cidr = "10.81.2.0/24"
  mode = "isolated"
}
volume "db" { size = "12MiB" }
vm "web" {
  image   = image.os
  title   = "web"
  memory  = "96MiB"
  running = false
  disk "root" {}
  disk "more" { size = "8MiB" }
  nic "lan" {
    network = network.lan
    address = "10.81.1.9"
  }
  nic "back" { network = network.back }
  cloud_init { user_data = "#!/bin/sh\necho again" }
}
vm "other" {
  memory  = "128MiB"
  running = false
  disk "root" { size = "8MiB" }
  disk "db" { volume = volume.db }
}
vm "guest" {
  memory           = "64MiB"
  vcpus            = 2
  shutdown_timeout = "50ms"
  disk "root" { size = "12MiB" }
  nic "lan" { network = network.lan }
}
`
)

// killer runs vmplan on a real host, and kills it.
type killer struct {
	t               *testing.T
	r               *rand.Rand
	host            *libvirttest.Host
	virsh           virshGround
	dir             string
	want            map[string]map[string]string // listing by phase, of an undisturbed run
	takes           map[string]time.Duration     // how long that was
	killed, daemons int
}

// The phases of one life of the project.
var killPhases = []string{"apply", "update", "destroy"}

// TestKilledAtAnyMomentTheNextApplyConverges: vmplan is killed while it makes a project, changes it and takes it
// away, 40 times or, in make soak, 200; and libvirtd 4 or 20 times. Each time the next run ends where an undisturbed one does.
func TestKilledAtAnyMomentTheNextApplyConverges(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	t.Logf("seed %d", seed)
	host := libvirttest.Start(t)
	k := &killer{
		t: t, r: rand.New(rand.NewPCG(seed, 0)), host: host, virsh: virshGround{host.URI}, dir: t.TempDir(),
		want: map[string]map[string]string{}, takes: map[string]time.Duration{},
	}
	for i, image := range emptyImages() {
		if err := os.WriteFile(filepath.Join(k.dir, fmt.Sprintf("os%d.qcow2", i+1)), image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, phase := range killPhases {
		k.write(phase)
		start := time.Now()
		k.converge(phase)
		k.takes[phase], k.want[phase] = time.Since(start), k.listing()
	}
	start, kills := time.Now(), times(40)
	for k.killed < kills {
		for _, phase := range killPhases {
			k.write(phase)
			for again := true; again && k.killed < kills; again = k.r.IntN(4) > 0 {
				k.kill(phase)
			}
			k.mustConverge(phase)
		}
	}
	t.Logf("vmplan was killed %d times in %s", k.killed, time.Since(start).Round(time.Second))
	// A libvirtd that is killed while it starts a network leaves a bridge and a DHCP server that no libvirtd gets rid of; and while
	// it starts a guest, now and then one that no libvirtd can stop. So the network stays this time, and the guests are off.
	for _, phase := range []string{"still", "bare"} {
		k.write(phase)
		k.converge(phase)
		k.want[phase], k.takes[phase] = k.listing(), k.takes["destroy"]
	}
	start = time.Now()
	for k.daemons < times(4) {
		for _, phase := range []string{"still", "bare"} {
			k.write(phase)
			k.killDaemon(phase)
			k.mustConverge(phase)
		}
	}
	k.write("destroy")
	k.mustConverge("destroy")
	t.Logf("libvirtd was killed %d times in %s", k.daemons, time.Since(start).Round(time.Second))
}

func (k *killer) write(phase string) {
	k.t.Helper()
	files := killTarget
	switch phase {
	case "update":
		files = killTargetLater
	case "still":
		files = strings.Replace(killTarget, `shutdown_timeout = "50ms"`, "running = false", 1)
	case "bare":
		files, _, _ = strings.Cut(killTarget, "image")
		files += `network "lan" { cidr = "10.81.1.0/24" }`
	}
	if err := os.WriteFile(filepath.Join(k.dir, "main.hcl"), fmt.Appendf(nil, files, k.host.URI, k.host.Dir), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killer) command(phase string) (cmd *exec.Cmd, output *bytes.Buffer) {
	verb := "apply"
	if phase == "destroy" {
		verb = phase
	}
	cmd, output = exec.Command("vmplan", verb, "--auto-approve"), &bytes.Buffer{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = k.dir, output, output
	return cmd, output
}

func (k *killer) converge(phase string) {
	k.t.Helper()
	cmd, output := k.command(phase)
	if err := cmd.Run(); err != nil {
		k.t.Fatalf("%s: %v\n%s", phase, err, output)
	}
}

// mustConverge: the next run goes well, and ends where an undisturbed one does.
func (k *killer) mustConverge(phase string) {
	k.t.Helper()
	k.converge(phase)
	want := maps.Clone(k.want[phase])
	maps.DeleteFunc(want, func(line, _ string) bool { return k.daemons > 0 && debris.MatchString(line) })
	if diff := compareListings(want, k.listing()); diff != "" {
		k.t.Fatalf("%s after %d kills of vmplan and %d of libvirtd: the host is not what it is undisturbed:\n%s", phase, k.killed, k.daemons, diff)
	}
}

// kill runs vmplan and kills it: after a while, or when its journal has grown so many times. A run that ends before does not
// count.
func (k *killer) kill(phase string) {
	k.t.Helper()
	cmd, output := k.command(phase)
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	moment := make(chan struct{})
	stop := make(chan struct{})
	defer close(stop)
	if k.r.IntN(2) == 0 {
		delay := time.Duration(k.r.Float64() * float64(k.takes[phase]))
		time.AfterFunc(delay, func() { close(moment) })
	} else {
		go k.watch(1+k.r.IntN(30), time.Duration(k.r.IntN(3000))*time.Microsecond, moment, stop)
	}
	select {
	case <-moment:
		_ = cmd.Process.Kill()
	case err := <-ended:
		k.done(phase, err, output)
		return
	}
	if err := <-ended; cmd.ProcessState.Exited() {
		k.done(phase, err, output)
		return
	}
	k.killed++
}

// done: a run that was not killed after all has to have gone well.
func (k *killer) done(phase string, err error, output *bytes.Buffer) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%s after %d kills: %v\n%s", phase, k.killed, err, output)
	}
}

// watch closes moment a little after the journal has grown n times.
func (k *killer) watch(n int, later time.Duration, moment, stop chan struct{}) {
	var size int64
	for n > 0 {
		select {
		case <-stop:
			return
		case <-time.After(500 * time.Microsecond):
		}
		info, err := os.Stat(filepath.Join(k.dir, "vmplan.vmstate.journal"))
		if err == nil && info.Size() != size {
			size = info.Size()
			n--
		}
	}
	time.AfterFunc(later, func() { close(moment) })
}

// killDaemon kills libvirtd in the middle of a run, which may fail of it.
func (k *killer) killDaemon(phase string) {
	k.t.Helper()
	cmd, output := k.command(phase)
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	delay := time.Duration(k.r.Float64() * float64(k.takes[phase]))
	killed := make(chan error, 1)
	time.AfterFunc(delay, func() { killed <- k.host.KillDaemon() })
	err := cmd.Wait()
	if e := <-killed; e != nil {
		k.t.Fatal(e)
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		k.t.Fatalf("%s while libvirtd is killed: %v\n%s", phase, err, output)
	}
	k.daemons++
	if err := k.host.Wait(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

var (
	// numbered are bridges, the guests' ends of their nics, and their folders: the host counts them.
	numbered = regexp.MustCompile(`(virbr|vnet|/domain-)[0-9]+`)
	// debris is what libvirtd may leave when it is killed: its notes of who is on a network.
	debris = regexp.MustCompile(`/lib/dnsmasq/virbr`)
)

// listing is all that virsh tells, and what outlives processes: network interfaces, of which two may not pass for one, and files.
func (k *killer) listing() map[string]string {
	k.t.Helper()
	all, err := k.virsh.listing()
	if err != nil {
		k.t.Fatal(err)
	}
	for name, text := range all {
		all[name] = numbered.ReplaceAllString(text, "$1")
	}
	interfaces, files, err := k.host.Traces(filepath.Join(k.host.Dir, "pool"))
	if err != nil {
		k.t.Fatal(err)
	}
	for _, line := range interfaces {
		all[numbered.ReplaceAllString(line, "$1")] += "one\n"
	}
	for _, line := range files {
		if k.daemons == 0 || !debris.MatchString(line) {
			all[numbered.ReplaceAllString(line, "$1")] = ""
		}
	}
	return all
}
