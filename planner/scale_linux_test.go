package planner_test

import (
	"runtime"
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
			few, many := cost(t, small, 3), cost(t, large, 2)
			t.Logf("500 vms: %v; 5,000 vms: %v", few, many)
			if many > 40*few {
				t.Errorf("5,000 vms take %v, which is out of proportion to the %v that 500 take", many, few)
			}
		})
	}
}

// cost is the least processor time of some measurements: what else the machine does is not in it.
func cost(t testing.TB, in planner.Input, times int) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Hour
	for range times {
		runtime.GC()
		start := threadTime(t)
		if _, err := planner.New(in); err != nil {
			t.Fatal(err)
		}
		best = min(best, threadTime(t)-start)
	}
	return best
}

func threadTime(t testing.TB) time.Duration {
	const thisThread = 1 // RUSAGE_THREAD, which package syscall does not name
	var u syscall.Rusage
	if err := syscall.Getrusage(thisThread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
