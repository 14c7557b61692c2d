package planner_test

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"vmplan.dev/vmplan/planner"
)

// A plan costs about as much per vm for thousands of them as for hundreds. The bench says how much exactly; here the
// limit leaves room for a busy machine, and none for a loop within a loop, which would cost a hundred times as much.
func TestCostGrowsLinearly(t *testing.T) {
	rules := rulesOf(t)
	for name, input := range scaleInputs {
		t.Run(name, func(t *testing.T) {
			small, large := input(t, rules, 500), input(t, rules, 5000)
			few, many := time.Hour, time.Hour
			// What else the machine does can make one measurement as slow as it likes, but not all of them.
			for range 8 {
				few, many = min(few, cost(t, small)), min(many, cost(t, large))
				if many <= 40*few {
					t.Logf("500 vms: %v; 5,000 vms: %v", few, many)
					return
				}
			}
			t.Errorf("5,000 vms take %v at best, which is out of proportion to the %v that 500 take", many, few)
		})
	}
}

// cost is the processor time of one plan, without that of collecting garbage.
func cost(t testing.TB, in planner.Input) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	start := threadTime(t)
	if _, err := planner.New(in); err != nil {
		t.Fatal(err)
	}
	return threadTime(t) - start
}

func threadTime(t testing.TB) time.Duration {
	const thisThread = 1 // RUSAGE_THREAD, which package syscall does not name
	var u syscall.Rusage
	if err := syscall.Getrusage(thisThread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
