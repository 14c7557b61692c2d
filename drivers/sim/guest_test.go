package sim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
)

// clock is one that a test moves on.
type clock struct {
	asked chan time.Duration
	ring  chan time.Time
}

func newClock(h *sim.Host) *clock {
	c := &clock{make(chan time.Duration), make(chan time.Time)}
	h.After = func(d time.Duration) <-chan time.Time {
		c.asked <- d
		return c.ring
	}
	return c
}

func oneGuest(t *testing.T, guest sim.Guest) (*sim.Host, drivers.Driver, *resource.VM) {
	t.Helper()
	h := sim.New(func(d *sim.Data) { d.Guests = map[string]sim.Guest{"web": guest} })
	d := openMemory(t, h)
	vm := &resource.VM{Meta: named("web"), ShutdownTimeout: resource.Duration(90 * time.Second), Ready: &resource.Ready{Agent: &resource.Empty{}}}
	do(t, d, drivers.NewCreate(vm, nil))
	do(t, d, drivers.NewStart(vm))
	return h, d, vm
}

func powerOf(t *testing.T, d drivers.Driver, vm *resource.VM) drivers.Power {
	t.Helper()
	return observe(t, d, vm).Objects[resource.Key(vm)].Power
}

func TestAStubbornGuestIsSwitchedOffAfterItsTimeout(t *testing.T) {
	h, d, vm := oneGuest(t, sim.Guest{Stubborn: true})
	c := newClock(h)
	stopped := make(chan error)
	go func() {
		_, err := d.Do(t.Context(), drivers.NewStop(vm, false), nil)
		stopped <- err
	}()
	if d := <-c.asked; d != 90*time.Second {
		t.Errorf("it gets %s", d)
	}
	if p := powerOf(t, d, vm); p != drivers.PowerOn {
		t.Errorf("it is %s while it has time", p)
	}
	c.ring <- time.Time{}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if p := powerOf(t, d, vm); p != drivers.PowerOff {
		t.Errorf("it is %s in the end", p)
	}
}

func TestStoppingAStubbornGuestCanBeCancelledOrForced(t *testing.T) {
	h, d, vm := oneGuest(t, sim.Guest{Stubborn: true})
	c := newClock(h)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() {
		_, err := d.Do(ctx, drivers.NewStop(vm, false), nil)
		stopped <- err
	}()
	<-c.asked
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelling gives %v", err)
	}
	if p := powerOf(t, d, vm); p != drivers.PowerOn {
		t.Errorf("it is %s after cancelling", p)
	}
	do(t, d, drivers.NewStop(vm, true))
	if p := powerOf(t, d, vm); p != drivers.PowerOff {
		t.Errorf("it is %s after force", p)
	}
}

func TestASilentGuestIsNeverReady(t *testing.T) {
	h, d, vm := oneGuest(t, sim.Guest{Silent: true, Serial: "Kernel panic - not syncing"})
	c := newClock(h)
	go func() {
		<-c.asked
		c.ring <- time.Time{}
	}()
	_, err := d.Do(t.Context(), drivers.NewWaitReady(vm), nil)
	if !errors.Is(err, drivers.ErrTimeout) || !strings.HasSuffix(err.Error(), "Kernel panic - not syncing") {
		t.Errorf("waiting gives %v", err)
	}
	_, d, vm = oneGuest(t, sim.Guest{})
	do(t, d, drivers.NewWaitReady(vm))
}

func TestGuestsGetTheirReservationOrALeaseThatStays(t *testing.T) {
	d := openMemory(t, sim.New())
	lan := &resource.Network{Meta: named("lan"), CIDR: "10.17.3.0/24", Reservations: []resource.Reservation{{MAC: "52:54:00:00:00:01", Address: "10.17.3.2"}}}
	do(t, d, drivers.NewCreate(lan, nil))
	vm := &resource.VM{Meta: named("web"), NICs: []resource.NIC{
		{Label: "fixed", Source: "lan", MAC: "52:54:00:00:00:01"}, {Label: "leased", Source: "lan", MAC: "52:54:00:00:00:02"},
	}}
	do(t, d, drivers.NewCreate(vm, nil))
	addresses := func() map[string][]string { return observe(t, d, vm).Objects["vm/web"].Addresses }
	if a := addresses(); a != nil {
		t.Errorf("before it starts it has %v", a)
	}
	for range 2 {
		do(t, d, drivers.NewStart(vm))
		a := addresses()
		if len(a) != 2 || a["fixed"][0] != "10.17.3.2" || a["leased"][0] != "10.17.3.3" {
			t.Errorf("it has %v", a)
		}
		do(t, d, drivers.NewStop(vm, true))
	}
}

func TestAGuestBootsOnlyWhenItIsStarted(t *testing.T) {
	h, d, vm := oneGuest(t, sim.Guest{})
	next := resource.Clone(vm)
	next.Title = "live"
	do(t, d, drivers.NewUpdate(vm, next, true))
	boots := func() int {
		data, err := h.Data()
		if err != nil {
			t.Fatal(err)
		}
		return data.VMs["web"].Boots
	}
	if n := boots(); n != 1 {
		t.Errorf("a live change leaves it at %d boots", n)
	}
	do(t, d, drivers.NewReboot(vm, false))
	do(t, d, drivers.NewStop(vm, false))
	do(t, d, drivers.NewStart(vm))
	if n := boots(); n != 3 {
		t.Errorf("reboot, stop and start make %d boots", n)
	}
}

func TestAGuestNeedsItsNetworkActive(t *testing.T) {
	h := sim.New()
	d := openMemory(t, h)
	do(t, d, drivers.NewCreate(&resource.Network{Meta: named("lan"), CIDR: "10.17.3.0/24"}, nil))
	vm := &resource.VM{Meta: named("web"), NICs: []resource.NIC{{Label: "lan", Source: "lan"}}}
	do(t, d, drivers.NewCreate(vm, nil))
	if err := h.Edit(func(d *sim.Data) { d.Networks["lan"].Inactive = true }); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Do(t.Context(), drivers.NewStart(vm), nil); !errors.Is(err, drivers.ErrConflict) || !strings.Contains(err.Error(), "network lan is not active") {
		t.Errorf("starting gives %v", err)
	}
	do(t, d, drivers.NewCreate(&resource.Network{Meta: named("lan"), CIDR: "10.17.3.0/24", UUID: networkUUID(t, h)}, nil))
	do(t, d, drivers.NewStart(vm))
}

func networkUUID(t *testing.T, h *sim.Host) string {
	t.Helper()
	data, err := h.Data()
	if err != nil {
		t.Fatal(err)
	}
	return data.Networks["lan"].UUID
}
