package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

func TestWorkIsBoundedPerHostAndInAllAndReachesTheBounds(t *testing.T) {
	for _, c := range []struct{ parallelism, perHost, hosts, want int }{
		{parallelism: 16, perHost: 4, hosts: 1, want: 4},
		{parallelism: 16, perHost: 4, hosts: 3, want: 12},
		{parallelism: 5, perHost: 4, hosts: 3, want: 5},
		{parallelism: 1, perHost: 4, hosts: 3, want: 1},
	} {
		t.Run(fmt.Sprintf("%d at once, %d per host, %d hosts", c.parallelism, c.perHost, c.hosts), func(t *testing.T) {
			w := newWorld(t)
			w.mustPool()
			w.env.Parallelism, w.env.PerHost = c.parallelism, c.perHost
			full := make(chan struct{})
			var running, most atomic.Int64
			w.hook = func(context.Context, string) error {
				n := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if n == int64(c.want) && most.Load() == n {
					select {
					case <-full:
					default:
						close(full)
					}
				}
				select {
				case <-full:
					return nil
				case <-time.After(deadline):
					return fmt.Errorf("only %d ran at once", most.Load())
				}
			}
			var steps []planner.Step
			for h := range c.hosts {
				host := fmt.Sprint("host", h)
				w.env.Drivers[host] = w.env.Drivers["lab"]
				for i := range 10 {
					s := create(volume(fmt.Sprintf("h%dv%d", h, i)))
					s.Host = host
					steps = append(steps, s)
				}
			}
			w.mustRun(steps...)
			if most.Load() != int64(c.want) {
				t.Errorf("%d ran at once, want %d", most.Load(), c.want)
			}
		})
	}
}

func TestOneAtATimeKeepsTheOrderOfThePlan(t *testing.T) {
	w := newWorld(t)
	w.env.Parallelism = 1
	p := create(pool())
	steps := append([]planner.Step{p}, volumes(5, p)...)
	m := vm("web")
	steps = append(steps, create(m, p), step(drivers.NewStart(m), p), step(drivers.NewWaitReady(m), p))
	slices.Reverse(steps[1:6])
	for i := 7; i < len(steps); i++ {
		steps[i].DependsOn = []string{steps[i-1].ID}
	}
	w.mustRun(steps...)
	var want, got []string
	for _, s := range steps {
		want = append(want, "do "+s.ID)
	}
	for _, l := range w.log {
		if strings.HasPrefix(l, "do ") {
			got = append(got, l)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("order\n%q, want\n%q", got, want)
	}
}

// A fleet must not boot four by four because the first four are waited for.
func TestWaitingForGuestsTakesNoTurn(t *testing.T) {
	w := newWorld(t)
	w.env.Parallelism, w.env.PerHost = 2, 1
	w.mustPool()
	const n = 8
	started := make(chan struct{}, n)
	w.hook = func(_ context.Context, id string) error {
		if strings.HasPrefix(id, "start") {
			started <- struct{}{}
		}
		if id != "wait vm.m0" {
			return nil
		}
		for range n {
			select {
			case <-started:
			case <-time.After(deadline):
				return errors.New("other guests were not started during the wait")
			}
		}
		return nil
	}
	var steps []planner.Step
	for i := range n {
		m := vm(fmt.Sprint("m", i))
		made := create(m)
		start := step(drivers.NewStart(m), made)
		steps = append(steps, made, start, step(drivers.NewWaitReady(m), start))
	}
	w.mustRun(steps...)
}
