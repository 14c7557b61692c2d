package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// What is done by hand. Each ground knows how.
const (
	setMemory      = "change the memory"
	setVCPUs       = "change the vcpus"
	setTitle       = "change the title"
	setDescription = "change the description"
	flipAutostart  = "change autostart"
	flipPower      = "start or switch off"
	undefine       = "undefine"
	unplugDisk     = "unplug disk "
	unplugNIC      = "unplug nic "
	flipLink       = "plug or unplug the cable of nic "
	setModel       = "change the model of nic "
	plugForeign    = "plug in another's disk "
	dropHost       = "drop the dhcp host "
	addHost        = "add dhcp host "
	stop           = "stop"
	deleteVolume   = "delete"
	addVM          = "define another's vm "
	addNetwork     = "define another's network "
)

// theirPool is a pool that every ground has, and no project.
const theirPool = "theirs"

// randomEdit chooses something to do to a host that is as recorded, and on which the guests run that boots has; what is "" when
// there is nothing of the kind.
func (t *teller) randomEdit(r *rand.Rand, records []*state.Record, boots map[string]string) handEdit {
	e := t.randomObjectEdit(r, records, boots)
	e.way = r.IntN(6)
	return e
}

func (t *teller) randomObjectEdit(r *rand.Rand, records []*state.Record, boots map[string]string) handEdit {
	if len(records) == 0 || r.IntN(12) == 0 {
		name := fmt.Sprintf("theirs%08x", r.Uint32())
		if t.theirs["vm "+name] || t.theirs["network "+name] {
			return handEdit{}
		}
		return pick(r, handEdit{what: addVM, part: name, leaves: "vm " + name}, handEdit{what: addNetwork, part: name, leaves: "network " + name})
	}
	rec := records[r.IntN(len(records))]
	if t.can.steady && r.IntN(2) == 0 { // it is about the guests
		rec = pick(r, slices.DeleteFunc(records, func(r *state.Record) bool { return r.Object.Kind() != resource.KindVM })...)
	}
	switch o := rec.Object.(type) {
	case *resource.VM:
		e := t.randomVMEdit(r, o, boots[o.Name] != "")
		e.object, e.running = o, boots[o.Name] != ""
		return e
	case *resource.Network:
		e := t.randomNetworkEdit(r, o)
		e.object = o
		return e
	case *resource.Pool:
		name := o.Addr.String()
		if t.can.stopPools && r.IntN(2) == 0 {
			return handEdit{what: stop, object: o, drift: []string{name + " active"}}
		}
		return handEdit{what: flipAutostart, object: o, drift: []string{name + " autostart"}}
	case *resource.Volume:
		e := handEdit{what: deleteVolume, object: o, drift: []string{o.Addr.String() + " delete"}}
		for _, other := range records {
			if vm, ok := other.Object.(*resource.VM); ok && usesVolume(vm, resource.VolumeID(o)) && boots[vm.Name] != "" {
				return handEdit{}
			}
		}
		return e
	}
	return handEdit{}
}

func usesVolume(vm *resource.VM, id string) bool {
	return slices.ContainsFunc(vm.Disks, func(d resource.Disk) bool { return d.Source == id })
}

func (t *teller) randomVMEdit(r *rand.Rand, vm *resource.VM, running bool) handEdit {
	drift := func(path string) []string { return []string{vm.Addr.String() + " " + path} }
	device := !running || t.can.plug
	switch n := r.IntN(13); {
	case n == 0 && device:
		return handEdit{what: setMemory, drift: drift("memory")}
	case n == 1 && vm.MaxVCPUs > 1:
		return handEdit{what: setVCPUs, drift: drift("vcpus")}
	case n == 2 && vm.Title != "":
		return handEdit{what: setTitle, drift: drift("title")}
	case n == 2:
		return handEdit{what: setTitle} // a title that nobody sets is nobody's business
	case n == 3 && vm.Description != "":
		return handEdit{what: setDescription, drift: drift("description")}
	case n == 3:
		return handEdit{what: setDescription}
	case n == 4:
		return handEdit{what: flipAutostart, drift: drift("autostart")}
	case n == 5 && t.can.steady:
	case n == 5 && vm.Running == nil:
		return handEdit{what: flipPower}
	case n == 5:
		return handEdit{what: flipPower, drift: drift("power")}
	case n == 6 && !t.can.steady && vm.Running != nil && !t.marred[resource.Key(vm)]:
		return handEdit{what: undefine, drift: drift("delete")}
	case n == 7 && device && len(vm.Disks) > 1:
		if d := vm.Disks[1+r.IntN(len(vm.Disks)-1)]; d.Label != "seed" {
			return handEdit{what: unplugDisk, part: d.Label, drift: drift("disk." + d.Label)}
		}
	case n == 8 && device:
		name := fmt.Sprintf("disk%08x", r.Uint32())
		return handEdit{what: plugForeign, part: name, leaves: "volume " + theirPool + "/" + name}
	case n > 8 && len(vm.NICs) > 0:
		nic := vm.NICs[r.IntN(len(vm.NICs))].Label
		switch {
		case n == 9 && device:
			return handEdit{what: unplugNIC, part: nic, drift: drift("nic." + nic)}
		case n == 10 && device:
			return handEdit{what: setModel, part: nic, drift: drift("nic." + nic)}
		case device || t.can.cables:
			return handEdit{what: flipLink, part: nic, drift: drift("nic." + nic)}
		}
	}
	return handEdit{}
}

func (t *teller) randomNetworkEdit(r *rand.Rand, n *resource.Network) handEdit {
	drift := func(path string) []string { return []string{n.Addr.String() + " " + path} }
	switch i := r.IntN(4); {
	case i == 0 && len(n.Reservations) > 0:
		mac := n.Reservations[r.IntN(len(n.Reservations))].MAC
		return handEdit{what: dropHost, part: mac, drift: drift("reservation." + mac)}
	case i == 1 && t.hosts < 90:
		t.hosts++
		return handEdit{what: addHost, part: fmt.Sprint(t.hosts)}
	case i == 2:
		return handEdit{what: stop, drift: drift("active")}
	}
	return handEdit{what: flipAutostart, drift: drift("autostart")}
}

// tell plays stories until so many edits were made, several at once. A story that fails is told again, as short as it still
// fails if that is asked for.
func tell(t *testing.T, make func(seed uint64) *story, edits, atOnce int, shrink bool) {
	t.Helper()
	first := seedOf(t)
	var next atomic.Uint64
	var made atomic.Int64
	var failed atomic.Bool
	next.Store(first)
	start := time.Now()
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for made.Load() < int64(edits) && !failed.Load() {
				s := make(next.Add(1) - 1)
				s.ctx = t.Context()
				err := s.play(folder(t))
				if made.Add(int64(s.edits)); err == nil || failed.Swap(true) {
					continue
				}
				if shrink {
					err = s.shorten(t, err)
				}
				t.Errorf("seed %d (VMPLAN_TEST_SEED=%[1]d tells it again), rounds %v:\n%s\n=== %v", s.seed, s.rounds, s.log, err)
			}
		})
	}
	wg.Wait()
	t.Logf("seed %d: %d edits in %s", first, made.Load(), time.Since(start).Round(time.Second))
}

// shorten leaves out rounds while the story still fails in the same way.
func (s *story) shorten(t *testing.T, err error) error {
	way := func(err error) string { return strings.SplitN(err.Error(), ":", 2)[0] }
	for deadline := time.Now().Add(time.Minute); ; {
		shorter := false
		for i := len(s.rounds) - 1; i >= 0 && time.Now().Before(deadline); i-- {
			again := *s
			again.rounds = slices.Delete(slices.Clone(s.rounds), i, i+1)
			if e := again.play(folder(t)); e != nil && way(e) == way(err) {
				s.rounds, err, shorter = again.rounds, e, true
			}
		}
		if !shorter {
			// Told once more, for its log; what hangs on the moment may go well then.
			return cmp.Or(s.play(folder(t)), err)
		}
	}
}

// folder is a new one, in memory where the machine has that: making everything durable 10,000 times is not what is tested.
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "vmplan-test")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
