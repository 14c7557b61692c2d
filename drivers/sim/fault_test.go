package sim_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
)

func openMemory(t *testing.T, h *sim.Host) drivers.Driver {
	t.Helper()
	d, err := h.Open(nil, drivers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fail(t *testing.T, h *sim.Host, faults ...sim.Fault) {
	t.Helper()
	if err := h.Fail(faults...); err != nil {
		t.Fatal(err)
	}
}

func vmNames(t *testing.T, h *sim.Host) string {
	t.Helper()
	data, err := h.Data()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range data.VMs {
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestFaultsFailWithTheDriversErrors(t *testing.T) {
	for text, want := range map[string]error{
		"not found": drivers.ErrNotFound, "conflict": drivers.ErrConflict, "in use": drivers.ErrInUse, "timeout": drivers.ErrTimeout,
		"unsupported": drivers.ErrUnsupported, "unavailable": drivers.ErrUnavailable, "no space": drivers.ErrNoSpace,
	} {
		h := sim.New()
		fail(t, h, sim.Fault{Verb: "create", Err: text})
		_, err := openMemory(t, h).Do(t.Context(), drivers.NewCreate(webVM(), nil), nil)
		if !errors.Is(err, want) {
			t.Errorf("%q gives %v", text, err)
		}
	}
	h := sim.New()
	fail(t, h, sim.Fault{Err: "the disk is on fire"})
	_, err := openMemory(t, h).Do(t.Context(), drivers.NewCreate(webVM(), nil), nil)
	if err == nil || !strings.Contains(err.Error(), "create vm web: the disk is on fire") {
		t.Errorf("another text gives %v", err)
	}
}

func TestAFaultStrikesOnlyWhatItNames(t *testing.T) {
	web := webVM()
	for name, c := range map[string]struct {
		fault sim.Fault
		hits  bool
	}{
		"its address":      {sim.Fault{Addr: web.Addr}, true},
		"another address":  {sim.Fault{Addr: named("db").Addr}, false},
		"its part":         {sim.Fault{Addr: web.Addr.WithPart("seed")}, false},
		"its kind":         {sim.Fault{Kind: resource.KindVM}, true},
		"another kind":     {sim.Fault{Kind: resource.KindVolume}, false},
		"another verb":     {sim.Fault{Verb: "delete"}, false},
		"the second match": {sim.Fault{Skip: 1}, false},
	} {
		h := sim.New()
		c.fault.Err = "struck"
		fail(t, h, c.fault)
		_, err := openMemory(t, h).Do(t.Context(), drivers.NewCreate(web, nil), nil)
		if (err != nil) != c.hits {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFaultBeforeLeavesNothingAndOneAfterLeavesTheChange(t *testing.T) {
	for when, left := range map[string]string{"": "", "before": "", "after": "web"} {
		h := sim.New()
		fail(t, h, sim.Fault{When: when, Err: "struck", Times: 1})
		d, op := openMemory(t, h), drivers.NewCreate(webVM(), nil)
		if _, err := d.Do(t.Context(), op, nil); err == nil {
			t.Errorf("%s: no error", when)
		}
		if got := vmNames(t, h); got != left {
			t.Errorf("%s: there are %q, not %q", when, got, left)
		}
		do(t, d, op) // it strikes once
	}
}

func TestAHangingOperationEndsWhenItIsCancelled(t *testing.T) {
	h := sim.New()
	fail(t, h, sim.Fault{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := openMemory(t, h).Do(ctx, drivers.NewCreate(webVM(), nil), nil)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if got := vmNames(t, h); got != "" {
		t.Errorf("it made %s", got)
	}
}

func TestAnUnavailableHostFailsEverything(t *testing.T) {
	h := sim.New(func(d *sim.Data) { d.Unavailable = "the daemon is down" })
	d := openMemory(t, h)
	_, err := d.Observe(t.Context(), drivers.Selection{})
	if !errors.Is(err, drivers.ErrUnavailable) || !strings.Contains(err.Error(), "the daemon is down") {
		t.Errorf("observe gives %v", err)
	}
	if _, err = d.Do(t.Context(), drivers.NewDelete(webVM()), nil); !errors.Is(err, drivers.ErrUnavailable) {
		t.Errorf("do gives %v", err)
	}
	other := sim.New()
	fail(t, other, sim.Fault{Verb: "observe", Err: "unavailable"})
	if _, err = openMemory(t, other).Observe(t.Context(), drivers.Selection{}); !errors.Is(err, drivers.ErrUnavailable) {
		t.Errorf("an observe fault gives %v", err)
	}
}

// TestKilled runs itself as another process, which a fault in the file kills.
func TestKilled(t *testing.T) {
	if path := os.Getenv("SIM_KILLED"); path != "" {
		do(t, openFile(t, path), drivers.NewCreate(webVM(), nil))
		return
	}
	for when, left := range map[string]string{"before": "", "after": "web"} {
		path := filepath.Join(t.TempDir(), "lab.json")
		text := `{"faults": [{"verb": "create", "addr": "vm.web", "when": "` + when + `", "kill": true, "times": 1}]}`
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run := func() *exec.Cmd {
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
			cmd.Env = append(os.Environ(), "SIM_KILLED="+path)
			return cmd
		}
		err := run().Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: the process was not killed: %v", when, err)
		}
		if got := vmNames(t, sim.File(path)); got != left {
			t.Errorf("killed %s: there are %q, not %q", when, got, left)
		}
		if out, err := run().CombinedOutput(); err != nil {
			t.Errorf("killed %s: the second run: %v\n%s", when, err, out)
		}
		if got := vmNames(t, sim.File(path)); got != "web" {
			t.Errorf("killed %s: after the second run there are %q", when, got)
		}
	}
}
