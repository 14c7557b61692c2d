// Package sim is a make-believe host: in a JSON file or in memory. It is for tests, for trying things out, and for CI
// without libvirt. It behaves as libvirt does wherever a plan could notice (what conflicts, what is in use, what the host fills
// in by itself, what a running guest has apart from its definition), and it fails on request.
//
// It must not run anything, nor know plans or state: it is one driver among others.
//
// # URIs
//
//	sim:lab.json       a file beside the project's files
//	sim:///srv/lab.json  a file anywhere
//	sim:  or  sim:mem  memory, as long as the driver lives
//
// A file that is missing is an empty host and is written by the first change; its folder must exist.
//
// # The file
//
// The file is meant to be read and edited by hand; editing it is how things drift. Everything may be left out, and the host
// fills it in. Sizes are bytes or texts such as "2GiB". Names are those of the language (see package resource).
//
//	{
//	  "hostname": "lab", "arch": "x86_64", "cpus": 8, "memory": "64GiB", "domain_types": ["kvm", "qemu"],
//	  "interfaces": ["br0"],                       beside lo, eth0 and the bridges of networks
//	  "unavailable": "",                           a text here makes the host unreachable, for this reason
//	  "pools":    {"default": {"path": "/srv/vm", "capacity": "1TiB", "inactive": false}},
//	  "networks": {"lan": {"cidr": "10.17.3.0/24", "inactive": false, "leases": {"52:54:00:…": "10.17.3.2"}, "mark": {…}}},
//	  "volumes":  {"default/web-root.qcow2": {"size": "20GiB", "format": "qcow2", "backing": "default/debian.qcow2"}},
//	  "vms": {"web": {
//	    "vcpus": 2, "memory": "2GiB",
//	    "disk": [{"label": "root", "source": "default/web-root.qcow2"}],
//	    "nic": [{"label": "lan", "source": "lan"}],
//	    "power": "on",                             off, on or paused
//	    "live": {…},                               what the running guest has, when that is not what is defined
//	    "boots": 1,                                how often the guest has booted
//	    "saved": false,                            whether its memory is saved, to be resumed with
//	    "mark": {"lineage": "…", "addr": "vm.web", "version": "…"}}},
//	  "guests": {"web": {"stubborn": true, "silent": true}},  how the guest of the vm web behaves, see Guest
//	  "faults": [{"verb": "create", "addr": "vm.web", "when": "after", "kill": true, "times": 1}]   see Fault
//	}
//
// Beside it stands a hidden log with what was changed since the file was last written; it goes when the host is
// closed. Several processes may use one file at once.
package sim

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Host is one simulated host. Any number of drivers may be open on it.
type Host struct {
	// After is the clock that waiting goes by: time.After, unless a test puts another in before the first use.
	After func(time.Duration) <-chan time.Time

	mu    sync.Mutex // guards store
	store store
}

var memoryHosts atomic.Int64

// New makes a host in memory, as edit leaves it.
func New(edit ...func(*Data)) *Host {
	d := &Data{UUID: nameUUID(fmt.Sprint("memory ", memoryHosts.Add(1)))}
	for _, e := range edit {
		e(d)
	}
	d.complete()
	return &Host{After: time.After, store: store{data: d}}
}

// File gives the host in the JSON file at path, which need not exist yet.
func File(path string) *Host { return &Host{After: time.After, store: store{path: path}} }

// Open makes a driver for a host whose URI begins with sim:. It is a drivers.Opener.
func Open(host *resource.Host, env drivers.Env) (drivers.Driver, error) {
	_, place, _ := strings.Cut(host.URI, ":")
	switch {
	case place == "" || place == "mem":
		return New().Open(host, env)
	case strings.HasPrefix(place, "///"):
		return File(filepath.Clean(place[2:])).Open(host, env)
	case strings.HasPrefix(place, "//") || strings.ContainsAny(place, "?#"):
		return nil, fmt.Errorf("uri %q: write sim:FILE, sim:///PATH or sim:mem: %w", host.URI, drivers.ErrUnsupported)
	case filepath.IsAbs(place):
		return File(filepath.Clean(place)).Open(host, env)
	}
	return File(filepath.Join(env.Dir, place)).Open(host, env)
}

// Open makes a driver for h, whatever the URI says: h.Open is a drivers.Opener.
func (h *Host) Open(_ *resource.Host, env drivers.Env) (drivers.Driver, error) {
	return &driver{host: h, images: env.Images}, nil
}

// Edit changes the host behind every driver's back, as a person with a shell would.
func (h *Host) Edit(edit func(*Data)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.store.rewrite(edit)
}

// Data gives a copy of all the host has.
func (h *Host) Data() (*Data, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out *Data
	err := h.store.change(func(t *tx) (err error) {
		out, err = t.clone()
		return err
	})
	return out, err
}

// change runs one transaction. What fn puts is kept if it gives no error; then fn must not have put anything.
func (h *Host) change(fn func(*tx) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.store.change(fn)
}

type driver struct {
	rules
	host   *Host
	images drivers.ImageStore // nil: bits are made up
}

// Close implements drivers.Driver.
func (d *driver) Close() error {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	return d.host.store.close()
}
