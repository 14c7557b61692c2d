// Package drivertest is the conformance suite that every hypervisor driver passes: what drivers.Driver promises, as
// scenarios on a real (or simulated) host, seen through the interface alone.
//
// It must not know any driver: what a kind of host can do its Rules.Can says, and the suite checks that it does just that.
package drivertest

import (
	"slices"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Harness is one host under test and what to know of it.
type Harness struct {
	// Open gives a driver on the one host under test. It is called several times, also while others are open; the suite
	// closes what it gets. It need not connect.
	Open func(t *testing.T) drivers.Driver
	// Nowhere gives a driver for a host that cannot be reached.
	Nowhere func(t *testing.T) drivers.Driver
	// PoolPath is a folder of the host for the suite's pools. It need not exist; its parent does.
	PoolPath string
	// Image has the Source (and Checksum and Format, if that matters) of a small image that the driver can import.
	Image *resource.Image
	// Guest tells that a vm whose first disk is an overlay of Image boots a system that heeds shutdown, balloon and
	// unplugging within Patience. Without it the suite asks nothing of a guest.
	Guest bool
	// Patience is how long a guest may take for what is asked of it; default a minute.
	Patience time.Duration
	// Tune adapts every vm of the suite to the host: domain type, machine, memory. May be nil.
	Tune func(vm *resource.VM)
	// Listing, when not nil, describes everything on the host. It has to be the same before and after the suite.
	Listing func(t *testing.T) string
}

type scenario struct {
	name string
	run  func(*suite)
}

// Run holds the driver to its contract.
func Run(t *testing.T, h Harness) {
	if h.Patience == 0 {
		h.Patience = time.Minute
	}
	listed := ""
	if h.Listing != nil {
		listed = h.Listing(t)
	}
	scenarios := slices.Concat(ruleScenarios, abilityScenarios, hostScenarios, storageScenarios, copyScenarios, buildScenarios, snapshotScenarios, networkScenarios, markScenarios, vmScenarios, powerScenarios, liveScenarios)
	t.Run("scenarios", func(t *testing.T) {
		others := newSuite(t, h).foreigners()
		for _, sc := range scenarios {
			t.Run(sc.name, func(t *testing.T) { sc.run(newSuite(t, h)) })
		}
		others.unchanged()
	})
	if h.Listing != nil {
		if now := h.Listing(t); now != listed {
			t.Errorf("the suite leaves the host changed. Before:\n%s\nafter:\n%s", listed, now)
		}
	}
}

var hostScenarios = []scenario{
	{"a host that cannot be reached is unavailable", func(s *suite) {
		d := s.h.Nowhere(s.t)
		defer d.Close()
		_, err := d.Observe(s.t.Context(), drivers.Selection{Lineage: s.lineage})
		s.wantError(err, drivers.ErrUnavailable)
		_, err = d.Do(s.t.Context(), drivers.NewDelete(s.vm("any")), s.report)
		s.wantError(err, drivers.ErrUnavailable)
	}},
	{"facts tell about the host", func(s *suite) {
		f := s.observe().Facts
		if f.Driver == "" || f.Version == "" || f.Arch == "" || f.CPUs < 1 || f.Memory == 0 || len(f.DomainTypes) == 0 {
			s.t.Errorf("facts are incomplete: %+v", f)
		}
	}},
	{"nothing wanted and nothing marked observes nothing", func(s *suite) {
		if o := s.observe(); len(o.Objects) != 0 {
			s.t.Errorf("observed %v", keys(o))
		}
	}},
	{"what is not there is not observed", func(s *suite) {
		s.absent(s.vm("web"), s.network("lan"), s.pool("pool"), s.volume("v.qcow2"))
	}},
	{"everything of the host is observed when it is asked for", everything},
	{"what guests can have is told of the guests that are wanted", guestFacts},
	{"a cancelled context ends calls and changes nothing", cancelled},
	{"objects can be made and deleted all at once", concurrent},
	{"two drivers see each other's changes", func(s *suite) {
		v := s.volume("shared.qcow2")
		s.create(v, nil)
		second := &suite{t: s.t, h: s.h, d: s.open(), tag: s.tag, lineage: s.lineage}
		second.asPromised(v)
		second.do(drivers.NewDelete(s.normal(v)))
		s.absent(v)
	}},
}
